"""The inner loop: a few optimiser steps of one network on one task."""

from typing import NamedTuple

import tensorflow as tf

from benchmark.network import Network
from benchmark.optimizers import adam_update, sgd_update
from tasks.episode import Episode

SIDE_BY_SIDE = 8  # iterations in flight; the number of cores decides how many really run at once


class Learner(NamedTuple):
    """What the inner loop moves.

    params: [P] float32, the network's parameters
    moment: [P] float32, Adam's second moment; it lives on from task to task
    count:  int64 scalar, the number of steps behind `moment`
    """

    params: tf.Tensor
    moment: tf.Tensor
    count: tf.Tensor


class InnerLoop:
    """Adaptation of `network` with one optimiser; a pure function of learner and data."""

    adapts = True  # where nothing is adapted, an evaluation has no steps to choose

    def __init__(
        self,
        network: Network,
        metric: str,
        optimizer: str,
        learning_rate: float,
        loss_reduction: str,
    ) -> None:
        self.network = network
        self.metric = metric
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.loss_reduction = loss_reduction
        self.reduce = {"sum": tf.reduce_sum, "mean": tf.reduce_mean}[loss_reduction]

    def loss(self, params: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Cross-entropy of labels [n], or squared error of targets [n, outputs]; a scalar."""
        outputs = self.network(params, x)
        if self.metric == "mse":
            return self.reduce(tf.reduce_mean(tf.square(outputs - y), axis=-1))
        return self.reduce(tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs))

    def gradient(self, params: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """[P] gradient of `loss`, zero for the parameters that are not adapted."""
        with tf.GradientTape() as tape:
            tape.watch(params)
            loss = self.loss(params, x, y)
        slope = tape.gradient(loss, params)
        return slope if self.network.adapted is None else slope * self.network.adapted

    def step(self, learner: Learner, x: tf.Tensor, y: tf.Tensor) -> Learner:
        """One optimiser step on one mini-batch."""
        gradient = self.gradient(learner.params, x, y)
        count = learner.count + 1
        if self.optimizer == "sgd":
            params = sgd_update(learner.params, gradient, self.learning_rate)
            return Learner(params, learner.moment, count)
        params, moment = adam_update(
            learner.params,
            learner.moment,
            tf.cast(count, tf.float32),
            gradient,
            self.learning_rate,
            tf.sqrt,
        )
        return Learner(params, moment, count)

    def adapt(self, learner: Learner, x: tf.Tensor, y: tf.Tensor, order: tf.Tensor) -> Learner:
        """One step on each mini-batch: rows x[order[i]] for i = 0 .. steps - 1.

        order: [steps, batch] int32 into the support set x [n, ...], y [n, ...].
        """

        def body(i: tf.Tensor, now: Learner) -> tuple[tf.Tensor, Learner]:
            return i + 1, self.step(now, tf.gather(x, order[i]), tf.gather(y, order[i]))

        steps = order.shape[0]
        _, learner = tf.while_loop(lambda i, _: i < steps, body, (tf.constant(0), learner))
        return learner

    def predict(self, params: tf.Tensor, episode: Episode, transductive: bool) -> tf.Tensor:
        """Outputs [query, outputs] of adapted parameters for an episode's queries.

        Transductive: the queries form one batch, so each one's normalisation sees the others.
        Otherwise each query is the last of a batch behind the whole support set (paper, section
        6.1).
        """
        if transductive:
            return self.network(params, episode.query_x)

        def alone(query: tf.Tensor) -> tf.Tensor:
            return self.network(params, tf.concat([episode.support_x, query[None]], 0))[-1]

        return tf.map_fn(alone, episode.query_x, parallel_iterations=SIDE_BY_SIDE)
