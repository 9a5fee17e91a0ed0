"""The inner optimisers against the published algorithm and against Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmark.optimizers import adam_update, sgd_update
from tests import reference

RATE = 0.01


def gradients(steps=25, size=40):
    """Gradients of many magnitudes, of both signs."""
    random = np.random.default_rng(0)
    magnitude = 10.0 ** random.uniform(-9, 1, (steps, size))
    return (magnitude * random.choice([-1, 1], (steps, size))).astype(np.float32)


def start(size=40):
    return np.random.default_rng(1).normal(size=size).astype(np.float32)


def ours(name):
    """The parameters after each step of our update rule."""
    params, moment, found = tf.constant(start()), tf.zeros(40), []
    for count, gradient in enumerate(gradients(), 1):
        if name == "sgd":
            params = sgd_update(params, gradient, RATE)
        else:
            number = tf.constant(count, tf.float32)
            params, moment = adam_update(params, moment, number, gradient, RATE, tf.sqrt)
        found.append(params.numpy())
    return found


def published(name):
    """The same from a plain loop over the published algorithm."""
    state, found = reference.State(start(), np.zeros(40), 0), []
    for gradient in gradients().astype(np.float64):
        state = {"sgd": reference.sgd, "adam": reference.adam}[name](state, gradient, RATE)
        found.append(state.params)
    return found


def kerass(name):
    """The same from Keras."""
    made = {"sgd": keras.optimizers.SGD(RATE), "adam": keras.optimizers.Adam(RATE, 0, 0.999, 1e-8)}
    variable, found = keras.Variable(start()), []
    made[name].build([variable])
    for gradient in gradients():
        made[name].apply_gradients([(tf.constant(gradient), variable)])
        found.append(variable.numpy())
    return found


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("theirs", [published, kerass])
def test_twenty_five_steps_agree(name, theirs):
    for step, (mine, other) in enumerate(zip(ours(name), theirs(name), strict=True), 1):
        np.testing.assert_allclose(mine, other, atol=2e-6, rtol=0, err_msg=f"at step {step}")


def test_adams_first_step_is_the_learning_rate_along_the_sign_of_the_gradient():
    gradient = np.array([3.0, -0.001, 0.0, 40.0])
    params, moment = adam_update(np.ones(4), np.zeros(4), 1.0, gradient, 0.1, np.sqrt)
    np.testing.assert_allclose(params, [0.9, 1.1, 1.0, 0.9], atol=1e-4)
    np.testing.assert_allclose(moment, 0.001 * gradient**2)


def test_adams_second_step_by_hand():
    """g = 3 then 4, rate 0.1: v = .001 * 16 + .999 * .009; v-hat = v / (1 - .999^2)."""
    moment = np.array([0.001 * 9])
    params, moment = adam_update(np.array([0.9]), moment, 2.0, np.array([4.0]), 0.1, np.sqrt)
    np.testing.assert_allclose(moment, 0.024991)
    np.testing.assert_allclose(params, 0.9 - 0.1 * 4 / np.sqrt(0.024991 / 0.001999), rtol=1e-6)


def test_epsilon_stands_outside_the_bias_correction_as_in_tensorflow():
    """A first gradient of 1e-8: sqrt(v) is 3.16e-10, far below epsilon, and the rate is corrected
    by sqrt(0.001). With epsilon inside the correction the step would be half the rate."""
    params, _ = adam_update(np.zeros(1), np.zeros(1), 1.0, np.array([1e-8]), 1.0, np.sqrt)
    by_hand = np.sqrt(0.001) * 1e-8 / (np.sqrt(0.001) * 1e-8 + 1e-8)
    np.testing.assert_allclose(params, -by_hand, rtol=1e-9)


def test_gradient_descent_by_hand():
    params = sgd_update(np.array([1.0, 2.0]), np.array([4.0, -2.0]), 0.25)
    assert params.tolist() == [0.0, 2.5]
