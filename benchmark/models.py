"""Networks: plain Keras models, used as pure functions of one flat parameter vector.

To add one, inherit from `Model`, write `build` and name the class as `_target_` in a yaml.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.checks import require

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class Model:
    """Settings of a network: a frozen dataclass whose fields are the keys of its yaml."""

    for_images: ClassVar[bool] = False  # whether its inputs must have height, width and channels

    name: str

    def check(self) -> None:
        """Raise ConfigError for settings that cannot work; must not import TensorFlow."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> "keras.Model":
        """A Keras model from [n, *input_shape] to [n, outputs]: logits, or regression values.

        All its variables must be trainable: a network here is a function of its parameters.
        """
        raise NotImplementedError(f"{type(self).__name__}.build")


@dataclass(frozen=True, kw_only=True)
class Conv(Model):
    """The paper's Omniglot network: blocks of convolution, batch norm and ReLU, then dense.

    The convolutions are 3x3 with stride 2 and have no bias: the batch normalisation behind each
    would cancel it.
    """

    for_images = True

    layers: int
    filters: int

    def check(self) -> None:
        require(1 <= self.layers <= 5, "model.layers", self.layers, "between 1 and 5")
        require(self.filters >= 1, "model.filters", self.filters, "at least 1")

    def build(self, input_shape: tuple[int, ...], outputs: int) -> "keras.Model":
        import keras

        from benchmark.layers import BatchStatisticsNormalization, FirstBlock

        stack: list[Any] = [keras.Input(input_shape), FirstBlock(self.filters)]
        for _ in range(self.layers - 1):
            stack += [
                keras.layers.Conv2D(self.filters, 3, strides=2, padding="same", use_bias=False),
                BatchStatisticsNormalization(),
                keras.layers.ReLU(),
            ]
        return keras.Sequential([*stack, keras.layers.Flatten(), keras.layers.Dense(outputs)])


@dataclass(frozen=True, kw_only=True)
class MAMLConv(Model):
    """MAML's Omniglot network (Finn et al. 2017, after their released code).

    As `Conv`, but for: images as ink 1 on paper 0; normalisation with a shift and no scale, the
    shift meta-learned but, without `adapt_shift`, not adapted; the mean of the last map over space;
    a dense layer that starts from N(0, 1).
    """

    for_images = True

    layers: int
    filters: int
    adapt_shift: bool

    def check(self) -> None:
        require(1 <= self.layers <= 5, "model.layers", self.layers, "between 1 and 5")
        require(self.filters >= 1, "model.filters", self.filters, "at least 1")

    def build(self, input_shape: tuple[int, ...], outputs: int) -> "keras.Model":
        import keras

        from benchmark.layers import FirstBlock, ShiftNormalization

        glorot = keras.initializers.GlorotUniform()  # draws its seed here, as Conv2D does
        stack: list[Any] = [
            keras.Input(input_shape),
            keras.layers.Rescaling(-1.0, offset=1.0),
            FirstBlock(self.filters, glorot, scale=False, adapted=self.adapt_shift),
        ]
        for _ in range(self.layers - 1):
            stack += [
                keras.layers.Conv2D(self.filters, 3, strides=2, padding="same", use_bias=False),
                ShiftNormalization(self.adapt_shift),
                keras.layers.ReLU(),
            ]
        start = keras.initializers.RandomNormal(stddev=1.0)
        classify = keras.layers.Dense(outputs, kernel_initializer=start)
        return keras.Sequential([*stack, keras.layers.GlobalAveragePooling2D(), classify])


@dataclass(frozen=True, kw_only=True)
class ConvPool(Model):
    """The paper's Mini-ImageNet network: blocks of convolution, batch norm, pooling and ReLU.

    The convolutions are 3x3 with stride 1 and have no bias, as in `Conv`; the 2x2 max-pooling
    rounds up, so that 84 pixels become 42, 21, 11 and 6.
    """

    for_images = True

    layers: int
    filters: int

    def check(self) -> None:
        require(self.layers >= 1, "model.layers", self.layers, "at least 1")
        require(self.filters >= 1, "model.filters", self.filters, "at least 1")

    def build(self, input_shape: tuple[int, ...], outputs: int) -> "keras.Model":
        import keras

        from benchmark.layers import BatchStatisticsNormalization

        stack: list[Any] = [keras.Input(input_shape)]
        for _ in range(self.layers):
            stack += [
                keras.layers.Conv2D(self.filters, 3, padding="same", use_bias=False),
                BatchStatisticsNormalization(),
                keras.layers.MaxPooling2D(padding="same"),
                keras.layers.ReLU(),
            ]
        return keras.Sequential([*stack, keras.layers.Flatten(), keras.layers.Dense(outputs)])


@dataclass(frozen=True, kw_only=True)
class MLP(Model):
    """Dense layers; 64-64 with ReLU is the tutorial's network, with tanh the sine gist's.

    `invert` turns images into ink 1 on paper 0. With paper 1 almost every input is on, so that a
    step of Adam moves all pre-activations together and the ReLU units die.

    initializer: "glorot" (Keras: uniform by Glorot and Bengio 2010, biases zero) or "fan_in"
    (PyTorch: kernel and bias uniform in +-1 / sqrt(inputs of the layer)), as in the authors'
    sine-wave program, whose units so bend at different places of the line from the start.
    """

    hidden: list[int]
    activation: str
    initializer: str = "glorot"
    invert: bool

    def check(self) -> None:
        positive = all(width >= 1 for width in self.hidden)
        require(positive, "model.hidden", self.hidden, "a list of widths of at least 1")
        known = ("relu", "tanh", "gelu", "sigmoid")
        require(
            self.activation in known,
            "model.activation",
            self.activation,
            f"one of {', '.join(known)}",
        )
        rule, starts = "glorot or fan_in", ("glorot", "fan_in")
        require(self.initializer in starts, "model.initializer", self.initializer, rule)

    def build(self, input_shape: tuple[int, ...], outputs: int) -> "keras.Model":
        import keras

        stack: list[Any] = [keras.Input(input_shape), keras.layers.Flatten()]
        if self.invert:
            stack.append(keras.layers.Rescaling(-1.0, offset=1.0))
        inputs = math.prod(input_shape)
        for width, activation in [*((w, self.activation) for w in self.hidden), (outputs, None)]:
            start = self.start(inputs) if self.initializer == "fan_in" else {}
            stack.append(keras.layers.Dense(width, activation, **start))
            inputs = width
        return keras.Sequential(stack)

    @staticmethod
    def start(inputs: int) -> dict[str, Any]:
        """Initialisers of a dense layer with so many inputs, for "fan_in"."""
        from keras.initializers import RandomUniform

        limit = 1 / math.sqrt(inputs)
        names = ("kernel_initializer", "bias_initializer")
        return {name: RandomUniform(-limit, limit) for name in names}
