"""Evaluation: adapt to unseen tasks, then classify their queries with and without transduction."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from benchmark.config import Evaluation
from benchmark.inner_loop import SIDE_BY_SIDE, InnerLoop, Learner
from results.statistics import mean_and_ci95
from tasks.base import Distribution, Task
from tasks.episode import Episode
from tasks.sampling import batch_order, fold_in, split_seed
from tasks.seeding import stateless_key


class Protocol(NamedTuple):
    """Episodes of one kind; all steps and transductions are scored on the same adaptation."""

    split: str
    shots: int


class Scores(NamedTuple):
    """What came out of n episodes; where the metric is no accuracy the last two are empty.

    values: [n, steps, transductive] float32, accuracy or mean squared error
    correct: [n, steps, transductive, query] bool, whether each query was right
    classes: [n, way] int32, the classes of each episode by their number in the split
    """

    values: np.ndarray
    correct: np.ndarray
    classes: np.ndarray


class Evaluator:
    """Scores learners on episodes = f(seed, split, index); the same for every learner."""

    def __init__(
        self,
        inner: InnerLoop,
        distribution: Distribution,
        task: Task,
        settings: Evaluation,
        replacement: bool,
        seed: int,
        purpose: str = "evaluation",
    ) -> None:
        self.inner, self.distribution, self.task = inner, distribution, task
        self.settings, self.replacement = settings, replacement
        self.seed, self.purpose = seed, purpose
        self.steps = sorted(settings.steps) if inner.adapts else [0]
        self.graphs: dict[tuple[str, Protocol], Any] = {}

    def protocols(self) -> Iterator[Protocol]:
        for split in self.settings.splits:
            for shots in self.settings.shots:
                yield Protocol(split, shots)

    def scores(self, learner: Learner, protocol: Protocol, start: int, stop: int) -> Scores:
        """Scores of episodes start .. stop - 1, the steps in ascending order."""

        def score(now: Learner, seed: tf.Tensor) -> Scores:
            return self.score(now, protocol, seed)

        return self.run("scores", score, learner, protocol, start, stop)

    def nearest_neighbour(self, protocol: Protocol, start: int, stop: int) -> Scores:
        """Giving each query the label of the nearest support image (L2): no steps, one column."""

        def score(_: Learner, seed: tf.Tensor) -> Scores:
            episode = self.sample(protocol, split_seed(seed, 2)[0])
            flat = [tf.reshape(x, [x.shape[0], -1]) for x in (episode.query_x, episode.support_x)]
            distance = tf.reduce_sum(tf.square(flat[0][:, None] - flat[1][None]), -1)
            nearest = tf.gather(episode.support_y, tf.argmin(distance, 1))
            correct = tf.equal(nearest, episode.query_y)[None, None]
            return Scores(accuracy(correct), correct, episode.classes)

        none = Learner(tf.zeros([0]), tf.zeros([0]), tf.constant(0, tf.int64))
        return self.run("nearest_neighbour", score, none, protocol, start, stop)

    def run(
        self,
        name: str,
        score: Callable[[Learner, tf.Tensor], Scores],
        learner: Learner,
        protocol: Protocol,
        start: int,
        stop: int,
    ) -> Scores:
        """Scores of episodes start .. stop - 1 side by side, in a graph that is traced once."""
        args = learner, tf.constant(start, tf.int64), tf.constant(stop, tf.int64)
        if (name, protocol) not in self.graphs:
            key = self.key(protocol)

            @tf.function(autograph=False)
            def graph(learner: Learner, start: tf.Tensor, stop: tf.Tensor) -> Scores:
                return tf.map_fn(
                    lambda index: score(learner, fold_in(key, index)),
                    tf.range(start, stop),
                    fn_output_signature=Scores(tf.float32, tf.bool, tf.int32),
                    parallel_iterations=SIDE_BY_SIDE,
                )

            self.graphs[name, protocol] = graph.get_concrete_function(*args)
        return Scores(*(part.numpy() for part in self.graphs[name, protocol](*args)))

    def key(self, protocol: Protocol) -> np.ndarray:
        """[2] seed of all episodes of a split; fold in an index for one of them."""
        return stateless_key(self.seed, f"{self.purpose} {protocol.split}")

    def sample(self, protocol: Protocol, seed: tf.Tensor) -> Episode:
        return self.distribution.sample(
            protocol.split, seed, self.task.ways, protocol.shots, self.settings.queries
        )

    def score(self, learner: Learner, protocol: Protocol, seed: tf.Tensor) -> Scores:
        """What one episode gives: `Scores` without their first axis."""
        episode, outputs = self.outputs(learner, protocol, seed)
        judged = [[self.judge(o, episode.query_y) for o in row] for row in outputs]
        values, correct = (tf.stack([[pair[i] for pair in row] for row in judged]) for i in (0, 1))
        none = tf.zeros([0], tf.int32)
        return Scores(values, correct, none if episode.classes is None else episode.classes)

    def outputs(
        self, learner: Learner, protocol: Protocol, seed: tf.Tensor
    ) -> tuple[Episode, list[list[tf.Tensor]]]:
        """One episode and the outputs [query, outputs] for each of steps x transductive."""
        for_episode, for_batches = split_seed(seed, 2)
        episode = self.sample(protocol, for_episode)
        size = episode.support_x.shape[0]
        order = batch_order(
            for_batches, size, max(self.steps[-1], 1), self.settings.batch, self.replacement
        )
        outputs, done = [], 0
        for steps in self.steps:
            learner = self.inner.adapt(
                learner, episode.support_x, episode.support_y, order[done:steps]
            )
            done = steps
            outputs.append(
                [
                    self.inner.predict(learner.params, episode, transductive)
                    for transductive in self.settings.transductive
                ]
            )
        return episode, outputs

    def judge(self, outputs: tf.Tensor, query_y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Accuracy and [query] which are right, or mean squared error and nothing; NaN stays NaN.

        Of a network with more outputs than the episode has classes the first ones count.
        """
        if self.task.metric == "mse":
            return tf.reduce_mean(tf.square(outputs - query_y)), tf.zeros([0], tf.bool)
        finite = tf.reduce_all(tf.math.is_finite(outputs))
        correct = tf.equal(tf.argmax(outputs[:, : self.task.ways], 1, tf.int32), query_y)
        return tf.where(finite, accuracy(correct), float("nan")), correct


def accuracy(correct: tf.Tensor) -> tf.Tensor:
    """Fraction of true values along the last axis."""
    return tf.reduce_mean(tf.cast(correct, tf.float32), -1)


def score_row(
    task: Task, protocol: Protocol, transductive: bool, scores: np.ndarray
) -> dict[str, Any]:
    """What an evaluation of the record and a point of the learning curve say of scores [episode].

    ci95: half-width of the 95 % interval over episodes; None for one episode, which has none.
    """
    mean, ci95 = mean_and_ci95(scores)
    return {
        "split": protocol.split,
        "shots": protocol.shots,
        "transductive": transductive,
        "episodes": len(scores),
        "metric": task.metric,
        task.metric: mean,
        "ci95": ci95,
    }
