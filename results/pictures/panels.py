"""Small multiples: lines in panels with equal axes, each with its name where it ends.

A panel with fewer than `FEW` lines shows their 95 % intervals as bands, another as bars at the
ends. Where an error comes near zero its axis is logarithmic, also under an accuracy.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from results.pictures.marks import mark
from results.pictures.palette import GREY, Look, text_color
from results.pictures.plotting import Artist, Axes, Figure, FontProperties, TextToPath

FEW = 5
"""Lines, those to compare with apart, from which on a panel has no bands."""

MOST_LINES = 12
MOST_PANELS = 9

LOG_FROM = 15
"""The largest error over the smallest from which on the axis is logarithmic."""

LOW_ERROR = 5
"""Percent: above 100 minus this an accuracy's error counts as near zero."""

ALONE, SMALL = (4.4, 3.0), (2.4, 2.1)
"""Width and height of a panel in inches: the only one, or one of several."""

TICK_ROOM = 0.11  # of a panel's width, for a number
TITLE_WIDTH = 48  # letters a line
NAME_SIZE, NAME_HEIGHT, NAME_WIDTH = 9, 12.0, 21  # points, points a line, letters a line


class CannotShow(ValueError):
    """What was asked for has no figure; the text says why in one line."""


class TooMuch(CannotShow):
    """It has too much for one figure."""


@dataclass(frozen=True, eq=False)
class Line:
    """One line.

    Attributes:
        panel: the title of its panel.
        name: what stands at its end.
        points: columns x, mean, ci95 (half-width), x ascending; a level line has one without x.
        look: colour and marker; without a marker it is a line to compare with, thin.
        dashes: matplotlib's line style.
        method: whose numbers they are; texts: what a page says of each point (see `marks`).
    """

    panel: str
    name: str
    points: pd.DataFrame
    look: Look
    dashes: str = "-"
    method: str = ""
    texts: tuple[str, ...] = ()

    @property
    def level(self) -> bool:
        """Whether it is one value for every x."""
        return bool(self.points["x"].isna().all())

    @property
    def reference(self) -> bool:
        """Whether it is there to compare with."""
        return not self.look.marker


def draw(lines: Sequence[Line], x_name: str, y_name: str, percent: bool, note: str = "") -> Figure:
    """A figure of a panel for each title, in the order in which the titles come.

    Args:
        percent: the numbers are percent right; else errors.
        note: a line for the foot of the figure.

    Raises:
        TooMuch: too many panels, or too many lines in one.
    """
    titles = list(dict.fromkeys(line.panel for line in lines))
    inside = [[line for line in lines if line.panel == title] for title in titles]
    check_sizes(inside)
    titled = [textwrap.fill(title, TITLE_WIDTH) for title in titles]
    above = 0.22 + 0.17 * (1 + max(title.count("\n") for title in titled))
    panels = grid(len(titles), above, 0.35 + max(text_width(line.name) for line in lines))
    for ax, title, members in zip(panels, titled, inside, strict=True):
        ax.set_title(title, size=10, loc="left")
        for line in members:
            draw_line(ax, line)
    scale_y(panels[0], lines, percent)
    scale_x(panels[0], lines)
    for ax, members in zip(panels, inside, strict=True):
        draw_intervals(ax, members)
        draw_names(ax, members)
    name_axes(panels, x_name, y_name, note)
    figure = panels[0].figure
    assert isinstance(figure, Figure)
    return figure


def check_sizes(inside: Sequence[Sequence[Any]]) -> None:
    """Raise TooMuch where a figure cannot hold as many panels, or one of them its lines."""
    most = max(map(len, inside))
    if len(inside) > MOST_PANELS:
        raise TooMuch(f"{len(inside)} panels, where a figure holds {MOST_PANELS}")
    if most > MOST_LINES:
        raise TooMuch(f"{most} lines in one panel, which holds {MOST_LINES}")


def grid(number: int, above: float, room: float) -> list[Axes]:
    """Axes of equal size and scales, with so many inches above and at the right of each."""
    columns = min(number, 2 if number == 4 or room > 1.3 else 3)
    rows = -(-number // columns)
    width, height = ALONE if number == 1 else SMALL
    left, below = 0.85, 0.55
    size = (left + columns * (width + room), rows * (height + above) + below)
    figure = Figure(figsize=size)
    panels: list[Axes] = []
    for place in range(number):
        x = left + (place % columns) * (width + room)
        y = size[1] - (place // columns + 1) * (height + above)
        box = (x / size[0], y / size[1], width / size[0], height / size[1])
        first = panels[0] if panels else None
        panels.append(figure.add_axes(box, sharex=first, sharey=first))
        panels[-1].tick_params(
            labelleft=place % columns == 0, labelbottom=place + columns >= number
        )
    return panels


def draw_line(ax: Axes, line: Line) -> None:
    looks: Any = {"color": line.look.color, "linestyle": line.dashes, "label": line.name}
    looks["linewidth"] = 0.9 if line.reference else 1.8
    mean = line.points["mean"].to_numpy(float)
    if line.level:
        mark_line([ax.axhline(mean[0], **looks)], line, line.texts)
        return
    every = 1 + len(mean) // 12
    drawn = ax.plot(
        line.points["x"].to_numpy(float),
        mean,
        marker=line.look.marker or None,
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        markevery=every,
        zorder=2 if line.reference else 3,
        **looks,
    )
    mark_line(drawn, line, line.texts[::every])


def mark_line(artists: Sequence[Artist], line: Line, texts: Sequence[str] = ()) -> None:
    """Note whose numbers these artists show, and what a page says of their points."""
    if line.method:
        mark(artists, line.method, texts)


# --- intervals ------------------------------------------------------------------------------------


def draw_intervals(ax: Axes, lines: Sequence[Line]) -> None:
    """Bands where there are few lines, else bars at the ends; lines to compare with have bars."""
    own = [line for line in lines if not line.reference]
    measured = [line for line in lines if line.points["ci95"].notna().any()]
    banded = [line for line in measured if line in own and len(own) < FEW]
    barred = [line for line in measured if line not in banded]
    for line in banded:
        x, mean, width = (line.points[key].to_numpy(float) for key in ("x", "mean", "ci95"))
        span = ([0, 1], [mean[0]] * 2, [width[0]] * 2) if line.level else (x, mean, width)
        draw_band(ax, line, *map(np.asarray, span))
    for level in (True, False):
        draw_bars(ax, [line for line in barred if line.level == level])


def draw_band(ax: Axes, line: Line, x: np.ndarray, mean: np.ndarray, width: np.ndarray) -> None:
    across = ax.get_yaxis_transform() if line.level else ax.transData
    low, high = np.clip([mean - width, mean + width], *ax.get_ylim())
    band = ax.fill_between(
        x, low, high, color=line.look.color, alpha=0.15, linewidth=0, zorder=1, transform=across
    )
    mark_line([band], line)


def draw_bars(ax: Axes, lines: Sequence[Line]) -> None:
    """The intervals at the lines' ends, side by side; those of level lines left of the edge."""
    width, bounds = points_of(ax)[0], ax.get_ylim()
    for place, line in enumerate(lines):
        last = line.points.iloc[-1]
        aside = -3.0 - 5 * place if line.level else 4 * (place - (len(lines) - 1) / 2)
        end = ax.transData.transform((line_end(ax, line), bounds[0]))
        at = ax.transAxes.inverted().transform(end)[0] + aside / width
        bar = ax.plot(
            [at, at],
            np.clip(last["mean"] + np.array([-1, 1]) * last["ci95"], *bounds),
            color=line.look.color,
            linewidth=1.1 if line.reference else 2.0,
            solid_capstyle="butt",
            transform=ax.get_yaxis_transform(),
            label="_interval",
            zorder=2,
        )
        mark_line(bar, line)


def points_of(ax: Axes) -> tuple[float, float]:
    """Width and height of an axes in points."""
    assert isinstance(ax.figure, Figure)
    width, height = ax.figure.get_size_inches()
    box = ax.get_position()
    return 72 * width * box.width, 72 * height * box.height


# --- names ----------------------------------------------------------------------------------------


def draw_names(ax: Axes, lines: Sequence[Line]) -> None:
    """Each line's name right of the panel at the height of its end, apart from the others."""
    texts = [wrapped(line.name) for line in lines]
    ends = [(line_end(ax, line), line.points["mean"].iloc[-1]) for line in lines]
    height = points_of(ax)[1]
    inside = ax.transAxes.inverted()
    early = ax.transData.inverted().transform(ax.transAxes.transform((0.85, 0.5)))[0]
    wanted = [inside.transform(ax.transData.transform(end))[1] for end in ends]
    heights = [NAME_HEIGHT * (1 + text.count("\n")) / height for text in texts]
    for line, text, end, at in zip(lines, texts, ends, apart(wanted, heights), strict=True):
        color = text_color(GREY if line.reference else line.look.color)
        name = ax.annotate(
            text,
            xy=end,
            xytext=(1 + 11 / points_of(ax)[0], at),
            textcoords="axes fraction",
            va="center",
            size=NAME_SIZE,
            color=color,
            linespacing=1.0,
            arrowprops={
                "arrowstyle": "-",
                "linestyle": "-" if end[0] > early else ":",
                "color": line.look.color,
                "linewidth": 0.6,
                "shrinkA": 0,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )
        mark_line([name], line)


def line_end(ax: Axes, line: Line) -> float:
    """The x where a line ends; the panel's edge for a level one."""
    return ax.get_xlim()[1] if line.level else float(line.points["x"].iloc[-1])


def text_width(name: str) -> float:
    """The inches that a name takes."""
    font = FontProperties(size=NAME_SIZE)
    rows = wrapped(name).split("\n")
    return max(TextToPath().get_text_width_height_descent(row, font, False)[0] for row in rows) / 72


def wrapped(name: str) -> str:
    """A name in lines of at most NAME_WIDTH letters where it has spaces."""
    return textwrap.fill(name, NAME_WIDTH, break_long_words=False, break_on_hyphens=False)


def apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Places as near as can be to those wanted, so that none covers another.

    Least squares under the order of those wanted: neighbours that would overlap move as one block
    to the mean of what they want. All stay between 0 and 1 as far as there is room.
    """
    order = np.argsort(wanted, kind="stable")
    tall = np.asarray(heights, float)[order]
    offsets = np.concatenate([[0], np.cumsum((tall[:-1] + tall[1:]) / 2)])
    blocks: list[list[float]] = []
    for free in np.asarray(wanted, float)[order] - offsets:
        blocks.append([free])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    moved = np.concatenate([[np.mean(block)] * len(block) for block in blocks])
    lowest, highest = tall[0] / 2, 1 - tall[-1] / 2 - offsets[-1]
    moved = np.clip(moved, lowest, max(lowest, highest)) + offsets
    return [float(place) for place in moved[np.argsort(order)]]


# --- axes -----------------------------------------------------------------------------------------


def scale_y(ax: Axes, lines: Sequence[Line], percent: bool) -> None:
    """The limits of all panels, and a logarithmic axis where errors come near zero."""
    points = pd.concat([line.points for line in lines])
    mean = points["mean"].astype(float)
    width = points["ci95"].astype(float).fillna(0.0)
    errors = 100 - mean if percent else mean
    logarithmic = errors.min() > 0 and errors.max() / errors.min() >= LOG_FROM
    if logarithmic and not percent:
        ax.set_yscale("log")
        ax.set_ylim(errors.min() / 1.6, 1.3 * (errors + width).max())
        label_ticks(ax, [digit * 10.0**power for power in range(-9, 9) for digit in (1, 2, 5)])
    elif logarithmic and errors.min() < LOW_ERROR:
        log_of_errors(ax, float(errors.min()), float((errors + width).clip(upper=100).max()))
    else:
        low, high = (mean - width).min(), (mean + width).max()
        if percent:  # an interval over two seeds can be wider than all accuracies
            low, high = max(low, 0), min(high, 100)
        margin = 0.06 * ((high - low) or 1)
        ax.set_ylim(low - margin, high + margin)


def log_of_errors(ax: Axes, least: float, most: float) -> None:
    """Accuracies in percent, upwards, as far apart as the logarithms of their errors."""

    def up(accuracy: np.ndarray) -> np.ndarray:
        return -np.log10(np.maximum(100 - np.asarray(accuracy, float), 1e-9))

    ax.set_yscale("function", functions=(up, lambda y: 100 - 10.0 ** -np.asarray(y, float)))
    low, high = 100 - min(1.15 * most, 100), 100 - least / 1.5
    ax.set_ylim(low, high)
    label_ticks(ax, [100 - e for e in (100, 70, 50, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05)])


def label_ticks(ax: Axes, ticks: Sequence[float]) -> None:
    """Those of these ticks that the y axis shows, as plain numbers."""
    low, high = ax.get_ylim()
    shown = [tick for tick in ticks if low <= tick <= high]
    ax.set_yticks(shown, [f"{tick:g}" for tick in shown])
    ax.set_yticks([], minor=True)


def scale_x(ax: Axes, lines: Sequence[Line]) -> None:
    """Ticks at the values where they are few; a logarithmic axis where they span magnitudes."""
    values = sorted({float(x) for line in lines for x in line.points["x"].dropna()})
    if not values:
        return
    unit, letter = (1000, "k") if values[-1] >= 10_000 else (1, "")

    def plain(value: float, _: float) -> str:
        return f"{value / unit:g}{letter if value else ''}".replace("-", "\N{MINUS SIGN}")

    if values[0] > 0 and (spans_magnitudes(values) or ends_apart(lines)):
        ax.set_xscale("log")
    ax.set_xlim(ax.get_xlim())
    ax.xaxis.set_major_formatter(plain)
    if len(values) > 8:
        return
    places = ax.transData.transform([(value, ax.get_ylim()[0]) for value in values])[:, 0]
    shown: list[int] = []
    for number in reversed(range(len(values))):  # of values close together the last has its tick
        if not shown or places[shown[-1]] - places[number] > TICK_ROOM * ax.bbox.width:
            shown.append(number)
    ax.set_xticks([values[number] for number in shown])
    ax.set_xticks([], minor=True)


def spans_magnitudes(values: Sequence[float]) -> bool:
    """Whether a few values are so far apart that on a linear axis most would fall together."""
    return len(values) <= 8 and values[-1] / values[0] > 20


def ends_apart(lines: Sequence[Line]) -> bool:
    """Whether some lines end so early that on a linear axis they could not be read."""
    ends = [line.points["x"].iloc[-1] for line in lines if not line.level]
    return max(ends) / min(ends) > 5


def name_axes(panels: Sequence[Axes], x_name: str, y_name: str, note: str) -> None:
    """Names of the axes at the outer panels, and the note below all."""
    for ax in panels:
        ax.set_xlabel(x_name if ax.xaxis.get_tick_params()["labelbottom"] else "")
    figure = panels[0].figure
    assert isinstance(figure, Figure)
    top, bottom = panels[0].get_position().y1, panels[-1].get_position().y0
    panels[0].set_ylabel(y_name, y=1 - (top - bottom) / (2 * panels[0].get_position().height))
    if note:
        figure.text(0.01, 0.0, note, size=8, color=GREY, va="top")
