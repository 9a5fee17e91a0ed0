"""A Keras model as a pure function of one flat float32 vector of all its parameters."""

import contextlib
import inspect
import random
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmark.models import Model
from tasks.base import Task
from tasks.checks import ConfigError, one_line
from tasks.seeding import stateless_key


def build_network(model: Model, task: Task, seed: int) -> "Network":
    """The model for a task's episodes, with initial weights that depend on the seed alone."""
    keras.utils.clear_session(free_memory=False)
    state_keras_settings()
    with callers_random_numbers_kept():
        keras.utils.set_random_seed(int(stateless_key(seed, "initial weights")[0]))
        built = model.build(task.input_shape, task.outputs(task.ways))
        check_built(model.name, built, task)
    return Network(built)


@contextlib.contextmanager
def callers_random_numbers_kept() -> Iterator[None]:
    """Give Python's and NumPy's global random numbers back as they were."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


def check_built(name: str, built: Any, task: Task) -> None:
    """Raise ConfigError for a model that does not give a task's inputs one output each."""
    takes, gives = (None, *task.input_shape), (None, task.outputs(task.ways))
    rule = f"built as a Keras model from {takes} to {gives}, the inputs and outputs of the task"
    if not isinstance(built, keras.Model):
        raise ConfigError(f"model={name}: must be {rule}, not as {type(built).__name__}")
    try:
        if not built.built:  # a class of its own, which knows its inputs once it is called
            built(np.zeros((1, *task.input_shape), np.float32))
        found = getattr(built.symbolic_call(keras.KerasTensor(takes)), "shape", "several outputs")
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise ConfigError(f"model={name}: must be {rule} ({one_line(error)})") from error
    if found != gives:
        raise ConfigError(f"model={name}: must be {rule}, not to {found}")


def state_keras_settings() -> None:
    """Keras's own global settings, whatever the user's keras.json says: they change networks."""
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


class Network:
    """The function (params [P], x [n, *input_shape]) -> outputs [n, outputs].

    adapted: [P] float32, 1 where the inner loop moves a parameter and 0 where the outer loop alone
        does; None where it moves all of them. A layer says so by `adapted = False` on its variable.
    """

    def __init__(self, model: keras.Model) -> None:
        if model.non_trainable_variables:
            names = ", ".join(v.path for v in model.non_trainable_variables)
            raise ConfigError(
                f"model: {names}: must be absent, since a network here is a function of its "
                "trainable parameters (benchmark.layers has a batch normalisation without averages)"
            )
        if not model.trainable_variables:
            raise ConfigError("model: must have parameters: without them there is nothing to learn")
        self.model = model
        takes = inspect.signature(model.call).parameters  # a class of one's own may not
        self.mode = {"training": True} if "training" in takes else {}
        self.shapes = [tuple(v.shape) for v in model.trainable_variables]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]
        self.initial = self.flatten([v.numpy() for v in model.trainable_variables])
        self.adapted = self.mask([getattr(v, "adapted", True) for v in model.trainable_variables])

    def __call__(self, params: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        outputs, _ = self.model.stateless_call(self.unflatten(params), [], x, **self.mode)
        return outputs

    def without_last_layer(self) -> "Network":
        """The network up to its last hidden layer, a function of the first of the parameters."""
        inner = keras.Model(self.model.inputs, self.model.layers[-1].input)
        return Network(inner)

    def unflatten(self, params: tf.Tensor) -> list[tf.Tensor]:
        """The model's variables, in its own order and shapes, from a [P] vector."""

        @tf.custom_gradient
        def cut(flat: tf.Tensor) -> Any:
            # A slice shares its memory with the whole, where tf.split copies. Its own gradient
            # would pad each slice to the size of the whole.
            starts = np.cumsum([0, *self.sizes[:-1]])
            parts = [
                tf.reshape(flat[start : start + size], shape)
                for start, size, shape in zip(starts, self.sizes, self.shapes, strict=True)
            ]
            return parts, lambda *slopes: tf.concat([tf.reshape(s, [-1]) for s in slopes], 0)

        return cut(tf.convert_to_tensor(params))

    def mask(self, adapted: list[bool]) -> np.ndarray | None:
        """`adapted` for each parameter, from whether each variable is."""
        if all(adapted):
            return None
        return np.repeat(np.array(adapted, np.float32), self.sizes)

    @staticmethod
    def flatten(variables: list[np.ndarray]) -> np.ndarray:
        """[P] float32 from the variables' arrays."""
        return np.concatenate([np.ravel(v) for v in variables]).astype(np.float32)
