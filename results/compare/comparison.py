"""Ours against the published numbers, and one method against another on the same episodes."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from results import reading, records, schema, statistics
from results.grouping import (
    BadOption,
    row_keys,
    same_number,
    select,
    summarise,
    varying_keys,
)
from results.labels import show_value

PUBLISHED = Path(__file__).parent.parent / "published"


IDENTITY = ("task.name", "task.split", "images", "model.name")
"""What a run needs for a published counterpart: its data, images of one's own by their numbers, and
its network."""

ROW = ("task", "method", "ways", "shots")
"""What a row of the published settings is of; a missing value stands for any."""

GROUPS = ("task.", "tested.", "model.", "algorithm.", "evaluation.")
FREE = ("task.name", "task.ways", "task.split_seed", "algorithm.name")
"""Settings that a published number does not fix: its identity, and which random split it is of."""

TESTED = ("tested.name", "tested.split")
"""The data that a trained run was asked about later, which may be other data (`task.` is what it
was trained on)."""


@cache
def published_numbers() -> pd.DataFrame:
    """Every published number in `results/published/*.csv`; one frame for all callers.

    Columns: task, method, ways, shots, transductive, accuracy and half_width (percent; missing
    where not stated), interval (what ± means), meta_iterations, comparable (whether tables compare
    with it), source, file.
    """
    frames = [pd.read_csv(file).assign(file=file.stem) for file in sorted(PUBLISHED.glob("*.csv"))]
    return pd.concat(frames, ignore_index=True).convert_dtypes()


def published_settings(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """The settings behind a published number: of each key the values that are its own.

    Of a user's own number (`other_numbers`) those that its table states. Else they are from
    `results/published/settings/*.csv`, where `|` parts values that are as good: MAML's paper
    and code test after different numbers of steps, and the paper does not say whether the tasks of
    a meta-batch hand Adam's state on. `?` stands where the authors state nothing.
    """
    if row.get("own") is True:
        stated = {key: [str(v)] for key, v in row.items() if "." in key and not pd.isna(v)}
        return stated | budget_of(row)
    lines = all_published_settings()
    own = [line for line in lines if all(line[key] in ("", str(row[key])) for key in ROW)]
    return {line["key"]: line["value"].split("|") for line in own} | budget_of(row)


def budget_of(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """The meta-iterations behind a published number, where they are stated."""
    budget = row["meta_iterations"]
    return {} if pd.isna(budget) else {"algorithm.meta_iterations": [str(budget)]}


@cache
def all_published_settings() -> list[dict[str, str]]:
    """The lines of `results/published/settings/*.csv`: ROW, key, value; "" is missing."""
    files = sorted(PUBLISHED.glob("settings/*.csv"))
    texts = [file.read_text(encoding="utf-8").splitlines() for file in files]
    return [line for lines in texts for line in csv.DictReader(lines)]


def compare_with_published(
    frame: pd.DataFrame, keys: Sequence[str], numbers: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Our cells that have a published counterpart, side by side.

    A counterpart has the same method, ways, shots and transduction, and its data and network
    (IDENTITY) are ours, on test classes.

    Args:
        frame: evaluations; keys: what spans a cell (`summarise`), in the order of the lines.
        numbers: those to compare with, in the columns of `published_numbers`; None: all of these.

    Returns:
        The keys, mean, ci95, ci95_new_classes, interval_over, seeds, episodes (percent), published,
        published_ci95, published_interval, difference, joint_ci95 (root of the summed squares; of
        ours the interval for new classes, where it is known), verdict ('within', 'above', 'below'
        the joint interval, 'unknown' without one), settings ('the paper's', or all that departs
        from them, such as 'partial: 2 % of 100000 meta-iterations'), source.
    """
    eligible = frame[(frame["metric"] == "accuracy") & (frame["split"] == "test")]
    if eligible.empty or "task.name" not in eligible:
        return pd.DataFrame()
    eligible = eligible.reindex(columns=list(dict.fromkeys([*eligible, *IDENTITY])))
    own = ["images", *(str(key) for key in eligible if is_setting(str(key)))]
    identity = ["method", "ways", "shots", "transductive"]
    cells = summarise(eligible, list(dict.fromkeys([*keys, *identity, *own])))
    ours: Any = cells.to_dict("records")
    numbers = published_numbers() if numbers is None else numbers
    papers: Any = numbers[numbers["comparable"].eq(True)].to_dict("records")
    pairs = [
        beside(line, paper, settings)
        for paper in papers
        for settings in [published_settings(paper)]
        for line in counterparts(ours, paper, settings)
    ]
    told = [key for key in ("steps", "algorithm.meta_iterations") if key in cells]
    columns = list(dict.fromkeys([*keys, *identity, *told, *MEASURES]))
    both = pd.DataFrame(pairs).reindex(columns=columns)
    return both.convert_dtypes().sort_values(columns[: -len(MEASURES)], ignore_index=True)


def is_setting(key: str) -> bool:
    """Whether a column may change a number, seeds and what the number is of apart."""
    return key.startswith(GROUPS) or key in ("steps", "queries")


def counterparts(
    ours: Sequence[dict[str, Any]], paper: Mapping[str, Any], settings: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """Our cells that measure what a published number does."""
    same = ("method", "ways", "shots", "transductive")
    where = {key: paper[key] for key in same if not pd.isna(paper[key])}
    where["task.name"] = paper["task"]
    where |= {key: settings[key][0] for key in IDENTITY if key in settings}
    tested = {key: where.get(key.replace("tested.", "task.")) for key in TESTED}
    return [
        line
        for line in ours
        if all(is_value(line.get(key), value) for key, value in where.items())
        and all(is_missing_or(line.get(key), value) for key, value in tested.items())
    ]


def is_value(value: Any, wanted: Any) -> bool:
    """Whether a cell's value is there and is the one that is wanted."""
    return not pd.isna(value) and bool(value == wanted)


def is_missing_or(value: Any, wanted: Any) -> bool:
    """Whether a cell's value is not there or is the one that is wanted; None stands for any."""
    return wanted is None or pd.isna(value) or bool(value == wanted)


def beside(
    line: dict[str, Any], paper: dict[str, Any], settings: Mapping[str, list[str]]
) -> dict[str, Any]:
    """One of our cells with the published number beside it, in percent."""
    mean, ci95, wider = (100 * line[key] for key in ("mean", "ci95", "ci95_new_classes"))
    theirs = 0.0 if pd.isna(paper["half_width"]) else float(paper["half_width"])
    difference = mean - float(paper["accuracy"])
    joint = float(np.hypot(ci95 if np.isnan(wider) else wider, theirs))
    return {
        **line,
        "mean": mean,
        "ci95": ci95,
        "ci95_new_classes": wider,
        "published": paper["accuracy"],
        "published_ci95": paper["half_width"],
        "published_interval": paper["interval"],
        "difference": difference,
        "joint_ci95": joint,
        "verdict": statistics.verdict(difference, joint),
        "settings": "; ".join(departures(line, paper, settings)) or settings_met(paper, settings),
        "source": paper["source"],
    }


def settings_met(paper: Mapping[str, Any], settings: Mapping[str, list[str]]) -> str:
    """What is said of settings from which nothing departs."""
    if paper.get("own") is not True:
        return "the paper's"
    return "as stated" if settings else "not stated"


def departures(
    line: Mapping[str, Any], paper: Mapping[str, Any], settings: Mapping[str, list[str]]
) -> Iterator[str]:
    """Every setting of ours that is not the published one, or that the paper's do not have; a
    user's own table need not state them all."""
    for key, wanted in settings.items():
        value = show_value(line.get(key))
        if any(value == choice or same_number(value, choice) for choice in wanted):
            continue
        if wanted == ["?"]:
            yield f"{key.rpartition('.')[2]} {value} (not stated)"
        elif key == "algorithm.meta_iterations" and value != "-":
            share = float(value) / float(wanted[0])
            kind = "partial" if share < 1 else "larger"
            yield f"{kind}: {100 * share:.3g} % of {wanted[0]} meta-iterations"
        else:
            name = key.rpartition(".")[2]
            yield f"{name} {'not known' if value == '-' else value} (paper {' or '.join(wanted)})"
    for key, value in line.items() if paper.get("own") is not True else ():
        if key.startswith("tested.") and line.get(key.replace("tested.", "task.")) == value:
            continue
        if is_setting(key) and key not in (*settings, *FREE) and not pd.isna(value):
            yield f"{key.rpartition('.')[2]} {show_value(value)} (paper without)"


MEASURES = (
    *("mean", "ci95", "ci95_new_classes", "interval_over", "seeds", "episodes", "metric"),
    "published",
    *("published_ci95", "published_interval", "difference", "joint_ci95", "verdict", "settings"),
    "source",
)


def paired_table(found: records.Records, first: str, second: str) -> tuple[pd.DataFrame, list[str]]:
    """Difference of two methods on the same episodes.

    Args:
        first, second: a method's name, or conditions `key=value` joined by `;`; first may be
            'others': whatever is not second.

    Returns:
        (table, problems). The table has one line a protocol (and whatever else varies): the keys,
        first, second, difference, ci95, interval_over, seeds, episodes; unit as in the records.
        Episode i is the same task however many there are, so where one side has fewer (baselines),
        as many of the other are compared. A pair without per-episode scores is left out and named
        in problems.

    Raises:
        BadOption: a side matches nothing, or no two evaluations share seed, data and protocol.
    """
    return differences_of(*pairs_of(found, first, second))


def pairs_of(found: records.Records, first: str, second: str) -> tuple[pd.DataFrame, list[str]]:
    """The evaluations of two methods that met the same episodes, and the keys of their protocols.

    A line a pair: the keys, seed, and of each side run_first, scores_first, classes_first,
    test_classes_first. Arguments and errors are those of `paired_table`.
    """
    frame = found.completed
    reference = side_of(frame, second)
    rest = frame.drop(reference.index)
    sides = [rest if first == "others" else side_of(frame, first), reference]
    protocol = [key for key in schema.PROTOCOL if key != "episodes"]
    shared = [
        "seed",
        *protocol,
        *(key for key in ("task.name", "data.test", "version") if key in frame),
    ]
    # What varies on both sides (a sweep of both methods over budgets) pairs like with like.
    swept = [
        key
        for key in varying_keys(sides[0])
        if key in varying_keys(sides[1]) and key not in shared and key != "method"
    ]
    spanning = [key for side in sides for key in row_keys(side, [*shared, *swept])]
    context = list(dict.fromkeys([*(key for key in shared if key != "seed"), *swept, *spanning]))
    pairs = pair_up(sides, [*shared, *swept], context)
    if pairs.empty:
        raise BadOption(
            f"no evaluation of {first!r} shares seed, data and protocol with one of {second!r}"
        )
    return pairs, [key for key in context if key in pairs]


def side_of(frame: pd.DataFrame, side: str) -> pd.DataFrame:
    """The evaluations of a method, or of conditions joined by `;`."""
    return select(frame, side.split(";") if "=" in side else [f"method={side}"])


def pair_up(
    sides: Sequence[pd.DataFrame], on: Sequence[str], context: Sequence[str]
) -> pd.DataFrame:
    """Evaluations of both sides that met the same episodes, matched; a setting that a baseline
    does not have, or that only one side varies, stays out of the match."""
    both = [key for key in on if all(side[key].notna().any() for side in sides)]
    kept = [key for key in ("run", "scores", "classes", "test_classes") if key in sides[0]]
    left = sides[0][list(dict.fromkeys([*both, *context, *kept]))]
    extra = [key for key in context if key not in both and sides[0][key].isna().all()]
    right = sides[1][[*both, *extra, *kept]]
    return left.drop(columns=extra).merge(right, on=both, suffixes=("_first", "_second"))


def differences_of(pairs: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """One line a group of `keys`, over its seeds."""
    lines, problems = [], []
    for values, group in pairs.groupby(list(keys), dropna=False, sort=True):
        try:
            first, second = common_episodes(group, ("first", "second"))
            estimate = statistics.paired_difference(first, second)
        except ValueError as error:
            problems.append(str(error))
            continue
        lines.append(
            {
                **dict(zip(keys, values, strict=True)),
                "first": np.mean([scores.mean() for scores in first]),
                "second": np.mean([scores.mean() for scores in second]),
                "difference": estimate.mean,
                "ci95": estimate.half_width,
                "interval_over": estimate.over,
                "seeds": estimate.seeds,
                "episodes": estimate.episodes,
            }
        )
    return pd.DataFrame(lines), problems


def common_episodes(group: pd.DataFrame, sides: Sequence[str]) -> list[list[np.ndarray]]:
    """Scores [episodes] of each side and seed, cut to the episodes that a seed's sides share.

    Args:
        group: a line a seed, with run_SIDE and scores_SIDE for each side.

    Raises:
        DamagedRecord: scores are missing.
    """
    scores = [
        [
            reading.load_scores(run, key)
            for run, key in zip(group[f"run_{side}"], group[f"scores_{side}"], strict=True)
        ]
        for side in sides
    ]
    shared = [min(len(part) for part in of_seed) for of_seed in zip(*scores, strict=True)]
    return [[part[:n] for part, n in zip(side, shared, strict=True)] for side in scores]
