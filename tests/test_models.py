"""Networks: the paper's architecture, computed independently, as functions of a flat vector."""

import random
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmark.layers import FirstBlock
from benchmark.models import MLP, Conv, MAMLConv, Model
from benchmark.network import Network, build_network
from tasks.checks import ConfigError
from tests import reference
from tests.toy import SIZES, Clouds, cloud_network, network_of, settings


@pytest.fixture(scope="module")
def paper():
    return network_of(settings("task=omniglot"))


def small(seed=0):
    chosen = replace(settings(), seed=seed, model=Conv(name="small", layers=2, filters=3))
    return network_of(chosen)


def scrambled(network):
    """Parameters away from the initial ones, so that gamma = 1 and beta = 0 hide nothing."""
    random = np.random.default_rng(0)
    return network.initial + 0.1 * random.normal(size=len(network.initial)).astype(np.float32)


def images(count):
    return np.random.default_rng(1).random((count, 28, 28, 1)).astype(np.float32)


def test_the_papers_network_has_112965_parameters_for_five_ways(paper):
    convolutions = 9 * 64 + 3 * 9 * 64 * 64 + 4 * 2 * 64
    assert len(paper.initial) == convolutions + 256 * 5 + 5 == 112_965
    assert paper.initial.dtype == np.float32


def test_the_papers_network_agrees_with_plain_numpy(paper):
    params, x = scrambled(paper), images(7)
    variables = [v.numpy() for v in paper.unflatten(params)]
    by_hand = reference.conv_network(variables, x)
    np.testing.assert_allclose(paper(params, x), by_hand, atol=1e-4)
    assert np.std(by_hand) > 0.1


def test_mamls_network_agrees_with_plain_numpy():
    """Ink, four blocks with a shift and no scale, the mean of the last map, a dense layer."""
    network = network_of(settings("task=omniglot", "model=maml_conv"))
    convolutions = 9 * 64 + 3 * 9 * 64 * 64
    assert len(network.initial) == convolutions + 4 * 64 + 64 * 5 + 5 == 111_749
    params, x = scrambled(network), images(7)
    *blocks, weights, bias = [v.numpy() for v in network.unflatten(params)]
    maps = 1 - x
    for kernel, beta in zip(blocks[::2], blocks[1::2], strict=True):
        normal = reference.batch_norm(reference.convolution(maps, kernel), np.ones_like(beta), beta)
        maps = np.maximum(normal, 0)
    by_hand = maps.mean((1, 2)) @ weights + bias
    np.testing.assert_allclose(network(params, x), by_hand, atol=1e-4)
    assert np.std(by_hand) > 0.1


def test_mamls_network_starts_as_its_authors_and_does_not_adapt_the_shifts():
    network = network_of(settings("task=omniglot", "model=maml_conv"))
    *blocks, weights, bias = [v.numpy() for v in network.unflatten(network.initial)]
    for kernel, beta in zip(blocks[::2], blocks[1::2], strict=True):
        limit = np.sqrt(6 / (9 * (kernel.shape[2] + 64)))
        assert 0.98 * limit < np.abs(kernel).max() <= limit
        assert not beta.any()
    np.testing.assert_allclose(weights.std(), 1, rtol=0.1)
    assert not bias.any()
    parts = network.unflatten(network.adapted)
    expected = [1, 0] * 4 + [1, 1]
    assert [part.numpy().min() for part in parts] == expected
    assert [part.numpy().max() for part in parts] == expected
    all_of_it = network_of(settings("task=omniglot", "model=maml_conv", "model.adapt_shift=true"))
    assert all_of_it.adapted is None and network_of(settings()).adapted is None


@pytest.mark.parametrize(("side", "channels", "scale"), [(6, 1, True), (5, 3, True), (6, 1, False)])
def test_the_first_block_is_convolution_normalisation_and_relu(side, channels, scale):
    """Forward against plain NumPy, backward against finite differences of it, in float64."""
    random = np.random.default_rng(3)
    x = random.random((4, side, side, channels))
    block = FirstBlock(5, scale=scale, dtype="float64")
    block.build(x.shape)
    shapes = [v.shape for v in block.trainable_variables]
    assert shapes == [(3, 3, channels, 5)] + [(5,)] * (1 + scale)
    values = [random.normal(size=shape) for shape in shapes]
    for variable, value in zip(block.trainable_variables, values, strict=True):
        variable.assign(value)
    weights = random.normal(size=block(x).shape)

    def by_hand(flat):
        kernel, *gamma, beta = np.split(flat, np.cumsum([v.size for v in values])[:-1])
        maps = reference.convolution(x, kernel.reshape(shapes[0]))
        normal = reference.batch_norm(maps, gamma[0] if gamma else np.ones_like(beta), beta)
        return np.maximum(normal, 0)

    flat = np.concatenate([v.ravel() for v in values])
    np.testing.assert_allclose(block(x), by_hand(flat), atol=1e-12)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(block(x) * weights)
    slopes = tape.gradient(loss, block.trainable_variables)
    expected = reference.finite_differences(lambda at: np.sum(by_hand(at) * weights), flat, h=1e-6)
    np.testing.assert_allclose(
        np.concatenate([np.ravel(slope) for slope in slopes]), expected, atol=1e-6
    )
    assert np.abs(expected).max() > 1


def test_a_dense_network_agrees_with_plain_numpy():
    network = cloud_network()
    params = scrambled(network)
    x = np.random.default_rng(2).normal(size=(6, 3)).astype(np.float32)
    by_hand = reference.mlp(params.astype(np.float64), x, SIZES)
    np.testing.assert_allclose(network(params, x), by_hand, atol=1e-5)


def test_the_introductory_network_is_784_64_64_5_with_relu():
    network = network_of(settings("model=mlp"))
    dense = [(784, 64), (64,), (64, 64), (64,), (64, 5), (5,)]
    assert network.shapes == dense
    params, x = scrambled(network), images(4)
    w1, b1, w2, b2, w3, b3 = [v.numpy() for v in network.unflatten(params)]
    ink = 1 - x.reshape(4, 784)
    hidden = np.maximum(np.maximum(ink @ w1 + b1, 0) @ w2 + b2, 0)
    np.testing.assert_allclose(network(params, x), hidden @ w3 + b3, atol=1e-4)


def test_a_prediction_depends_on_the_batch_it_stands_in_with_batch_statistics_only():
    x = images(5)
    conv, dense = small(), network_of(settings("model=mlp"))
    for network, differs in ((conv, True), (dense, False)):
        together = network(network.initial, x).numpy()
        fewer = network(network.initial, x[:3]).numpy()
        assert (np.abs(together[:3] - fewer).max() > 1e-3) == differs


def test_a_prediction_does_not_depend_on_the_order_of_its_batch():
    network, x = small(), images(5)
    forwards, backwards = (network(network.initial, batch).numpy() for batch in (x, x[::-1]))
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-5)


def test_flatten_and_unflatten_are_inverse():
    network = small()
    values = np.arange(len(network.initial), dtype=np.float32)
    parts = network.unflatten(values)
    assert [tuple(part.shape) for part in parts] == network.shapes
    np.testing.assert_array_equal(Network.flatten([part.numpy() for part in parts]), values)


def test_slopes_pass_through_unflatten_to_every_parameter_twice():
    """Of the sum of cubes: 3 p^2, then 6 p, each in its own place."""
    network = small()
    params = tf.constant(scrambled(network))
    with tf.GradientTape() as outer:
        outer.watch(params)
        with tf.GradientTape() as inner:
            inner.watch(params)
            total = tf.add_n([tf.reduce_sum(part**3) for part in network.unflatten(params)])
        first = inner.gradient(total, params)
    np.testing.assert_allclose(first, 3 * params**2, rtol=1e-5)
    np.testing.assert_allclose(outer.gradient(first, params), 6 * params, rtol=1e-5)


def test_initial_weights_depend_on_the_seed_alone():
    first = small(0).initial
    keras.utils.set_random_seed(99)
    keras.layers.Dense(3).build((2,))
    np.testing.assert_array_equal(first, small(0).initial)
    kernel = slice(0, 27)
    assert (first[kernel] != small(1).initial[kernel]).all()


def test_convolutions_start_as_glorot_and_normalisation_as_the_identity(paper):
    kernel, gamma, beta, second, *_ = [v.numpy() for v in paper.unflatten(paper.initial)]
    assert (gamma == 1).all() and (beta == 0).all()
    for values, fans in ((kernel, 9 * (1 + 64)), (second, 9 * (64 + 64))):
        limit = np.sqrt(6 / fans)
        assert 0.98 * limit < np.abs(values).max() <= limit
        np.testing.assert_allclose(values.std(), limit / np.sqrt(3), rtol=0.06)


def test_dense_layers_may_start_as_pytorchs_do():
    network = network_of(settings("task=sinusoid"))
    for inputs, values in zip(
        [1, 1, 64, 64, 64, 64], network.unflatten(network.initial), strict=True
    ):
        limit = 1 / np.sqrt(inputs)
        assert 0.5 * limit < np.abs(values).max() <= limit
    assert not np.array_equal(*[v.numpy().ravel() for v in network.unflatten(network.initial)[:2]])


def test_a_model_with_moving_averages_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(name="averages")])
    names = r"\S*averages/moving_mean, \S*averages/moving_variance"
    with pytest.raises(ConfigError, match=rf"^model: {names}: must be absent") as refusal:
        Network(model)
    assert "\n" not in str(refusal.value)


@dataclass(frozen=True, kw_only=True)
class Mine(Model):
    """Builds whatever it is given, for three inputs and three outputs."""

    name: str = "mine"
    built: Any

    def build(self, input_shape, outputs):
        return self.built


def dense(units, *before, inputs=3):
    return keras.Sequential([keras.Input((inputs,)), *before, keras.layers.Dense(units)])


def two_outputs():
    x = keras.Input((3,))
    return keras.Model(x, [keras.layers.Dense(3)(x), keras.layers.Dense(3)(x)])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: None, r", not as NoneType"),
        (lambda: dense(6), r", not to \(None, 6\)"),
        (lambda: dense(1), r", not to \(None, 1\)"),
        (lambda: dense(3, keras.layers.Reshape((3, 1))), r", not to \(None, 3, 3\)"),
        (lambda: dense(3, inputs=4), r" \(.*incompatible"),
        (two_outputs, r", not to several outputs"),
    ],
)
def test_a_model_of_ones_own_with_other_outputs_is_refused_in_one_line(build, message):
    rule = r"model=mine: must be built as a Keras model from \(None, 3\) to \(None, 3\), the inputs"
    with pytest.raises(ConfigError, match=rf"^{rule} and outputs of the task{message}[^\n]*$"):
        build_network(Mine(built=build()), Clouds(), 0)


def test_a_model_of_ones_own_may_be_a_class():
    class Layers(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = keras.layers.Dense(3)

        def call(self, x):
            return self.last(x)

    assert build_network(Mine(built=Layers()), Clouds(), 0).initial.shape == (12,)


def test_a_class_of_ones_own_may_build_its_layers_when_it_is_called():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = keras.layers.Dense(2), keras.layers.Dense(3)

        def build(self, input_shape):
            self.first.build(input_shape)
            self.last.build((None, 2))

        def call(self, x):
            return self.last(self.first(x))

    network = build_network(Mine(built=Two()), Clouds(), 0)
    x = np.ones((4, 3), np.float32)
    assert network(network.initial, x).shape == (4, 3) and network.initial.shape == (8 + 9,)


def test_a_model_without_parameters_is_refused():
    nothing = keras.Sequential([keras.Input((3,)), keras.layers.ReLU()])
    with pytest.raises(ConfigError, match=r"^model: must have parameters"):
        build_network(Mine(built=nothing), Clouds(), 0)


def test_a_callers_random_numbers_are_kept():
    """Else each network that is built would start the same draws again."""
    drawn = []
    for _ in range(2):
        build_network(Mine(built=dense(3)), Clouds(), 0)
        drawn.append((random.random(), np.random.random()))
    assert drawn[0][0] != drawn[1][0] and drawn[0][1] != drawn[1][1]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Conv(name="", layers=6, filters=4), r"model\.layers=6: must be between 1 and 5"),
        (Conv(name="", layers=1, filters=0), r"model\.filters=0: must be at least 1"),
        (
            MAMLConv(name="", layers=0, filters=4, adapt_shift=False),
            r"model\.layers=0: must be between 1 and 5",
        ),
        (
            MLP(name="", hidden=[8, 0], activation="relu", invert=False),
            r"model\.hidden=\[8, 0\]: must be a list",
        ),
        (
            MLP(name="", hidden=[8], activation="swoosh", invert=False),
            r"model\.activation=swoosh: must be one of",
        ),
    ],
)
def test_impossible_networks_are_refused(model, message):
    with pytest.raises(ConfigError, match=message):
        model.check()


def test_the_mini_imagenet_network_is_the_papers():
    """Four blocks of 32 filters halve 84 pixels to 6, rounding up; no bias before a norm."""
    model = settings("model=conv_pool").model.build((84, 84, 3), 5)
    shapes = [tuple(v.shape) for v in model.trainable_variables]
    first, other = [(3, 3, 3, 32), (32,), (32,)], [(3, 3, 32, 32), (32,), (32,)]
    assert shapes == [*first, *other, *other, *other, (6 * 6 * 32, 5), (5,)]
    pooled = [layer.output.shape[1] for layer in model.layers if "pooling" in layer.name]
    assert pooled == [42, 21, 11, 6]


@pytest.mark.parametrize("key", ["layers", "filters"])
def test_the_mini_imagenet_network_has_at_least_one_of_each(key):
    with pytest.raises(ConfigError, match=f"model.{key}=0: must be at least 1"):
        settings("model=conv_pool", f"model.{key}=0")
