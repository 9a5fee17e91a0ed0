"""The paper's section 5.1: the vectors by finite differences and by hand, then the program."""

from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from benchmark.command.compose import compose
from benchmark.inner_loop import InnerLoop, Learner
from benchmark.network import Network
from benchmark.studies import theory
from tasks.checks import ConfigError
from tests import reference
from tests.command import python

SIZES = reference.Sizes(inputs=1, hidden=theory.HIDDEN, outputs=1)
PHI = np.random.default_rng(0).normal(0, 0.5, 3 * theory.HIDDEN + 1)


def waves(k, batch=theory.BATCH):
    """k mini-batches x, y [k, batch, 1] of a sine wave, in float64."""
    x = np.random.default_rng(k).uniform(-5, 5, (k, batch, 1))
    return x, 2.0 * np.sin(x + 1.0)


def learner(params):
    params = tf.constant(params, tf.float64)
    return Learner(params, tf.zeros_like(params), tf.constant(0, tf.int64))


def inner_loop(network, alpha):
    return InnerLoop(network, "mse", "sgd", alpha, "mean")


def vectors(network, phi, x, y, alpha):
    """AvgGrad, AvgGradInner and the outer gradients [3, P] of one task."""
    inner, x, y = inner_loop(network, alpha), tf.constant(x), tf.constant(y)
    start = learner(phi)
    found = theory.outer_gradients(theory.rivals(alpha), inner, start, x, y)
    return (*(part.numpy() for part in theory.averages(inner, start.params, x, y)), found.numpy())


@pytest.fixture(scope="module")
def network():
    return theory.smooth_network()


def test_the_averages_are_finite_differences_of_an_independent_network(network):
    k = 3
    x, y = waves(k)

    def gradient(params, i):
        return reference.mlp_gradient(params, x[i], y[i], SIZES, "mse", "mean")

    def half_of_products(params):
        g = [gradient(params, i) for i in range(k)]
        return np.mean([g[i] @ g[j] / 2 for i in range(k) for j in range(k) if i != j])

    inner = inner_loop(network, 0.1)
    grad, grad_inner = theory.averages(inner, tf.constant(PHI), tf.constant(x), tf.constant(y))
    slope = reference.finite_differences(half_of_products, PHI, h=1e-5)
    np.testing.assert_allclose(grad, np.mean([gradient(PHI, i) for i in range(k)], 0), rtol=1e-10)
    np.testing.assert_allclose(grad_inner, slope, atol=1e-7 * np.abs(slope).max())


def test_with_one_mini_batch_all_algorithms_follow_its_gradient(network):
    grad, grad_inner, found = vectors(network, PHI, *waves(1), alpha=0.25)
    np.testing.assert_array_equal(found[1], found[2])
    np.testing.assert_allclose(found, [grad] * 3, rtol=1e-12)
    np.testing.assert_array_equal(grad_inner, np.zeros_like(PHI))


def test_a_parabola_by_hand():
    """Losses (w - 2)^2 and (2 w - 1)^2 at w = 1: gradients -2 and 4, second derivatives 2 and 8.

    AvgGrad = 1, AvgGradInner = (2 * 4 - 8 * 2) / 2 = -4. With constant second derivatives FOMAML
    and Reptile have no further terms; MAML has alpha^2 H_i H_j g_i, 16 (-2 + 4) / 2 on average.
    """
    with theory.keras_in_float64():
        line = Network(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)]))
    x, y = np.array([[[1.0]], [[2.0]]]), np.array([[[2.0]], [[1.0]]])
    grad, grad_inner, found = vectors(line, [1.0], x, y, alpha=0.1)
    assert (grad.item(), grad_inner.item()) == (1.0, -4.0)
    maml, fomaml, reptile = found[:, 0]
    assert maml == pytest.approx(1 + 2 * 0.1 * 4 + 0.1**2 * 16)
    assert fomaml == pytest.approx(1 + 0.1 * 4)
    assert reptile == pytest.approx(2 + 0.1 * 4)


@pytest.mark.parametrize(("k", "algorithms"), [(2, [0, 1, 2]), (3, [0, 1])])
def test_what_the_paper_leaves_out_is_of_second_order(network, k, algorithms):
    """Half the step leaves a quarter. Reptile's k = 3 cyclic orders do not hold all pairs equally
    often, so that its term in alpha is the paper's in expectation only."""

    def remainder(alpha):
        grad, grad_inner, found = vectors(network, PHI, *waves(k), alpha)
        first, second = theory.published(k)[:, algorithms, None]
        return np.linalg.norm(
            found[algorithms] - first * grad + second * alpha * grad_inner, axis=1
        )

    np.testing.assert_allclose(remainder(1e-4) / remainder(5e-5), 4, rtol=0.02)


def test_the_fit_finds_what_was_mixed():
    rng = np.random.default_rng(0)
    grad, grad_inner = rng.normal(size=(2, 6, 9))
    mixed = [a * grad - b * 0.01 * grad_inner for a, b in ((1, 4), (1, 2), (3, 3))]
    means = np.stack([grad, grad_inner, *mixed], axis=1)
    fitted = theory.coefficients(means, k=3, alpha=0.01)
    np.testing.assert_allclose(fitted, [theory.published(3)] * 6)
    assert np.isnan(theory.coefficients(means, k=1, alpha=0.01)[:, 1]).all()


def test_the_consequence_goes_by_the_fitted_ratio():
    table = pd.DataFrame(
        [("maml", 1, 1.0, np.nan), ("reptile", 2, 2.0, 1.0), ("maml", 2, 1.0, 2.0)],
        columns=["algorithm", "k", "AvgGrad", "AvgGradInner"],
    )
    assert theory.consequence(table) == ["k = 2: maml 2.00 > reptile 0.50"]


def test_a_small_run_measures_the_papers_numbers(tmp_path, capsys):
    """20,000 tasks a k leave intervals of 4 to 9 % on AvgGradInner's coefficient."""
    words = ["budget=short", "mini_batches=2"]
    theory.run(compose(*words, root="theory"), tmp_path)
    printed = capsys.readouterr().out
    assert "k = 2: maml 2.0" in printed
    file = tmp_path / "theory.csv"
    table = pd.read_csv(file)
    assert list(table["algorithm"] + table["k"].astype(str)) == [
        f"{name}{k}" for k in (1, 2) for name in theory.ALGORITHMS
    ]
    np.testing.assert_allclose(table["AvgGrad"], [1, 1, 1, 1, 1, 2], rtol=1e-4)
    np.testing.assert_allclose(table["AvgGradInner"], [np.nan] * 3 + [2, 1, 1], rtol=0.1)
    assert table["AvgGradInner ±"][3:].between(0.01, 0.2).all()
    assert table["agrees"][:3].all()
    before = file.stat().st_mtime_ns
    again = python("-m", "benchmark.studies.theory", *words, f"hydra.run.dir={tmp_path}")
    assert again.returncode == 0 and "already completed" in again.stderr
    assert again.stdout == printed
    assert file.stat().st_mtime_ns == before


def test_the_papers_numbers_all_agree_in_95_of_100_repetitions_and_a_wrong_one_in_none(monkeypatch):
    rng = np.random.default_rng(0)

    def measured(k, tasks, groups, seed, alpha, wrong=0.0):
        """Noise of its own in each group's coefficients, which the least squares then find."""
        vectors = np.eye(9)[:2]
        noise = 0.05 * rng.standard_normal((groups, 2, 3))
        noise += [[0.0], [wrong]]
        mixed = np.nan_to_num(theory.published(k)) + noise
        signed = mixed * [[1.0], [-alpha * (k > 1)]]
        found = np.einsum("gvm,vp->gmp", signed, vectors)
        return np.concatenate([np.broadcast_to(vectors, (groups, 2, 9)), found], axis=1)

    setting = theory.Theory(seed=0, resume=False, tasks=40, groups=20, mini_batches=4, alpha=0.01)
    monkeypatch.setattr(theory, "group_means", measured)
    assert sum(theory.compare(setting)["agrees"].all() for _ in range(200)) / 200 > 0.92
    monkeypatch.setattr(theory, "group_means", partial(measured, wrong=0.1))
    table = theory.compare(setting)
    assert table["agrees"].eq(table["k"].eq(1)).all()


def test_another_setting_is_not_there_already(tmp_path):
    file = tmp_path / "theory.csv"
    pd.DataFrame({"AvgGrad": [1.0], "tasks": [40], "alpha": [1e-5]}).to_csv(file, index=False)
    assert theory.already_there(file, {"tasks": 40, "alpha": 1e-5}) is not None
    assert theory.already_there(file, {"tasks": 40, "alpha": 1e-4}) is None
    assert theory.already_there(file, {"tasks": 40, "alpha": 1e-5, "groups": 20}) is None
    file.write_text("")
    assert theory.already_there(file, {"tasks": 40}) is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("groups=4", "groups=4: must be at least 5"),
        ("tasks=30", "tasks=30: must be a multiple of groups=20, above 0"),
        ("tasks=0", "tasks=0: must be a multiple of groups=20, above 0"),
        ("tasks=many", "tasks=many: must be of type int"),
        ("alpha=0.0", "alpha=0.0: must be between 0 and 1"),
        ("mini_batches=0", "mini_batches=0: must be at least 1"),
        ("+banana=1", "banana=1: must be a known key: seed, resume, tasks, groups"),
        ("runtime.threads=0", "runtime.threads=0: must be at least 1"),
        ("seed=-1", "seed=-1: must be at least 0"),
        ("resume=perhaps", "resume=perhaps: must be of type bool"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_work(override, message, tmp_path):
    with pytest.raises(ConfigError) as refused:
        theory.run(compose(override, root="theory"), tmp_path)
    assert str(refused.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_the_theory_does_not_have_is_one_line():
    done = python("-m", "benchmark.studies.theory", "algorithm.inner_steps=3")
    assert done.returncode == 2
    rule = "must be a known key: runtime, budget, seed, resume, tasks, groups, mini_batches, alpha"
    assert done.stderr == f"error: algorithm.inner_steps=3: {rule}\n"
