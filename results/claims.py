"""What a statement about methods claims, in a form that records can decide.

A claim says that the accuracy of one side exceeds that of another, or stays within MARGIN of it.
The functions below are the forms that the paper's statements (`results.paper`) take; each gives,
for the evaluations of one setting, the claims that must be true in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from results.grouping import rows_where
from results.labels import show_value

MARGIN = 0.02
"""Accuracy that a method may lose and still count as unharmed."""

POINTS = f"{100 * MARGIN:g} points"


SHARED = {"method": "FOMAML, shared tail"}
SEPARATE = {"method": "FOMAML, separate tail"}
REPTILE = {"method": "reptile"}

STEPS, BATCH, OUTER = "algorithm.inner_steps", "algorithm.inner_batch", "algorithm.outer_step"
REPLACEMENT = "algorithm.replacement"
EXAMPLES = 100
"""Of a task, in figure 4."""
REPEATS = {STEPS: 5, BATCH: 34}
"""From where, cycling through them, the last batch holds none that is new."""
WORDS = {STEPS: "{} iterations", BATCH: "{} examples"}


class Side(NamedTuple):
    """One side of a claim: its name in the evidence, and the values its evaluations have."""

    label: str
    where: dict[str, Any]


class Claim(NamedTuple):
    """The accuracy of `first` minus that of `second` exceeds `bound`.

    With `less`, what `first` gains over less[0] exceeds what `second` gains over less[1] by that.
    """

    first: Side
    second: Side
    bound: float = 0.0
    less: tuple[Side, Side] | None = None

    @property
    def sides(self) -> tuple[Side, ...]:
        """All that must have records: first, second, and what they are less."""
        return self.first, self.second, *(self.less or ())

    @property
    def names(self) -> tuple[str, str]:
        """Both sides as the evidence names them."""
        labels = [side.label for side in self.sides]
        if self.less is None:
            return labels[0], labels[1]
        return f"{labels[0]} over {labels[2]}", f"{labels[1]} over {labels[3]}"


@dataclass(frozen=True)
class Finding:
    """A qualitative statement of the paper.

    Attributes:
        name: short and unique.
        statement: one sentence.
        source: where the paper says so.
        study: the values that all its evaluations have.
        claims: what must be true, given the evaluations of one setting.
        same: settings in which both sides of a claim must agree.
        curve: judge the mean over the learning curve instead of the final accuracy.
    """

    name: str
    statement: str
    source: str
    study: dict[str, Any]
    claims: Callable[[pd.DataFrame], list[Claim]]
    same: tuple[str, ...] = ()
    curve: bool = False


def beats(*pairs: tuple[str, str]) -> Callable[[pd.DataFrame], list[Claim]]:
    """The first method of each pair is better than the second."""
    return lambda _: [Claim(of_method(first), of_method(second)) for first, second in pairs]


def makes_no_progress(method: str) -> Callable[[pd.DataFrame], list[Claim]]:
    """The network from scratch, adapted in the same way, is as good up to MARGIN."""
    return lambda _: [
        Claim(Side("from scratch", {"method": "scratch"}), of_method(method), -MARGIN)
    ]


def drops(kind: dict[str, Any], key: str, pivot: float) -> Callable[[pd.DataFrame], list[Claim]]:
    """Accuracy at `pivot` is fine, and above that where `key` first REPEATS and at its largest.

    Fine is not below that at the value before it, up to MARGIN. All with cycling batches.
    """
    cycling = {**kind, REPLACEMENT: False}

    def claims(frame: pd.DataFrame) -> list[Claim]:
        values = values_of(frame, cycling, key)
        below, above = [v for v in values if v < pivot], [v for v in values if v >= REPEATS[key]]
        here = at(cycling, key, pivot)
        fine = [Claim(here, at(cycling, key, value), -MARGIN) for value in below[-1:]]
        ends = dict.fromkeys([*above[:1], *above[-1:]])
        return fine + [Claim(here, at(cycling, key, value)) for value in ends] if ends else []

    return claims


def falls(
    kind: dict[str, Any], key: str, pivot: float, replacement: bool
) -> Callable[[pd.DataFrame], list[Claim]]:
    """Accuracy at `pivot` is above that at the largest value of `key`."""
    curve = {**kind, REPLACEMENT: replacement}

    def claims(frame: pd.DataFrame) -> list[Claim]:
        ends = [value for value in values_of(frame, curve, key)[-1:] if value > pivot]
        return [Claim(at(curve, key, pivot), at(curve, key, value)) for value in ends]

    return claims


def gains_more(*quartets: tuple[str, str, str, str]) -> Callable[[pd.DataFrame], list[Claim]]:
    """From the first method to the second accuracy rises more than from the third to the fourth."""
    return lambda _: [
        Claim(of_method(b), of_method(d), less=(of_method(a), of_method(c)))
        for a, b, c, d in quartets
    ]


def falls_more_gradually(
    kind: dict[str, Any], key: str, pivot: float
) -> Callable[[pd.DataFrame], list[Claim]]:
    """From `pivot` to where `key` first REPEATS, cycling batches lose more than those drawn anew.

    Batches of all EXAMPLES tell nothing: they are the same either way.
    """
    ways = {"cycling": {**kind, REPLACEMENT: False}, "replacement": {**kind, REPLACEMENT: True}}

    def claims(frame: pd.DataFrame) -> list[Claim]:
        both = set.intersection(*(set(values_of(frame, way, key)) for way in ways.values()))
        above = sorted(value for value in both if REPEATS[key] <= value < EXAMPLES)
        if not above or pivot not in both:
            return []
        ends = [
            at(way, key, value)._replace(label=f"{name} at {show_value(value)}")
            for value in (pivot, above[0])
            for name, way in ways.items()
        ]
        return [Claim(ends[0], ends[1], less=(ends[2], ends[3]))]

    return claims


def keeps(kind: dict[str, Any], key: str, pivot: float) -> Callable[[pd.DataFrame], list[Claim]]:
    """Accuracy at the largest value of `key` is not below that at `pivot`, up to MARGIN."""

    def claims(frame: pd.DataFrame) -> list[Claim]:
        made = []
        for replacement in values_of(frame, kind, REPLACEMENT):
            curve = {**kind, REPLACEMENT: replacement}
            drawn = "replacement" if replacement else "cycling"
            for last in values_of(frame, curve, key)[-1:]:
                side = at(curve, key, last)
                side = side._replace(label=f"{drawn}: {side.label}")
                made += [Claim(side, at(curve, key, pivot), -MARGIN)] if last > pivot else []
        return made

    return claims


def full_batches_are_poor(frame: pd.DataFrame) -> list[Claim]:
    """At each outer step, shared tail with batches of all EXAMPLES is below its rivals with them.

    Where a step has no rivals, it is below shared tail with disjoint batches of 25.
    """
    shared = {**SHARED, BATCH: EXAMPLES}
    disjoint = {**SHARED, BATCH: 25, REPLACEMENT: False}
    claims = []
    for step in values_of(frame, shared, OUTER):
        label, poor = f"outer step {show_value(step)}", {**shared, OUTER: step}
        rivals = [
            Claim(Side(f"{label}: {name}", better), Side("shared tail", poor))
            for name, kind in (("Reptile", REPTILE), ("separate tail", SEPARATE))
            if len(rows_where(frame, better := {**kind, BATCH: EXAMPLES, OUTER: step}))
        ]
        of_25 = Claim(Side(f"{label}: batches of 25", disjoint), Side("of 100", poor))
        claims += rivals or [of_25]
    return claims


def transduction_helps(_: pd.DataFrame) -> list[Claim]:
    """Reptile that classifies all queries at once beats Reptile that sees them one by one."""
    with_it, without = ({**REPTILE, "transductive": kind} for kind in (True, False))
    return [Claim(Side("with transduction", with_it), Side("without", without))]


def of_method(name: str) -> Side:
    return Side(name, {"method": name})


def at(kind: dict[str, Any], key: str, value: Any) -> Side:
    return Side(WORDS[key].format(show_value(value)), {**kind, key: value})


def values_of(frame: pd.DataFrame, where: dict[str, Any], key: str) -> list[Any]:
    """The values of `key`, ascending."""
    return sorted(rows_where(frame, where)[key].dropna().unique()) if key in frame else []
