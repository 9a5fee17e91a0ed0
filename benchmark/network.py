"""A Keras model as a pure function of one flat float32 vector of all its parameters."""

import keras
import numpy as np
import tensorflow as tf

from tasks.checks import ConfigError


class Network:
    """The function (params [P], x [n, *input_shape]) -> outputs [n, outputs]."""

    def __init__(self, model: keras.Model) -> None:
        if model.non_trainable_variables:
            names = ", ".join(v.path for v in model.non_trainable_variables)
            raise ConfigError(
                f"model: {names}: must be absent, since a network here is a function of its "
                "trainable parameters (benchmark.layers has a batch normalisation without averages)"
            )
        self.model = model
        self.shapes = [tuple(v.shape) for v in model.trainable_variables]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]
        self.initial = self.flatten([v.numpy() for v in model.trainable_variables])

    def __call__(self, params: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        outputs, _ = self.model.stateless_call(self.unflatten(params), [], x, training=True)
        return outputs

    def unflatten(self, params: tf.Tensor) -> list[tf.Tensor]:
        """The model's variables, in its own order and shapes, from a [P] vector."""
        parts = tf.split(params, self.sizes)
        return [tf.reshape(part, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    @staticmethod
    def flatten(variables: list[np.ndarray]) -> np.ndarray:
        """[P] float32 from the variables' arrays."""
        return np.concatenate([np.ravel(v) for v in variables]).astype(np.float32)
