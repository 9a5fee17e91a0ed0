"""Which figures there are data for: from the records of any runs to captioned drawings."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from results import drawn, figures, predictions, reading, records, schema
from results.grouping import row_keys
from results.labels import column_label, counted, method_name, show_value
from results.plotting import Axes

MOST_BARS = 24
MOST_EPISODES = 4


def all_figures(found: records.Records) -> dict[str, tuple[str, Axes]]:
    """Every figure that the records have data for: name -> (caption, axes).

    Names say the metric and the ways where there are several. The grid goes over the numeric
    setting with the most values; bars show methods and settings that are words. Of the episodes
    with recorded predictions the first few are drawn; a file of predictions that cannot be used
    becomes a line in `found.problems`.
    """
    made: dict[str, tuple[str, Axes]] = {}
    for name, curves in parts(found.curves, ["metric"]):
        splits = " and ".join(sorted(curves["split"].unique()))
        made[f"learning_curves{name}"] = (
            f"Learning curves: score on new tasks of {splits} classes.",
            figures.learning_curves(curves),
        )
    for name, rows in parts(found.completed, ["metric", "ways"]):
        protocol = column_label({"ways": rows["ways"].iloc[0]}).replace("all", "regression")
        for kind, (caption, axes) in of_evaluations(rows).items():
            made[f"{kind}{name}"] = (f"{protocol}: {caption}", axes)
    return made | of_the_paper(found) | of_predictions(found)


def of_the_paper(found: records.Records) -> dict[str, tuple[str, Axes]]:
    """The paper's figures 3 and 4 with ours over them, where runs have its budget and settings."""
    made: dict[str, tuple[str, Axes]] = {}
    for drawing in drawn.DRAWINGS:
        curves = [curve for curve in drawn.curves_of(drawing, found) if len(curve.measured)]
        if curves:
            points = pd.concat([curve.points.assign(curve=curve.name) for curve in curves])
            axes = figures.beside_the_paper(points, figures.axis_name(drawing.x))
            caption = f"The paper's {drawing.name}, thin and grey, and ours: {deviations(curves)}."
            made[f"paper_{drawing.name.replace(' ', '_')}"] = (caption, axes)
    return made


def deviations(curves: list[drawn.Curve]) -> str:
    """'they lie 0.07 apart on average, 0.15 at most (g2 at 2000), and up to 0.05 at their ends'."""
    points: Any = pd.concat([curve.measured.assign(curve=curve.name) for curve in curves])
    far = max(points.to_dict("records"), key=lambda point: abs(point["difference"]))
    ends = pd.concat([curve.measured.tail(1) for curve in curves])["difference"].abs()
    return (
        f"they lie {points['difference'].abs().mean():.3f} apart on average, "
        f"{abs(far['difference']):.3f} at most ({far['curve']} at {far['x']:g}), and up to "
        f"{ends.max():.3f} at their ends"
    )


def parts(frame: pd.DataFrame, keys: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """(end of the name, rows) of each combination; the name holds only the keys that vary."""
    if frame.empty:
        return
    telling = figures.telling(frame, keys)
    for values, part in frame.groupby(keys, dropna=False):
        words = [
            f"{show_value(value)}{'way' if key == 'ways' else ''}"
            for key, value in zip(keys, values, strict=True)
            if key in telling
        ]
        yield "".join(f"_{word}" for word in words), part


def of_predictions(found: records.Records) -> dict[str, tuple[str, Axes]]:
    """Single tasks before and after adaptation: the first episode of each run, then the second."""
    by_run: list[list[tuple[str, predictions.Episode]]] = []
    for run in found.runs[found.runs["status"] == "completed"].to_dict("records"):
        try:
            episodes = predictions.read_episodes(run["run"])
        except reading.DamagedRecord as error:
            found.problems.append(str(error))
            continue
        name = f"{method_name(run['method'])}, seed {run['seed']}, unseen task"
        by_run.append([(f"{name} {n}", episode) for n, episode in enumerate(episodes)])
        if sum(map(bool, by_run)) == MOST_EPISODES:
            break
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*by_run))
    pictures = (prediction_figure(*entry) for entry in in_turn if entry is not None)
    drawn = itertools.islice(filter(None, pictures), MOST_EPISODES)
    return {f"episode_{n}": picture for n, picture in enumerate(drawn, 1)}


def prediction_figure(name: str, episode: predictions.Episode) -> tuple[str, Axes] | None:
    """(caption, axes) of one task, or None for one that cannot be drawn."""
    if predictions.is_curve(episode):
        axes = figures.sine_fit(predictions.curve_points(episode))
        return f"{name}: the network before and after adaptation to the sampled points.", axes
    if predictions.is_pictures(episode):
        axes = figures.episode_sheet(predictions.pictures(episode))
        steps = counted(int(episode["steps"][-1]), "adaptation step")
        return f"{name}: predicted class and its probability after {steps}.", axes
    return None


def of_evaluations(rows: pd.DataFrame) -> dict[str, tuple[str, Axes]]:
    """Figures of the evaluations of one metric and number of ways."""
    made: dict[str, tuple[str, Axes]] = {}
    rows = figures.with_tails(rows)
    if rows["steps"].nunique() > 1:
        made["steps"] = ("score against adaptation steps.", figures.against_steps(rows))
    keys = row_keys(rows, ["shots", "transductive", "steps"])
    swept = [
        key
        for key in keys
        if pd.api.types.is_numeric_dtype(rows[key])
        and not pd.api.types.is_bool_dtype(rows[key])
        and rows[key].nunique() > 1
    ]
    if swept:
        # What many methods are swept over, not what one needs to go along (more training shots).
        x = max(swept, key=lambda key: rows.groupby("method")[key].nunique().sum())
        made["grid"] = (f"score over {figures.axis_name(x)}.", figures.over_grid(rows, x))
        made |= heat_maps(rows, x)
    trained = rows.loc[~rows["method"].isin(schema.BASELINES), "method"]
    if set(keys) - {*swept, "method"} or trained.nunique() > 1:
        shots = rows["shots"].min()
        fewest = rows[
            (rows["shots"] == shots)
            & (rows["steps"].isna() | (rows["steps"] == rows["steps"].max()))
        ]
        plain = fewest[~fewest["transductive"].fillna(False).astype(bool)]
        shown = plain if len(plain) else fewest
        if len(shown[["method", *keys]].drop_duplicates()) <= MOST_BARS:
            made["methods"] = (
                f"methods and settings side by side, {shots}-shot.",
                figures.bars(shown, ("method",)),
            )
    return made


def heat_maps(rows: pd.DataFrame, y: str) -> dict[str, tuple[str, Axes]]:
    """Heat maps of each method over shots and the swept setting, where nothing else varies."""
    made = {}
    for values, group in rows[rows[y].notna()].groupby(["method", "transductive"], dropna=False):
        method, transductive = map(show_value, values)
        both_vary = group["shots"].nunique() > 1 and group[y].nunique() > 1
        if both_vary and not row_keys(group, ["shots", y]):
            kind = "transductive" if transductive == "true" else "non-transductive"
            name = re.sub(r"[^\w+-]+", "_", method)
            made[f"heat_map_{name}_{kind}"] = (
                f"{method_name(method)}, {kind}: score over {figures.axis_name(y)} and shots.",
                figures.heat_map(group, "shots", y),
            )
    return made
