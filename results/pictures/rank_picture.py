"""The critical-difference picture: methods along their mean rank, those of a tier joined by a bar.

After Demsar 2006 (JMLR 7, figure 1), with the tiers of `compare.ranking` in place of Nemenyi's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results.compare.ranking import OVERALL, Ranking
from results.labels import counted, row_label
from results.pictures import palette
from results.pictures.figures import figure_of, new_axes
from results.pictures.marks import mark
from results.pictures.palette import BLACK, GREY, Look
from results.pictures.panels import CannotShow
from results.pictures.plotting import Axes, Figure

MOST_METHODS = 24
ROW, BAR = 1.0, 0.4  # heights: of a method's name, and between bars


def critical_difference(ranking: Ranking, looks: Mapping[Any, Look] | None = None) -> Figure:
    """Methods along their (mean) rank, the best on the left, with the bars of their tiers.

    Raises:
        CannotShow: fewer than three methods, which need no picture, or too many.
    """
    lines = ranking.lines[ranking.lines["protocol"] == ranking.overall].sort_values("rank")
    if not 3 <= len(lines) <= MOST_METHODS:
        raise CannotShow(f"{counted(len(lines), 'method')} to rank, not 3 to {MOST_METHODS}")
    looks = looks or palette.looks(lines.get("method", []))
    ax = axis_of_ranks(ranking, int(np.ceil(max(lines["rank"].max(), 2))), len(lines))
    depth = draw_tiers(ax, [part for _, part in lines.groupby("tier") if len(part) > 1])
    rows: Any = lines.to_dict("records")
    half = (len(rows) + 1) // 2
    for number, row in enumerate(rows):
        left = number < half
        height = depth + ROW * (number if left else len(rows) - 1 - number)
        draw_method(ax, row, height, left, ranking.rows, looks)
    ax.set_ylim(depth + ROW * (half - 0.4), 0)
    return figure_of(ax)


def axis_of_ranks(ranking: Ranking, last: int, methods: int) -> Axes:
    """An axis of ranks at the top, and nothing else."""
    ax = new_axes(4.2, 0.8 + 0.2 * methods)
    ax.set_xlim(0.9, last + 0.1)
    ax.set_xticks(range(1, last + 1))
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    whole = ranking.overall == OVERALL
    ax.set_xlabel("mean rank over protocols" if whole else f"rank, {ranking.overall}")
    ax.yaxis.set_visible(False)
    ax.spines["top"].set_visible(True)
    for side in ("left", "bottom", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(False)
    return ax


def draw_tiers(ax: Axes, tiers: Sequence[pd.DataFrame]) -> float:
    """A bar for each tier of several methods; returns how far down they reach."""
    for number, tier in enumerate(tiers, start=1):
        ends = [tier["rank"].min() - 0.06, tier["rank"].max() + 0.06]
        ax.plot(ends, [BAR * (number + 0.5)] * 2, color=BLACK, linewidth=3.5)
    return BAR * (len(tiers) + 1.5) + 0.5


def draw_method(
    ax: Axes,
    row: Mapping[str, Any],
    height: float,
    left: bool,
    keys: Sequence[str],
    looks: Mapping[Any, Look],
) -> None:
    """From its rank on the axis down and to the side, where the name stands."""
    name, method = row_label({key: row[key] for key in keys}), row.get("method")
    look, rank = looks.get(method, Look(GREY)), row["rank"]
    edge = ax.get_xlim()[0 if left else 1]
    (line,) = ax.plot([rank, rank, edge], [0, height, height], color=look.color, linewidth=1.2)
    (point,) = ax.plot([rank], [0], marker=look.marker or "o", color=look.color, clip_on=False)
    ax.annotate(
        name,
        (edge, height),
        (-4 if left else 4, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        size=9,
    )
    mark([line, point], method or name, [f"{name}\nrank {rank:.3g}, tier {row['tier']}"])
