"""Means and 95 % intervals, in pure NumPy.

A test accuracy varies on two levels: the same trained network scores differently on other
episodes, and another seed trains another network. Three estimates follow:

- one seed: mean over its episodes, interval over *episodes* (`episode_interval`);
- several seeds: mean of the seed means, t interval over *seeds* (`seed_interval`). A seed mean
  carries the noise of its own episodes, so the spread of seed means holds both levels and the
  interval covers the mean over all seeds and all episodes; no bootstrap is needed, and unlike a
  bootstrap over three seeds it covers what it promises (`tests/test_statistics.py`);
- two methods on the same episodes: the interval of their *difference*, far narrower than the two
  intervals apart, since a hard episode is hard for both (`results.compare.contrasts`).

All three are given the test classes. Other classes (the characters of another split) would be
easier or harder, and no number of episodes tells how much; `new_classes` is what they add.
"""

from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Verdict = Literal["within", "above", "below", "unknown"]


class Estimate(NamedTuple):
    """A mean that cannot be separated from how sure it is.

    `mean` and `half_width` (of the 95 % interval) have the unit of the scores. `over` says what
    the interval is over, `seeds` and `episodes` (of one seed) how many there were.
    """

    mean: float
    half_width: float
    over: Literal["episodes", "seeds"]
    seeds: int
    episodes: int


@cache
def t_quantile(degrees_of_freedom: int, level: float = 0.95) -> float:
    """What Student's t lies within, to both sides, with probability `level`.

    The factor of a 95 % interval is the 97.5 % quantile. Bisection of `within`.

    Raises:
        ValueError: `degrees_of_freedom` below 1; one value has no spread.
    """
    if degrees_of_freedom < 1:
        raise ValueError(f"a t interval needs at least 2 values, not {degrees_of_freedom + 1}")
    low, high = 0.0, np.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, degrees_of_freedom) < level else (low, middle)
    return float(np.sqrt(degrees_of_freedom) * np.tan(low))


def within(angle: float, degrees_of_freedom: int) -> float:
    """Probability that Student's t lies within +-sqrt(df) tan(angle).

    A finite sum of powers of cos(angle) (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    odd = degrees_of_freedom % 2
    k = np.arange(1, max((degrees_of_freedom - odd) // 2, 1))
    ratios = (2 * k - 1 + odd) / (2 * k + odd)
    terms = np.cumprod(np.concatenate([[np.cos(angle) ** odd], ratios * np.cos(angle) ** 2]))
    total = np.sin(angle) * terms.sum() if degrees_of_freedom > 1 else 0.0
    return float(2 / np.pi * (angle + total) if odd else total)


def p_value(t: float, degrees_of_freedom: int) -> float:
    """Probability of a Student's t at least as far from zero as `t`, to either side."""
    angle = float(np.arctan(abs(t) / np.sqrt(degrees_of_freedom)))
    return max(0.0, 1.0 - within(angle, degrees_of_freedom))


def holm(p_values: Sequence[float], alpha: float = 0.05) -> tuple[list[float], list[float]]:
    """Correction of several tests for their number (Holm 1979).

    The smallest of m p values is multiplied by m, the next by m - 1, and so on; none ends below
    one before it. All tests together then err in `alpha` of the cases at most.

    Returns:
        (p values to hold against `alpha`, levels). An interval at a test's level excludes zero
        exactly where the test rejects: 1 - alpha / m for the smallest p value, and so on to the
        first test that does not reject, whose level the rest share.
    """
    order, count = np.argsort(p_values, kind="stable"), len(p_values)
    adjusted, levels = np.zeros(count), np.zeros(count)
    largest, tests = 0.0, count
    for place, test in enumerate(order):
        tests = count - place if largest <= alpha else tests
        largest = max(largest, min(1.0, (count - place) * p_values[test]))
        adjusted[test], levels[test] = largest, 1 - alpha / tests
    return adjusted.tolist(), levels.tolist()


def t_half_width(spread: ArrayLike, count: ArrayLike) -> np.ndarray:
    """Half-width of the 95 % t interval of a mean.

    Args:
        spread: sample standard deviation (divisor n - 1), any shape.
        count: number of values n behind each, the same shape; NaN comes back where n < 2.
    """
    spread, count = np.broadcast_arrays(np.asarray(spread, float), np.asarray(count, int))
    sizes, position = np.unique(count, return_inverse=True)
    quantiles = np.array([t_quantile(int(n) - 1) if n > 1 else np.nan for n in sizes])
    with np.errstate(divide="ignore", invalid="ignore"):
        return quantiles[position].reshape(count.shape) * spread / np.sqrt(count)


def episode_interval(scores: ArrayLike) -> Estimate:
    """Mean score of one trained network, with its 95 % interval over episodes.

    Args:
        scores: [episodes], one score an episode, of one seed; one alone has no interval (NaN).

    Raises:
        ValueError: not one-dimensional, or none.
    """
    scores = vector(scores, "scores", least=1)
    spread = scores.std(ddof=1) if scores.size > 1 else np.nan
    half_width = float(t_half_width(spread, scores.size))
    return Estimate(float(scores.mean()), half_width, "episodes", 1, scores.size)


def mean_and_ci95(scores: ArrayLike) -> tuple[float, float | None]:
    """`episode_interval` as a record holds it: mean, and half-width or None where there is none."""
    estimate = episode_interval(scores)
    return estimate.mean, None if np.isnan(estimate.half_width) else estimate.half_width


def seed_interval(seed_means: ArrayLike, episodes: int) -> Estimate:
    """Mean over seeds, with its 95 % t interval over seeds (both levels, see the module).

    Args:
        seed_means: [seeds], the mean score of each seed.
        episodes: number of episodes behind each seed mean.

    Raises:
        ValueError: not one-dimensional, or fewer than two seeds.
    """
    seed_means = vector(seed_means, "seed_means", least=2)
    half_width = float(t_half_width(seed_means.std(ddof=1), seed_means.size))
    return Estimate(float(seed_means.mean()), half_width, "seeds", seed_means.size, episodes)


def new_classes(scores: ArrayLike, classes: ArrayLike, total: int) -> float:
    """Half-width of the 95 % interval that other test classes alone would give a mean score.

    The mean over all episodes that C classes allow is a U-statistic of the classes, whose order is
    the N of an episode. So over draws of C classes from a population its variance is
    N ** 2 / C * zeta, zeta being the variance over classes of the expected score of an episode that
    holds the class (Hoeffding 1948): a hard class spoils its own queries and, mistaken for others,
    theirs. zeta is the mean product of the deviations of two episodes that share a class, free of
    the noise within episodes; it is corrected for the mean that they deviate from, which they made
    themselves, and for drawing N of C without replacement. Join it to an interval over episodes or
    seeds as the root of the summed squares.

    Args:
        scores: [episode], of one network (or their mean over networks).
        classes: [episode, way], the classes of each episode.
        total: the number of classes C that episodes are drawn from.

    Returns:
        NaN where no two episodes share a class, or episodes hold all classes.
    """
    scores, classes = vector(scores, "scores", least=1), np.asarray(classes)
    ways = classes.shape[1]
    deviation = np.repeat(scores - scores.mean(), ways)
    _, place = np.unique(classes, return_inverse=True)
    place = place.ravel()
    sums, squares, counts = (
        np.bincount(place, weights) for weights in (deviation, deviation**2, np.ones(place.size))
    )
    pairs = float((counts * (counts - 1)).sum())
    if total <= ways or not pairs:
        return float("nan")
    own_mean = float(scores.var(ddof=1)) / scores.size
    shared = max(float((sums**2 - squares).sum()) / pairs + own_mean, 0.0)
    zeta = shared * total * (total - 1) / (total - ways) ** 2
    return t_quantile(total - 1) * ways * float(np.sqrt(zeta / total))


def verdict(difference: float, half_width: float, other_half_width: float = 0.0) -> Verdict:
    """Whether a difference lies 'within', 'above' or 'below' the joint 95 % interval.

    The joint half-width of two independent numbers is sqrt(a ** 2 + b ** 2); a published number
    without an interval (NaN) counts as exact. Without an interval of our own nothing is known.
    """
    if np.isnan(half_width):
        return "unknown"
    joint = np.hypot(half_width, np.nan_to_num(other_half_width))
    if abs(difference) <= joint:
        return "within"
    return "above" if difference > 0 else "below"


def vector(values: ArrayLike, name: str, least: int) -> np.ndarray:
    """`values` as a float64 vector of `least` values or more. Raises ValueError."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size < least:
        raise ValueError(
            f"`{name}` must hold at least {least} in one dimension, not the shape {array.shape}"
        )
    return array
