"""The curves that the paper draws (figures 3 and 4), beside ours.

`results/published/paper_figures` holds them as read from the paper's vector drawings, to about
0.003 (figure 3) and 0.005 (figure 4). A curve is judged at its anchors, the ends and what the text
names, not along its way; figure 3, which is drawn smoothed, at its end alone.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from results import records
from results.claims import Claim
from results.grouping import rows_where, summarise
from results.labels import tail_names

FOLDER = Path(__file__).parent / "published" / "paper_figures"

TOLERANCE = 0.03
"""How far from the drawing a reproduced curve may lie."""

META_ITERATIONS = 40_000

SHARED = {
    "metric": "accuracy",
    "split": "test",
    "task.name": "omniglot",
    "task.split": "paper",
    "task.ways": 5,
    "shots": 5,
    "transductive": False,
    "steps": 5,
    "evaluation.batch": 25,
    "task.rotations": True,
    "task.within_alphabet": False,
    "model.name": "conv",
    "model.filters": 64,
    "model.layers": 4,
    "algorithm.meta_batch": 1,
    "algorithm.inner_optimizer": "sgd",
    "algorithm.inner_learning_rate": 0.003,
    "algorithm.loss_reduction": "sum",
    "algorithm.outer_step_final": 0.0,
}
"""Settings of sections 6.2 and 6.3 (tables 5 and 6)."""

TWENTY_SHOTS = {**SHARED, "task.train_shots": 20}
BATCHES_OF_25 = {"algorithm.inner_batch": 25}
FOUR_STEPS = {"algorithm.inner_steps": 4}
STEP_OF_ONE = {"algorithm.outer_step": 1.0}

METHODS = {
    "Reptile, cycling": ("reptile", False),
    "FOMAML, separate tail, cycling": ("FOMAML, separate tail", False),
    "FOMAML, shared tail, replacement": ("FOMAML, shared tail", True),
    "FOMAML, shared tail, cycling": ("FOMAML, shared tail", False),
}


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        name, file: "figure 4a", and its csv: a column for x, `accuracy`, and `curve` where there
            are several.
        x: that column.
        key: the column of our evaluations that holds x.
        where: the values that all its evaluations have.
        note: what they have otherwise than the paper says, for a caption.
        rate: their inner learning rate.
        picture: the name of our picture of it.
    """

    name: str
    file: str
    x: str
    key: str
    where: dict[str, Any]
    note: str = ""

    @property
    def rate(self) -> float:
        return float(self.where["algorithm.inner_learning_rate"])

    @property
    def picture(self) -> str:
        return re.sub(r"\W+", "_", f"paper {self.name}{self.note}")

    def x_of(self, value: Any) -> Any:
        """Where a value of `key`, or a column of them, stands along x."""
        return np.log2(value) if self.x == "log2_outer_step" else value

    def at(self, rate: float) -> "Drawing":
        """The same figure, to be set beside runs with another inner learning rate."""
        where = {**self.where, "algorithm.inner_learning_rate": rate}
        return replace(self, where=where, note=f", with an inner rate of {rate:g}")


DRAWINGS = (
    Drawing(
        "figure 3",
        "figure3.csv",
        "meta_iteration",
        "iteration",
        {
            **SHARED,
            **BATCHES_OF_25,
            "algorithm.outer_step": 0.25,
            "algorithm.replacement": False,
        },
    ),
    Drawing(
        "figure 4a",
        "figure4a.csv",
        "inner_steps",
        "algorithm.inner_steps",
        {**TWENTY_SHOTS, **BATCHES_OF_25, **STEP_OF_ONE},
    ),
    Drawing(
        "figure 4b",
        "figure4b.csv",
        "inner_batch",
        "algorithm.inner_batch",
        {**TWENTY_SHOTS, **FOUR_STEPS, **STEP_OF_ONE},
    ),
    Drawing(
        "figure 4c",
        "figure4c.csv",
        "log2_outer_step",
        "algorithm.outer_step",
        {**TWENTY_SHOTS, **FOUR_STEPS, "algorithm.inner_batch": 100},
    ),
)

SLOWER = DRAWINGS[0].at(0.001)
"""Figure 3 at the inner rate of table 3 in place of table 5's; no part of the scorecard."""

NAMED = {
    ("figure 4a", "FOMAML, shared tail, cycling"): (4, 5),
    ("figure 4b", "FOMAML, shared tail, cycling"): (25, 30),
}
"""Points beside the ends at which the text says that something happens."""


@dataclass(frozen=True)
class Curve:
    """A drawn curve and ours.

    Attributes:
        points: a line for each x, ascending: what is drawn there, paper; and where we have it
            mean, ci95, seeds, episodes (shares from 0 to 1), interval_over, difference. Figure 4
            has ours also where nothing is drawn, figure 3 at the drawn moments alone.
        evaluations: ours, at the paper's budget.
        partial: our largest number of meta-iterations below the paper's, or 0; such runs are not
            among the points.
    """

    drawing: Drawing
    name: str
    points: pd.DataFrame
    evaluations: pd.DataFrame
    partial: int = 0

    @property
    def runs(self) -> tuple[str, ...]:
        """The directories behind ours."""
        return tuple(sorted(self.evaluations["run"].unique()))

    @property
    def anchors(self) -> pd.DataFrame:
        """The points that decide; of figure 3, whose curves are smoothed, the end alone."""
        x = self.drawn["x"]
        ends = [x.iloc[-1]] if self.drawing.name == "figure 3" else [x.iloc[0], x.iloc[-1]]
        return self.drawn[x.isin([*ends, *NAMED.get((self.drawing.name, self.name), ())])]

    @property
    def at(self) -> dict[int, tuple[float, float]]:
        """(ours, the paper's) by x, where both are there."""
        there: Any = self.measured.to_dict("records")
        return {int(point["x"]): (point["mean"], point["paper"]) for point in there}

    @property
    def drawn(self) -> pd.DataFrame:
        """The points that the paper draws."""
        return self.points[self.points["paper"].notna()]

    @property
    def measured(self) -> pd.DataFrame:
        """Those of them that we have."""
        return self.drawn[self.drawn["mean"].notna()]


@lru_cache(maxsize=1)  # asked for by several parts of a page
def curves(found: records.Records) -> list[Curve]:
    """Every drawn curve, beside what completed runs at the paper's budget measured."""
    return [curve for drawing in DRAWINGS for curve in curves_of(drawing, found)]


def difference_drawn(claim: Claim, figures: Sequence[Curve], where: Mapping[str, Any]) -> float:
    """What `figures` draw for the difference of a claim; NaN where they draw not all its sides.

    where: the values that all its evaluations have, besides those of each side.
    """
    first, second, *less = [paper_at(figures, {**where, **side.where}) for side in claim.sides]
    return first - second - (less[0] - less[1] if less else 0)


def paper_at(figures: Sequence[Curve], where: Mapping[str, Any]) -> float:
    """The accuracy drawn for evaluations with these values, of figure 3 at the end, or NaN."""
    kind = (where["method"], where.get("algorithm.replacement", False))
    for one in figures:
        drawing = one.drawing
        agrees = all(where.get(key, value) == value for key, value in drawing.where.items())
        if agrees and METHODS.get(one.name, (one.name, False)) == kind:
            here = one.points["x"].eq(drawing.x_of(where.get(drawing.key, META_ITERATIONS)))
            return float(one.points.loc[here, "paper"].max())
    return math.nan


def has_runs(found: records.Records, drawing: Drawing) -> bool:
    """Whether there are runs at the paper's budget behind a figure."""
    budget = {"algorithm.meta_iterations": META_ITERATIONS}
    return len(rows_where(found.completed, budget | drawing.where)) > 0


def curves_of(drawing: Drawing, found: records.Records) -> list[Curve]:
    """The curves of one figure."""
    frame = pd.read_csv(FOLDER / drawing.file)
    if "curve" not in frame:
        frame = frame.assign(curve="FOMAML, shared tail, cycling")
    ours = rows_where(found.completed, drawing.where)
    ours = ours.assign(method=tail_names(ours))
    return [
        beside(drawing, str(name), points, of_curve(ours, str(name)), found)
        for name, points in frame.groupby("curve", sort=False)
    ]


def beside(
    drawing: Drawing, name: str, drawn: pd.DataFrame, ours: pd.DataFrame, found: records.Records
) -> Curve:
    """One curve, with ours where the paper has a point."""
    full = rows_where(ours, {"algorithm.meta_iterations": META_ITERATIONS})
    others: Any = ours["algorithm.meta_iterations"].dropna() if len(ours) else []
    measured = along(drawing, full, found)
    points = drawn.rename(columns={drawing.x: "x", "accuracy": "paper"}).drop(columns="curve")
    how: Any = "left" if drawing.key == "iteration" else "outer"
    points = points.merge(measured, on="x", how=how).sort_values("x", ignore_index=True)
    points["difference"] = points["mean"] - points["paper"]
    partial = max((int(n) for n in others if n < META_ITERATIONS), default=0)
    return Curve(drawing, name, points, full, partial)


def along(drawing: Drawing, full: pd.DataFrame, found: records.Records) -> pd.DataFrame:
    """Our points: x, mean, ci95, seeds, episodes, interval_over, and their runs."""
    columns = ["x", "mean", "ci95", "seeds", "episodes"]
    if full.empty:
        return pd.DataFrame(columns=columns, dtype=float)
    if drawing.key == "iteration":
        full = full.assign(iteration=META_ITERATIONS)
        if len(found.curves):
            points = found.curves[found.curves["run"].isin(full["run"])]
            full = pd.concat([points[points["iteration"] < META_ITERATIONS], full])
    cells = summarise(full, [drawing.key]).rename(columns={drawing.key: "x"})
    cells["x"] = drawing.x_of(cells["x"].astype(float))
    return cells.astype(dict.fromkeys(columns, float))[[*columns, "interval_over", "runs"]]


def of_curve(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The evaluations of a curve of figure 4 (METHODS), or of the method of that name."""
    if name not in METHODS:
        return rows_where(frame, {"method": name})
    method, replacement = METHODS[name]
    return rows_where(frame, {"method": method, "algorithm.replacement": replacement})
