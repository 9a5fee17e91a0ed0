"""What the page knows: a run's network and inner loop, its mini-batches, and test drawings."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.adaptation import Trained, load, mini_batches
from benchmark.models import MLP, Conv
from benchmark.page.hand import INK, hand
from benchmark.running.named import directory_of
from tasks.base import Task
from tasks.checks import ConfigError, require
from tasks.image_set import ImageSet
from tasks.images import SIDE, ImageTask
from tasks.omniglot import Omniglot

SHOWN = (0, 1, 2, 5, 10, 20, 50)  # steps after which the page tells what the network thinks
WAYS, SHOTS = 5, 5  # at most; what fits on a screen
CLASSES, DRAWINGS = 60, 10  # at most, of the test split, for readers who do not want to draw

LICENCE = Path(__file__).parent / "LICENSE.omniglot"


def contents(run: str) -> tuple[Path, dict[str, Any]]:
    """The run's directory, and all of it that the page needs, as JSON has it.

    Raises ConfigError for a run without an initialisation, of regression, on something else than
    images of 28 x 28 pixels, or with a network that the page cannot compute.
    """
    trained = load(run)
    task = drawn(run, trained.task)
    ways, steps = min(task.ways, WAYS), sorted({*SHOWN, max(trained.evaluation.steps)})
    algorithm = trained.config["algorithm"]
    return directory_of(run), {
        "layers": layers(trained),
        "inner": {
            "optimizer": algorithm["inner_optimizer"],
            "rate": algorithm["inner_learning_rate"],
            "reduction": algorithm["loss_reduction"],
        },
        "starts": {"learned": learned(trained), "random": untrained(trained)},
        "steps": steps,
        "orders": orders(trained, ways * SHOTS, steps[-1]),
        "ways": ways,
        "shots": SHOTS,
        "side": SIDE,
        "hand": hand(task.loaded["train"].images)._asdict(),
        "drawings": drawings(task.loaded["test"]),
        "licence": LICENCE.read_text() if isinstance(task, Omniglot) else None,  # of the drawings
        "run": facts(run, trained),
    }


def drawn(run: str, task: Task) -> ImageTask:
    """The run's task, whose images a reader can draw."""
    if isinstance(task, ImageTask) and task.input_shape == (SIDE, SIDE, 1):
        return task
    shape = " x ".join(map(str, task.input_shape))
    raise ConfigError(f"run={run}: must be a run on {SIDE} x {SIDE} x 1 drawings, not on {shape}")


def layers(trained: Trained) -> list[dict[str, Any]]:
    """The network as a list of layers, each with the sizes that its arithmetic needs.

    Raises ConfigError for a model of a user's own.
    """
    task, model = trained.task, trained.model
    outputs = task.outputs(task.ways)
    rule = "conv or mlp, the networks that the page can compute"
    require(type(model) in (Conv, MLP), "model", model.name, rule)
    if isinstance(model, MLP):
        return perceptron(model, outputs)
    return convolutions(model, outputs)


def convolutions(model: Conv, outputs: int) -> list[dict[str, Any]]:
    stack: list[dict[str, Any]] = []
    side, channels = SIDE, 1
    for _ in range(model.layers):
        stack += [
            {"kind": "convolution", "side": side, "channels": channels, "filters": model.filters},
            {"kind": "normalisation", "channels": model.filters},
            {"kind": "activation", "name": "relu"},
        ]
        side, channels = -(-side // 2), model.filters
    return [*stack, {"kind": "dense", "inputs": side * side * channels, "outputs": outputs}]


def perceptron(model: MLP, outputs: int) -> list[dict[str, Any]]:
    stack: list[dict[str, Any]] = [{"kind": "inversion"}] if model.invert else []
    inputs = SIDE * SIDE
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


def orders(trained: Trained, most: int, steps: int) -> dict[int, list[list[int]]]:
    """For each size of the support set, the images of each step: those of `benchmark.adapt`."""
    batch, replacement = trained.evaluation.batch, trained.replacement
    return {
        size: mini_batches(size, steps, batch, replacement).numpy().tolist()
        for size in range(2, most + 1)
    }


def drawings(split: ImageSet) -> dict[str, Any]:
    """As many drawings of each of a few classes, spread over the whole split; a bit a pixel."""
    classes = np.linspace(0, split.classes - 1, min(CLASSES, split.classes)).astype(int)
    each = min(DRAWINGS, split.counts[classes].min())
    rows = split.starts[classes, None] + np.arange(each)  # [class, drawing]
    ink = np.packbits(split.images[rows].reshape(*rows.shape, -1) < INK, axis=-1)
    return {"shape": ink.shape, "ink": base64.b64encode(ink.tobytes()).decode()}


def facts(run: str, trained: Trained) -> dict[str, Any]:
    """What the page says about the run."""
    config, algorithm = trained.config, trained.config["algorithm"]
    return {
        "name": Path(run).resolve().name if Path(run).exists() else run,
        "algorithm": algorithm["name"],
        "task": config["task"]["name"],
        "ways": trained.task.ways,
        "shots": config["task"]["train_shots"],
        "iterations": algorithm["meta_iterations"],
        "model": config["model"]["name"],
        "optimizer": algorithm["inner_optimizer"],
        "rate": algorithm["inner_learning_rate"],
        "batch": trained.evaluation.batch,
        "seed": config["seed"],
    }


def floats(values: np.ndarray) -> str:
    """float32 numbers, little-endian, as text."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
