"""`python -m benchmark.studies.speed`: how fast this machine runs the engine, against its limits.

Everything is measured in one run, so that ratios mean something on a shared machine: the rate of
a plain matrix product, the engine, the loops that tutorials write, evaluation, growth with each
setting, start-up, memory, and two jobs side by side. Prints one table and saves it as CSV.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.command.settings import settings
from benchmark.config import Settings
from benchmark.native.library import WIDTHS, builds
from benchmark.running.environment import environment
from benchmark.running.startup import start_tensorflow, usable_cores
from results.schema import RECORD
from tasks.base import Task

REPEATS = 5
NETWORK = "conv, 5-way, 5 tasks x 5 steps x 10 images"
TWENTY_WAY = (
    "task.ways=20",
    "algorithm.inner_steps=10",
    "algorithm.inner_batch=20",
    "evaluation.batch=10",
)


@dataclass(frozen=True)
class Measurement:
    """Median of repeated timings of one thing; `spread` is (largest - smallest) / median."""

    what: str
    value: float
    unit: str
    spread: float = 0.0
    note: str = ""


def timed(what: str, unit: str, once: Callable[[], float], note: str = "") -> Measurement:
    """Median and spread of `once()` over REPEATS calls, after one call to warm up."""
    once()
    return of_values(what, unit, [once() for _ in range(REPEATS)], note)


def of_values(what: str, unit: str, values: Sequence[float], note: str = "") -> Measurement:
    """Median and spread of repeated timings."""
    median = statistics.median(values)
    return Measurement(what, median, unit, (max(values) - min(values)) / median, note)


def sgemm_rate(size: int = 1024, repeats: int = 8) -> Callable[[], float]:
    """GFLOP/s of float32 matrix products, one stream of them a core, one thread each."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal([size, size], [0, 0])

    @tf.function
    def chain() -> tf.Tensor:
        result = matrix
        for _ in range(repeats):
            result = tf.matmul(matrix, result) * (1 / size)
        return result

    def once() -> float:
        flops = usable_cores() * repeats * 2 * size**3
        return flops / in_streams(lambda: chain().numpy()) / 1e9

    return once


def products(model: Any) -> list[tuple[int, int, int]]:
    """(positions, inputs, outputs) of each layer as a product of matrices, for one example."""
    return [
        (
            int(np.prod(layer.output.shape[1:-1])),
            int(np.prod(layer.kernel.shape[:-1])),
            layer.kernel.shape[-1],
        )
        for layer in model.layers
        if hasattr(layer, "kernel")
    ]


def gigaflops(model: Any, images: int) -> float:
    """Arithmetic of one forward and backward pass over `images` examples, in GFLOP.

    A multiplication and an addition are two operations. Backward costs twice the forward pass,
    less the gradient with respect to the network's input, which nothing needs.
    """
    forward = [2.0 * rows * inputs * outputs for rows, inputs, outputs in products(model)]
    return images * (3 * sum(forward) - forward[0]) / 1e9


def products_time(chosen: Settings, repeats: int) -> Callable[[], float]:
    """Milliseconds of a meta-iteration's matrix products alone, in the shapes that they have.

    What is left of a network where patches cost nothing to cut: a limit nearer than the rate of
    large matrices, since small ones run slower. One stream a core, no two on the same matrices.
    """
    import tensorflow as tf

    algorithm, task = chosen.algorithm, chosen.task
    model = chosen.model.build(task.input_shape, task.outputs(task.ways))
    made = []
    for rows, inputs, outputs in products(model):
        shapes = ([algorithm.inner_batch * rows, inputs], [inputs, outputs])
        patches, kernel = (tf.random.stateless_normal(shape, [0, 0]) for shape in shapes)
        made.append((patches, kernel, patches @ kernel))

    @tf.function
    def step(number: tf.Tensor) -> tf.Tensor:
        del number  # all the same; a tensor, so that the graph is traced once
        found = []
        for index, (patches, kernel, slopes) in enumerate(made):
            found += [patches @ kernel, tf.matmul(patches, slopes, transpose_a=True)]
            if index:
                found.append(tf.matmul(slopes, kernel, transpose_b=True))
        return tf.add_n([tf.reshape(product, [-1])[0] for product in found])

    def stream() -> None:
        for number in range(repeats):
            step(tf.constant(number)).numpy()

    def once() -> float:
        seconds = in_streams(stream)
        steps = algorithm.meta_batch * algorithm.inner_steps
        return 1e3 * seconds * steps / (usable_cores() * repeats)

    return once


def in_streams(work: Callable[[], Any]) -> float:
    """Seconds of as many threads that do `work` as there are cores."""
    streams = [threading.Thread(target=work) for _ in range(usable_cores())]
    began = time.perf_counter()
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()
    return time.perf_counter() - began


def engine(chosen: Settings, iterations: int, width: int | None = None) -> Callable[[], float]:
    """Milliseconds a meta-iteration of the real training loop.

    width: floats in a vector of the native library, in place of the processor's widest.
    """
    from benchmark.native.inner_loop import NativeInnerLoop
    from benchmark.network import build_network
    from benchmark.progress import Progress
    from benchmark.training import Trainer

    task = chosen.task
    network = build_network(chosen.model, task, chosen.seed)
    inner = chosen.algorithm.inner_loop(network, task.metric, chosen.runtime.engine)
    if width is not None and isinstance(inner, NativeInnerLoop):
        inner.build = builds()[width]
    trainer = Trainer(chosen, inner, task.load())

    def once() -> float:
        progress = Progress.fresh(network.initial, trainer.initial_outer_state)
        return 1e3 * trainer.advance(progress, iterations) / iterations

    return once


def evaluation(chosen: Settings, episodes: int) -> Callable[[], float]:
    """Milliseconds an episode, with both transductions."""
    from benchmark.evaluation import Evaluator
    from benchmark.network import build_network
    from benchmark.progress import Progress
    from benchmark.training import as_learner

    task = chosen.task
    network = build_network(chosen.model, task, chosen.seed)
    inner = chosen.algorithm.inner_loop(network, task.metric, chosen.runtime.engine)
    evaluator = Evaluator(inner, task.load(), task, chosen.evaluation, False, chosen.seed)
    learner = as_learner(Progress.fresh(network.initial).learner)
    protocol = next(evaluator.protocols())

    def once() -> float:
        began = time.perf_counter()
        evaluator.scores(learner, protocol, 0, episodes)
        return 1e3 * (time.perf_counter() - began) / episodes

    return once


def keras_network(task: Task) -> Any:
    """The paper's Omniglot network as tutorials build it."""
    import keras

    layers: list[Any] = [keras.Input(task.input_shape)]
    for _ in range(4):
        layers += [
            keras.layers.Conv2D(64, 3, strides=2, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        ]
    outputs = keras.layers.Dense(task.outputs(task.ways))
    return keras.Sequential([*layers, keras.layers.Flatten(), outputs])


def tutorial_loop(chosen: Settings, graph_a_step: bool, iterations: int) -> Callable[[], float]:
    """Milliseconds a meta-iteration of Reptile as tutorials write it, on the paper's network.

    Keras layers and optimiser, a GradientTape step, get_weights and set_weights between tasks;
    eager, or with a tf.function round the step. The images wait in memory.
    """
    import keras
    import tensorflow as tf

    algorithm, task = chosen.algorithm, chosen.task
    model = keras_network(task)
    optimizer = keras.optimizers.Adam(algorithm.inner_learning_rate, beta_1=0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    images = np.random.default_rng(0).random((algorithm.inner_batch, *task.input_shape), np.float32)
    labels = np.arange(algorithm.inner_batch) % task.ways

    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    optimizer.build(model.trainable_variables)
    train = tf.function(step) if graph_a_step else step

    def once() -> float:
        began = time.perf_counter()
        for iteration in range(iterations):
            old = model.get_weights()
            new = []
            for _ in range(algorithm.meta_batch):
                model.set_weights(old)
                for _ in range(algorithm.inner_steps):
                    train(tf.constant(images), tf.constant(labels))
                new.append(model.get_weights())
            size = 1 - iteration / iterations
            means = [np.mean(weights, axis=0) for weights in zip(*new, strict=True)]
            model.set_weights([o + size * (m - o) for o, m in zip(old, means, strict=True)])
        return 1e3 * (time.perf_counter() - began) / iterations

    return once


def growth() -> list[Measurement]:
    """How linear the time of a meta-iteration is in each setting; the note holds the curve."""
    rows = []
    sweeps = {
        "meta_batch": (1, 2, 5, 10),
        "inner_steps": (1, 2, 5, 10),
        "inner_batch": (5, 10, 20, 40),
    }
    for key, values in sweeps.items():
        what = f"growth: {key} = {', '.join(map(str, values))}"
        times = [
            timed(what, "ms", engine(settings(f"algorithm.{key}={value}"), 10)).value
            for value in values
        ]
        fit = float(np.corrcoef(values, times)[0, 1] ** 2)
        curve = ", ".join(f"{time:.1f}" for time in times)
        rows.append(Measurement(what, fit, "R2 of a straight line", note=f"{curve} ms"))
    return rows


def job(directory: Path, *overrides: str) -> list[str]:
    """The command of one run into `directory`."""
    return [sys.executable, "-m", "benchmark", *overrides, f"hydra.run.dir={directory}"]


def processes() -> list[Measurement]:
    """Start-up, memory and two jobs side by side, each in processes of their own."""
    task = "omniglot" if "TFDS_DATA_DIR" in os.environ else "glyphs"
    small = (
        f"task={task}",
        "evaluation.episodes=20",
        "evaluation.baselines=[]",
        "training.curve_points=0",
    )
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(label: str, *overrides: str) -> dict[str, Any]:
            subprocess.run(job(folder / label, *small, *overrides), check=True)
            return json.loads((folder / label / RECORD).read_text())

        for iterations in (50, 500):
            found = run(f"memory{iterations}", f"algorithm.meta_iterations={iterations}")
            peak = found["environment"]["memory_peak_mb"]
            rows.append(Measurement(f"peak memory, {task}, {iterations} iterations", peak, "MB"))
        timing = found["timing"]
        first = timing["train_seconds"] - 499 * timing["seconds_per_meta_iteration"]
        began = timing["startup_seconds"]
        rows.append(
            Measurement(
                "start-up to the first meta-iteration",
                began + first,
                "s",
                note=f"configuration, TensorFlow, data {began:.1f} s; tracing {first:.1f} s",
            )
        )
        rows.append(side_by_side(folder, small))
    return rows


def side_by_side(folder: Path, small: tuple[str, ...]) -> Measurement:
    """How much faster `cores` jobs of one thread run at once than one after the other."""
    cores = usable_cores()
    common = (*small, "runtime.cores=1", "algorithm.meta_iterations=400", "runtime.progress=off")

    def run(label: str, count: int) -> float:
        began = time.perf_counter()
        running = [
            subprocess.Popen(job(folder / f"{label}{i}", *common, f"seed={i}"))
            for i in range(count)
        ]
        if any(process.wait() for process in running):
            raise RuntimeError("a job failed")
        return time.perf_counter() - began

    serial = sum(run(f"serial{i}", 1) for i in range(cores))
    together = run("together", cores)
    return Measurement(
        f"{cores} jobs side by side against one after the other",
        serial / together,
        "x",
        note=f"{serial:.0f} s against {together:.0f} s",
    )


def measure() -> list[Measurement]:
    """All measurements, in the order of the table."""
    base = settings()
    start_tensorflow(base.runtime)
    sgemm = timed("matrix product, all cores", "GFLOP/s", sgemm_rate())
    reptile = timed(f"engine: {NETWORK}", "ms/meta-iteration", engine(base, 20))
    limit = 1e3 * gigaflops(base.model.build((28, 28, 1), 5), 250) / sgemm.value
    shaped = timed(
        "the same products in their own shapes", "ms/meta-iteration", products_time(base, 20)
    )
    ratios = f"{reptile.value / limit:.2f} x the arithmetic, {reptile.value / shaped.value:.2f} x"
    rows = [
        sgemm,
        Measurement("arithmetic alone at that rate", limit, "ms/meta-iteration"),
        shaped,
        replace(reptile, note=f"{ratios} the products"),
    ]
    rows += engines("conv, 5-way", (), 20, reptile.value)
    rows += [*rivals(base, reptile.value), *others(sgemm.value)]
    return [*rows, *growth(), *processes()]


def engines(
    what: str, overrides: tuple[str, ...], iterations: int, ours: float
) -> list[Measurement]:
    """The same by TensorFlow, and by narrower vectors; ours: milliseconds of the engine."""
    chosen = settings(*overrides)
    ways: dict[str, tuple[Settings, int | None]]
    ways = {"TensorFlow": (settings(*overrides, "runtime.engine=tensorflow"), None)}
    if chosen.runtime.engine == "native":
        ways |= {f"native, {WIDTHS[w]}": (chosen, w) for w in list(builds())[1:]}
    rows = []
    for name, (of, width) in ways.items():
        found = timed(f"{what}: {name}", "ms/meta-iteration", engine(of, iterations, width))
        rows.append(replace(found, note=f"{found.value / ours:.2f} x the engine"))
    return rows


def rivals(base: Settings, ours: float) -> list[Measurement]:
    """Reptile as tutorials write it; ours: milliseconds of the engine."""
    rows = []
    for name, graph, iterations in (
        ("a tf.function a step", True, 3),
        ("eager, as tutorials", False, 1),
    ):
        found = timed(
            f"Keras loop: {name}", "ms/meta-iteration", tutorial_loop(base, graph, iterations)
        )
        rows.append(replace(found, note=f"{found.value / ours:.1f} x the engine"))
    return rows


def others(gigaflops_a_second: float) -> list[Measurement]:
    """The engine on other tasks and networks, and evaluation."""
    twenty = settings(*TWENTY_WAY)
    found = timed("engine: conv, 20-way, 5 x 10 x 20", "ms/meta-iteration", engine(twenty, 4))
    limit = 1e3 * gigaflops(twenty.model.build((28, 28, 1), 20), 1000) / gigaflops_a_second
    mlp, sine = settings("model=mlp"), settings("task=sinusoid")
    one = settings("evaluation.shots=[1]"), settings(*TWENTY_WAY, "evaluation.shots=[1]")
    scored = "1-shot, both transductions"
    return [
        replace(found, note=f"{found.value / limit:.2f} x the arithmetic"),
        *engines("conv, 20-way", TWENTY_WAY, 4, found.value),
        timed("engine: mlp, 5-way", "ms/meta-iteration", engine(mlp, 200)),
        timed("engine: sine waves", "ms/meta-iteration", engine(sine, 1000)),
        timed(f"evaluation: 5-way {scored}", "ms/episode", evaluation(one[0], 50)),
        timed(f"evaluation: 20-way {scored}", "ms/episode", evaluation(one[1], 10)),
    ]


def run_program(name: str, description: str | None, measure: Callable[[], Any]) -> None:
    """Measure, print the table, save it: `python -m benchmark.studies.NAME`."""
    program = f"python -m benchmark.studies.{name}"
    parser = argparse.ArgumentParser(prog=program, description=description)
    default = Path(f"outputs/{name}.csv")
    parser.add_argument("--output", type=Path, default=default, help="the CSV")
    options = parser.parse_args()
    try:  # minutes of measurement need a place to go
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.open("a").close()
    except OSError as error:
        parser.error(f"--output {options.output}: {error.strerror}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    table = pd.DataFrame(measure())
    machine_of = environment()
    machine = f"{machine_of['device']}, {machine_of['cores']} cores"
    shown = table.assign(
        value=table["value"].map("{:.4g}".format), spread=table["spread"].map("{:.0%}".format)
    )
    print(f"{machine}; median of {REPEATS}; spread = (max - min) / median")
    print(shown.to_string(index=False))
    table.assign(machine=machine, commit=machine_of["commit"]).to_csv(options.output, index=False)


if __name__ == "__main__":
    run_program("speed", __doc__, measure)
