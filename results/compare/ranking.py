"""`--rank`: all methods of the same protocols in their order, and which share a tier.

tables -> `rankings` (a line a method and protocol) -> `render` (any style of `formats`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from results import formats, records, schema, tables
from results.compare import standing
from results.compare.contrasts import Measured, Reader, Side
from results.compare.standing import Place, sign_of
from results.grouping import BadOption, resolve_key
from results.labels import ONE_TRAINING, column_label, method_name, short_key, show_value

PROTOCOL = ("split", "steps", "queries")
"""Columns of a ranking besides those of every table, where they vary."""

OVERALL = "all protocols"


@dataclass(frozen=True)
class Ranking:
    """The order of the methods under each protocol of one metric.

    Attributes:
        lines: one line a method and protocol: protocol (OVERALL: their average), the keys in
            `rows`, mean (of the score), rank (of OVERALL the mean rank), tier, difference (to the
            best; 0 for that), half_width and half_width_new_classes (of the interval that decides,
            at `level`), level, p_value (corrected), interval_over, seeds, episodes, metric.
        rows: the keys that name a method.
        header, problems: what holds for all; what could not be ranked.
    """

    lines: pd.DataFrame
    rows: list[str]
    header: list[str]
    problems: list[str]

    @property
    def overall(self) -> str:
        """The protocol that the order of the methods is of."""
        return OVERALL if self.lines["protocol"].nunique() > 1 else self.lines["protocol"].iloc[0]


@dataclass(frozen=True)
class Column:
    """A protocol: its name, the cells of its methods and their scores."""

    name: str
    cells: pd.DataFrame
    sides: list[Side]


def rankings(
    found: records.Records,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> list[Ranking]:
    """A ranking for each metric that has several methods to compare.

    Args:
        rows, columns: keys, as of `tables.accuracy_tables`; what a protocol or task differs in is
            a column unless these are given.

    Raises:
        BadOption: no two methods can be compared.
    """
    made = []
    for metric in schema.METRICS:
        frame = found.completed[found.completed["metric"] == metric]
        if len(frame):
            down = [resolve_key(key, frame) for key in rows or []]
            usual = [key for key in columns_of(frame) if key not in down]
            across = usual if columns is None else list(columns)
            spanned = tables.spanned(frame, rows, across, found.swept)
            made.append(ranking_of(frame, *spanned[:2]))
    if not made:
        raise BadOption("no completed evaluation to rank")
    if not any(len(ranking.lines) for ranking in made):
        raise BadOption("no two methods to rank: " + "; ".join(p for r in made for p in r.problems))
    return [ranking for ranking in made if len(ranking.lines)]


def columns_of(frame: pd.DataFrame) -> list[str]:
    """What tells protocols and tasks apart."""
    task = "tested.name" if "tested.name" in frame else "task.name"
    varying = [k for k in (task, *PROTOCOL) if k in frame and frame[k].nunique() > 1]
    return [*tables.DEFAULT_COLUMNS, *varying]


def ranking_of(frame: pd.DataFrame, rows: list[str], columns: list[str]) -> Ranking:
    """The ranking of a table's rows under each of its columns."""
    keys, reader = [*rows, *columns], Reader()
    cells = tables.cells_of(frame, rows, columns)
    groups = standing.groups_of(standing.narrowed(frame, keys), cells, keys)
    kept, problems = [], []
    for name, column in protocols(cells, columns):
        if len(column) < 2:
            problems.append(f"{name}: one method only")
            continue
        try:
            sides = standing.sides_of([groups[i] for i in column.index], reader)
            kept.append(Column(name, column, sides))
        except standing.CannotCompare as reason:
            problems.append(f"{name}: {reason}")
    lines = [line for column in kept for line in lines_of(column, rows)]
    if len(kept) > 1:
        lines = [*overall_lines(kept, rows), *lines]
    return Ranking(pd.DataFrame(lines), rows, tables.header_of(frame), problems)


def protocols(cells: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each protocol's name and cells; a cell without a value for it (a baseline that takes no
    steps) belongs to all."""
    known = [key for key in columns if cells[key].notna().any()]
    for values in cells[known].dropna().drop_duplicates().sort_values(known).to_dict("records"):
        fits = pd.Series(True, cells.index)
        for key, value in values.items():
            fits &= cells[key].isna() | cells[key].eq(value).fillna(False)
        yield column_label(values), cells[fits]


def lines_of(column: Column, rows: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One line a method of one protocol."""
    metric = column.cells["metric"].iloc[0]
    means = column.cells["mean"].to_numpy(float)
    found = standing.places(column.sides, standing.best_first(column.cells), sign_of(metric))
    ranks = ranks_of(means, metric)
    names: Any = column.cells[list(rows)].to_dict("records")
    for number, name in enumerate(names):
        about = line_of(found[number], column.sides[number], metric)
        yield {
            "protocol": column.name,
            **name,
            "mean": means[number],
            "rank": ranks[number],
            **about,
        }


def ranks_of(means: np.ndarray, metric: str) -> np.ndarray:
    """1 for the best; equal means share the mean of their ranks."""
    return pd.Series(-sign_of(metric) * means).rank().to_numpy()


def line_of(place: Place, side: Side, metric: str) -> dict[str, Any]:
    """What a ranking says of one method under one protocol."""
    best = place.to_best is None
    contrast = place.to_best
    return {
        "tier": place.tier,
        "difference": 0.0 if contrast is None else -sign_of(metric) * contrast.mean,
        "half_width": np.nan if contrast is None else contrast.half_width(place.level),
        "half_width_new_classes": np.nan
        if contrast is None
        else contrast.half_width_new_classes(place.level),
        "level": np.nan if best else place.level,
        "p_value": np.nan if best else place.p_value,
        "interval_over": "" if contrast is None else contrast.over,
        "seeds": len(side) if contrast is None else contrast.seeds,
        "episodes": min(one.scores.size for one in side.values())
        if contrast is None
        else contrast.episodes,
        "metric": metric,
    }


def overall_lines(columns: Sequence[Column], rows: Sequence[str]) -> list[dict[str, Any]]:
    """The same of the methods that every protocol has, by their average over the protocols."""
    named = [dict(zip(names_of(c.cells, rows), range(len(c.cells)), strict=True)) for c in columns]
    shared = [name for name in named[0] if all(name in other for other in named)]
    if len(shared) < 2:
        return []
    parts = [[c.sides[n[name]] for c, n in zip(columns, named, strict=True)] for name in shared]
    if not set.intersection(*(set(side) for sides in parts for side in sides)):
        return []
    cells = columns[0].cells.iloc[[named[0][name] for name in shared]].copy()
    scores = [
        column.cells["mean"].to_numpy(float)[[n[name] for name in shared]]
        for column, n in zip(columns, named, strict=True)
    ]
    cells["mean"] = np.mean(scores, axis=0)
    metric = cells["metric"].iloc[0]
    made = lines_of(Column(OVERALL, cells, [averaged(sides) for sides in parts]), rows)
    ranks = np.mean([ranks_of(means, metric) for means in scores], axis=0)
    return [{**line, "rank": rank} for line, rank in zip(made, ranks, strict=True)]


def names_of(cells: pd.DataFrame, rows: Sequence[str]) -> list[tuple[str, ...]]:
    """What each row is called, to find it under another protocol."""
    return [tuple(map(show_value, values)) for values in cells[list(rows)].to_numpy()]


def averaged(sides: Sequence[Side]) -> dict[str, Measured]:
    """One method's average over protocols, episode by episode: of each seed that all have.

    Classes stay where all protocols drew the same ones.
    """
    seeds = set.intersection(*(set(side) for side in sides))
    return {seed: average([side[seed] for side in sides]) for seed in seeds}


def average(parts: Sequence[Measured]) -> Measured:
    """The mean of several evaluations of one seed, episode by episode."""
    count = min(part.scores.size for part in parts)
    scores = np.mean([part.scores[:count] for part in parts], axis=0, dtype=float)
    first = parts[0].classes
    alike = first is not None and all(
        b.classes is not None
        and a.total == b.total
        and np.array_equal(a.classes[:count], b.classes[:count])  # type: ignore[index]
        for a, b in pairwise(parts)
    )
    return Measured(scores, first[:count], parts[0].total) if alike else Measured(scores)  # type: ignore[index]


# --- text -----------------------------------------------------------------------------------------


def render(made: Sequence[Ranking], style: str) -> str | bytes:
    """Rankings in any of `formats.STYLES`; csv and parquet hold numbers, a line a method."""
    if style in formats.NUMBERS:
        lines = pd.concat([ranking.lines for ranking in made], ignore_index=True)
        return formats.write([], lines, [], style)
    return "\n".join(
        str(formats.write(ranking.header, layout(ranking), caption_of(ranking), style))
        for ranking in made
    )


def layout(ranking: Ranking) -> pd.DataFrame:
    """A ranking as printed: a row a method, the best first; a column a protocol."""
    names: Any = names_of(ranking.lines, ranking.rows)
    lines = ranking.lines.assign(_name=names)
    whole = lines[lines["protocol"] == ranking.overall].sort_values(["tier", "rank"])
    order = list(dict.fromkeys([*whole["_name"], *lines["_name"]]))
    shown = pd.DataFrame(order, columns=[short_key(key, ranking.rows) for key in ranking.rows])
    if "method" in shown:
        shown["method"] = shown["method"].map(method_name)
    about = whole.set_index("_name").reindex(order)
    shown["tier"] = [as_number(value, ".0f") for value in about["tier"]]
    shown["mean rank" if ranking.overall == OVERALL else "rank"] = [
        as_number(value, ".3g") for value in about["rank"]
    ]
    for protocol, part in lines.groupby("protocol", sort=False):
        cells: Any = dict(zip(part["_name"], part.to_dict("records"), strict=True))
        shown[protocol] = [cell_of(cells[name]) if name in cells else "-" for name in order]
    shown.attrs[formats.KEYS] = len(ranking.rows)
    return shown


def as_number(value: float, form: str) -> str:
    """A number, '-' where there is none."""
    return "-" if pd.isna(value) else format(value, form)


def cell_of(line: Mapping[str, Any]) -> str:
    """'95.55 *' of the best, '-11.17 ± 0.36 (0.65)' of another."""
    if pd.isna(line["p_value"]):
        percent = line["metric"] == "accuracy"
        return formats.marked(f"{100 * line['mean']:.2f}" if percent else f"{line['mean']:.3g}")
    text = tables.show_difference(line)
    return formats.marked(text) if line["tier"] == 1 else text


def caption_of(ranking: Ranking) -> list[str]:
    """What the numbers are, and what a tier is."""
    lines = ranking.lines
    unit = "points" if lines["metric"].iloc[0] == "accuracy" else "squared error"
    said = [
        f"Of the best its mean, of the others the difference to it in {unit} on the same episodes; "
        "± is the half-width of the interval that Holm's correction for the number of differences "
        "in the column tests at: it excludes zero where the difference is told from noise at 5 %.",
        "Methods that cannot be told from the best of the rest share its tier; marked: the first.",
    ]
    if lines["half_width_new_classes"].notna().any():
        said.append("In brackets, and decisive where given: for new characters too.")
    if lines["protocol"].eq(OVERALL).any():
        said.append(
            f"{OVERALL.capitalize()}: each episode's mean over them, of methods that all have."
        )
    if lines["interval_over"].eq("episodes").any():
        said.append(ONE_TRAINING.replace("verdict", "difference"))
    return said
