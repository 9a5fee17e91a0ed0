"""The inner loop whose steps and predictions the native library computes."""

from typing import Any

import numpy as np
import tensorflow as tf

from benchmark.inner_loop import InnerLoop, Learner
from benchmark.native import library
from benchmark.native.library import Rule, Shape
from benchmark.network import Network
from tasks.episode import Episode


class NativeInnerLoop(InnerLoop):
    """`InnerLoop` of `benchmark.models.Conv`; what MAML differentiates stays TensorFlow's.

    A task or an episode is one call of the library, which holds no lock of Python's while it
    computes: those that the graph runs side by side compute side by side.
    """

    def __init__(self, network: Network, *settings: Any) -> None:
        super().__init__(network, *settings)
        kernels = len(network.shapes) // 3
        ways, filters = network.shapes[-1][0], network.shapes[0][-1]
        self.shape = Shape(*network.model.input_shape[1:], kernels, filters, ways)
        mean = self.loss_reduction == "mean"
        self.build = library.needed()
        self.rule = Rule(self.optimizer == "adam", mean, self.learning_rate)

    def adapt(self, learner: Learner, x: tf.Tensor, y: tf.Tensor, order: tf.Tensor) -> Learner:
        params, moment = tf.numpy_function(
            self.adapt_arrays,
            [*learner, x, tf.cast(y, tf.int32), order],
            [tf.float32, tf.float32],
            stateful=False,  # or the graph would run one task after the other
        )
        size = [self.network.initial.size]
        return Learner(
            tf.ensure_shape(params, size),
            tf.ensure_shape(moment, size),
            learner.count + order.shape[0],
        )

    def adapt_arrays(
        self,
        params: np.ndarray,
        moment: np.ndarray,
        count: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        order: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """`library.adapt`, as the graph calls it."""
        before = params, moment, int(count)
        return library.adapt(self.build, self.shape, self.rule, *before, x, y, order)

    def predict(self, params: tf.Tensor, episode: Episode, transductive: bool) -> tf.Tensor:
        def arrays(params: np.ndarray, support: np.ndarray, query: np.ndarray) -> np.ndarray:
            return library.predict(self.build, self.shape, params, support, query, transductive)

        logits = tf.numpy_function(
            arrays, [params, episode.support_x, episode.query_x], tf.float32, stateful=False
        )
        return tf.ensure_shape(logits, [episode.query_x.shape[0], self.shape.ways])
