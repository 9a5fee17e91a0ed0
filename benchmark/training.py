"""The meta-iteration loop: annealing, learning curve, checkpoints."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from benchmark.config import Settings
from benchmark.evaluation import Evaluator, score_row
from benchmark.inner_loop import InnerLoop, Learner
from benchmark.outer_loop import MetaState, meta_iteration, training_tasks
from benchmark.outer_optimizer import outer_optimizer
from benchmark.progress import Progress
from tasks.base import Distribution
from tasks.seeding import stateless_key

SECONDS_A_CALL = 1.0  # how long one call of the graph should take: a stop is noticed after it


class Diverged(RuntimeError):
    """The parameters became infinite or not a number."""


class Trainer:
    """Meta-trains one initialisation; every iteration is a function of (seed, iteration, state)."""

    def __init__(self, settings: Settings, inner: InnerLoop, distribution: Distribution) -> None:
        self.settings = settings
        algorithm, task = settings.algorithm, settings.task
        key = stateless_key(settings.seed, "training")
        outer = outer_optimizer(
            algorithm.outer_optimizer, algorithm.outer_step, inner.network.initial
        )
        self.initial_outer_state = outer.initial
        learn = training_tasks(algorithm, inner, distribution, task, key)

        @tf.function(autograph=False, jit_compile=settings.runtime.jit)
        def run(state: MetaState, start: tf.Tensor, stop: tf.Tensor) -> MetaState:
            def body(i: tf.Tensor, now: MetaState) -> tuple[tf.Tensor, MetaState]:
                return i + 1, meta_iteration(algorithm, learn, outer, i, now)

            _, state = tf.while_loop(
                lambda i, _: i < stop, body, (start, state), parallel_iterations=1
            )
            return state

        self.run = run
        self.curve = Evaluator(
            inner,
            distribution,
            task,
            replace(
                settings.evaluation,
                splits=[settings.curve_split],
                shots=[max(settings.evaluation.shots)],
                steps=[max(settings.evaluation.steps)],
                episodes=settings.training.curve_episodes,
            ),
            algorithm.replacement,
            settings.seed,
            purpose="learning curve",
        )

    def curve_iterations(self) -> set[int]:
        """Iterations after which a point of the learning curve is taken."""
        total = self.settings.algorithm.meta_iterations
        points = min(self.settings.training.curve_points, total)
        return {math.ceil(total * (i + 1) / points) for i in range(points)}

    def train(self, progress: Progress, report: Callable[[Progress, bool], None]) -> None:
        """Run the remaining meta-iterations, updating `progress` in place.

        report(progress, due) is called after each call of the graph; `due` says that a checkpoint
        should be written. It may raise to stop. Raises Diverged.
        """
        total, curve = self.settings.algorithm.meta_iterations, self.curve_iterations()
        ends, every = sorted(curve | {total}), self.settings.training.checkpoint_every or total
        size = 1  # the first call also traces the graph; its time is kept apart
        while progress.iteration < total:
            start = progress.iteration
            due = start - start % every + every
            stop = min(next(e for e in ends if e > start), due, start + size)
            seconds = self.advance(progress, stop)
            phase = "tracing" if size == 1 else "steady"
            add(progress.seconds, phase, seconds)
            add(progress.seconds, "steady_iterations", 0 if size == 1 else stop - start)
            done = stop - start
            size = 2 if size == 1 else max(1, min(2 * size, int(SECONDS_A_CALL * done / seconds)))
            if stop in curve:
                began = time.perf_counter()
                progress.curve += self.curve_points(progress)
                add(progress.seconds, "curve", time.perf_counter() - began)
            report(progress, stop == due < total)

    def advance(self, progress: Progress, stop: int) -> float:
        """Meta-iterations up to `stop`; returns the seconds they took."""
        began = time.perf_counter()
        state = MetaState(as_learner(progress.learner), tuple(map(tf.constant, progress.outer)))
        state = self.run(
            state, tf.constant(progress.iteration, tf.int64), tf.constant(stop, tf.int64)
        )
        progress.learner = tuple(value.numpy() for value in state.learner)
        progress.outer = tuple(value.numpy() for value in state.outer)
        if not np.isfinite(progress.learner[0]).all():
            raise Diverged(
                "the parameters were no longer finite between meta-iterations "
                f"{progress.iteration} and {stop}: a learning rate or step may be too large"
            )
        progress.iteration = stop
        return time.perf_counter() - began

    def curve_points(self, progress: Progress) -> list[dict[str, Any]]:
        """Mean scores over fixed episodes, a point for each transduction."""
        learner, task = as_learner(progress.learner), self.settings.task
        episodes = self.settings.training.curve_episodes
        points = []
        for protocol in self.curve.protocols():
            scores = self.curve.scores(learner, protocol, 0, episodes).values[:, 0]
            for transductive, column in zip(
                self.settings.evaluation.transductive, scores.T, strict=True
            ):
                row = score_row(task, protocol, transductive, column)
                points.append({"iteration": progress.iteration, **row})
        return points


def as_learner(arrays: tuple[np.ndarray, ...]) -> Learner:
    """Tensors from a checkpoint's arrays."""
    return Learner(*map(tf.constant, arrays))


def add(seconds: dict[str, float], phase: str, amount: float) -> None:
    """Add to a phase's total."""
    seconds[phase] = seconds.get(phase, 0) + amount
