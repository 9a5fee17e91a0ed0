"""Intervals: against hand-worked cases, printed tables, and their promise of 95 % by simulation."""

import subprocess
import sys

import numpy as np
import pytest

from results import statistics


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [
        (1, 12.706205),
        (2, 4.302653),
        (3, 3.182446),
        (4, 2.776445),
        (9, 2.262157),
        (29, 2.045230),
        (399, 1.965927),
        (9_999, 1.960201),
    ],
)
def test_t_quantile_agrees_with_the_printed_table(degrees, quantile):
    assert statistics.t_quantile(degrees) == pytest.approx(quantile, rel=1e-6)


def test_t_quantile_needs_two_values():
    with pytest.raises(ValueError, match="a t interval needs at least 2 values, not 1"):
        statistics.t_quantile(0)


def test_episode_interval_by_hand():
    # mean 0.5; the sample variance of 0, 1, 0, 1 is 1/3; t(3) = 3.182446
    estimate = statistics.episode_interval([0, 1, 0, 1])
    assert estimate.mean == 0.5
    assert estimate.half_width == pytest.approx(3.182446 * np.sqrt(1 / 3) / 2, rel=1e-6)
    assert (estimate.over, estimate.seeds, estimate.episodes) == ("episodes", 1, 4)


def test_seed_interval_by_hand():
    # 0.7, 0.8, 0.9: standard deviation 0.1; t(2) = 4.302653
    estimate = statistics.seed_interval([0.7, 0.8, 0.9], episodes=400)
    assert estimate.mean == pytest.approx(0.8)
    assert estimate.half_width == pytest.approx(4.302653 * 0.1 / np.sqrt(3), rel=1e-6)
    assert (estimate.over, estimate.seeds, estimate.episodes) == ("seeds", 3, 400)


def test_t_half_width_has_no_answer_for_one_value():
    widths = statistics.t_half_width([np.nan, 0.1], [1, 3])
    assert np.isnan(widths[0])
    assert widths[1] == pytest.approx(4.302653 * 0.1 / np.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("scores", [[], [[0.1, 0.2], [0.3, 0.4]]])
def test_an_interval_needs_a_row_of_scores(scores):
    with pytest.raises(ValueError, match="`scores` must hold at least 1 in one dimension"):
        statistics.episode_interval(scores)


def test_one_episode_has_no_interval():
    estimate = statistics.episode_interval([0.25])
    assert estimate.mean == 0.25 and np.isnan(estimate.half_width)
    assert statistics.mean_and_ci95([0.25]) == (0.25, None)
    assert statistics.verdict(0.1, estimate.half_width) == "unknown"


def test_statistics_need_nothing_but_numpy():
    code = (
        "import sys, results.statistics\n"
        "heavy = {'pandas', 'matplotlib', 'scipy', 'tensorflow', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("seed_spread", [0.0, 0.01, 0.05])
def test_interval_over_seeds_covers_the_truth_in_95_of_100_experiments(seeds, seed_spread):
    """Both levels vary: networks differ by `seed_spread`, episodes are 5 queries each."""
    rng = np.random.default_rng(7)
    experiments, episodes, truth = 4_000, 100, 0.8
    accuracy = truth + seed_spread * rng.standard_normal((experiments, seeds))
    correct = rng.binomial(5 * episodes, np.clip(accuracy, 0, 1))
    means = correct / (5 * episodes)
    widths = statistics.t_half_width(means.std(axis=1, ddof=1), np.full(experiments, seeds))
    coverage = np.mean(np.abs(means.mean(axis=1) - truth) <= widths)
    assert coverage == pytest.approx(0.95, abs=0.012)


def test_interval_over_episodes_of_one_seed_misses_the_truth_over_seeds():
    """Why the caption must say what ± is over: this interval is about one network alone."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(500):
        own = 0.8 + 0.05 * rng.standard_normal()
        scores = rng.binomial(5, min(own, 1), size=400) / 5
        estimate = statistics.episode_interval(scores)
        covered += abs(estimate.mean - 0.8) <= estimate.half_width
    assert covered / 500 < 0.6


def test_interval_over_episodes_covers_the_accuracy_of_its_network():
    rng = np.random.default_rng(3)
    scores = rng.binomial(5, 0.8, size=(3_000, 200)) / 5
    covered = [abs(e.mean - 0.8) <= e.half_width for e in map(statistics.episode_interval, scores)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.013)


@pytest.mark.parametrize(
    ("difference", "own", "other", "expected"),
    [
        (0.049, 0.03, 0.04, "within"),  # the joint half-width of 3 and 4 is 5
        (0.051, 0.03, 0.04, "above"),
        (-0.051, 0.03, 0.04, "below"),
        (0.031, 0.03, np.nan, "above"),  # a published number without an interval counts as exact
    ],
)
def test_verdict(difference, own, other, expected):
    assert statistics.verdict(difference, own, other) == expected


# --- other test classes --------------------------------------------------------------------------


def population(rng, size):
    """Characters that differ in how hard they are and in how often others are mistaken for them."""
    return rng.normal(3.0, 1.0, size), rng.exponential(1.0, size)


def play(rng, hard, alike, episodes, ways):
    """Scores [episode] and classes [episode, way] of episodes drawn from the given characters.

    A query is right with odds of exp(easiness of its class less what the others look like it).
    """
    classes = rng.integers(len(hard), size=(episodes, ways))
    while (again := (np.diff(np.sort(classes, axis=1), axis=1) == 0).any(axis=1)).any():
        classes[again] = rng.integers(len(hard), size=(again.sum(), ways))  # none twice
    others = alike[classes].sum(axis=1, keepdims=True) - alike[classes]
    mistaken = others / (ways - 1)
    chance = 1 / (1 + np.exp(mistaken - hard[classes]))
    return (rng.random(chance.shape) < chance).mean(axis=1), classes


@pytest.mark.parametrize(("ways", "size", "episodes"), [(5, 200, 1_000), (20, 200, 500)])
def test_interval_for_new_classes_covers_the_truth_over_splits(ways, size, episodes):
    """95 +- 2 of 100 splits; the interval over episodes alone leaves out a fifth or more."""
    rng = np.random.default_rng(11)
    truth = play(rng, *population(rng, 200_000), 100_000, ways)[0].mean()
    covered, without = [], []
    for _ in range(400):
        scores, classes = play(rng, *population(rng, size), episodes, ways)
        estimate = statistics.episode_interval(scores)
        more = statistics.new_classes(scores, classes, size)
        error = abs(estimate.mean - truth)
        covered.append(error <= np.hypot(estimate.half_width, more))
        without.append(error <= estimate.half_width)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
    assert np.mean(without) < 0.8


def test_classes_that_are_all_alike_add_nothing():
    rng = np.random.default_rng(5)
    added = [
        statistics.new_classes(*play(rng, np.full(423, 3.0), np.full(423, 1.0), 2_000, 5), 423)
        for _ in range(20)
    ]
    episodes = statistics.t_half_width(0.16, 2_000)
    assert np.median(added) < episodes


def test_new_classes_by_hand():
    """Two episodes share class 0: deviations 0.25 and 0.15 of them, -0.4 of the third.

    The product is 0.0375 in each of 2 ordered pairs; the variance 0.1225 of the scores makes that
    of their mean 0.1225 / 3; C = 9, N = 2: zeta = (0.0375 + 0.1225 / 3) * 72 / 49.
    """
    width = statistics.new_classes([0.9, 0.8, 0.25], [[0, 1], [0, 2], [3, 4]], 9)
    zeta = (0.0375 + 0.1225 / 3) * 9 * 8 / 7**2
    assert width == pytest.approx(2.306004 * 2 * np.sqrt(zeta / 9), rel=1e-6)


def test_episodes_that_share_no_class_tell_nothing_of_new_ones():
    assert np.isnan(statistics.new_classes([0.5, 0.6], [[0, 1], [2, 3]], 9))
    assert np.isnan(statistics.new_classes([0.5, 0.6], [[0, 1], [1, 0]], 2))
