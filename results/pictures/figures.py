"""Figures of records that are no lines, and how figures become files. Lines: `curves`.

Each takes a DataFrame and returns a figure. What tells things apart is not colour alone, so that a
copy in grey stays readable; every number carries its 95 % interval (over seeds where there are
several, else over episodes: `grouping.summarise`).
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from results.grouping import baselines_last, row_keys, scale_of, score_name, summarise, telling
from results.labels import (
    axis_name,
    counted,
    method_name,
    rank,
    row_label,
    show_value,
    with_tails,
)
from results.pictures import palette
from results.pictures.marks import mark, point_texts
from results.pictures.palette import BLACK, BLUE, VERMILLION, Look
from results.pictures.panels import MOST_PANELS, CannotShow, Line, TooMuch, draw
from results.pictures.plotting import Axes, Figure, Rectangle, mpl

RIGHT, WRONG = BLUE, VERMILLION
FORMATS = ("svg", "pdf", "png")
MOST_BARS = 24
NO_MARKER = " "
QUERY_PITCH = 1.35  # from query to query on an episode's sheet, in images: room for the text below


def new_axes(width: float = 5.4, height: float = 3.8) -> Axes:
    """An axes on a figure of its own, free of pyplot's global state (inches)."""
    return Figure(figsize=(width, height)).add_subplot()


def save(drawn: Axes | Figure, path: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure as `path` with each suffix; equal data gives equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.with_name(f"{path.name}.{suffix}") for suffix in formats]
    for file in files:
        if file.suffix == ".png":
            save_png(figure_of(drawn), file)
            continue
        date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(file.suffix[1:])
        figure_of(drawn).savefig(file, metadata=date)
    return files


def save_png(figure: Figure, file: Path) -> None:
    """Write a figure as pixels of at most 256 colours: a third of the bytes, and no eye tells."""
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png")
    Image.open(pixels).convert("RGB").quantize(dither=Image.Dither.NONE).save(file, optimize=True)


def figure_of(drawn: Axes | Figure) -> Figure:
    """A figure, or the one an axes stands on."""
    figure = drawn.figure
    assert isinstance(figure, Figure)
    return figure


# --- grids and bars -------------------------------------------------------------------------------


def heat_maps(
    evaluations: pd.DataFrame, x: str = "shots", y: str = "algorithm.meta_iterations"
) -> Figure:
    """Score over two swept settings, a panel for each method with and without transduction.

    'mean ± half-width' stands in each field. All panels have one scale of colours.

    Args:
        evaluations: rows of one metric in which only `x`, `y`, the method, transduction and the
            seed vary.

    Raises:
        CannotShow: something else varies.
    """
    keys = ["method", "transductive"]
    evaluations = with_tails(evaluations)
    if other := row_keys(evaluations, [x, y, *keys]):
        raise CannotShow(f"a heat map over {x} and {y} needs one value of {', '.join(other)}")
    cells = summarise(evaluations, [x, y, *keys])
    shown = list(cells.groupby(keys, dropna=False))
    if len(shown) > MOST_PANELS:
        raise TooMuch(f"{len(shown)} panels, where a figure holds {MOST_PANELS}")
    scale, grid = scale_of(cells), cells.pivot_table(index=y, columns=x, values="mean")
    limits = scale * cells["mean"].min(), scale * cells["mean"].max()
    rows, columns = -(-len(shown) // 3), min(len(shown), 3)
    figure = Figure(figsize=(1.1 + 2.9 * columns, 0.6 + 2.2 * rows), layout="constrained")
    for place, (values, part) in enumerate(shown, 1):
        ax = figure.add_subplot(rows, columns, place)
        mean, width = (
            scale * part.pivot(index=y, columns=x, values=key).astype(float).reindex_like(grid)
            for key in ("mean", "ci95")
        )
        image = heat_map(ax, mean, width, limits)
        ax.set_title(title_of(*values), size=10, loc="left")
    figure.supxlabel(axis_name(x), size=10)
    figure.supylabel(axis_name(y), size=10)
    figure.colorbar(image, ax=figure.axes, label=score_name(cells))
    return figure


def title_of(method: Any, transductive: Any) -> str:
    """'Reptile, transductive'."""
    kind = ", transductive" if show_value(transductive) == "true" else ""
    return method_name(method) + kind


def heat_map(ax: Axes, mean: pd.DataFrame, width: pd.DataFrame, limits: tuple[float, float]) -> Any:
    """One panel, its colours between `limits`; returns the image."""
    image = ax.imshow(
        mean, cmap="cividis", aspect="auto", origin="lower", vmin=limits[0], vmax=limits[1]
    )
    for (row, column), value in np.ndenumerate(mean.to_numpy(float)):
        if not np.isnan(value):
            ax.text(
                column,
                row,
                f"{value:.1f}\n± {width.to_numpy(float)[row, column]:.1f}",
                ha="center",
                va="center",
                size=9,
                color="white" if value < sum(limits) / 2 else "black",
            )
    ax.set_xticks(range(mean.shape[1]), [show_value(value) for value in mean.columns])
    ax.set_yticks(range(mean.shape[0]), [show_value(value) for value in mean.index])
    ax.grid(False)
    return image


def bars(
    evaluations: pd.DataFrame,
    by: Sequence[str] = ("method", "algorithm.inner_steps"),
    looks: Mapping[Any, Look] | None = None,
) -> Figure:
    """Score of each combination as a bar with its 95 % interval: the gradient combinations.

    Args:
        evaluations: rows of one metric.
        by: columns whose combinations are the bars; what else varies is added.
        looks: of the methods on the page (`palette.looks`); None for those of the bars alone.

    Raises:
        TooMuch: there are too many.
    """
    keys = list(by)
    evaluations = with_tails(evaluations)
    looks = looks or palette.looks(evaluations["method"].unique())
    keys = telling(evaluations, [*keys, *row_keys(evaluations, keys)]) or keys[:1]
    cells = baselines_last(summarise(evaluations, list(dict.fromkeys(["method", *keys]))), keys)
    if len(cells) > MOST_BARS:
        raise TooMuch(f"{len(cells)} bars, where a figure holds {MOST_BARS}")
    cells = cells.sort_values(
        "method", key=lambda names: names.map(rank), kind="stable", ignore_index=True
    )
    ax = new_axes(6.4, 1.0 + 0.34 * len(cells))
    scale = scale_of(cells)
    drawn = ax.barh(
        cells.index,
        scale * cells["mean"].astype(float),
        xerr=scale * cells["ci95"],
        color=[looks[method].color for method in cells["method"]],
        height=0.7,
        error_kw={"capsize": 3, "ecolor": "#333333"},
    )
    combinations: Any = cells[keys].to_dict("records")
    names = [row_label(line) for line in combinations]
    for bar, method, text in zip(drawn, cells["method"], point_texts(cells, names), strict=True):
        mark([bar], method, [text])
    ax.set_yticks(cells.index, names)
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set_xlabel(score_name(cells).replace("\n", ", "))
    return figure_of(ax)


# --- tasks ----------------------------------------------------------------------------------------


def sine_fit(points: pd.DataFrame) -> Figure:
    """One sine task: the true curve, the sampled points and the network before and after adapting.

    Args:
        points: columns kind ('true', 'sample' or 'prediction'), x, y, and steps (number of
            adaptation steps of a prediction; 0 is before adaptation).
    """
    points = points.rename(columns={"y": "mean"}).assign(ci95=np.nan).sort_values("x")
    lines = [Line("", "true curve", points[points["kind"] == "true"], Look(BLACK, NO_MARKER))]
    predictions = points[points["kind"] == "prediction"]
    steps = sorted(int(step) for step in predictions["steps"].unique())
    shades = mpl.colormaps["viridis"](np.linspace(0.85, 0.1, max(len(steps), 2)))
    for step, shade in zip(steps, shades, strict=False):
        name = "before adaptation" if step == 0 else f"after {counted(step, 'step')}"
        look = Look(mpl.colors.to_hex(shade), NO_MARKER)
        line = predictions[predictions["steps"] == step]
        lines.append(Line("", name, line, look, ":" if step == 0 else "-"))
    figure = draw(lines, "x", "y", percent=False)
    sample = points[points["kind"] == "sample"]
    name = f"{len(sample)} sampled points"
    figure.axes[0].scatter(
        sample["x"], sample["mean"], color="white", edgecolor=BLACK, zorder=4, s=30, label=name
    )
    figure.axes[0].legend(
        handles=figure.axes[0].collections[-1:], loc="lower left", bbox_to_anchor=(0, 1)
    )
    return figure


def episode_sheet(images: pd.DataFrame) -> Figure:
    """One episode: a row a class, its support images on the left, its queries on the right.

    A query's frame and mark say whether the adapted model was right (solid frame, ✓) or wrong
    (dashed frame, ✗), under it stand the predicted class and its probability.

    Args:
        images: one row an image with the columns kind ('support' or 'query'), label (class number
            in the episode), image (array [height, width], 0 ink to 1 paper), prediction (class
            number) and probability (of the prediction, 0 to 1); the last two missing for support.
    """
    order = images.assign(place=images.groupby(["label", "kind"]).cumcount())
    shots = int(order.loc[order["kind"] == "support", "place"].max()) + 1
    labels = sorted(images["label"].unique())
    queries = int(order.loc[order["kind"] == "query", "place"].max()) + 1
    wide = shots + 0.5 + QUERY_PITCH * queries
    ax = new_axes(wide + 0.5, 1.25 * len(labels) + 0.4)
    tiles: Any = order.itertuples()
    for tile in tiles:
        left = tile.place if tile.kind == "support" else shots + 0.5 + QUERY_PITCH * tile.place
        picture(ax, tile, left, top=1.3 * labels.index(tile.label))
    for number, label in enumerate(labels):
        ax.text(-0.15, 1.3 * number + 0.5, f"class {label}", ha="right", va="center", size=9)
    for center, name in [
        (shots / 2, "support"),
        (shots + 0.5 + QUERY_PITCH * (queries - 1) / 2 + 0.5, "query"),
    ]:
        ax.text(center, -0.12, name, ha="center", va="bottom", size=10)
    ax.set(xlim=(-0.9, wide), ylim=(1.3 * len(labels), -0.4), aspect="equal")
    ax.axis("off")
    return figure_of(ax)


def picture(ax: Axes, tile: Any, left: float, top: float) -> None:
    ax.imshow(
        np.asarray(tile.image, dtype=float),
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=(left + 0.04, left + 0.96, top + 0.96, top + 0.04),
        aspect="equal",
    )
    color, dashes = "#999999", "-"
    if tile.kind == "query":
        right = tile.prediction == tile.label
        color, dashes = (RIGHT, "-") if right else (WRONG, "--")
        ax.text(
            left + 0.5,
            top + 1.0,
            f"{'✓' if right else '✗'} class {tile.prediction:.0f}: {100 * tile.probability:.0f} %",
            ha="center",
            va="top",
            size=8,
            color=color,
        )
    width = 0.8 if tile.kind == "support" else 2.2
    ax.add_patch(
        Rectangle(
            (left + 0.04, top + 0.04),
            0.92,
            0.92,
            fill=False,
            edgecolor=color,
            linestyle=dashes,
            linewidth=width,
        )
    )
