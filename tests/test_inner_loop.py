"""The inner loop: losses, gradients and optimiser steps against hand-written ones."""

import numpy as np
import pytest
import tensorflow as tf

from benchmark.inner_loop import InnerLoop
from tests import reference
from tests.toy import SIZES, cloud_network, learner

RATE = 0.05
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 3)).astype(np.float32)
LABELS = (np.arange(12) % 3).astype(np.int32)
TARGETS = RANDOM.normal(size=(12, 3)).astype(np.float32)
ORDER = np.array(
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [2, 0, 11, 5], [1, 6, 3, 9]], np.int32
)
Y = {"accuracy": LABELS, "mse": TARGETS}


@pytest.fixture(scope="module")
def network():
    return cloud_network()


def inner_loop(network, optimizer="sgd", metric="accuracy", reduction="sum"):
    return InnerLoop(network, metric, optimizer, RATE, reduction)


def wide(params, x):
    """The network of `SIZES` in float64, for differences that float32 would drown in rounding."""
    cuts = [SIZES.inputs * SIZES.hidden, SIZES.hidden, SIZES.hidden * SIZES.outputs, SIZES.outputs]
    weights_1, bias_1, weights_2, bias_2 = tf.split(params, cuts)
    hidden = tf.tanh(x @ tf.reshape(weights_1, [SIZES.inputs, -1]) + bias_1)
    return hidden @ tf.reshape(weights_2, [SIZES.hidden, -1]) + bias_2


wide.adapted = None  # all of its parameters


@pytest.mark.parametrize("metric", ["accuracy", "mse"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_loss_and_gradient_agree_with_hand_written_ones(network, metric, reduction):
    inner = inner_loop(network, metric=metric, reduction=reduction)
    params, y = network.initial, Y[metric]
    outputs = reference.mlp(params.astype(np.float64), X, SIZES)
    loss = reference.loss(outputs, y, metric, reduction)
    np.testing.assert_allclose(inner.loss(tf.constant(params), X, y), loss, rtol=1e-5)
    gradient = reference.mlp_gradient(params.astype(np.float64), X, y, SIZES, metric, reduction)
    mine = inner.gradient(tf.constant(params), tf.constant(X), tf.constant(y))
    np.testing.assert_allclose(mine, gradient, atol=1e-5)


@pytest.mark.parametrize("metric", ["accuracy", "mse"])
def test_the_gradient_agrees_with_finite_differences(network, metric):
    inner = inner_loop(wide, metric=metric)
    x, y = X.astype(np.float64), Y[metric]
    y = y.astype(np.float64) if metric == "mse" else y
    params = network.initial.astype(np.float64)
    slope = reference.finite_differences(
        lambda at: float(inner.loss(tf.constant(at), x, y)), params, h=1e-5
    )
    gradient = inner.gradient(tf.constant(params), tf.constant(x), tf.constant(y))
    np.testing.assert_allclose(gradient, slope, atol=1e-7)
    assert np.abs(slope).max() > 0.1


def test_the_summed_loss_is_the_batch_size_times_the_mean(network):
    """The authors sum: their SGD rate 0.003 at batch 25 is 0.075 on the mean loss."""
    params, x, y = map(tf.constant, (network.initial, X, LABELS))
    summed, mean = (
        inner_loop(network, reduction=r).gradient(params, x, y) for r in ("sum", "mean")
    )
    np.testing.assert_allclose(summed, 12 * mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("metric", ["accuracy", "mse"])
def test_adaptation_agrees_with_a_hand_written_network(network, optimizer, metric):
    inner = inner_loop(network, optimizer, metric)
    x, y = X, Y[metric]
    after = inner.adapt(
        learner(network.initial), tf.constant(x), tf.constant(y), tf.constant(ORDER)
    )
    zeros = np.zeros_like(network.initial, np.float64)
    start = reference.State(network.initial, zeros, 0)
    by_hand = reference.adapt(start, x, y, ORDER, SIZES, optimizer, RATE, metric)[-1]
    np.testing.assert_allclose(after.params, by_hand.params, atol=2e-5)
    np.testing.assert_allclose(after.moment, by_hand.moment, atol=1e-6)
    assert after.count.numpy() == by_hand.count == 5
    assert after.count.dtype == tf.int64
    assert np.abs(after.params - network.initial).max() > 0.05


def test_adams_moment_and_count_live_on_from_task_to_task(network):
    """The second task's first step is no longer the learning rate along the sign."""
    inner = inner_loop(network, "adam")
    x, y = tf.constant(X), tf.constant(LABELS)
    first = inner.adapt(learner(network.initial), x, y, tf.constant(ORDER))
    second = inner.adapt(first._replace(params=tf.constant(network.initial)), x, y, ORDER[:2])
    start = reference.State(network.initial, np.zeros_like(network.initial, np.float64), 0)
    carried = reference.adapt(start, X, LABELS, ORDER, SIZES, "adam", RATE)[-1]
    carried = carried._replace(params=network.initial)
    by_hand = reference.adapt(carried, X, LABELS, ORDER[:2], SIZES, "adam", RATE)[-1]
    np.testing.assert_allclose(second.params, by_hand.params, atol=2e-5)
    np.testing.assert_allclose(second.moment, by_hand.moment, atol=1e-6)
    assert second.count.numpy() == 7
    fresh = inner.adapt(learner(network.initial), x, y, ORDER[:2])
    assert np.abs(second.params - fresh.params).max() > 0.01


def test_adam_takes_the_same_steps_for_a_summed_and_a_mean_loss(network):
    x, y, order = map(tf.constant, (X, LABELS, ORDER))
    summed, mean = (
        inner_loop(network, "adam", reduction=r).adapt(learner(network.initial), x, y, order)
        for r in ("sum", "mean")
    )
    np.testing.assert_allclose(summed.params, mean.params, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_parameters_that_are_not_adapted_stay_as_they_are(optimizer):
    """The others move as if those were constants."""
    network = cloud_network()
    adapted = np.ones_like(network.initial)
    adapted[12:16] = 0  # the first bias
    network.adapted = adapted
    start, x, y = learner(network.initial), tf.constant(X), tf.constant(LABELS)
    after = inner_loop(network, optimizer).adapt(start, x, y, tf.constant(ORDER[:1]))
    by_hand = reference.mlp_gradient(
        network.initial.astype(np.float64), X[ORDER[0]], LABELS[ORDER[0]], SIZES, "accuracy", "sum"
    )
    moved = after.params - network.initial
    np.testing.assert_array_equal(moved[12:16], 0)
    np.testing.assert_array_equal(after.moment[12:16], 0)
    assert np.abs(by_hand[12:16]).max() > 0.1
    expected = RATE * by_hand * adapted if optimizer == "sgd" else RATE * np.sign(by_hand * adapted)
    np.testing.assert_allclose(moved, -expected, atol=1e-4)


def test_no_steps_change_nothing(network):
    after = inner_loop(network, "adam").adapt(
        learner(network.initial), tf.constant(X), tf.constant(LABELS), tf.constant(ORDER[:0])
    )
    np.testing.assert_array_equal(after.params, network.initial)
    assert after.count.numpy() == 0 and not after.moment.numpy().any()
