"""How many seeds tell a difference from noise: the power of a paired comparison over seeds.

The difference of two methods on the same episodes varies from seed to seed (another training) and
from episode to episode; both spreads are in the records. With S seeds of E episodes each the
variance of the mean difference is

    between / S + within / (S E),

and its t interval has S - 1 degrees of freedom. Seeds are enough where, if the difference is truly
as large as the margin, the 95 % interval lies above zero in POWER of the repetitions.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from results import statistics

POWER = 0.8
"""How often a planned comparison decides, where the margin is the truth."""

MOST_SEEDS = 1000


class Spread(NamedTuple):
    """Variances of a difference.

    between: of the difference of two trainings over seeds (NaN with one seed).
    within: of an episode's difference, within a seed.
    seen: of the seeds' means, which holds the noise of their episodes (NaN with one seed).
    """

    between: float
    within: float
    seen: float = math.nan


def spread_of(differences: Sequence[np.ndarray]) -> Spread:
    """The spreads of differences [episode], one array a seed.

    The variance of the seeds' means holds the noise of their episodes, which is taken off.
    """
    within = float(np.mean([part.var(ddof=1) for part in differences]))
    if len(differences) < 2:
        return Spread(math.nan, within)
    means = [part.mean() for part in differences]
    noise = float(np.mean([within / part.size for part in differences]))
    seen = float(np.var(means, ddof=1))
    return Spread(max(0.0, seen - noise), within, seen)


def power_of(margin: float, spread: Spread, seeds: int, episodes: int) -> float:
    """How often the 95 % interval of a true difference `margin` lies above zero."""
    error = math.sqrt((spread.between + spread.within / episodes) / seeds)
    return exceeds(statistics.t_quantile(seeds - 1), margin / error, seeds - 1) if error else 1.0


def exceeds(bound: float, shift: float, degrees: int) -> float:
    """Probability that a noncentral t with noncentrality `shift` exceeds `bound`.

    The mean of P(z > bound s - shift) over s ** 2, which is chi squared over its degrees; by the
    trapezoidal rule over log s, whose density is smooth.
    """
    log_s = np.linspace(-14 / math.sqrt(degrees), 4 / math.sqrt(degrees), 1_000)
    half = degrees / 2
    log_density = degrees * log_s - half * np.exp(2 * log_s)
    density = np.exp(log_density - log_density.max())
    z = (bound * np.exp(log_s) - shift) / math.sqrt(2)
    beyond = np.array([math.erfc(value) / 2 for value in z])
    return float((density * beyond).sum() / density.sum())


def seeds_needed(margin: float, spread: Spread, episodes: int) -> int | None:
    """The fewest seeds of `episodes` each that are enough; None where MOST_SEEDS are not."""
    low, high = 1, MOST_SEEDS
    if power_of(margin, spread, high, episodes) < POWER:
        return None
    while high - low > 1:  # more seeds never decide less often
        middle = (low + high) // 2
        enough = power_of(margin, spread, middle, episodes) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def seeds_at_worst(
    margin: float, spread: Spread, episodes: int, known: int, of_episodes: int
) -> int | None:
    """`seeds_needed` where `known` seeds of `of_episodes` have shown a spread smaller than it is.

    The variance of their means is known up to a chi squared of known - 1 degrees of freedom, of
    which the 10 % quantile stands here.
    """
    largest = spread.seen / tenth_of_chi_squared(known - 1) - spread.within / of_episodes
    return seeds_needed(margin, Spread(max(0.0, largest), spread.within), episodes)


def tenth_of_chi_squared(degrees: int) -> float:
    """The 10 % quantile of a chi squared over its degrees (from 2 on Wilson and Hilferty 1931)."""
    if degrees == 1:
        return NormalDist().inv_cdf(0.55) ** 2
    return (1 - 2 / (9 * degrees) + NormalDist().inv_cdf(0.1) * math.sqrt(2 / (9 * degrees))) ** 3
