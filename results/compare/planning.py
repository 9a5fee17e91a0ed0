"""`--plan A B --margin 0.5`: how many more seeds and episodes decide, and what they cost.

Each protocol's spreads over seeds and episodes are taken from the records (see `power`); of the
seeds and episodes that would be enough the cheapest are planned. Other test classes add a part to
a difference that neither seeds nor episodes lessen, which the table names.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from results import formats, records, statistics
from results.compare import contrasts
from results.compare.contrasts import Contrast, Reader, Side
from results.compare.paired import measured, pairs_of
from results.compare.power import MOST_SEEDS, POWER, Spread, seeds_at_worst, seeds_needed, spread_of
from results.compare.standing import sign_of
from results.grouping import BadOption
from results.labels import counted, duration, protocol_labels, row_label, short_key, show_value
from results.tables import DEFAULT_COLUMNS, show_difference

FACTORS = (1, 2, 4, 8, 16, 32)
"""How many times the episodes of today are thought of."""


class Cost(NamedTuple):
    """Seconds that one more seed of both methods takes: to train, and to evaluate an episode."""

    training: float
    episode: float


@dataclass(frozen=True)
class Plan:
    """What would decide under one protocol.

    Attributes:
        keys: what names the protocol.
        difference: as it is now.
        spread: of the differences, over seeds and episodes.
        needed, of_episodes: the cheapest seeds and episodes that are enough; None where
            MOST_SEEDS are not, or one seed does not tell.
        at_worst: seeds, if those there are show too small a spread; None as above.
        seconds: what is still to be spent; NaN where the records do not time it.
        metric: 'accuracy' or 'mse'.
        margin: in the unit of the scores.
    """

    keys: dict[str, Any]
    difference: Contrast
    spread: Spread
    needed: int | None
    of_episodes: int
    at_worst: int | None
    seconds: float
    metric: str
    margin: float

    @property
    def verdict(self) -> statistics.Verdict:
        """What is known now: the first side is better ('above'), it is not by the margin ('below'),
        neither is told ('within'); 'unknown' where one seed cannot tell."""
        if self.difference.seeds == 1:
            return "unknown"
        better, width = sign_of(self.metric) * self.difference.mean, self.difference.half_width()
        if statistics.verdict(better, width) == "above":
            return "above"
        return "below" if statistics.verdict(better - self.margin, width) == "below" else "within"

    @property
    def more(self) -> int | None:
        """Seeds still to run."""
        return None if self.needed is None else max(0, self.needed - self.difference.seeds)


def plans(
    found: records.Records, first: str, second: str, margin: float
) -> tuple[list[Plan], list[str]]:
    """A plan for each protocol that two methods share, and what could not be planned.

    Args:
        margin: in points where the metric is accuracy.

    Raises:
        BadOption: as `paired.pairs_of`; no pair can be planned.
    """
    pairs, keys, problems = pairs_of(found, first, second)
    made, reader = [], Reader()
    groups: Any = pairs.groupby(keys, dropna=False, sort=True)
    for values, group in groups:
        try:
            sides = measured(group, reader)
        except ValueError as error:
            problems.append(str(error))
            continue
        named = dict(zip(keys, values, strict=True))
        if not contrasts.same_episodes(*sides):
            problems.append(f"not planned, since the episodes differ: {row_label(named)}")
            continue
        if any(one.scores.size < 2 for side in sides for one in side.values()):
            problems.append(
                f"not planned, since a single episode shows no spread: {row_label(named)}"
            )
            continue
        made.append(plan(named, sides, margin, cost_of(group, found.runs, sides[0])))
    if not made:
        raise BadOption("; ".join(problems))
    return made, problems


def plan(keys: dict[str, Any], sides: Sequence[Side], margin: float, cost: Cost) -> Plan:
    """The cheapest plan for one protocol: more seeds, or more episodes of each."""
    difference = contrasts.paired(*sides)
    shared = sorted(set(sides[0]) & set(sides[1]))
    spread = spread_of([contrasts.difference_of(sides[0][s], sides[1][s]).scores for s in shared])
    metric = str(keys["metric"])
    least = margin / 100 if metric == "accuracy" else margin
    options: list[tuple[float, int, int]] = []
    for episodes in (factor * difference.episodes for factor in FACTORS):
        needed = seeds_needed(least, spread, episodes) if len(shared) > 1 else None
        if needed is not None:
            options.append((seconds_of(needed, episodes, difference, cost), needed, episodes))
    if not options:
        nothing = (None, difference.episodes, None, math.nan)
        return Plan(keys, difference, spread, *nothing, metric, least)
    seconds, needed, episodes = min(options)
    worst = seeds_at_worst(least, spread, episodes, len(shared), difference.episodes)
    return Plan(keys, difference, spread, needed, episodes, worst, seconds, metric, least)


def seconds_of(needed: int, episodes: int, now: Contrast, cost: Cost) -> float:
    """What is still to be spent: new seeds whole, those there are only if they need episodes."""
    again = 0 if episodes == now.episodes else min(now.seeds, needed)
    more = max(0, needed - now.seeds)
    return more * cost.training + (more + again) * episodes * cost.episode


def cost_of(group: pd.DataFrame, runs: pd.DataFrame, side: Side) -> Cost:
    """The cost of one more seed, the mean of those there are; a run that holds both counts once."""
    timing = ("timing.train_seconds", "timing.evaluation_seconds")
    if any(key not in runs for key in timing):
        return Cost(math.nan, math.nan)
    seconds = runs.set_index("run")[list(timing)].astype(float)
    pairs = zip(group["run_first"], group["run_second"], strict=True)
    each = [seconds.loc[sorted({*pair})].sum(skipna=False) for pair in pairs]
    training, evaluation = pd.DataFrame(each).mean(skipna=False)
    episodes = max(one.scores.size for one in side.values())
    return Cost(float(training), float(evaluation) / episodes)


# --- text -----------------------------------------------------------------------------------------


def render(
    made: Sequence[Plan], names: Sequence[str], margin: float, machine: str, style: str
) -> str | bytes:
    """Plans in any of `formats.STYLES`; csv and parquet hold numbers, a line a protocol.

    Args:
        names: of both methods; machine: that the costs are of.
    """
    if style in formats.NUMBERS:
        return formats.write([], numbers(made), [], style)
    header = [
        f"How many seeds and episodes tell a difference of {margin:g} between {names[0]} and "
        f"{names[1]} from none."
    ]
    return formats.write(header, layout(made), caption_of(made, machine), style)


def numbers(made: Sequence[Plan]) -> pd.DataFrame:
    """One line a protocol; shares from 0 to 1 where the metric is accuracy."""
    return pd.DataFrame(
        {
            **plan.keys,
            "difference": plan.difference.mean,
            "half_width": plan.difference.half_width(),
            "half_width_of_classes": floor_of(plan),
            "spread_over_seeds": math.sqrt(plan.spread.between),
            "spread_over_episodes": math.sqrt(plan.spread.within),
            "seeds": plan.difference.seeds,
            "episodes": plan.difference.episodes,
            "seeds_needed": plan.needed,
            "of_episodes": plan.of_episodes,
            "at_worst": plan.at_worst,
            "more_seeds": plan.more,
            "verdict": plan.verdict,
            "seconds": plan.seconds,
        }
        for plan in made
    )


def floor_of(plan: Plan) -> float:
    """The half-width that other test classes alone give, however many seeds and episodes."""
    part = plan.difference.of_classes
    return contrasts.half_width(part, 0.95) if part else math.nan


def layout(made: Sequence[Plan]) -> pd.DataFrame:
    """Plans as printed: a row a protocol."""
    keys = pd.DataFrame([plan.keys for plan in made])
    apart = [
        key
        for key in map(str, keys)
        if key not in (*DEFAULT_COLUMNS, "metric") and keys[key].nunique(dropna=False) > 1
    ]
    shown: dict[str, list[str]] = {"protocol": protocol_labels(keys)}
    shown |= {short_key(key, apart): [show_value(value) for value in keys[key]] for key in apart}
    shown["now"] = [now_text(plan) for plan in made]
    shown["over seeds"] = [spread_text(plan.spread.between, plan.metric) for plan in made]
    shown["over episodes"] = [spread_text(plan.spread.within, plan.metric) for plan in made]
    if any(plan.difference.of_classes for plan in made):
        shown["other characters"] = [width_text(floor_of(plan), plan.metric) for plan in made]
    shown["enough"] = [needed_text(plan) for plan in made]
    shown["still to run"] = [still_text(plan) for plan in made]
    return pd.DataFrame(shown)


def now_text(plan: Plan) -> str:
    """'+0.62 ± 0.41, 3 seeds of 400 episodes'."""
    now = plan.difference
    line = {
        "difference": now.mean,
        "half_width": now.half_width(),
        "half_width_new_classes": math.nan,
        "metric": plan.metric,
    }
    return f"{show_difference(line)}, {of_episodes(now.seeds, now.episodes)}"


def of_episodes(seeds: int, episodes: int) -> str:
    """'3 seeds of 400 episodes'."""
    return f"{counted(seeds, 'seed')} of {episodes} episodes"


def spread_text(variance: float, metric: str) -> str:
    """A standard deviation: in points, or as it is."""
    return width_text(math.sqrt(variance), metric)


def width_text(width: float, metric: str) -> str:
    """A width in points of accuracy, or as it is; '-' where it is not known."""
    if math.isnan(width):
        return "-"
    return f"{100 * width:.2f}" if metric == "accuracy" else f"{width:.3g}"


def needed_text(plan: Plan) -> str:
    """'6 seeds of 400 episodes (up to 21)'."""
    if plan.needed is None:
        return "-" if plan.difference.seeds == 1 else f"more than {MOST_SEEDS} seeds"
    worst = f"{MOST_SEEDS}+" if plan.at_worst is None else str(plan.at_worst)
    return f"{of_episodes(plan.needed, plan.of_episodes)} (up to {worst})"


def still_text(plan: Plan) -> str:
    """'3 more seeds, 12 min 05 s'."""
    if plan.difference.seeds == 1:
        return "2 more seeds first"
    if plan.verdict in ("above", "below"):
        return f"nothing: {'the first is better' if plan.verdict == 'above' else 'less than that'}"
    if plan.more is None:
        return "-"
    time = "" if math.isnan(plan.seconds) else f", {duration(plan.seconds)}"
    if plan.more:
        return f"{counted(plan.more, 'more seed')}{time}"
    return f"more episodes{time}" if plan.of_episodes > plan.difference.episodes else "nothing"


def caption_of(made: Sequence[Plan], machine: str) -> list[str]:
    """What is promised, and for what."""
    said = [
        "Enough: a true difference as large as the margin is told from none, by its 95 % interval, "
        f"in {100 * POWER:.0f} of 100 repetitions; of seeds and episodes the cheapest choice. Up "
        "to: where the seeds there are show too small a spread, as 1 in 10 such samples do.",
        "Spreads are standard deviations of the difference: over seeds between two trainings, over "
        "episodes within one.",
        f"Costs as these runs took{machine}.",
    ]
    if any(plan.difference.of_classes for plan in made):
        said.append(
            "Other characters: the half-width that these alone give; where it exceeds the margin, "
            "a decision holds for the test classes there are, and only more classes widen it."
        )
    if any(plan.difference.seeds == 1 for plan in made):
        said.append("One seed does not show how far trainings differ: run three first.")
    return said


def machine_of(runs: pd.DataFrame) -> str:
    """' on AMD EPYC', or several."""
    key = "environment.device"
    devices: Any = runs[key].dropna().unique() if key in runs else []
    return f" on {records.some(devices)}" if len(devices) else ""
