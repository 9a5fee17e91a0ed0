"""What every page knows of a run: its network, its inner loop and from where it sets out."""

import base64
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.adaptation import Trained, mini_batches
from benchmark.inner_loop import InnerLoop
from benchmark.models import MLP, Conv, MAMLConv
from benchmark.native.inner_loop import NativeInnerLoop
from tasks.checks import require
from tasks.images import SIDE

SHOWN = (0, 1, 2, 5, 10, 20, 50)  # steps after which a page tells what the network thinks


def contents(run: str, trained: Trained, sizes: Iterable[int]) -> dict[str, Any]:
    """All that the arithmetic of a page needs, as JSON has it.

    sizes: of the support sets that a reader can make

    Raises ConfigError for a network or an inner loop that the page cannot compute.
    """
    inner, steps = trained.inner, sorted({*SHOWN, max(trained.evaluation.steps)})
    known = type(inner) in (InnerLoop, NativeInnerLoop)
    rule = "one whose inner loop is that of benchmark.inner_loop, which the page computes"
    require(known, "algorithm", trained.config["algorithm"]["name"], rule)
    return {
        "layers": layers(trained),
        "inner": {
            "metric": inner.metric,
            "optimizer": inner.optimizer,
            "rate": inner.learning_rate,
            "reduction": inner.loss_reduction,
        },
        "starts": {"learned": learned(trained), "random": untrained(trained)},
        "steps": steps,
        "orders": {size: order(trained, size, steps[-1]) for size in sizes},
        "run": facts(run, trained),
    }


def layers(trained: Trained) -> list[dict[str, Any]]:
    """The network as a list of layers, each with the sizes that its arithmetic needs.

    Raises ConfigError for a model of a user's own.
    """
    task, model = trained.task, trained.model
    outputs = task.outputs(task.ways)
    rule = "conv, maml_conv or mlp, the networks that the page can compute"
    require(type(model) in (Conv, MAMLConv, MLP), "model", model.name, rule)
    if isinstance(model, MLP):
        return perceptron(model, math.prod(task.input_shape), outputs)
    return convolutions(model, outputs)


def convolutions(model: Conv | MAMLConv, outputs: int) -> list[dict[str, Any]]:
    adapted = model.adapt_shift if isinstance(model, MAMLConv) else True
    norm = {"channels": model.filters, "scaled": isinstance(model, Conv), "adapted": adapted}
    stack: list[dict[str, Any]] = []
    side, channels = SIDE, 1
    for _ in range(model.layers):
        stack += [
            {"kind": "convolution", "side": side, "channels": channels, "filters": model.filters},
            {"kind": "normalisation", **norm},
            {"kind": "activation", "name": "relu"},
        ]
        side, channels = -(-side // 2), model.filters
    if isinstance(model, Conv):
        return [*stack, {"kind": "dense", "inputs": side**2 * channels, "outputs": outputs}]
    average = {"kind": "average", "places": side**2, "channels": channels}
    last = {"kind": "dense", "inputs": channels, "outputs": outputs}
    return [{"kind": "inversion"}, *stack, average, last]


def perceptron(model: MLP, inputs: int, outputs: int) -> list[dict[str, Any]]:
    stack: list[dict[str, Any]] = [{"kind": "inversion"}] if model.invert else []
    for width in model.hidden:
        stack.append({"kind": "dense", "inputs": inputs, "outputs": width})
        stack.append({"kind": "activation", "name": model.activation})
        inputs = width
    return [*stack, {"kind": "dense", "inputs": inputs, "outputs": outputs}]


def learned(trained: Trained) -> dict[str, Any]:
    """The run's initialisation, and the state in which training left the inner optimiser."""
    params, moment, count = (part.numpy() for part in trained.learner)
    return {"params": floats(params), "moment": floats(moment), "count": int(count)}


def untrained(trained: Trained) -> dict[str, Any]:
    """The weights from which the run itself set out, and a fresh optimiser."""
    return {"params": floats(trained.inner.network.initial), "moment": None, "count": 0}


def order(trained: Trained, size: int, steps: int) -> list[list[int]]:
    """Which of `size` support examples each step learns from: those of `benchmark.adapt`."""
    batch, replacement = trained.evaluation.batch, trained.replacement
    return mini_batches(size, steps, batch, replacement).numpy().tolist()


def facts(run: str, trained: Trained) -> dict[str, Any]:
    """What the page says about the run."""
    config, algorithm = trained.config, trained.config["algorithm"]
    return {
        "name": Path(run).resolve().name if Path(run).exists() else run,
        "algorithm": algorithm["name"],
        "task": config["task"]["name"],
        "ways": trained.task.ways,
        "iterations": algorithm["meta_iterations"],
        "model": config["model"]["name"],
        "optimizer": trained.inner.optimizer,
        "rate": trained.inner.learning_rate,
        "batch": trained.evaluation.batch,
        "seed": config["seed"],
    }


def floats(values: np.ndarray) -> str:
    """float32 numbers, little-endian, as text."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
