"""Keras layers that few-shot networks need and Keras does not have."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("reptile_benchmark")
class BatchStatisticsNormalization(keras.layers.Layer):
    """Batch normalisation that always uses the statistics of the batch at hand.

    In the authors' code moving averages exist but are never used, in training or in testing;
    here they do not exist at all. This is what makes classifying the queries of an episode in
    one batch ("transductive") different from classifying each alone.
    """

    epsilon = 1e-3

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight(shape=input_shape[-1:], initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="beta")

    def call(self, inputs: Any) -> Any:
        """[batch, height, width, channels] float32, normalised over all axes but the last."""
        normalised, _, _ = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        return normalised
