"""Records as lines in small multiples: learning curves, scores over steps or a swept setting.

A line is one configuration under one protocol over the same seeds all along: budgets, splits and
seeds are never joined. Colour and marker tell the method and dashes transduction (see `palette`);
shots, tasks and the settings that tell methods of one name apart have a panel each. Only where a
single method is shown its settings are lines of one panel, in tints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import pandas as pd

from results import drawn, records, schema
from results.grouping import row_keys, scale_of, score_name, summarise, telling
from results.labels import (
    axis_name,
    combination,
    counted,
    method_name,
    rank,
    show_value,
    told,
    with_tails,
)
from results.pictures import palette
from results.pictures.marks import point_texts
from results.pictures.palette import GREY, Look, line_style
from results.pictures.panels import CannotShow, Line, check_sizes, draw
from results.pictures.plotting import Figure

WITHIN_A_RUN = ("iteration", "seconds", "steps")
USUAL = ("method", "ways", "shots", "transductive")
PANELS = ("task.name", "tested.name", "split", "ways", "shots")
"""Keys that have a panel for each of their values, whatever the lines."""

NEVER_JOINED = ("algorithm.meta_iterations", "split", "task.split", "task.split_seed")
"""Settings that a line never runs across, unless they are what it runs along."""

STEPS = "line.inner_steps"
ONLY_SEED = "line.seed"
PUBLISHED, PAPER = "published", "paper"
MOST_TINTS = 4
CROWDED = 6
"""Gradient combinations from which on those of so many steps have a panel of their own."""


def learning_curves(
    curves: pd.DataFrame,
    looks: Mapping[Any, Look] | None = None,
    published: pd.DataFrame | None = None,
) -> Figure:
    """Score on new tasks against meta-iterations, one line a configuration and protocol.

    Args:
        curves: `Records.curves` of one metric.
        looks: of the methods on the page (`palette.looks`); None for those of `curves` alone.
        published: numbers to compare with: method, shots, transductive or other keys of `curves`,
            and published (percent).

    Raises:
        CannotShow: see `curves_over`.
    """
    return curves_over(curves, "iteration", "meta-iteration", looks, published)


def against_seconds(curves: pd.DataFrame, looks: Mapping[Any, Look] | None = None) -> Figure:
    """Score on new tasks against the seconds of training until then: what accuracy costs.

    Args:
        curves: `costs.with_seconds(...)` of one metric.

    Raises:
        CannotShow: see `curves_over`.
    """
    return curves_over(curves.drop(columns="iteration"), "seconds", "seconds of training", looks)


def against_steps(evaluations: pd.DataFrame, looks: Mapping[Any, Look] | None = None) -> Figure:
    """Score against the number of adaptation steps at evaluation.

    Args:
        evaluations: rows of `Records.evaluations` of one metric. Those without adaptation steps
            (nearest neighbour) become level lines.

    Raises:
        CannotShow: see `curves_over`.
    """
    return curves_over(evaluations, "steps", "adaptation steps", looks)


def over_grid(
    evaluations: pd.DataFrame,
    x: str = "algorithm.meta_iterations",
    looks: Mapping[Any, Look] | None = None,
    published: pd.DataFrame | None = None,
) -> Figure:
    """Score over one swept, numeric setting, one line for each of the others.

    Args:
        evaluations: rows of `Records.evaluations` of one metric. Those that do not depend on `x`
            (baselines) become level lines.
        x: a column, such as 'algorithm.meta_iterations' or 'shots'.

    Raises:
        CannotShow: see `curves_over`.
    """
    return curves_over(evaluations, x, axis_name(x), looks, published)


def beside_the_paper(points: pd.DataFrame, x_name: str) -> Figure:
    """Our curves over those that the paper draws, which are thin and grey.

    Args:
        points: a line for each point of a curve: curve (its name), x, and where there are any the
            paper's accuracy, paper, and ours: mean and ci95 (shares from 0 to 1), interval_over.
    """
    points = points.assign(metric="accuracy")
    names: list[Any] = sorted(points["curve"].unique().tolist(), key=rank)
    rows = [row for name in names for row in both(name, points[points["curve"] == name])]
    looks = palette.looks(row.values["method"] for row in rows if not row.reference)
    y_name = score_name(points[points["mean"].notna()])
    own = [row for row in rows if not row.reference]
    lines = lines_of(rows, panels_of(own, panel_keys(own)), looks, x_name)
    return draw(lines, x_name, y_name, percent=True)


def both(name: Any, curve: pd.DataFrame) -> "list[Row]":
    """The paper's curve of this name and ours, if there is one."""
    method, replacement = drawn.METHODS.get(name, (name, None))
    values = {
        "method": method,
        "transductive": False,
        STEPS: getattr(combination(method), "steps", None),
        "algorithm.replacement": replacement,
    }
    curve = curve.sort_values("x")
    theirs = curve[["x", "metric"]].assign(mean=curve["paper"], ci95=nan).dropna(subset="mean")
    paper = {**values, "method": f"{method_name(method)}, {PAPER}"}
    ours = curve[curve["mean"].notna()]
    return [Row(paper, theirs)] + ([Row(values, ours)] if len(ours) else [])


# --- from rows to lines ---------------------------------------------------------------------------


def curves_over(
    frame: pd.DataFrame,
    x: str,
    x_name: str,
    looks: Mapping[Any, Look] | None = None,
    published: pd.DataFrame | None = None,
) -> Figure:
    """One line for each configuration; level lines where `x` is missing.

    Along iterations and steps a line is one configuration, not the ends of several. In a sweep a
    setting may be tied to the swept one; the axis names it.

    Raises:
        CannotShow: no line would have two points, or there are too many panels or lines.
    """
    frame = with_gradients(with_tails(frame))
    keys, tied = line_keys(frame, x)
    joined = with_shared_seeds(frame, keys, x)
    cells = summarise(joined, [x, *keys, ONLY_SEED]).rename(columns={x: "x"})
    rows = rows_of(cells, ["method", "transductive", *telling(cells, [*keys, ONLY_SEED])])
    whole = [row for row in rows if row.level or len(row.cells) > 1]
    if all(row.level or row.reference for row in whole):
        raise CannotShow(f"no configuration was measured at two values of {x_name}")
    looks = looks or palette.looks(frame["method"].unique())
    single = len(rows) - len(whole)
    if published is not None:
        whole += published_rows(published, frame, x)
    with_it = f"\n(and with it {', '.join(map(axis_name, tied))})" if tied else ""
    own = [row for row in whole if not row.reference]
    panels = panels_of(own, panel_keys(own))
    lines = lines_of(whole, panels, looks, x_name)
    note = note_of(panels, single, x_name, len(joined) < len(frame))
    return draw(lines, x_name + with_it, score_name(cells), scale_of(cells) == 100, note)


@dataclass(frozen=True)
class Row:
    """A configuration: the values that tell it apart (None where it has none), and its cells.

    cells: `grouping.summarise`, with the column `x` for what they lie along, ascending.
    """

    values: dict[str, Any]
    cells: pd.DataFrame

    @property
    def level(self) -> bool:
        """Whether it does not depend on x."""
        return bool(self.cells["x"].isna().all())

    @property
    def reference(self) -> bool:
        """Whether it is there to compare with."""
        method = str(self.values["method"])
        return method in schema.BASELINES or method.endswith((f", {PUBLISHED}", f", {PAPER}"))

    @property
    def points(self) -> pd.DataFrame:
        """x, mean and ci95 as they are drawn."""
        scale = scale_of(self.cells)
        points = self.cells[["x", "mean", "ci95"]].astype(float)
        return points * [1.0, scale, scale]

    def agrees(self, values: Mapping[str, Any]) -> bool:
        """Whether it belongs beside these values: it has the same, or none."""
        return all(self.values.get(key) in (None, value) for key, value in values.items())

    def line(self, panel: str, name: str, look: Look, x_name: str) -> Line:
        """The row as it stands in a panel."""
        method, dashes = self.values["method"], line_style(self.values["transductive"])
        along = "" if self.level else x_name
        names = [name] * len(self.cells)
        measured = "runs" in self.cells
        cells = self.cells.rename(columns={"x": x_name})
        texts = point_texts(cells, names, along) if measured else names
        return Line(panel, name, self.points, look, dashes, method_name(method), tuple(texts))


def line_keys(frame: pd.DataFrame, x: str) -> tuple[list[str], list[str]]:
    """(keys that tell lines apart, keys that go along with `x`)."""
    usual = [key for key in dict.fromkeys([*USUAL, *PANELS]) if key in frame and key != x]
    apart = row_keys(frame.drop(columns=x), usual)
    if x in WITHIN_A_RUN:
        return [*usual, STEPS, *apart], []
    along = row_keys(frame, [x, *usual])
    tied = [key for key in apart if key not in (*along, *NEVER_JOINED)]
    return [*usual, STEPS, *(key for key in apart if key not in tied)], tied


def with_shared_seeds(frame: pd.DataFrame, keys: Sequence[str], x: str) -> pd.DataFrame:
    """The rows of the seeds that all points of a line have; apart by seed where there is none."""
    line = records.cell_numbers(frame, keys)
    rows = pd.DataFrame({"line": line, "seed": records.divided(line, frame["seed"])})
    rows["point"] = records.divided(line, frame[x])
    points = rows.groupby("line")["point"].transform("nunique")
    is_shared = rows.groupby("seed")["point"].transform("nunique").eq(points)
    alone = ~is_shared.groupby(rows["line"]).transform("any")
    marked = frame.assign(**{ONLY_SEED: frame["seed"].where(alone.to_numpy())})
    return marked[(is_shared | alone).to_numpy()]


def rows_of(cells: pd.DataFrame, keys: Sequence[str]) -> list[Row]:
    """One row a configuration, methods in the order in which they are shown.

    A setting that only some rows of a method have is "-" in the others; one that no row of the
    method has is None, which agrees with all.
    """
    keys = list(dict.fromkeys(keys))
    known = {
        (method, key)
        for method, rows in cells.groupby("method")
        for key in keys
        if rows[key].notna().any()
    }
    rows = []
    for values, line in cells.groupby(keys, dropna=False):
        named = {key: plain(value) for key, value in zip(keys, values, strict=True)}
        absent = [k for k, v in named.items() if v is None and (named["method"], k) in known]
        named |= dict.fromkeys(absent, show_value(None))
        rows.append(Row(named, line.sort_values("x", ignore_index=True)))
    if scale_of(cells) == 1 and len({row.values["transductive"] for row in rows}) < 2:
        rows = [Row({**row.values, "transductive": None}, row.cells) for row in rows]
    return sorted(rows, key=lambda row: rank(row.values["method"]))


def values_of(frame: pd.DataFrame, keys: Sequence[str]) -> set[tuple[Any, ...]]:
    """Every combination of these keys' values."""
    return {tuple(map(plain, row)) for row in frame[list(keys)].itertuples(index=False)}


def plain(value: Any) -> Any:
    """A key's value, None where it is missing."""
    return None if pd.isna(value) else value


def published_rows(published: pd.DataFrame, frame: pd.DataFrame, x: str) -> list[Row]:
    """The published numbers of what is shown, as level rows."""
    keys = [str(key) for key in published if key in frame and key != x]
    shown = values_of(frame, keys)
    every: Any = published.drop_duplicates().to_dict("records")
    lines = [line for line in every if tuple(plain(line[key]) for key in keys) in shown]
    return [
        Row(
            {key: plain(line[key]) for key in line if key != PUBLISHED}
            | {"method": f"{method_name(line['method'])}, {PUBLISHED}"},
            pd.DataFrame([{"x": nan, "mean": float(line[PUBLISHED]) / 100, "ci95": nan}]).assign(
                metric="accuracy"
            ),
        )
        for line in lines
    ]


# --- from rows to panels --------------------------------------------------------------------------


def lines_of(
    rows: Sequence[Row], panels: Sequence[dict[str, Any]], looks: Mapping[Any, Look], x_name: str
) -> list[Line]:
    """The rows in their panels; one without the setting of a panel stands in each.

    Raises:
        TooMuch: too many panels, or too many lines in one.
    """
    members = [[row for row in rows if row.agrees(panel)] for panel in panels]
    check_sizes(members)  # before any work on what is not drawn
    lines = []
    for panel, inside in zip(panels, members, strict=True):
        title = words_of({key: panel[key] for key in panel if not shared(key, panels)})
        lines += [
            row.line(title, name_of(row, list(panel)), look, x_name)
            for row, look in zip(inside, tinted(inside, looks), strict=True)
        ]
    return lines


def shared(key: str, panels: Sequence[dict[str, Any]]) -> bool:
    """Whether all panels have one value of a key, so that no title needs to tell it."""
    return len({panel[key] for panel in panels}) == 1


def words_of(values: Mapping[str, Any]) -> str:
    """'5-shot, 4 inner steps'."""
    words = [told(key, value) for key, value in values.items() if value is not None]
    return ", ".join(filter(None, words))


def panel_keys(own: Sequence[Row]) -> list[str]:
    """The keys that have a panel for each of their values."""
    keys = [key for key in own[0].values if key not in ("method", "transductive")]
    fixed = [key for key in PANELS if key in keys]
    if len({row.values["method"] for row in own}) > CROWDED and STEPS in keys:
        fixed.append(STEPS)
    settings = [key for key in keys if key not in (*PANELS, STEPS)]
    variants = {tuple(row.values[key] for key in settings) for row in own}
    alone = len({row.values["method"] for row in own}) == 1 and len(variants) <= MOST_TINTS
    return fixed if alone else [*fixed, *settings]


def panels_of(rows: Sequence[Row], keys: Sequence[str]) -> list[dict[str, Any]]:
    """The values of each panel, in order, but for those that lack what another has."""
    values = {tuple(row.values.get(key) for key in keys) for row in rows}
    whole = [
        combination
        for combination in values
        if not any(covers(other, combination) for other in values - {combination})
    ]
    ordered = sorted(whole, key=lambda one: [(v is not None, str(type(v)), v) for v in one])
    return [dict(zip(keys, combination, strict=True)) for combination in ordered]


def covers(other: tuple[Any, ...], values: tuple[Any, ...]) -> bool:
    """Whether `values` agree with the other's wherever they are there."""
    return all(value in (None, theirs) for value, theirs in zip(values, other, strict=True))


def tinted(rows: Sequence[Row], looks: Mapping[Any, Look]) -> list[Look]:
    """The look of each row of a panel; settings of one method are tints of its colour."""
    kinds = [(row.values["method"], row.values["transductive"]) for row in rows]
    plain_looks = [Look(GREY) if row.reference else looks[row.values["method"]] for row in rows]
    shades = {
        kind: iter(palette.tints(look.color, kinds.count(kind)))
        for kind, look in zip(kinds, plain_looks, strict=True)
    }
    return [Look(next(shades[k]), look.marker) for k, look in zip(kinds, plain_looks, strict=True)]


def name_of(row: Row, panels: Sequence[str]) -> str:
    """What stands at a line's end: the method, and what its panel's title does not say."""
    words = [method_name(row.values["method"]).split(" (")[0]]
    if words[0].endswith(PUBLISHED):
        panels = list(row.values)
    words += [
        told(key, value)
        for key, value in row.values.items()
        if (key == "transductive" or key not in panels)
        and key not in ("method", STEPS)
        and value is not None
    ]
    return ", ".join(filter(None, words))


def with_gradients(frame: pd.DataFrame) -> pd.DataFrame:
    """With the number of steps of gradient combinations."""
    steps = [getattr(combination(method), "steps", None) for method in frame["method"]]
    return frame.assign(**{STEPS: pd.array(steps, dtype="Int64")})


def note_of(panels: Sequence[dict[str, Any]], single: int, x_name: str, fewer_seeds: bool) -> str:
    """What all panels have in common, and what a figure does not show of what was asked."""
    common = words_of({key: value for key, value in panels[0].items() if shared(key, panels)})
    sentences = [
        f"All: {common}." if common else "",
        f"Left out: {counted(single, 'configuration')} measured at one {x_name} alone."
        if single
        else "",
        "Over the seeds that all points of a line have." if fewer_seeds else "",
    ]
    return "\n".join(filter(None, sentences))
