"""`--cost`: what a number cost beside it, so that a method that only trained longer is seen to be.

Meta-iterations and seconds of training stand in the records; the seconds to a given score follow
from the learning curve and the time that a meta-iteration took.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from results import records, schema
from results.compare.standing import groups_of, sign_of
from results.labels import column_label, counted, show_value
from results.tables import Table

TRAINING, EACH = "timing.train_seconds", "timing.seconds_per_meta_iteration"
BUDGET = "algorithm.meta_iterations"
OF_CURVE = ("run", "split", "shots", "transductive", "iteration", "value", "seconds")
OF_TRAINING = ("task", "model", "algorithm")
"""Groups of settings of which other values are another training."""

SPLITS = ("test", "validation", "train")
"""Whose learning curve counts, the first that there is."""


def priced(found: records.Records, table: Table, target: float | None) -> Table:
    """A table with the cost of each row: in its cells as numbers, at its right as text."""
    curves = {} if target is None else curves_of(with_seconds(found), table.metric)
    costs = costs_of(found, table, target, curves)
    return replace(
        table,
        cells=table.cells.merge(costs, on=table.rows, how="left", suffixes=("", "_of_training")),
        cost=columns_of(costs, target, table),
        caption=[*table.caption, *caption_of(found, target, curves.values())],
    )


def costs_of(
    found: records.Records,
    table: Table,
    target: float | None,
    curves: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """What each row of a table cost, in the order of its rows.

    Args:
        target: the score to reach, in percent where it is an accuracy; None for none.
        curves: the learning curve of each run (`curves_of`).

    Returns:
        The row keys, meta_iterations, train_seconds (a seed's mean; missing where the row holds
        several trainings of a seed, such as several budgets in its columns) and, with a target,
        seconds_to_target (a seed's mean; missing where a seed did not reach it), reached (seeds
        that did) and curves (seeds with a learning curve). Baselines train nothing.
    """
    rows = table.cells[table.rows].drop_duplicates(ignore_index=True)
    frame = found.completed[found.completed["metric"] == table.metric]
    kept = dict.fromkeys([*table.rows, "run", "seed", "method", *settings_of(frame)])
    groups = groups_of(frame[[key for key in kept if key in frame]], rows, table.rows)
    runs = found.runs[[key for key in ("run", TRAINING) if key in found.runs]]
    lines: Any = rows.to_dict("records")
    seeds = [seeds_of(groups[i]) for i in range(len(lines))]
    return pd.DataFrame(
        {
            **line,
            **training_of(groups[i], seeds[i], runs),
            **reaching(seeds[i], curves, table, target),
        }
        for i, line in enumerate(lines)
    )


def settings_of(frame: pd.DataFrame) -> list[str]:
    """The columns that tell trainings apart."""
    return [key for key in map(str, frame) if key.split(".")[0] in OF_TRAINING]


def seeds_of(evaluations: pd.DataFrame) -> pd.Series:
    """The runs of a row with the seed of each, where a seed was trained in one way; else none."""
    trained = evaluations[~evaluations["method"].isin(schema.BASELINES)]
    several = records.cell_numbers(trained, settings_of(trained)).any()
    runs = trained.iloc[: 0 if several else None].drop_duplicates("run")
    return runs.set_index("run")["seed"].sort_index()


def training_of(evaluations: pd.DataFrame, seeds: pd.Series, runs: pd.DataFrame) -> dict[str, Any]:
    """The meta-iterations and the mean seconds of training behind a row."""
    budgets: Any = sorted(evaluations.get(BUDGET, pd.Series()).dropna().unique())
    seconds = runs.set_index("run").reindex(seeds.index).get(TRAINING, pd.Series(dtype=float))
    return {
        "meta_iterations": ", ".join(map(str, budgets)) or None,
        "train_seconds": float(seconds.astype(float).groupby(seeds).mean().mean()),
    }


def reaching(
    seeds: pd.Series,
    curves: Mapping[str, pd.DataFrame],
    table: Table,
    target: float | None,
) -> dict[str, Any]:
    """The mean seconds until the learning curves of a row reach the target."""
    if target is None:
        return {}
    runs = seeds[seeds.index.isin([*curves])].drop_duplicates().index
    times = [first_at(curves[run], table.metric, target) for run in runs]
    reached = [time for time in times if time is not None]
    whole = times and len(reached) == len(times)
    return {
        "seconds_to_target": float(np.mean(reached)) if whole else np.nan,
        "reached": len(reached),
        "curves": len(times),
    }


def curves_of(points: pd.DataFrame, metric: str) -> dict[str, pd.DataFrame]:
    """The learning curve of each run: of SPLITS the first, of its protocols the first."""
    if points.empty:
        return {}
    points = points.loc[points["metric"] == metric, list(OF_CURVE)]
    return {str(run): first_curve(curve) for run, curve in points.groupby("run")}


def first_curve(points: pd.DataFrame) -> pd.DataFrame:
    """Of a run's points those of the first split, and of its protocols of the first."""
    split = next((split for split in SPLITS if points["split"].eq(split).any()), None)
    curve = points[points["split"].eq(split).fillna(False)] if split else points
    protocols = curve.groupby(["shots", "transductive"], sort=True, dropna=False)
    return next(iter(protocols))[1].sort_values("iteration")


def first_at(curve: pd.DataFrame, metric: str, target: float) -> float | None:
    """The seconds at the first point that reaches the target; None where none does."""
    wanted = target / 100 if metric == "accuracy" else target
    better = sign_of(metric) * (curve["value"] - wanted) >= 0
    return float(curve.loc[better, "seconds"].iloc[0]) if better.any() else None


def with_seconds(found: records.Records) -> pd.DataFrame:
    """The points of the learning curves with `seconds`, of training until then.

    Seeds of a configuration share the mean time of their meta-iterations, so that their points lie
    above each other. Points of runs that were not timed are left out.
    """
    if found.curves.empty or EACH not in found.runs:
        return found.curves.iloc[:0]
    curves = found.curves.copy()
    curves["_each"] = curves["run"].map(found.runs.set_index("run")[EACH].astype(float))
    settings = [k for k in records.configuration_columns(curves) if k not in ("iteration", "_each")]
    mean = curves.groupby(settings, dropna=False)["_each"].transform("mean")
    curves["seconds"] = (curves["iteration"] * mean).astype(float).round(3)
    return curves.drop(columns="_each").dropna(subset=["seconds"])


# --- text -----------------------------------------------------------------------------------------


def columns_of(costs: pd.DataFrame, target: float | None, table: Table) -> pd.DataFrame:
    """The costs as they stand at the right of a table."""
    shown = pd.DataFrame(
        {
            "meta-iterations": [show_value(value) for value in costs["meta_iterations"]],
            "training s": [seconds_text(value) for value in costs["train_seconds"]],
        }
    )
    if target is not None:
        unit = " %" if table.metric == "accuracy" else ""
        lines: Any = costs.to_dict("records")
        shown[f"s to {target:g}{unit}"] = [target_text(line) for line in lines]
    said = "algorithm.meta_iterations" in table.rows
    return shown.drop(columns="meta-iterations") if said else shown


def seconds_text(seconds: float) -> str:
    """'405' or '12.3'; '-' where nothing was trained or timed."""
    if pd.isna(seconds):
        return "-"
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.3g}"


def target_text(line: dict[str, Any]) -> str:
    """The seconds to the target, or how many seeds reached it."""
    if not line["curves"]:
        return "-"
    if line["reached"] < line["curves"]:
        return f"not reached ({line['reached']} of {counted(line['curves'], 'seed')})"
    return seconds_text(line["seconds_to_target"])


def caption_of(
    found: records.Records, target: float | None, curves: Iterable[pd.DataFrame]
) -> list[str]:
    """What the seconds are."""
    key = "environment.device"
    devices: Any = found.runs[key].dropna().unique() if key in found.runs else []
    where = f" on {records.some(devices)}" if len(devices) else ""
    said = [
        f"Training s: seconds that a seed trained{where}, learning curve and test apart; - where a "
        "row holds several trainings."
    ]
    if target is not None:
        names = {curve_name(curve) for curve in curves}
        on = f" ({' or '.join(sorted(names))})" if names else ""
        said.append(f"Seconds to a score: to the first point of the learning curve there{on}.")
    return said


def curve_name(curve: pd.DataFrame) -> str:
    """'5-shot, test classes'."""
    first = curve.iloc[0]
    protocol = column_label({key: first[key] for key in ("shots", "transductive")})
    return f"{protocol}, {first['split']} classes"
