"""Ours against the published numbers."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from results import statistics
from results.grouping import same_number, summarise
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
    return {} if pd.isna(budget) else {"algorithm.meta_iterations": [show_value(budget)]}


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
        from them, such as 'partial: 2 % of 100000 meta-iterations'), source, runs (directories).
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
    "runs",
)
