"""Networks that make a job fail; given as model._target_ where a user would name their own."""

import os
import signal
from dataclasses import dataclass
from typing import Any

from benchmark.models import MLP


@dataclass(frozen=True, kw_only=True)
class Raises(MLP):
    """An exception."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Any:
        raise RuntimeError("this network cannot be built")


@dataclass(frozen=True, kw_only=True)
class NotANumber(MLP):
    """A loss that is not a number."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Any:
        import keras

        network = super().build(input_shape, outputs)
        return keras.Sequential([network, keras.layers.Rescaling(float("nan"))])


@dataclass(frozen=True, kw_only=True)
class OutOfMemory(MLP):
    """What Python raises where there is no memory left."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Any:
        raise MemoryError("cannot allocate 1 TB")


@dataclass(frozen=True, kw_only=True)
class Killed(MLP):
    """A process that the system kills."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)
