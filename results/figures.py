"""Figures of records. Each takes a DataFrame and an optional axes, draws, and returns the axes.

Lines differ in colour and in marker or dashes too, so that a copy in grey stays readable. Every
curve carries its 95 % interval as a band (over seeds where there are several, else over episodes:
`grouping.summarise`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from results import schema
from results.grouping import baselines_last, row_keys, summarise
from results.labels import combination, counted, row_label, show_value, tail_names
from results.marks import mark, point_texts
from results.plotting import PALETTE, Axes, Figure, Rectangle, mpl

MARKERS = "os^Dv<>"
DASHES = ("-", "--", ":")
KINDS = ("last", "sum", "mean")
RIGHT, WRONG = "#0072B2", "#D55E00"
FORMATS = ("svg", "pdf", "png")
MOST_CURVES = 14
WITHIN_A_RUN = ("iteration", "steps")
QUERY_PITCH = 1.35  # from query to query on an episode's sheet, in images: room for the text below


def new_axes(width: float = 5.4, height: float = 3.8) -> Axes:
    """An axes on a figure of its own, free of pyplot's global state (inches)."""
    return Figure(figsize=(width, height)).add_subplot()


def save(axes: Axes, path: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write the figure of `axes` as `path` with each suffix; equal data gives equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.with_name(f"{path.name}.{suffix}") for suffix in formats]
    for file in files:
        date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(file.suffix[1:])
        figure_of(axes).savefig(file, metadata=date)
    return files


def figure_of(axes: Axes) -> Figure:
    """The figure an axes stands on."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


# --- curves ---------------------------------------------------------------------------------------


def learning_curves(curves: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Score on new tasks against meta-iterations, one curve a configuration and protocol.

    Args:
        curves: `Records.curves` of one metric.
    """
    return curves_over(curves, "iteration", "meta-iteration", ax)


def against_steps(evaluations: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Score against the number of adaptation steps at evaluation.

    Args:
        evaluations: rows of `Records.evaluations` of one metric. Those without adaptation steps
            (nearest neighbour) become level lines.
    """
    return curves_over(evaluations, "steps", "adaptation steps", ax)


def over_grid(
    evaluations: pd.DataFrame, x: str = "algorithm.meta_iterations", ax: Axes | None = None
) -> Axes:
    """Score over one swept, numeric setting, one line for each of the others.

    Args:
        evaluations: rows of `Records.evaluations` of one metric. Those that do not depend on `x`
            (baselines) become level lines.
        x: a column, such as 'algorithm.meta_iterations' or 'shots'.
    """
    return curves_over(evaluations, x, axis_name(x), ax)


def beside_the_paper(points: pd.DataFrame, x_name: str, ax: Axes | None = None) -> Axes:
    """Our curves over those that the paper draws, which are thin and grey.

    Args:
        points: a line for each point of a drawn curve: curve (its name), x, paper, and where we
            have it mean and ci95 (shares from 0 to 1), seeds.
    """
    ax = ax or new_axes(6.0, 4.2)
    names: list[Any] = sorted(points["curve"].unique().tolist(), key=rank)
    for name, look in zip(names, looks_of([{"method": name} for name in names]), strict=True):
        line = points[points["curve"] == name]
        grey = {"color": "#999999", "linewidth": 0.8, "linestyle": look["linestyle"]}
        first = "the paper's" if name == names[0] else None
        ax.plot(line["x"], 100 * line["paper"], label=first, zorder=1, **grey)
        ours = line[line["mean"].notna()].assign(metric="accuracy")
        if len(ours):
            draw_curve(ax, ours.rename(columns={"x": x_name}), x_name, name, name, look)
    ours = points[points["mean"].notna()]
    over = "seeds" if ours["seeds"].gt(1).all() else "episodes"
    ax.set(xlabel=x_name, ylabel=f"accuracy (%)\n95 % interval over {over}")
    legend_below(ax)
    return ax


def curves_over(frame: pd.DataFrame, x: str, x_name: str, ax: Axes | None) -> Axes:
    """One line with its band for each configuration; level lines where `x` is missing.

    Along iterations and steps a line is one configuration, not the ends of several. In a sweep a
    setting may be tied to the swept one; the axis names it.
    """
    ax = ax or new_axes()
    frame = with_tails(frame)
    usual = ("method", "ways", "shots", "transductive")
    lines = [key for key in usual if key in frame and key != x]
    apart = row_keys(frame.drop(columns=x), lines)
    tied = [] if x in WITHIN_A_RUN else [k for k in apart if k not in row_keys(frame, [x, *lines])]
    lines = telling(frame, [*lines, *(key for key in apart if key not in tied)])
    cells = summarise(frame, [x, *lines])
    groups = list(cells.groupby(lines, dropna=False)) if lines else [((), cells)]
    if "method" in lines:
        groups.sort(key=lambda group: rank(group[1]["method"].iloc[0]))
    keys = [dict(zip(lines, values, strict=True)) for values, _ in groups[:MOST_CURVES]]
    for (_, line), key, look in zip(groups, keys, looks_of(keys), strict=False):
        method = key.get("method", frame["method"].iloc[0])
        draw_curve(ax, line.sort_values(x), x, row_label(key), method, look)
    if len(groups) > MOST_CURVES:
        ax.set_title(f"the first {MOST_CURVES} of {len(groups)} curves; --where chooses", size=9)
    if x != "iteration":
        swept_axis(ax, sorted(frame[x].dropna().astype(float).unique()))
    with_it = f"\n(and with it {', '.join(map(axis_name, tied))})" if tied else ""
    ax.set(xlabel=x_name + with_it, ylabel=score_name(cells))
    if scale_of(cells) == 100:  # an interval over two seeds can be wider than all accuracies
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -1), min(high, 101))
    if ax.get_legend_handles_labels()[0] and lines:
        legend_below(ax)
    return ax


def telling(frame: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Keys with more than one value: the others need no place in a legend."""
    return [key for key in keys if frame[key].nunique(dropna=False) > 1]


def with_tails(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows named by their tail where some hold one back; its size then follows from the batch."""
    tail = "algorithm.tail_shots"
    if tail not in frame or not frame[tail].gt(0).any():
        return frame
    return frame.assign(method=tail_names(frame)).drop(columns=tail)


def rank(method: Any) -> tuple[bool, int, int]:
    """Gradient combinations by their number of steps, then by kind; baselines last."""
    combined = combination(method)
    steps, kind = (combined.steps, KINDS.index(combined.kind)) if combined else (0, 0)
    return method in schema.BASELINES, steps, kind


def looks_of(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Colour, marker and dashes of each line, told by its keys.

    Gradient combinations share colour and marker by their number of steps, and dashes by their
    kind; cycling and replacement differ in dashes alone. Otherwise each line has its own.
    """
    told: list[tuple[Any, Any]] = [relatives(line) for line in lines]
    most = [len(set(values)) for values in zip(*told, strict=True)]
    if len(set(told)) < len(lines) or most[0] > len(PALETTE) or most[1] > len(DASHES):
        told = [(number, number // len(PALETTE)) for number in range(len(lines))]
    family, variant = ([*dict.fromkeys(values)].index for values in zip(*told, strict=True))
    return [
        {
            "color": PALETTE[family(f) % len(PALETTE)],
            "marker": MARKERS[family(f) % len(MARKERS)],
            "linestyle": DASHES[variant(v) % len(DASHES)],
        }
        for f, v in told
    ]


def relatives(line: dict[str, Any]) -> tuple[str, tuple[str, str]]:
    """(family, variant) of a line: what its colour and marker, and what its dashes tell."""
    drawn = show_value(line.get("algorithm.replacement"))
    family = {key: value for key, value in line.items() if key != "algorithm.replacement"}
    if combined := combination(line.get("method")):
        family["method"] = combined.steps
    return row_label(family), (combined.kind if combined else KINDS[0], drawn)


def draw_curve(
    ax: Axes, line: pd.DataFrame, x: str, label: str, method: Any, look: dict[str, Any]
) -> None:
    scale = scale_of(line)
    mean, width = (scale * line[key].to_numpy(float) for key in ("mean", "ci95"))
    if line[x].isna().all():
        level = ax.axhline(mean[0], color=look["color"], linestyle=":", label=label)
        around = ax.axhspan(
            mean[0] - width[0], mean[0] + width[0], color=look["color"], alpha=0.12, linewidth=0
        )
        mark([level, around], method, point_texts(line, [label]))
        return
    position, every = line[x].to_numpy(float), 1 + len(mean) // 25
    curve = ax.plot(position, mean, markersize=4, markevery=every, label=label, **look)
    band = ax.fill_between(
        position, mean - width, mean + width, color=look["color"], alpha=0.2, linewidth=0
    )
    mark(curve, method, point_texts(line, [label] * len(line), x)[::every])
    mark([band], method)


def legend_below(ax: Axes) -> None:
    longest = max(map(len, ax.get_legend_handles_labels()[1]))
    ax.legend(
        fontsize=9,
        loc="upper left",
        bbox_to_anchor=(0, -0.25 if "\n" in ax.get_xlabel() else -0.17),
        ncols=2 if longest < 30 else 1,
    )


def scale_of(frame: pd.DataFrame) -> float:
    return 100.0 if (frame["metric"] == "accuracy").all() else 1.0


def score_name(cells: pd.DataFrame) -> str:
    """The score, and what its band, bar or ± is over."""
    over = " or ".join(sorted(cells["interval_over"].unique()))
    name = "accuracy (%)" if scale_of(cells) == 100 else "mean squared error"
    return f"{name}\n95 % interval over {over}"


def swept_axis(ax: Axes, values: Sequence[float]) -> None:
    """Ticks at the swept values; a logarithmic axis where they span orders of magnitude."""
    if values and values[0] > 0 and values[-1] / values[0] > 20:
        ax.set_xscale("log")
    if len(values) <= 8:
        ax.set_xticks(values, [f"{value:g}" for value in values])
        ax.set_xticks([], minor=True)


def axis_name(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ").replace("meta iteration", "meta-iteration")


# --- grids and bars -------------------------------------------------------------------------------


def heat_map(
    evaluations: pd.DataFrame,
    x: str = "shots",
    y: str = "algorithm.meta_iterations",
    ax: Axes | None = None,
) -> Axes:
    """Score over two swept settings, with 'mean ± half-width' written into each field.

    Args:
        evaluations: rows of one metric in which only `x`, `y` and the seed vary.

    Raises:
        ValueError: something else varies.
    """
    if other := row_keys(evaluations, [x, y]):
        raise ValueError(f"a heat map over {x} and {y} needs one value of {', '.join(other)}")
    ax = ax or new_axes(5.2, 3.6)
    cells = summarise(evaluations, [x, y])
    scale = scale_of(cells)
    mean, width = (
        scale * cells.pivot(index=y, columns=x, values=key).astype(float)
        for key in ("mean", "ci95")
    )
    image = ax.imshow(mean, cmap="cividis", aspect="auto", origin="lower")
    middle = (np.nanmin(mean) + np.nanmax(mean)) / 2
    for (row, column), value in np.ndenumerate(mean.to_numpy(float)):
        if not np.isnan(value):
            text = f"{value:.1f}\n± {width.to_numpy(float)[row, column]:.1f}"
            ax.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                size=9,
                color="white" if value < middle else "black",
            )
    ax.set_xticks(range(mean.shape[1]), [show_value(v) for v in mean.columns])
    ax.set_yticks(range(mean.shape[0]), [show_value(v) for v in mean.index])
    ax.set(xlabel=axis_name(x), ylabel=axis_name(y))
    ax.grid(False)
    figure_of(ax).colorbar(image, ax=ax, label=score_name(cells))
    return ax


def bars(
    evaluations: pd.DataFrame,
    by: Sequence[str] = ("method", "algorithm.inner_steps"),
    ax: Axes | None = None,
) -> Axes:
    """Score of each combination as a bar with its 95 % interval: the gradient combinations.

    Args:
        evaluations: rows of one metric.
        by: columns whose combinations are the bars; what else varies is added.
    """
    keys = list(by)
    evaluations = with_tails(evaluations)
    keys = telling(evaluations, [*keys, *row_keys(evaluations, keys)]) or keys[:1]
    cells = baselines_last(summarise(evaluations, keys), keys)
    if "method" in keys:
        cells = cells.sort_values(
            "method", key=lambda names: names.map(rank), kind="stable", ignore_index=True
        )
    ax = ax or new_axes(6.4, 1.0 + 0.34 * len(cells))
    scale = scale_of(cells)
    families = [getattr(combination(value), "steps", show_value(value)) for value in cells[keys[0]]]
    colors = [PALETTE[i % len(PALETTE)] for i in pd.factorize(np.array(families, object))[0]]
    drawn = ax.barh(
        cells.index,
        scale * cells["mean"].astype(float),
        xerr=scale * cells["ci95"],
        color=colors,
        alpha=0.85,
        height=0.7,
        error_kw={"capsize": 3, "ecolor": "#333333"},
    )
    combinations: Any = cells[keys].to_dict("records")
    labels = [row_label(line) for line in combinations]
    for bar, line, text in zip(drawn, combinations, point_texts(cells, labels), strict=True):
        mark([bar], line.get("method", evaluations["method"].iloc[0]), [text])
    ax.set_yticks(cells.index, labels)
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set_xlabel(score_name(cells).replace("\n", ", "))
    return ax


# --- tasks ----------------------------------------------------------------------------------------


def sine_fit(points: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One sine task: the true curve, the sampled points and the network before and after adapting.

    Args:
        points: columns kind ('true', 'sample' or 'prediction'), x, y, and steps (number of
            adaptation steps of a prediction; 0 is before adaptation).
    """
    ax = ax or new_axes(5.6, 3.8)
    true = points[points["kind"] == "true"].sort_values("x")
    ax.plot(true["x"], true["y"], color="black", linewidth=2.5, alpha=0.7, label="true curve")
    predictions = points[points["kind"] == "prediction"]
    steps = sorted(int(step) for step in predictions["steps"].unique())
    shades = mpl.colormaps["viridis"](np.linspace(0.85, 0.1, max(len(steps), 2)))
    for step, shade in zip(steps, shades, strict=False):
        line = predictions[predictions["steps"] == step].sort_values("x")
        name = "before adaptation" if step == 0 else f"after {counted(step, 'step')}"
        ax.plot(line["x"], line["y"], color=shade, linestyle=":" if step == 0 else "-", label=name)
    sample = points[points["kind"] == "sample"]
    ax.scatter(
        sample["x"],
        sample["y"],
        color=PALETTE[1],
        zorder=3,
        s=28,
        label=f"{len(sample)} sampled points",
    )
    ax.set(xlabel="x", ylabel="y")
    legend_below(ax)
    return ax


def episode_sheet(images: pd.DataFrame, ax: Axes | None = None) -> Axes:
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
    ax = ax or new_axes(wide + 0.5, 1.25 * len(labels) + 0.4)
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
    return ax


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
