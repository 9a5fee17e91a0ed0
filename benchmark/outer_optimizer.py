"""How a displacement moves the initialisation: by interpolation, or through a Keras optimiser."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.checks import ConfigError, one_line

State = tuple[tf.Tensor, ...]


class Interpolation:
    """phi + step * displacement (paper, algorithms 1 and 2)."""

    initial: State = ()

    def update(
        self, params: tf.Tensor, displacement: tf.Tensor, step: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """New params [P] and state; `step` is the annealed outer step."""
        return params + step * displacement, state


class KerasStep:
    """An optimiser's step on the "Reptile gradient" phi - W, scaled by the annealing.

    The optimiser's learning rate is the first outer step. Its variables hold nothing between two
    calls: all state passes through `update`, so that a checkpoint has it.
    """

    def __init__(self, config: Any, learning_rate: float, initial: np.ndarray) -> None:
        """`config` is a name or {class_name: ..., config: {...}}. Raises ConfigError."""
        self.first_step = learning_rate
        self.phi = keras.Variable(initial, name="phi")
        try:
            self.optimizer = keras.optimizers.get(config)
            self.optimizer.learning_rate = learning_rate
            self.optimizer.build([self.phi])
            self.initial: State = tuple(v.numpy() for v in self.optimizer.variables)
            self.optimizer.apply([tf.zeros_like(initial)], [self.phi])  # in vain: can it?
        except Exception as error:  # Keras and TensorFlow have many ways to refuse a setting
            raise ConfigError(
                f"algorithm.outer_optimizer={config}: must be null or an optimiser that Keras can "
                f"make, as a name or {{class_name:, config: {{}}}} ({one_line(error)[:200]})"
            ) from error

    def update(
        self, params: tf.Tensor, displacement: tf.Tensor, step: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """New params [P] and state; the optimiser sees -displacement as its gradient."""
        for variable, value in zip(self.optimizer.variables, state, strict=True):
            variable.assign(value)
        self.phi.assign(params)
        self.optimizer.apply([-displacement], [self.phi])
        moved = tf.convert_to_tensor(self.phi.value)
        after = tuple(tf.convert_to_tensor(v.value) for v in self.optimizer.variables)
        return params + step / self.first_step * (moved - params), after


def outer_optimizer(
    config: Any, learning_rate: float, initial: np.ndarray
) -> Interpolation | KerasStep:
    """Interpolation where `config` is None, else the Keras optimiser it names."""
    return KerasStep(config, learning_rate, initial) if config else Interpolation()
