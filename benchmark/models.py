"""Networks: plain Keras models, used as pure functions of one flat parameter vector.

To add one, write a frozen dataclass with a `build(input_shape, outputs)` that returns a Keras
model whose outputs are logits (or regression values), and name it as `_target_` in a yaml.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.checks import require

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class Conv:
    """The paper's Omniglot network: `layers` x [3x3 convolution, stride 2, batch norm, ReLU], dense.

    The convolutions have no bias: the batch normalisation behind each would cancel it.
    """

    name: str
    layers: int
    filters: int

    def check(self) -> None:
        require(1 <= self.layers <= 5, "model.layers", self.layers, "between 1 and 5")
        require(self.filters >= 1, "model.filters", self.filters, "at least 1")

    def build(self, input_shape: tuple[int, ...], outputs: int) -> "keras.Model":
        import keras

        from benchmark.layers import BatchStatisticsNormalization

        stack: list[Any] = [keras.Input(input_shape)]
        for _ in range(self.layers):
            stack += [
                keras.layers.Conv2D(self.filters, 3, strides=2, padding="same", use_bias=False),
                BatchStatisticsNormalization(),
                keras.layers.ReLU(),
            ]
        return keras.Sequential([*stack, keras.layers.Flatten(), keras.layers.Dense(outputs)])


@dataclass(frozen=True, kw_only=True)
class MLP:
    """Dense layers; 64-64 with ReLU is the tutorial's network, with tanh the sine gist's."""

    name: str
    hidden: list[int]
    activation: str

    def check(self) -> None:
        positive = all(width >= 1 for width in self.hidden)
        require(positive, "model.hidden", self.hidden, "a list of widths of at least 1")
        known = ("relu", "tanh", "gelu", "sigmoid")
        require(self.activation in known, "model.activation", self.activation, f"one of {known}")

    def build(self, input_shape: tuple[int, ...], outputs: int) -> "keras.Model":
        import keras

        stack: list[Any] = [keras.Input(input_shape), keras.layers.Flatten()]
        stack += [keras.layers.Dense(width, self.activation) for width in self.hidden]
        return keras.Sequential([*stack, keras.layers.Dense(outputs)])
