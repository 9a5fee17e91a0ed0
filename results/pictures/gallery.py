"""Which figures there are data for: from the records of any runs to captioned drawings."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd

from results import drawn, predictions, reading, records
from results.compare import comparison, costs, ranking
from results.grouping import BadOption, row_keys, telling
from results.labels import axis_name, column_label, counted, method_name, show_value, with_tails
from results.pictures import curves, figures, palette, rank_picture
from results.pictures.panels import CannotShow, TooMuch
from results.pictures.plotting import Figure
from results.schema import BASELINES

MOST_EPISODES = 4

Picture = tuple[str, Figure]
"""A caption and what it is about."""

Draw = Callable[[pd.DataFrame], Picture | None]
"""Makes the picture of rows; None where they have nothing for it."""

DIVIDED = ("task.name", "split", "model.name", "algorithm.meta_iterations")
"""Where records have too much for one figure, they are divided by the first that varies."""

SETTINGS = ("algorithm.", "task.", "model.")


def all_figures(found: records.Records) -> dict[str, Picture]:
    """Every figure that the records have data for: name -> (caption, figure).

    Names say the metric and the ways where there are several. The grid goes over the numeric
    setting with the most values; bars show methods and settings that are words. Of the episodes
    with recorded predictions the first few are drawn; a file of predictions that cannot be used
    becomes a line in `found.problems`, what no figure can show a line in `found.notes`.
    """
    looks = looks_of(found)
    levels = published_levels(found.completed)
    made: dict[str, Picture] = {}

    def of_curves(part: pd.DataFrame) -> Picture:
        splits = " and ".join(sorted(part["split"].unique()))
        caption = f"Learning curves: score on new tasks of {splits} classes."
        return caption, curves.learning_curves(part, looks, levels)

    def of_seconds(part: pd.DataFrame) -> Picture:
        return "Score on new tasks against what it cost.", curves.against_seconds(part, looks)

    for name, part in parts(found.curves, ["metric"]):
        made |= attempt(f"learning_curves{name}", part, of_curves, found.notes)
    for name, part in parts(costs.with_seconds(found), ["metric"]):
        if part["method"].nunique() > 1:
            made |= attempt(f"frontier{name}", part, of_seconds, found.notes)
    for name, rows in parts(found.completed, ["metric", "ways"]):
        protocol = column_label({"ways": rows["ways"].iloc[0]}).replace("all", "regression")
        for kind, (part, draw) in of_evaluations(rows, looks, levels).items():
            pictures = attempt(f"{kind}{name}", part, draw, found.notes)
            made |= {key: (f"{protocol}: {text}", fig) for key, (text, fig) in pictures.items()}
    return made | of_ranks(found, looks) | of_the_paper(found) | of_predictions(found)


def of_ranks(found: records.Records, looks: Mapping[Any, palette.Look]) -> dict[str, Picture]:
    """The order of the methods of each metric, with their tiers; none of a single method."""
    try:
        made = ranking.rankings(found)
    except BadOption:
        return {}
    pictures: dict[str, Picture] = {}
    for one in made:
        name = "ranks" if len(made) == 1 else f"ranks_{one.lines['metric'].iloc[0]}"
        with contextlib.suppress(CannotShow):  # two methods need no picture
            caption = f"{one.overall.capitalize()}: a bar joins methods that share a tier (--rank)."
            pictures[name] = (caption, rank_picture.critical_difference(one, looks))
    return pictures


def attempt(name: str, rows: pd.DataFrame, draw: Draw, notes: list[str]) -> dict[str, Picture]:
    """The picture of the rows, or those of their parts, or a note that says why there is none."""
    try:
        picture = draw(rows)
        return {} if picture is None else {name: picture}
    except CannotShow as reason:
        keys = [key for key in DIVIDED if key in rows and rows[key].nunique() > 1]
        if not keys or not isinstance(reason, TooMuch):
            notes.append(f"no figure {name}: {reason}; --where chooses")
            return {}
    made: dict[str, Picture] = {}
    for value in sorted(rows[keys[0]].dropna().unique()):
        part = rows[rows[keys[0]].eq(value) | rows[keys[0]].isna()]
        made |= attempt(f"{name}_{show_value(value)}", part, draw, notes)
    return made


def looks_of(found: records.Records) -> Mapping[Any, palette.Look]:
    """The looks of all methods of the records, by their names in records and in tables."""
    frames = [frame for frame in (found.evaluations, found.curves) if len(frame)]
    named = [one["method"] for frame in frames for one in (frame, with_tails(frame))]
    return palette.looks(name for methods in named for name in methods.unique())


def published_levels(evaluations: pd.DataFrame) -> pd.DataFrame | None:
    """The published numbers beside ours, as `curves` wants them; None where there are none.

    Ours have the published settings, if need be at a part of the budget.
    """
    if evaluations.empty or (evaluations["metric"] != "accuracy").all():
        return None
    keys = ["task.name", "method", "ways", "shots", "transductive"]
    keys += [key for key in row_keys(evaluations, keys) if key.startswith(SETTINGS)]
    beside = comparison.compare_with_published(evaluations, keys)
    if beside.empty:
        return None
    same = beside["settings"].str.fullmatch("the paper's|partial: [^;]*").astype(bool)
    levels = beside.loc[same, [*keys, "published"]]
    return levels.assign(split="test", **{"task.ways": levels["ways"]}).drop_duplicates()


def of_the_paper(found: records.Records) -> dict[str, Picture]:
    """The paper's figures 3 and 4 with ours over them, where runs have its budget and settings."""
    made: dict[str, Picture] = {}
    for drawing in filter(partial(drawn.has_runs, found), (*drawn.DRAWINGS, drawn.SLOWER)):
        ours = [curve for curve in drawn.curves_of(drawing, found) if len(curve.measured)]
        if ours:
            points = pd.concat([curve.points.assign(curve=curve.name) for curve in ours])
            figure = curves.beside_the_paper(points, axis_name(drawing.x))
            name = f"{drawing.name}, thin and grey, and ours{drawing.note}"
            made[drawing.picture] = (f"The paper's {name}: {deviations(ours)}.", figure)
    return made


def deviations(ours: list[drawn.Curve]) -> str:
    """'they lie 0.07 apart on average, 0.15 at most (g2 at 2000), and up to 0.05 at their ends'."""
    points: Any = pd.concat([curve.measured.assign(curve=curve.name) for curve in ours])
    far = max(points.to_dict("records"), key=lambda point: abs(point["difference"]))
    ends = pd.concat([curve.measured.tail(1) for curve in ours])["difference"].abs()
    return (
        f"they lie {points['difference'].abs().mean():.3f} apart on average, "
        f"{abs(far['difference']):.3f} at most ({far['curve']} at {far['x']:g}), and up to "
        f"{ends.max():.3f} at their ends"
    )


def parts(frame: pd.DataFrame, keys: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """(end of the name, rows) of each combination; the name holds only the keys that vary."""
    if frame.empty:
        return
    several = telling(frame, keys)
    for values, part in frame.groupby(keys, dropna=False):
        words = [
            f"{show_value(value)}{'way' if key == 'ways' else ''}"
            for key, value in zip(keys, values, strict=True)
            if key in several
        ]
        yield "".join(f"_{word}" for word in words), part


def of_predictions(found: records.Records) -> dict[str, Picture]:
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


def prediction_figure(name: str, episode: predictions.Episode) -> Picture | None:
    """(caption, axes) of one task, or None for one that cannot be drawn."""
    if predictions.is_curve(episode):
        figure = figures.sine_fit(predictions.curve_points(episode))
        return f"{name}: the network before and after adaptation to the sampled points.", figure
    if predictions.is_pictures(episode):
        figure = figures.episode_sheet(predictions.pictures(episode))
        steps = counted(int(episode["steps"][-1]), "adaptation step")
        return f"{name}: predicted class and its probability after {steps}.", figure
    return None


def of_evaluations(
    rows: pd.DataFrame, looks: Mapping[Any, palette.Look], levels: pd.DataFrame | None
) -> dict[str, tuple[pd.DataFrame, Draw]]:
    """What to draw of the evaluations of one metric and number of ways: rows, and how."""

    def steps(part: pd.DataFrame) -> Picture:
        return "score against adaptation steps.", curves.against_steps(part, looks)

    def grid(part: pd.DataFrame) -> Picture | None:
        if not (settings := swept_settings(part)):
            return None
        x = settings[0]
        return f"score over {axis_name(x)}.", curves.over_grid(part, x, looks, levels)

    def bars(part: pd.DataFrame) -> Picture:
        shots = part["shots"].min()
        return (
            f"methods and settings side by side, {shots}-shot.",
            figures.bars(part, ("method",), looks),
        )

    made: dict[str, tuple[pd.DataFrame, Draw]] = {}
    rows = with_tails(rows)
    if rows["steps"].nunique() > 1:
        made["steps"] = rows, steps
    last = at_the_end(rows)
    if swept := swept_settings(last):
        made["grid"] = last, grid
        if len(both := heat_map_rows(last, swept[0])):
            made["heat_map"] = both, partial(heat_maps, y=swept[0])
    trained = rows.loc[~rows["method"].isin(BASELINES), "method"]
    if {*row_keys(last, ["shots", "transductive"])} - {*swept, "method"} or trained.nunique() > 1:
        made["methods"] = of_one_protocol(last), bars
    return made


def heat_maps(rows: pd.DataFrame, y: str) -> Picture:
    return f"score over {axis_name(y)} and shots.", figures.heat_maps(rows, "shots", y)


def at_the_end(rows: pd.DataFrame) -> pd.DataFrame:
    """Those after the most adaptation steps of their run, and those that take none."""
    most = rows.groupby(["run", "method"])["steps"].transform("max")
    return rows[rows["steps"].isna() | rows["steps"].eq(most)]


def swept_settings(rows: pd.DataFrame) -> list[str]:
    """The numeric settings with several values, first the one with the most.

    What many methods are swept over, not what one needs to go along (more training shots).
    """
    swept = [
        key
        for key in row_keys(rows, ["shots", "transductive", "steps"])
        if key.startswith(SETTINGS)
        and pd.api.types.is_numeric_dtype(rows[key])
        and not pd.api.types.is_bool_dtype(rows[key])
        and rows[key].nunique() > 1
    ]
    values = rows.groupby("method")[swept].nunique().sum()
    return sorted(swept, key=lambda key: -values[key])


def of_one_protocol(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the fewest shots, without transduction where there are any."""
    fewest = rows[rows["shots"] == rows["shots"].min()]
    plain = fewest[~fewest["transductive"].fillna(False).astype(bool)]
    return plain if len(plain) else fewest


def heat_map_rows(rows: pd.DataFrame, y: str) -> pd.DataFrame:
    """Those of methods of which nothing varies but shots and the swept setting."""
    groups = rows[rows[y].notna()].groupby(["method", "transductive"], dropna=False)
    whole = [
        group
        for _, group in groups
        if group["shots"].nunique() > 1 and group[y].nunique() > 1
        if not row_keys(group, ["shots", y])
    ]
    return pd.concat(whole) if whole else rows.iloc[:0]
