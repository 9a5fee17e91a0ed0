"""Every cell, curve and statement of the paper, judged by what records say of it.

A line is a cell of a table, a curve of a figure or a statement of the text. Only records with the
paper's own budget and settings count; `results.reproduction` prints the lines.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from results import drawn, findings, paper, records, schema, statistics
from results.claims import Finding
from results.compare.against import contrast_of
from results.compare.comparison import compare_with_published, is_setting, published_numbers
from results.compare.contrasts import Reader
from results.grouping import row_keys, rows_where
from results.labels import method_name, tail_names
from results.tables import DEFAULT_COLUMNS

Kind = Literal["cell", "curve", "statement"]
WORDS = ("reproduced", "undecided", "not reproduced", "not run yet")
"""What can come out for a line."""

MINI_IMAGENET = "mini_imagenet"
WIDEST = 1.0
"""Half-width of a joint interval, in points, beyond which a cell that lies within is undecided."""

SINE_STEPS = 32
SINE_META_ITERATIONS = 30_000
SINE_BUDGET = "30,000 iterations; tanh, as the authors' program (paper ReLU)"
APART = 0.01
"""How far apart two drawn ends of figure 3 must be to have an order."""


@dataclass(frozen=True)
class Line:
    """One cell, curve or statement.

    Attributes:
        kind, place, what: a "curve" of "figure 3": "g1+g2".
        paper, ours, difference: as printed; "" where there is nothing to print.
        holds: what the intervals say at the paper's budget; "no records" where it was not run.
        seeds: trainings behind it, of its least covered part.
        budget: "the paper's", or how far other records go.
        runs: directories of the records behind it.
        chance: whether another training seed would give another number (the theory trains nothing).
    """

    kind: Kind
    place: str
    what: str
    paper: str = ""
    ours: str = ""
    difference: str = ""
    holds: findings.Verdict = "no records"
    seeds: int = 0
    budget: str = ""
    runs: tuple[str, ...] = ()
    chance: bool = True

    @property
    def word(self) -> str:
        """One of WORDS. One training alone decides nothing."""
        if self.holds == "no records":
            return "not run yet"
        if self.holds == "undecided" or (self.chance and self.seeds < 2):
            return "undecided"
        return "reproduced" if self.holds == "held" else "not reproduced"

    @property
    def verdict(self) -> str:
        """The word, and what one training says."""
        if self.word == "undecided" and self.holds != "undecided":
            return f"undecided: {self.holds} in this run"
        return self.word


# --- cells ---------------------------------------------------------------------------------------


def cells(found: records.Records) -> list[Line]:
    """Both tables, cell by cell."""
    frame, keys = found.completed, ["method", *DEFAULT_COLUMNS]
    ours = compare_with_published(frame, [*keys, *row_keys(frame, keys)])
    return [cell(line, ours) for line in of_the_paper().to_dict("records")]


def of_the_paper() -> pd.DataFrame:
    """The numbers of tables 2 and 1, in this order."""
    numbers = published_numbers()
    theirs = numbers[numbers["file"].eq("nichol2018")]
    return theirs.sort_values("task", ascending=False, kind="stable")


def published(paper: dict[Any, Any]) -> Line:
    """The line of a published number, with nothing of ours yet."""
    kind = f"{paper['ways']}-way {paper['shots']}-shot"
    also = " + transduction" if paper["transductive"] else ""
    return Line(
        "cell",
        place_of(paper["source"]),
        f"{method_name(paper['method'])}{also}, {kind}",
        plus_minus(paper["accuracy"], paper["half_width"]),
    )


def cell(paper: dict[Any, Any], ours: pd.DataFrame) -> Line:
    """One published number."""
    line = published(paper)
    for key in ("source", "method", *DEFAULT_COLUMNS) if len(ours) else ():
        ours = ours[ours[key].eq(paper[key]).fillna(False)]
    if ours.empty and paper["task"] == MINI_IMAGENET:
        return replace(line, budget="needs the images of Mini-ImageNet")
    full = ours[ours["settings"].eq("the paper's")] if len(ours) else ours
    if full.empty:
        return replace(line, budget=partial(ours))
    best: Any = full.sort_values("seeds", kind="stable").iloc[-1]  # of several steps, the most
    return replace(
        line,
        ours=plus_minus(best["mean"], best["ci95"]) + in_brackets(best["ci95_new_classes"]),
        difference=f"{best['difference']:+.2f} ± {best['joint_ci95']:.2f}",
        holds=within(best["verdict"], best["joint_ci95"]),
        seeds=int(best["seeds"]),
        budget="the paper's",
        runs=best["runs"],
    )


def within(verdict: str, joint: float) -> findings.Verdict:
    """What a joint interval says of a cell; one wider than WIDEST does not say that it agrees."""
    if verdict == "within":
        return "held" if joint <= WIDEST else "undecided"
    return "undecided" if verdict == "unknown" else "not held"


def partial(ours: pd.DataFrame) -> str:
    """What a part of the budget gives where nothing else departs from the paper's settings."""
    if ours.empty:
        return ""
    alike = ours[ours["settings"].str.fullmatch(r"partial: [^;]*")].sort_values("mean")
    return (
        f"{alike['mean'].iloc[-1]:.2f} with {alike['settings'].iloc[-1][9:]}" if len(alike) else ""
    )


def place_of(source: str) -> str:
    """'table 2' of 'Nichol et al. 2018 (arXiv 1803.02999), table 2, page 9'."""
    match = re.search(r"table \d+", source)
    return match[0] if match else source


def plus_minus(mean: float, half_width: Any) -> str:
    """'95.39 ± 0.09'."""
    return f"{mean:.2f}" + ("" if pd.isna(half_width) else f" ± {half_width:.2f}")


def in_brackets(half_width: Any) -> str:
    """' (0.71)', the interval for new characters, where it is known."""
    return "" if pd.isna(half_width) else f" ({half_width:.2f})"


# --- curves --------------------------------------------------------------------------------------


def curves(found: records.Records) -> list[Line]:
    """Figures 1, 3 and 4, curve by curve."""
    return [*sine_waves(found), *map(curve, drawn.curves(found))]


def curve(one: drawn.Curve) -> Line:
    """A drawn curve: judged at its anchors, each within TOLERANCE."""
    anchors, points = one.anchors, one.measured
    there = anchors[anchors["mean"].notna()]
    line = Line(
        "curve", one.drawing.name, one.name, at_anchors(anchors, "paper"), budget=budget(one)
    )
    if there.empty:
        return line
    far: Any = max(points.to_dict("records"), key=lambda point: abs(point["difference"]))
    return replace(
        line,
        ours=at_anchors(there, "mean"),
        difference=f"{far['difference']:+.3f} at {far['x']:g}",
        holds=near(there) if len(there) == len(anchors) else "no records",
        seeds=int(there["seeds"].min()),
        runs=one.runs,
    )


def budget(one: drawn.Curve) -> str:
    """How much of a curve has been run."""
    if len(one.measured):
        whole = one.anchors["mean"].notna().all()
        return "the paper's" if whole else f"{len(one.measured)} of its {len(one.drawn)} points"
    return f"so far {one.partial:,} of {drawn.META_ITERATIONS:,} iterations" if one.partial else ""


def near(points: pd.DataFrame) -> findings.Verdict:
    """Whether each difference lies, with its interval, within TOLERANCE."""
    distance, width = points["difference"].abs(), points["ci95"].astype(float)
    if (distance - width > drawn.TOLERANCE).any():
        return "not held"
    return "held" if (distance + width <= drawn.TOLERANCE).all() else "undecided"


def at_anchors(points: pd.DataFrame, column: str) -> str:
    """'0.970 at 4, 0.700 at 5', with the interval where it is ours."""
    width = points["ci95"] if column == "mean" else [math.nan] * len(points)
    return ", ".join(
        f"{value:.3f}" + ("" if pd.isna(w) else f" ± {w:.3f}") + f" at {x:g}"
        for x, value, w in zip(points["x"], points[column], width, strict=True)
    )


def sine_waves(found: records.Records) -> list[Line]:
    """Figure 1: a wave after 32 gradient steps, for MAML and Reptile. It prints no number.

    The line holds where the mean error over unseen waves lies below that of an untrained network.
    """
    frame = sine_errors(found)
    return [sine_wave(frame, method) for method in ("maml", "reptile")]


def sine_errors(found: records.Records) -> pd.DataFrame:
    """Evaluations of the sine waves after the last step, with the paper's settings and budget."""
    where = {"task.name": "sinusoid", "metric": "mse", "steps": SINE_STEPS, "split": "test"}
    frame = rows_where(found.completed, where)
    if len(frame):
        of_study = found.runs.loc[found.runs["experiment"].eq("sine").fillna(False), "run"]
        frame = frame[frame["run"].isin(of_study)]
        full = frame["algorithm.meta_iterations"].eq(SINE_META_ITERATIONS)
        frame = frame[full | frame["method"].isin(schema.BASELINES)]
    return frame


def sine_wave(frame: pd.DataFrame, method: str) -> Line:
    """One panel of figure 1."""
    line = Line("curve", "figure 1", f"after {method_name(method)}", "near the wave")
    return below(line, frame, method, "scratch")


def joint_training(found: records.Records) -> Line:
    """Section 4: the average over tasks is zero everywhere, so that learning it does not help."""
    text = "Joint training cannot learn the sine waves: Reptile's error is below its."
    return below(Line("statement", "section 4", text), sine_errors(found), "reptile", "joint")


def of_one_setting(frame: pd.DataFrame) -> pd.DataFrame:
    """The evaluations of those settings that have the most, each of another seed."""
    settings = [str(key) for key in frame if is_setting(str(key))]
    groups = [group for _, group in frame.groupby(settings, dropna=False)] if settings else []
    return max(groups, key=len, default=frame)


def below(line: Line, frame: pd.DataFrame, first: str, second: str) -> Line:
    """`line` holds where the error of `first` lies below that of `second`; paired by seed."""
    sides = [of_one_setting(rows_where(frame, {"method": name})) for name in (first, second)]
    pairs = sides[0].merge(sides[1], on="seed", suffixes=("_first", "_second"))
    if pairs.empty:
        return line
    difference = (pairs["value_first"] - pairs["value_second"]).to_numpy(float)
    if len(difference) > 1:
        width = statistics.seed_interval(difference, episodes=0).half_width
    else:
        width = float(np.hypot(*pairs[["ci95_first", "ci95_second"]].to_numpy(float)[0]))
    texts = [f"{pairs[f'value_{side}'].mean():.3f}" for side in ("first", "second")]
    return replace(
        line,
        ours=f"mean squared error {texts[0]}; {method_name(second)} {texts[1]}",
        difference=f"{difference.mean():+.3f} ± {width:.3f}",
        holds=findings.decided(-difference.mean(), width),
        seeds=len(pairs),
        budget=SINE_BUDGET,
        runs=tuple(sorted({*pairs["run_first"], *pairs["run_second"]})),
    )


# --- statements ----------------------------------------------------------------------------------


def statements(found: records.Records, table: Sequence[Line], theory_file: Path) -> list[Line]:
    """What the text says, as `results.findings` judges the runs behind curves and `table`."""
    figures = drawn.curves(found)
    tables = {run for line in table for run in line.runs}
    ours = of_runs(found, tables | {run for one in figures for run in one.runs})
    lines = [statement(finding, ours, figures) for finding in paper.STATEMENTS]
    lines += [joint_training(found), order_of_ends(found), *theory(theory_file)]
    return sorted(lines, key=lambda line: section(line.place))


def section(place: str) -> str:
    """'6.2' of 'section 6.2, figure 3'; what stands in no section comes last."""
    match = re.search(r"section ([\d.]+)", place)
    return match[1] if match else "9"


def of_runs(found: records.Records, runs: Iterable[str]) -> records.Records:
    """The records of these runs, and of the reference lines."""
    kept = list(runs)
    evaluations, curves = (
        frame[frame["run"].isin(kept) | frame["method"].isin(schema.BASELINES)]
        if len(frame)
        else frame
        for frame in (found.evaluations, found.curves)
    )
    return replace(found, evaluations=evaluations, curves=curves)


def statement(finding: Finding, ours: records.Records, figures: Sequence[drawn.Curve]) -> Line:
    """One finding; of several settings the one with the most seeds counts."""
    line = Line("statement", finding.source, finding.statement)
    outcomes = [o for o in findings.check(ours, [finding]) if o.differences]
    if not outcomes:
        return line
    best = max(outcomes, key=lambda outcome: outcome.seeds)
    return replace(
        line,
        paper=as_drawn(best, figures),
        ours=best.evidence,
        holds=best.verdict,
        seeds=best.seeds,
        budget="the paper's",
        runs=runs_of(best, ours),
    )


def as_drawn(outcome: findings.Outcome, figures: Sequence[drawn.Curve]) -> str:
    """The differences that an outcome shows as the paper's figure draws them, in this order."""
    finding = outcome.finding
    figure = [one for one in figures if finding.source.endswith(one.drawing.name)]
    if finding.curve:  # the mean along a curve, which is drawn smoothed
        return ""
    values = [drawn.difference_drawn(d.claim, figure, finding.study) for d in outcome.shown]
    if all(map(math.isnan, values)):
        return ""
    texts = ["not drawn" if math.isnan(value) else f"{100 * value:+.1f}" for value in values]
    return f"drawn: {'; '.join(texts)}"


def runs_of(outcome: findings.Outcome, found: records.Records) -> tuple[str, ...]:
    """Directories of the runs on either side of an outcome's claims."""
    frame = rows_where(found.completed, {**outcome.finding.study, **known(outcome.setting)})
    frame = frame.assign(method=tail_names(frame))
    sides = {
        id(side): side for d in outcome.differences for side in (d.claim.first, d.claim.second)
    }
    chosen = [rows_where(frame, side.where)["run"] for side in sides.values()]
    return tuple(sorted({run for runs in chosen for run in runs}))


def known(setting: dict[str, Any]) -> dict[str, Any]:
    """The part of a setting that has values."""
    return {key: value for key, value in setting.items() if not pd.isna(value)}


def order_of_ends(found: records.Records) -> Line:
    """Figure 3: the ten curves end in the order drawn."""
    line = Line(
        "statement",
        "section 6.2, figure 3",
        f"The curves end in the order drawn (pairs of ends more than {APART:g} apart).",
    )
    figure = [one for one in drawn.curves(found) if one.drawing.name == "figure 3"]
    measured, reader = [one for one in figure if len(one.measured)], Reader()
    apart = [pair for pair in permutations(measured, 2) if drawn_apart(*pair) > APART]
    if not apart:
        return line
    differences = [
        contrast_of(above.evaluations, below.evaluations, reader) for above, below in apart
    ]
    judged = [findings.decided(one.mean, one.half_width()) for one in differences]
    counts = {word: judged.count(word) for word in ("held", "not held", "undecided")}
    texts = [f"{counts['held']} pairs in that order", f"{counts['not held']} in the other"]
    return replace(
        line,
        ours=f"{', '.join(texts)}, {counts['undecided']} within their interval",
        holds=next((word for word in ("not held", "undecided") if counts[word]), "held"),
        seeds=min(difference.seeds for difference in differences),
        budget="the paper's",
        runs=tuple(sorted({run for one in measured for run in one.runs})),
    )


def drawn_apart(above: drawn.Curve, below: drawn.Curve) -> float:
    """How far above another a curve ends as drawn."""
    return float(above.points["paper"].iloc[-1] - below.points["paper"].iloc[-1])


def theory(file: Path) -> list[Line]:
    """Section 5.1: the coefficients of AvgGrad and AvgGradInner in each outer gradient."""
    frame = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["algorithm"])
    return [
        coefficients(method, frame[frame["algorithm"].eq(method)], file)
        for method in ("maml", "fomaml", "reptile")
    ]


def coefficients(method: str, rows: pd.DataFrame, file: Path) -> Line:
    """One outer gradient at its largest number of mini-batches, judged for all of them."""
    text = f"The outer gradient of {method_name(method)} to first order in the inner step."
    line = Line("statement", "section 5.1", text, chance=False)
    if rows.empty:
        return line
    last: Any = rows.iloc[-1]
    return replace(
        line,
        paper=f"k = {last['k']}: {last['AvgGrad paper']:g} AvgGrad - "
        f"{last['AvgGradInner paper']:g} alpha AvgGradInner",
        ours=f"{last['AvgGrad']:.4f} and {last['AvgGradInner']:.3f} ± {last['AvgGradInner ±']:.3f}",
        holds="held" if rows["agrees"].all() else "not held",
        seeds=1,
        budget=f"{last['tasks']:,} tasks for each k = {rows['k'].min()} to {rows['k'].max()}",
        runs=(str(file.parent),),
    )


def score(found: records.Records, theory_file: Path) -> list[Line]:
    """Every line, in the paper's order within its kind; `theory_file` is theory.csv."""
    table = cells(found)
    return [*table, *curves(found), *statements(found, table, theory_file)]
