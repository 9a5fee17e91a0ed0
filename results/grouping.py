"""Choosing keys and records, and averaging over seeds alone.

A cell is one configuration under one protocol. `row_keys` finds what tells the cells of given
records apart, `summarise` averages each over its seeds.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results import records, schema, statistics
from results.labels import method_name, show_value

ALIASES = {
    "algorithm": "method",
    "algorithm.name": "method",
    "task": "task.name",
    "model": "model.name",
    "meta_iterations": "algorithm.meta_iterations",
    "iterations": "algorithm.meta_iterations",
    **{f"evaluation.{key}": key for key in schema.PROTOCOL},
}


class BadOption(ValueError):
    """A row, column or filter that the records do not have; the text names what they have."""


def resolve_key(key: str, frame: pd.DataFrame) -> str:
    """The column of `frame` that a user means: its full name, an alias or its last part.

    Raises:
        BadOption: no column or several are meant.
    """
    known = [*records.configuration_columns(frame), "seed"]
    if (full := ALIASES.get(key, key)) in known:
        return full
    ending = [column for column in known if column.endswith(f".{key}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise BadOption(f"{key!r} could be any of {', '.join(ending)}")
    close = difflib.get_close_matches(key, [*known, *ALIASES], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"
    raise BadOption(f"no record has {key!r}; {hint}")


def select(frame: pd.DataFrame, conditions: Iterable[str]) -> pd.DataFrame:
    """Rows that meet every `key=value`; `key=a,b` allows several values.

    Raises:
        BadOption: a condition has no '=', an unknown key, or a value that no record has.
    """
    for condition in conditions:
        frame = having(frame, *meant_by(condition, frame))
    return frame


def meant_by(condition: str, frame: pd.DataFrame) -> tuple[str, list[str]]:
    """The column and the values, as printed, of a user's `key=a,b`. Raises BadOption: `select`."""
    key, equals, wanted = condition.partition("=")
    if not equals:
        raise BadOption(f"{condition!r} is not of the form key=value")
    column = resolve_key(key, frame)
    known = sorted(frame[column].map(show_value, na_action=None).unique())
    return column, matching(known, wanted, column)


def having(frame: pd.DataFrame, column: str, values: Sequence[str]) -> pd.DataFrame:
    """Rows with one of these values, as printed; all of a frame without such a column."""
    if column not in frame:
        return frame
    return frame[frame[column].map(show_value, na_action=None).isin(values)]


def narrow(found: records.Records, conditions: Iterable[str]) -> records.Records:
    """The records that meet every condition (`select`), with the points of their runs' curves that
    do; of how many episodes an evaluation is says nothing about a curve.

    Runs that did not complete stay, so that they are not forgotten.
    """
    conditions = list(conditions)
    if not conditions:
        return found
    kept, points = found.evaluations, found.curves
    for condition in conditions:
        column, values = meant_by(condition, kept)
        kept = having(kept, column, values)
        points = points if column == "episodes" else having(points, column, values)
    chosen = set(kept["run"])
    runs = found.runs[found.runs["run"].isin(chosen) | (found.runs["status"] != "completed")]
    of_all = records.environments(found.runs)
    return dataclasses.replace(
        found,
        evaluations=kept,
        curves=points[points["run"].isin(chosen)],
        runs=runs,
        notes=[*(n for n in found.notes if n not in of_all), *records.environments(runs)],
    )


def matching(known: Sequence[str], wanted: str, column: str) -> list[str]:
    """The known values that a user's 'a,b' means; a method may be spelled as in the tables."""
    meant = []
    for choice in [wanted] if wanted in known else wanted.split(","):
        word = choice.strip()
        found = [value for value in known if value == word or same_number(value, word)]
        found = found or [value for value in known if is_called(value, word, column)]
        if not found:
            raise BadOption(f"no record has {column} = {choice!r}; it takes {', '.join(known)}")
        meant += found
    return meant


def is_called(value: str, word: str, column: str) -> bool:
    """Whether a user's word spells a value otherwise: a method as in the tables, True for true."""
    if value in ("true", "false"):
        return word.casefold() == value
    return column == "method" and word.casefold() in (value, method_name(value).casefold())


def same_number(text: str, other: str) -> bool:
    """Whether both are numbers, and the same one: 1e3 and 1000."""
    try:
        return float(text) == float(other)
    except ValueError:
        return False


def rows_where(frame: pd.DataFrame, where: dict[str, Any]) -> pd.DataFrame:
    """Rows with these values; none where a column is absent."""
    if not all(key in frame for key in where):
        return frame.iloc[:0]
    chosen = np.ones(len(frame), bool)
    for key, value in where.items():
        chosen &= frame[key].eq(value).fillna(False).to_numpy(bool)
        if not chosen.any():
            break
    return frame[chosen]


def longest(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Of the rows that agree in `keys` the one of most episodes: the others are its start."""
    ascending = rows.sort_values("episodes", kind="stable")
    return ascending.drop_duplicates(list(keys), keep="last")


def varying_keys(frame: pd.DataFrame) -> list[str]:
    """Columns of configuration and protocol with more than one value, the most telling first."""
    first = ["algorithm.meta_iterations", "method"]
    keys = records.configuration_columns(frame)
    ordered = [key for key in first if key in keys] + [key for key in keys if key not in first]
    return [key for key in ordered if frame[key].nunique(dropna=False) > 1]


def row_keys(
    frame: pd.DataFrame, given: Sequence[str], among: Sequence[str] | None = None
) -> list[str]:
    """Keys needed besides `given` so that only the seed varies inside a cell.

    A key whose value follows from those before it (20-way runs have another learning rate) adds
    nothing and is left out.

    Args:
        among: all that can vary, if that is known: `varying_keys` of these rows and others.
    """
    keys: list[str] = []
    cells = records.cell_numbers(frame, given)
    for key in varying_keys(frame) if among is None else among:
        finer = records.divided(cells, frame[key])
        if key not in given and finer.max(initial=0) > cells.max(initial=0):
            cells = finer
            keys.append(key)
    return keys


def summarise(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean and 95 % interval of each cell.

    Args:
        frame: evaluations, in which only the seed varies within a group of `keys`.

    Returns:
        The keys, then mean, ci95, interval_over ('seeds' where there are several, else
        'episodes'), seeds, episodes, metric. Intervals over seeds are `statistics.seed_interval`.
        ci95_new_classes is for other test classes too, NaN where that is not known. runs: the
        directories behind it, sorted.
    """
    if "ci95_classes" not in frame:  # of a learning curve
        frame = frame.assign(ci95_classes=np.nan)
    numbers = records.cell_numbers(frame, keys)
    groups = frame.groupby(numbers, sort=False)
    cells = frame[~pd.Series(numbers).duplicated().to_numpy()].reset_index(drop=True)
    usual = groups[["ci95", "episodes", "metric"]].first().reset_index(drop=True)
    seeds, spread = groups["value"].size().to_numpy(), groups["value"].std().to_numpy(float)
    over_seeds = statistics.t_half_width(spread, seeds)
    ci95 = np.where(seeds > 1, over_seeds, usual["ci95"].astype(float))
    of_classes = [np.square(part.to_numpy(float)).mean() for _, part in groups["ci95_classes"]]
    summary = {
        "mean": groups["value"].mean().to_numpy(),
        "ci95": ci95,
        "ci95_new_classes": np.sqrt(ci95**2 + of_classes),
        "interval_over": np.where(seeds > 1, "seeds", "episodes"),
        "seeds": seeds,
        "episodes": usual["episodes"],
        "metric": usual["metric"],
        "runs": [tuple(sorted(set(part))) for _, part in groups["run"]],
    }
    return cells[[key for key in keys if key not in summary]].assign(**summary)


def baselines_last(cells: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Cells in ascending order of `keys`, those of baselines at the end."""
    if "method" not in cells:
        return cells.sort_values(list(keys), ignore_index=True)
    last = cells["method"].isin(schema.BASELINES)
    return (
        cells.assign(_last=last)
        .sort_values(["_last", *keys], ignore_index=True)
        .drop(columns="_last")
    )


def telling(frame: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Keys with more than one value: the others need no place in a legend."""
    return [key for key in keys if frame[key].nunique(dropna=False) > 1]


def scale_of(frame: pd.DataFrame) -> float:
    """What the numbers of one metric are multiplied with in a figure: accuracies are percent."""
    return 100.0 if (frame["metric"] == "accuracy").all() else 1.0


def score_name(cells: pd.DataFrame) -> str:
    """The score, and what its band, bar or ± is over."""
    over = " or ".join(sorted(cells["interval_over"].unique()))
    name = "accuracy (%)" if scale_of(cells) == 100 else "mean squared error"
    return f"{name}\n95 % interval over {over}"
