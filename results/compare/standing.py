"""Many methods at once: which is best, and which cannot be told from it.

The methods of a protocol are compared on the episodes and seeds that they share
(`contrasts.paired`). The best is set against each of the others, corrected for their number (Holm
1979); those that cannot be told from it share its tier, and so on among the rest. So the method
that is truly best is in the first tier in 95 of 100 such comparisons or more
(tests/test_standing.py), while a difference that is no larger than its noise never makes a tier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from results import statistics
from results.compare import contrasts
from results.compare.contrasts import Contrast, Reader, Side
from results.reading import DamagedRecord

ALPHA = 0.05
SAME = (
    *("split", "ways", "shots", "queries", "version", "metric"),
    *("task.name", "task.split_seed", "data.test"),
)
"""What must agree for two evaluations to have met the same episodes; a missing value agrees."""

OTHER_TASKS = ("tested.name", "tested.seed", "tested.split_seed", "tested.rotations")
"""The same where evaluations are of other tasks than those of the training."""

OF_TASKS, NEEDED = ("task.", "tested."), (*SAME, *contrasts.OF_SCORES)
NO_MATTER = ("task.train_shots", "task.validation_classes", "task.cache_dir", "task.data_dir")


@dataclass(frozen=True)
class Place:
    """Where a method stands.

    Attributes:
        tier: 1 for the best and those that cannot be told from it, and so on.
        to_best: the best minus this one (in the direction that is better), None for the best.
        p_value: of that difference, corrected.
        level: of the interval that excludes zero exactly where the corrected test rejects.
    """

    tier: int
    to_best: Contrast | None = None
    p_value: float = 1.0
    level: float = 1 - ALPHA


def comparable(evaluations: pd.DataFrame) -> bool:
    """Whether evaluations are of the same episodes, as far as their settings tell."""
    same: tuple[str, ...] = SAME
    if "tested.name" in evaluations:
        same = (*(key for key in SAME if not key.startswith("task.")), *OTHER_TASKS)
    elif evaluations.get("data.test", pd.Series(dtype=object)).isna().any():
        settings = [str(k) for k in evaluations if str(k).startswith("task.")]
        same = (*SAME, *(key for key in settings if key not in NO_MATTER))
    return all(evaluations[key].nunique() <= 1 for key in same if key in evaluations)


class CannotCompare(ValueError):
    """Cells that share no episodes, or without scores; the text says which."""


def sides_of(groups: Sequence[pd.DataFrame], reader: Reader) -> list[Side]:
    """The scores of each group, a cell.

    Raises:
        CannotCompare: some cannot be compared with the others.
    """
    try:
        sides: list[Side] = [reader.side(group) for group in groups]
    except DamagedRecord as error:
        raise CannotCompare(f"scores are missing ({error})") from error
    if not set.intersection(*(set(side) for side in sides)):
        raise CannotCompare("the methods share no seed")
    same = all(contrasts.same_episodes(first, second) for first, second in pairwise(sides))
    if not (same and comparable(pd.concat(groups))):
        raise CannotCompare("the methods met other episodes")
    return sides


def places(sides: Sequence[Side], order: Sequence[int], sign: int) -> list[Place]:
    """The place of each side; `order` has the best first, `sign` is that of `sign_of`."""
    left = list(order)
    found = first_tier(sides, left, sign)
    members, tier = [i for i in left if found[i].tier == 1], 1
    while left := [i for i in left if i not in members]:
        tier += 1
        within = first_tier(sides, left, sign)
        members = [i for i in left if within[i].tier == 1]
        for i in members:
            found[i] = Place(tier, found[i].to_best, found[i].p_value, found[i].level)
    return [found[i] for i in range(len(sides))]


def first_tier(sides: Sequence[Side], order: Sequence[int], sign: int) -> dict[int, Place]:
    """The best of `order`, which is its first, and the others as told from it: tier 1 or 2."""
    best, *others = order
    to_best = [directed(contrasts.paired(sides[best], sides[i]), sign) for i in others]
    corrected, levels = statistics.holm([contrast.p_value for contrast in to_best], ALPHA)
    found = {best: Place(1)}
    for i, contrast, p, level in zip(others, to_best, corrected, levels, strict=True):
        told = p <= ALPHA and contrast.mean > 0
        found[i] = Place(2 if told else 1, contrast, p, level)
    return found


def directed(contrast: Contrast, sign: int) -> Contrast:
    """The same difference, positive where its first side is better."""
    if sign > 0:
        return contrast
    return replace(contrast, mean=-contrast.mean)


@dataclass(frozen=True)
class Undecided:
    """The best of a column and the one that it is least sure to be better than, by their cells.

    contrast: their difference; differences: [episode] of each seed, positive where the best is
    better.
    """

    best: int
    other: int
    contrast: Contrast
    differences: list[np.ndarray]


def marks(
    frame: pd.DataFrame, cells: pd.DataFrame, rows: Sequence[str], columns: Sequence[str]
) -> tuple[list[bool | None], list[Undecided]]:
    """For each cell whether it is the best of its column or cannot be told from that.

    None where no test is possible: a column of one cell, or one in which scores are missing or
    that holds other episodes. And of each column what is not decided, where it has several seeds.

    Args:
        frame: evaluations; cells: `summarise(frame, [*columns, *rows])`.
    """
    found: dict[int, bool | None] = dict.fromkeys(cells.index)
    undecided: list[Undecided] = []
    keys, reader = [*rows, *columns], Reader()
    groups = groups_of(narrowed(frame, keys), cells, keys)
    for members in members_of(cells, columns):
        if len(members) < 2:
            continue
        try:
            sides = sides_of([groups[i] for i in members], reader)
        except CannotCompare:
            continue
        sign, order = sign_of(cells["metric"][members[0]]), best_first(cells.loc[members])
        standing = first_tier(sides, order, sign)
        found |= {i: standing[place].tier == 1 for place, i in enumerate(members)}
        undecided += open_question(members, sides, order, standing, sign)
    return [found[i] for i in cells.index], undecided


def open_question(
    members: Sequence[int],
    sides: Sequence[Side],
    order: Sequence[int],
    standing: Mapping[int, Place],
    sign: int,
) -> list[Undecided]:
    """Of those that cannot be told from the best of a column the one that seems furthest away."""
    best, *others = order
    alike = [(i, c) for i in others if standing[i].tier == 1 and (c := standing[i].to_best)]
    if not alike:
        return []
    other, contrast = max(alike, key=lambda pair: pair[1].mean)
    if contrast.seeds < 2 or contrast.mean <= 0:
        return []
    seeds = sorted(set(sides[best]) & set(sides[other]))
    pairs = [contrasts.difference_of(sides[best][s], sides[other][s]).scores for s in seeds]
    return [Undecided(members[best], members[other], contrast, [sign * part for part in pairs])]


def groups_of(
    frame: pd.DataFrame, cells: pd.DataFrame, keys: Sequence[str]
) -> dict[int, pd.DataFrame]:
    """The evaluations of each cell, by its index in `cells`."""
    numbered = cells[list(keys)].assign(_cell=cells.index)
    cell = frame[list(keys)].merge(numbered, on=list(keys), how="left")["_cell"]
    groups: Any = frame.groupby(cell.to_numpy())
    return dict(iter(groups))


def narrowed(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Evaluations with these columns and those that `sides_of` looks at: a tenth of them all."""
    known = (*keys, *NEEDED)
    return frame[[key for key in map(str, frame) if key in known or key.startswith(OF_TASKS)]]


def members_of(cells: pd.DataFrame, columns: Sequence[str]) -> list[list[int]]:
    """The indices of the cells of each column."""
    if not columns:
        return [list(cells.index)]
    groups = cells.groupby(list(columns), dropna=False, sort=False)
    return [list(group.index) for _, group in groups]


def sign_of(metric: str) -> int:
    """Whether more is better (1) or less (-1)."""
    return 1 if metric == "accuracy" else -1


def best_first(cells: pd.DataFrame) -> list[int]:
    """The places of cells, the best first."""
    means = cells["mean"].to_numpy(float) * sign_of(cells["metric"].iloc[0])
    return np.argsort(-means, kind="stable").tolist()
