"""`python -m benchmark.studies.peers`: the paper's meta-iteration in PyTorch and JAX, beside ours.

Reptile's 5-way setting: 5 tasks x 5 Adam steps x 10 images. Each peer is written in the fastest
way that was found for it, must arrive at the parameters at which the engine arrives, and is timed
in rounds that take turns, since other work on a machine comes and goes. The peers get their
mini-batches ready-made; the engine draws its own. PyTorch and JAX are no dependencies of the
project: `pip install -e .[peers]`; one that is not installed is left out.
"""

import contextlib
import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmark.command.settings import settings
from benchmark.config import Settings
from benchmark.optimizers import BETA_2
from benchmark.optimizers import EPSILON as EPSILON_HAT
from benchmark.running.startup import start_tensorflow, usable_cores
from benchmark.studies.speed import (
    NETWORK,
    REPEATS,
    Measurement,
    engine,
    of_values,
    run_program,
    sgemm_rate,
)
from tasks.checks import require

SPAWN = multiprocessing.get_context("spawn")
SECONDS = 2.0  # of one contender in one round
STRIDE, EPSILON = 2, 1e-3  # benchmark.layers' own, which needs TensorFlow
APART = 0.2  # of the way that the engine's parameters went; a ReLU's kink alone makes it 0.1


@dataclass(frozen=True)
class Work:
    """One meta-iteration: where it starts, its mini-batches, and where the engine arrives.

    arrays:  the network's initial variables, float32
    x, y:    [task, step, batch, 28, 28, 1] float32 and [task, step, batch] int32
    rate:    the inner learning rate; the loss is summed or averaged over a batch by `reduction`
    arrived: [P] float32, the mean of the tasks' adapted parameters
    """

    arrays: list[np.ndarray]
    x: np.ndarray
    y: np.ndarray
    rate: float
    reduction: str
    arrived: np.ndarray

    def error(self, found: np.ndarray) -> float:
        """How far parameters are from the engine's, as a share of the way that those went."""
        initial = np.concatenate([array.ravel() for array in self.arrays])
        way = np.linalg.norm(self.arrived - initial)
        return float(np.linalg.norm(found - self.arrived) / way)


Contender = Callable[[], np.ndarray]
"""Does one meta-iteration; returns the mean of the adapted parameters, [P] float32."""


def work_of(chosen: Settings) -> Work:
    """The first training episodes of the settings, and what the engine makes of them."""
    import tensorflow as tf

    from benchmark.episode_arrays import episodes
    from benchmark.inner_loop import Learner
    from benchmark.network import build_network

    task, algorithm = chosen.task, chosen.algorithm
    network = build_network(chosen.model, task, chosen.seed)
    inner = algorithm.inner_loop(network, task.metric, chosen.runtime.engine)
    rng = np.random.default_rng(chosen.seed)
    steps, batch = algorithm.inner_steps, algorithm.inner_batch
    drawn, arrived = [], []
    stream = episodes(chosen, split="train", shots=task.train_shots)
    for _, episode in zip(range(algorithm.meta_batch), stream, strict=False):
        order = rng.permutation(len(episode.support_y)).astype(np.int32)[: steps * batch]
        order = order.reshape(steps, batch)
        start = (network.initial, np.zeros_like(network.initial), np.int64(0))
        learner = Learner(*map(tf.constant, start))
        after = inner.adapt(learner, episode.support_x, episode.support_y, tf.constant(order))
        drawn.append((episode.support_x[order], episode.support_y[order]))
        arrived.append(after.params.numpy())
    x, y = (np.stack(part) for part in zip(*drawn, strict=True))
    return Work(
        [variable.numpy() for variable in network.model.trainable_variables],
        x,
        y,
        algorithm.inner_learning_rate,
        algorithm.loss_reduction,
        np.mean(arrived, axis=0),
    )


def same_padding(side: int) -> tuple[int, int]:
    """Zeros before and behind, so that a 3x3 convolution gives ceil(side / STRIDE)."""
    short = max((-(-side // STRIDE) - 1) * STRIDE + 3 - side, 0)
    return short // 2, short - short // 2


def pytorch(work: Work, compiled: bool) -> Contender:
    """A task on each of as many threads as there are cores; channels last, fused Adam."""
    import torch

    torch.set_num_threads(1)
    loss = partial(pytorch_loss, work.reduction)
    measured = torch.compile(loss) if compiled else loss
    start = [as_pytorch(array) for array in work.arrays]
    x = torch.tensor(work.x.swapaxes(-1, -3).swapaxes(-1, -2).copy())
    y = torch.tensor(work.y, dtype=torch.int64)

    def adapted(task: int) -> np.ndarray:
        params = [part.clone().requires_grad_() for part in start]
        optimizer = torch.optim.Adam(params, lr=work.rate, betas=(0.0, BETA_2), fused=True)
        for step, (images, labels) in enumerate(zip(x[task], y[task], strict=True), start=1):
            optimizer.zero_grad()
            measured(params, images, labels).backward()
            corrected = EPSILON_HAT / math.sqrt(1 - BETA_2**step)  # PyTorch adds it afterwards
            optimizer.param_groups[0]["eps"] = corrected
            optimizer.step()
        return np.concatenate([as_ours(part) for part in params])

    pool = ThreadPoolExecutor(usable_cores())
    adapted(0)  # compiling is not for several threads at once
    return lambda: np.mean(list(pool.map(adapted, range(len(x)))), axis=0)


def pytorch_loss(reduction: str, params: list[Any], x: Any, y: Any) -> Any:
    """Of images [n, channels, height, width] and labels [n]."""
    from torch.nn import functional

    for at in range(0, len(params) - 2, 3):
        kernel, gamma, beta = params[at : at + 3]
        x = functional.pad(x, 2 * same_padding(x.shape[-1]))
        x = functional.conv2d(x, kernel, stride=STRIDE)
        x = functional.batch_norm(x, None, None, gamma, beta, training=True, eps=EPSILON)
        x = functional.relu(x)
    logits = x.permute(0, 2, 3, 1).flatten(1) @ params[-2] + params[-1]
    return functional.cross_entropy(logits, y, reduction=reduction)


def as_pytorch(array: np.ndarray) -> Any:
    """A variable; a kernel as PyTorch orders it, and in memory as the images are."""
    import torch

    tensor = torch.tensor(array)
    if tensor.ndim != 4:
        return tensor
    return tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def as_ours(tensor: Any) -> np.ndarray:
    """`as_pytorch` undone, and flat."""
    tensor = tensor.detach()
    return (tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor).numpy().ravel()


def jax(work: Work) -> Contender:
    """All tasks and steps unrolled in one compiled function."""
    from jax import grad, jit
    from jax import numpy as jnp

    loss = partial(jax_loss, work.reduction)

    def adapted(params: list[Any], x: Any, y: Any) -> list[Any]:
        moments = [jnp.zeros_like(part) for part in params]
        for step in range(len(x)):
            slopes = grad(loss)(params, x[step], y[step])
            rate = work.rate * math.sqrt(1 - BETA_2 ** (step + 1))
            moments = [
                BETA_2 * m + (1 - BETA_2) * g * g for m, g in zip(moments, slopes, strict=True)
            ]
            moved = zip(params, moments, slopes, strict=True)
            params = [p - rate * g / (jnp.sqrt(m) + EPSILON_HAT) for p, m, g in moved]
        return params

    @jit
    def meta_iteration(params: list[Any], x: Any, y: Any) -> Any:
        tasks = [adapted(params, x[task], y[task]) for task in range(len(x))]
        means = [sum(parts) / len(tasks) for parts in zip(*tasks, strict=True)]
        return jnp.concatenate([part.ravel() for part in means])

    given = [jnp.asarray(part) for part in work.arrays], jnp.asarray(work.x), jnp.asarray(work.y)
    return lambda: np.asarray(meta_iteration(*given))


def jax_loss(reduction: str, params: list[Any], x: Any, y: Any) -> Any:
    """Of images [n, height, width, channels] and labels [n]; convolutions as patches, products."""
    from jax import nn
    from jax import numpy as jnp

    for at in range(0, len(params) - 2, 3):
        kernel, gamma, beta = params[at : at + 3]
        around, last = same_padding(x.shape[1]), STRIDE * (-(-x.shape[1] // STRIDE) - 1) + 1
        x = jnp.pad(x, ((0, 0), around, around, (0, 0)))
        rows, columns = np.indices((3, 3)).reshape(2, -1)
        taps = [
            x[:, i : i + last : STRIDE, j : j + last : STRIDE]
            for i, j in zip(rows, columns, strict=True)
        ]
        x = jnp.concatenate(taps, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        x = nn.relu((x - mean) * (gamma / jnp.sqrt(variance + EPSILON)) + beta)
    logits = nn.log_softmax(x.reshape(len(x), -1) @ params[-2] + params[-1])
    return -getattr(jnp, reduction)(jnp.take_along_axis(logits, y[:, None], 1))


PEERS: dict[str, Callable[[Work], Contender]] = {
    "PyTorch, a task a thread": partial(pytorch, compiled=False),
    "PyTorch, a task a thread, compiled": partial(pytorch, compiled=True),
    "JAX, patches and products, one jit": jax,
}


def serve(name: str, work: Work, parent: Connection) -> None:
    """In a peer's own process: say how far it is from the engine, then time it when asked."""
    try:
        once = PEERS[name](work)
    except ImportError as error:
        parent.send(str(error))
        return
    parent.send(work.error(once()))
    with contextlib.suppress(EOFError):  # the measurement is over
        while parent.recv():
            parent.send(milliseconds(once))


def milliseconds(once: Contender) -> float:
    """Of one meta-iteration, over some SECONDS."""
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        once()
        done += 1
    return 1e3 * (time.perf_counter() - began) / done


def contenders(work: Work) -> dict[str, Callable[[], float]]:
    """How each peer that is installed is timed, once it has arrived where the engine arrives.

    A peer has a process of its own: PyTorch and TensorFlow do not live together in one.
    """
    found: dict[str, Callable[[], float]] = {}
    for name in PEERS:
        ours, theirs = SPAWN.Pipe()
        with theirs:  # closed here, so that its process alone can keep us waiting
            SPAWN.Process(target=serve, args=(name, work, theirs), daemon=True).start()
        apart = answer_of(ours)
        if isinstance(apart, str):
            print(f"left out: {name}: {apart}", file=sys.stderr)
            continue
        rule = f"at most {APART} of the way from the engine's parameters"
        require(apart <= APART, name, f"{apart:.3f}", rule)
        found[name] = partial(asked, ours)
    return found


def answer_of(peer: Connection) -> Any:
    """What a peer's process says of itself; a text where it cannot take part."""
    try:
        return peer.recv()
    except EOFError:
        return "its process ended"


def asked(peer: Connection) -> float:
    """What a peer's process measures now."""
    peer.send(True)
    return peer.recv()


def measure() -> list[Measurement]:
    """The engine, the peers and the machine's limit, over rounds that take turns."""
    chosen = settings()
    start_tensorflow(chosen.runtime)
    timings = {
        f"engine: {NETWORK}": engine(chosen, 50),
        **contenders(work_of(chosen)),
        "matrix product, all cores": sgemm_rate(),
    }
    rounds = [{name: once() for name, once in timings.items()} for _ in range(REPEATS + 1)][1:]
    units = dict.fromkeys(timings, "ms/meta-iteration") | {"matrix product, all cores": "GFLOP/s"}
    rows = [of_values(name, units[name], [one[name] for one in rounds]) for name in timings]
    ratios = [f"{row.value / rows[0].value:.2f} x the engine" for row in rows]
    return [
        replace(row, note=ratio) if row.what in PEERS else row
        for row, ratio in zip(rows, ratios, strict=True)
    ]


if __name__ == "__main__":
    run_program("peers", __doc__, measure)
