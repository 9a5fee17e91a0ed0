"""Keras layers that few-shot networks need and Keras does not have."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

EPSILON = 1e-3  # added to a variance, as in the authors' code


@keras.saving.register_keras_serializable("reptile_benchmark")
class BatchStatisticsNormalization(keras.layers.Layer):
    """Batch normalisation that always uses the statistics of the batch at hand.

    In the authors' code moving averages exist but are never used, in training or in testing;
    here they do not exist at all. This is what makes classifying the queries of an episode in
    one batch ("transductive") different from classifying each alone.
    """

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight(shape=input_shape[-1:], initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="beta")

    def call(self, inputs: Any) -> Any:
        """[batch, height, width, channels] float32, normalised over all axes but the last."""
        normalised, _, _ = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=EPSILON, is_training=True
        )
        return normalised


@keras.saving.register_keras_serializable("reptile_benchmark")
class ShiftNormalization(keras.layers.Layer):
    """Batch normalisation by the batch at hand with a learnt shift, but no scale.

    adapted: whether the inner loop adapts the shift (`Network.adapted`).
    """

    def __init__(self, adapted: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.adapted = adapted

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"adapted": self.adapted}

    def build(self, input_shape: Any) -> None:
        self.beta = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="beta")
        self.beta.adapted = self.adapted

    def call(self, inputs: Any) -> Any:
        """[batch, height, width, channels] float32, normalised over all axes but the last."""
        mean, variance = tf.nn.moments(inputs, [0, 1, 2])
        return tf.nn.batch_normalization(inputs, mean, variance, self.beta, None, EPSILON)


@keras.saving.register_keras_serializable("reptile_benchmark")
class FirstBlock(keras.layers.Layer):
    """Convolution 3x3 (stride 2, same, no bias), batch normalisation and ReLU of images.

    The same function as Conv2D, BatchStatisticsNormalization and ReLU, at half their time (a fifth
    of a whole training step). Each output is the product of a patch and a kernel w, so mean and
    variance of the outputs follow from those of the patches: mean w and w' covariance w. A patch
    of a one-channel image has 9 values where the output has 64, so that the large outputs are
    written once, already normalised, and the backward pass needs no second look at them. The
    covariance grows with the square of the channels: a block for images, not for feature maps.

    Kernel, gamma and beta are the only variables, in the order of the three layers. scale: whether
    there is a gamma; adapted: whether the inner loop adapts the beta.
    """

    def __init__(
        self,
        filters: int,
        kernel_initializer: Any = "glorot_uniform",
        scale: bool = True,
        adapted: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_initializer = kernel_initializer
        self.scale = scale
        self.adapted = adapted

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "filters": self.filters,
            "kernel_initializer": keras.saving.serialize_keras_object(self.kernel_initializer),
            "scale": self.scale,
            "adapted": self.adapted,
        }

    def build(self, input_shape: Any) -> None:
        shape = (3, 3, input_shape[-1], self.filters)
        self.kernel = self.add_weight(
            shape=shape, initializer=self.kernel_initializer, name="kernel"
        )
        self.gamma: Any = 1.0
        if self.scale:
            self.gamma = self.add_weight(shape=shape[-1:], initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape[-1:], initializer="zeros", name="beta")
        self.beta.adapted = self.adapted

    def call(self, images: Any) -> Any:
        """[batch, height, width, channels] to [batch, ceil(height/2), ceil(width/2), filters]."""
        size = 9 * images.shape[-1]
        # An output channel for each value of a patch: exact, and the fastest way to cut patches.
        cutter = np.eye(size, dtype=images.dtype.as_numpy_dtype).reshape(3, 3, -1, size)
        cut = tf.nn.conv2d(images, cutter, strides=2, padding="SAME")
        patches = tf.reshape(cut, [-1, size])
        patches -= tf.reduce_mean(patches, 0, keepdims=True)
        count = tf.cast(tf.shape(patches)[0], patches.dtype)
        covariance = tf.matmul(patches, patches, transpose_a=True) / count
        kernel = tf.reshape(self.kernel, [size, self.filters])
        variance = tf.reduce_sum(kernel * tf.matmul(covariance, kernel), 0)
        scaled = kernel * (self.gamma * tf.math.rsqrt(variance + EPSILON))
        outputs = tf.nn.relu(tf.nn.bias_add(tf.matmul(patches, scaled), self.beta))
        return tf.reshape(outputs, [-1, *cut.shape[1:3], self.filters])
