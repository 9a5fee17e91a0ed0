"""One side minus another from the scores of their episodes, and how sure that is at any level.

A side is a cell: one configuration under one protocol, a `Measured` for each seed. Where both sides
met the same episodes their difference is paired (`paired`): by episode within a seed, and over
seeds where they share several. Else it is that of two independent means (`unpaired`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from results import reading, schema, statistics
from results.labels import show_value


class Part(NamedTuple):
    """The variance of a mean, and the degrees of freedom that it is known with."""

    variance: float
    degrees: int


@dataclass(frozen=True)
class Measured:
    """One evaluation of one seed.

    Attributes:
        scores: [episode].
        classes: [episode, way], or None where they are not recorded.
        total: number of classes that episodes are drawn from.
    """

    scores: np.ndarray
    classes: np.ndarray | None = None
    total: int = 0


Side = Mapping[str, Measured]
"""The evaluations of a cell by their seeds."""


@dataclass(frozen=True)
class Contrast:
    """A mean difference and how sure it is.

    Attributes:
        mean: in the unit of the scores.
        own: how far the difference varies over seeds (over episodes, with one seed).
        of_classes: what other test classes would add, or None where that is not known.
        over, seeds, episodes: as in `statistics.Estimate`.
        paired: whether both sides met the same episodes.
    """

    mean: float
    own: Part
    of_classes: Part | None
    over: Literal["episodes", "seeds"]
    seeds: int
    episodes: int
    paired: bool = True

    @property
    def p_value(self) -> float:
        """How probable a difference as large would be without any, for new classes too where these
        are known; 1 where there is no test."""
        if math.isnan(self.own.variance) or self.mean == 0:
            return 1.0
        return p_value(self.mean, self.own, self.of_classes or Part(0.0, 1))

    def half_width(self, level: float = 0.95) -> float:
        """Half-width of the interval, for these classes."""
        return half_width(self.own, level)

    def half_width_new_classes(self, level: float = 0.95) -> float:
        """Half-width of the interval for new classes too; NaN where that is not known.

        The root of the summed squares of both half-widths (Zou and Donner 2008), so never below
        `half_width`: many classes do not make up for few seeds.
        """
        if self.of_classes is None:
            return math.nan
        return math.hypot(half_width(self.own, level), half_width(self.of_classes, level))


def half_width(part: Part, level: float) -> float:
    """Half-width of the t interval of a mean; NaN where its variance is not known."""
    if math.isnan(part.variance):
        return math.nan
    return statistics.t_quantile(part.degrees, level) * math.sqrt(part.variance)


def p_value(mean: float, first: Part, second: Part) -> float:
    """One minus the level at which the root of both summed squared half-widths reaches `mean`.

    There the square of the mean splits into two shares whose p values agree; bisection.
    """

    def of_share(part: Part, share: float) -> float:
        if part.variance == 0:
            return 0.0
        return statistics.p_value(mean * math.sqrt(share / part.variance), part.degrees)

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        more = of_share(first, middle) > of_share(second, 1 - middle)
        low, high = (middle, high) if more else (low, middle)
    return max(of_share(first, high), of_share(second, 1 - low))


def pooled(parts: Sequence[Part]) -> Part:
    """The variance of a sum of independent means, its degrees of freedom after Satterthwaite 1946,
    rounded down."""
    variance = sum(part.variance for part in parts)
    below = sum(part.variance**2 / part.degrees for part in parts)
    if not below > 0:
        return Part(variance, max(part.degrees for part in parts))
    # The sum knows at least what its vaguest part does, which rounding down must not undo.
    return Part(variance, max(min(p.degrees for p in parts), int(variance**2 / below + 1e-9)))


def mean_part(values: np.ndarray) -> Part:
    """The variance of a mean of independent values; not known (NaN) of a single one."""
    if values.size < 2:
        return Part(math.nan, 1)
    return Part(float(values.var(ddof=1)) / values.size, values.size - 1)


def same_episodes(first: Side, second: Side) -> bool:
    """Whether two sides share seeds, and nothing recorded says that these met other episodes."""
    shared = set(first) & set(second)
    return bool(shared) and not any(
        classes_differ(first[seed].classes, second[seed].classes) for seed in shared
    )


def classes_differ(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether two lists of episodes hold other classes, as far as both go and are recorded."""
    if first is None or second is None:
        return False
    count = min(len(first), len(second))
    return first.shape[1:] != second.shape[1:] or not np.array_equal(first[:count], second[:count])


def paired(first: Side, second: Side) -> Contrast:
    """`first` minus `second` over the seeds and episodes that they share.

    One seed gives the interval over episodes, of these two trainings alone; several give that over
    the seeds' mean differences. Episode i is the same task however many there are.
    """
    seeds = sorted(set(first) & set(second))
    differences = [difference_of(first[seed], second[seed]) for seed in seeds]
    values = [one.scores for one in differences]
    means = np.array([part.mean() for part in values])
    several = len(seeds) > 1
    return Contrast(
        mean=float(means.mean()),
        own=mean_part(means if several else values[0]),
        of_classes=classes_part(differences),
        over="seeds" if several else "episodes",
        seeds=len(seeds),
        episodes=min(part.size for part in values),
    )


def mean(side: Side) -> float:
    """The mean of a side over its seeds."""
    return float(np.mean([one.scores.mean(dtype=float) for one in side.values()]))


def shared(first: Side, second: Side) -> tuple[Side, Side]:
    """Both sides cut to the seeds and episodes that both have, which `paired` compares."""
    counts = {s: min(first[s].scores.size, second[s].scores.size) for s in first if s in second}
    one, other = (
        {s: Measured(side[s].scores[:n]) for s, n in counts.items()} for side in (first, second)
    )
    return one, other


def shared_means(first: Side, second: Side) -> tuple[float, float]:
    """The mean of each side over what both have (`shared`)."""
    one, other = shared(first, second)
    return mean(one), mean(other)


def difference_of(first: Measured, second: Measured) -> Measured:
    """The differences of two evaluations on the episodes that both met."""
    count = min(first.scores.size, second.scores.size)
    classes = first.classes if first.classes is not None else second.classes
    scores = np.subtract(first.scores[:count], second.scores[:count], dtype=float)
    total = max(first.total, second.total)
    return Measured(scores, None if classes is None else classes[:count], total)


def classes_part(seeds: Sequence[Measured]) -> Part | None:
    """What other classes would add to the variance of a mean, the average over seeds."""
    variances = [classes_variance(one) for one in seeds]
    if any(map(math.isnan, variances)):
        return None
    return Part(float(np.mean(variances)), max(one.total for one in seeds) - 1)


def classes_variance(one: Measured) -> float:
    """`statistics.new_classes` as a variance; NaN where it is not known."""
    if one.classes is None:
        return math.nan
    width = statistics.new_classes(one.scores, one.classes, one.total)
    return (width / statistics.t_quantile(one.total - 1)) ** 2


def unpaired(first: Side, second: Side) -> Contrast:
    """`first` minus `second` where they met other episodes: two independent means."""
    sides = [list(side.values()) for side in (first, second)]
    means = [np.array([one.scores.mean(dtype=float) for one in side]) for side in sides]
    own = [
        mean_part(of_seeds if len(side) > 1 else side[0].scores.astype(float))
        for of_seeds, side in zip(means, sides, strict=True)
    ]
    of_classes = [classes_part(side) for side in sides]
    known = [part for part in of_classes if part is not None]
    fewest = min(map(len, sides))
    return Contrast(
        mean=float(means[0].mean() - means[1].mean()),
        own=pooled(own),
        of_classes=pooled(known) if len(known) == 2 else None,
        over="seeds" if fewest > 1 else "episodes",
        seeds=fewest,
        episodes=min(one.scores.size for side in sides for one in side),
        paired=False,
    )


OF_SCORES = ("seed", "run", "scores", "classes", "test_classes", "data.test")
"""What `Reader` needs to know of an evaluation."""


class Reader:
    """Reads the scores of evaluations, each file once."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, np.ndarray]] = {}

    def side(self, evaluations: pd.DataFrame) -> dict[str, Measured]:
        """The evaluations of one cell, by their seeds.

        Raises:
            DamagedRecord: scores are missing.
        """
        known = [key for key in OF_SCORES if key in evaluations]
        rows: Any = evaluations[known].to_dict("records")
        return {show_value(row["seed"]): self.measured(row) for row in rows}

    def measured(self, row: Mapping[str, Any]) -> Measured:
        """The scores of one evaluation, and the classes of its episodes where they fit."""
        run, key = str(row["run"]), str(row["scores"])
        if run not in self.files:
            self.files[run] = reading.read_arrays(Path(run, schema.SCORES))
        scores = reading.scores_in(self.files[run], key, run)
        classes = self.files[run].get(str(row.get("classes")))
        if classes is None or classes.ndim != 2 or len(classes) < scores.size:
            return Measured(scores)
        return Measured(scores, classes[: scores.size], class_total(row, classes))


def class_total(row: Mapping[str, Any], classes: np.ndarray) -> int:
    """How many classes the episodes of an evaluation are drawn from; how many they hold where that
    is not recorded, as of other tasks than the training's."""
    stated, seen = row.get("test_classes"), len(np.unique(classes))
    own = pd.notna(row.get("data.test")) and pd.notna(stated)
    return max(int(stated), seen) if own and stated is not None else seen
