"""The paper's qualitative findings as checks over records: held, not held or undecided.

A finding makes claims: the accuracy of one side exceeds that of another, or stays within MARGIN of
it. Each claim is decided by the 95 % interval of the difference, never by the difference alone. A
finding is held when all its claims are, not held when one is refuted, and undecided otherwise.
Where records hold several settings (tasks, budgets), each is judged for itself; what else varies on
a side is compared like with like.

Sections, figures and tables are those of Nichol, Achiam and Schulman 2018 (arXiv 1803.02999);
"post" is openai.com/index/reptile.
"""

import io
import itertools
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from tabulate import SEPARATING_LINE, tabulate

from results import reading, records, schema, statistics, tables
from results.comparison import common_episodes
from results.grouping import row_keys, show_value
from results.labels import counted, row_label, tail_names

Verdict = Literal["held", "not held", "undecided", "no records"]

MARGIN = 0.02
"""Accuracy that a method may lose and still count as unharmed."""

POINTS = f"{100 * MARGIN:g} points"

CONTEXT = (
    "task.name",
    "model.name",
    "version",
    "task.ways",
    "algorithm.meta_iterations",
    "algorithm.meta_batch",
    "algorithm.inner_learning_rate",
    "algorithm.loss_reduction",
    "steps",
    "queries",
)
"""What makes a setting of its own, judged for itself."""

PAIRED = ("seed", "data.test")
"""Two runs that agree in these (and in the setting) met the same episodes."""

MOST_SHOWN = 3


class Side(NamedTuple):
    """One side of a claim: its name in the evidence, and the values its evaluations have."""

    label: str
    where: dict[str, Any]


class Claim(NamedTuple):
    """The accuracy of `first` minus that of `second` exceeds `bound`."""

    first: Side
    second: Side
    bound: float = 0.0


class Difference(NamedTuple):
    """A claim and what the records say: both means and the estimate of their difference."""

    claim: Claim
    among: str
    first: float
    second: float
    estimate: statistics.Estimate

    @property
    def verdict(self) -> Verdict:
        """Where the interval lies: above the bound, below it, or across."""
        lies = statistics.verdict(self.estimate.mean - self.claim.bound, self.estimate.half_width)
        names: dict[str, Verdict] = {"above": "held", "below": "not held"}
        return names.get(lies, "undecided")

    def __str__(self) -> str:
        """'g1+g2 97.10 against g1 61.20: +35.90 ± 1.20'."""
        first, second, mean, width = (
            100 * value
            for value in (self.first, self.second, self.estimate.mean, self.estimate.half_width)
        )
        names = self.claim.first.label, self.claim.second.label
        return (
            f"{names[0]} {first:.2f} against {names[1]} {second:.2f}: {mean:+.2f} ± {width:.2f}"
            + (f" ({self.among})" if self.among else "")
        )


@dataclass(frozen=True)
class Finding:
    """A qualitative statement of the paper.

    Attributes:
        name: short and unique.
        statement: one sentence.
        source: where the paper says so.
        study: the values that all its evaluations have.
        claims: what must be true, given the evaluations of one setting.
        same: settings in which both sides of a claim must agree.
        curve: judge the mean over the learning curve instead of the final accuracy.
    """

    name: str
    statement: str
    source: str
    study: dict[str, Any]
    claims: Callable[[pd.DataFrame], list[Claim]]
    same: tuple[str, ...] = ()
    curve: bool = False


@dataclass(frozen=True)
class Outcome:
    """What the records say about a finding in one setting.

    `differences` are those of the claims that have records, `missing` are the other claims.
    """

    finding: Finding
    setting: dict[str, Any]
    differences: list[Difference]
    missing: list[Claim]

    @property
    def verdict(self) -> Verdict:
        """The finding's verdict; with claims that lack records it can be refuted but not held."""
        verdicts = {difference.verdict for difference in self.differences}
        if not verdicts:
            return "no records"
        if "not held" in verdicts:
            return "not held"
        return "undecided" if self.missing or "undecided" in verdicts else "held"

    @property
    def evidence(self) -> str:
        """The differences; of many, those that support the finding least."""
        shown = self.differences
        if len(shown) > MOST_SHOWN:
            shown = sorted(shown, key=lambda d: d.estimate.mean - d.estimate.half_width)
        texts = [str(difference) for difference in shown[:MOST_SHOWN]]
        if more := len(shown) - MOST_SHOWN:
            texts += [f"{counted(more, 'larger difference')}"] if more > 0 else []
        if self.differences and self.missing:
            absent = (f"{c.first.label} against {c.second.label}" for c in self.missing)
            texts.append(f"not recorded: {', '.join(absent)}")
        return "; ".join(texts)


# --- the findings ---------------------------------------------------------------------------------

SUMS = {1: "g1", 2: "g1+g2", 3: "g1+g2+g3", 4: "g1+g2+g3+g4"}
LAST = {k: f"g{k}" for k in (2, 3, 4)}
MEANS = {k: f"mean({SUMS[k]})" for k in (2, 3, 4)}

SHARED = {"method": "FOMAML, shared tail"}
SEPARATE = {"method": "FOMAML, separate tail"}
REPTILE = {"method": "reptile"}

STEPS, BATCH, OUTER = "algorithm.inner_steps", "algorithm.inner_batch", "algorithm.outer_step"
REPLACEMENT = "algorithm.replacement"
WORDS = {STEPS: "{} iterations", BATCH: "{} examples"}

ACCURACY = {"metric": "accuracy", "split": "test"}
FIVE_SHOT = {
    **ACCURACY,
    "task.ways": 5,
    "shots": 5,
    "transductive": False,
    "algorithm.inner_optimizer": "sgd",
}


def beats(*pairs: tuple[str, str]) -> Callable[[pd.DataFrame], list[Claim]]:
    """The first method of each pair is better than the second."""
    return lambda _: [Claim(_method(first), _method(second)) for first, second in pairs]


def makes_no_progress(method: str) -> Callable[[pd.DataFrame], list[Claim]]:
    """The network from scratch, adapted in the same way, is as good up to MARGIN."""
    return lambda _: [Claim(Side("from scratch", {"method": "scratch"}), _method(method), -MARGIN)]


def drops(kind: dict[str, Any], key: str, pivot: float) -> Callable[[pd.DataFrame], list[Claim]]:
    """Accuracy at `pivot` is fine, and above that at the next and at the largest value of `key`.

    Fine is not below that at the smallest value, up to MARGIN. All with cycling batches.
    """
    cycling = {**kind, REPLACEMENT: False}

    def claims(frame: pd.DataFrame) -> list[Claim]:
        values = _values(frame, cycling, key)
        below, above = [v for v in values if v < pivot], [v for v in values if v > pivot]
        at = _at(cycling, key, pivot)
        fine = [Claim(at, _at(cycling, key, value), -MARGIN) for value in below[:1]]
        ends = dict.fromkeys([*above[:1], *above[-1:]])
        return fine + [Claim(at, _at(cycling, key, value)) for value in ends] if ends else []

    return claims


def falls(
    kind: dict[str, Any], key: str, pivot: float, replacement: bool
) -> Callable[[pd.DataFrame], list[Claim]]:
    """Accuracy at `pivot` is above that at the largest value of `key`."""
    curve = {**kind, REPLACEMENT: replacement}

    def claims(frame: pd.DataFrame) -> list[Claim]:
        ends = [value for value in _values(frame, curve, key)[-1:] if value > pivot]
        return [Claim(_at(curve, key, pivot), _at(curve, key, value)) for value in ends]

    return claims


def keeps(kind: dict[str, Any], key: str, pivot: float) -> Callable[[pd.DataFrame], list[Claim]]:
    """Accuracy at the largest value of `key` is not below that at `pivot`, up to MARGIN."""

    def claims(frame: pd.DataFrame) -> list[Claim]:
        made = []
        for replacement in _values(frame, kind, REPLACEMENT):
            curve = {**kind, REPLACEMENT: replacement}
            drawn = "replacement" if replacement else "cycling"
            for last in _values(frame, curve, key)[-1:]:
                side = _at(curve, key, last)
                side = side._replace(label=f"{drawn}: {side.label}")
                made += [Claim(side, _at(curve, key, pivot), -MARGIN)] if last > pivot else []
        return made

    return claims


def full_batches_are_poor(frame: pd.DataFrame) -> list[Claim]:
    """At each outer step, shared tail with batches of 100 is below its rivals with them.

    Without rivals, it is below shared tail with disjoint batches of 25.
    """
    shared = {**SHARED, BATCH: 100}
    steps = _values(frame, shared, OUTER)
    rivals = [("Reptile", REPTILE), ("separate tail", SEPARATE)]
    claims = [
        Claim(
            Side(f"outer step {show_value(step)}: {name}", {**kind, BATCH: 100, OUTER: step}),
            Side("shared tail", {**shared, OUTER: step}),
        )
        for step in steps
        for name, kind in rivals
        if step in _values(frame, {**kind, BATCH: 100}, OUTER)
    ]
    disjoint = {**SHARED, BATCH: 25, REPLACEMENT: False}
    return claims or [
        Claim(
            Side(f"outer step {show_value(step)}: batches of 25", disjoint),
            Side("of 100", {**shared, OUTER: step}),
        )
        for step in steps
    ]


def transduction_helps(_: pd.DataFrame) -> list[Claim]:
    """Reptile that classifies all queries at once beats Reptile that sees them one by one."""
    with_it, without = ({**REPTILE, "transductive": kind} for kind in (True, False))
    return [Claim(Side("with transduction", with_it), Side("without", without))]


FINDINGS = [
    Finding(
        "g1 makes no progress",
        "Joint training (g1) yields no progress: it adapts no better than an untrained network "
        f"(within {POINTS}).",
        "post; section 6.2, figure 3",
        FIVE_SHOT,
        makes_no_progress("g1"),
    ),
    Finding(
        "later gradients beat g1",
        "Every combination that includes g2 or a later gradient beats g1.",
        "section 6.2, figure 3",
        FIVE_SHOT,
        beats(*((name, "g1") for k in (2, 3, 4) for name in (LAST[k], SUMS[k], MEANS[k]))),
    ),
    Finding(
        "g2 beats g1+g2",
        "Two-step Reptile (g1+g2) is worse than two-step FOMAML (g2).",
        "section 6.2, figure 3",
        FIVE_SHOT,
        beats(("g2", "g1+g2")),
    ),
    Finding(
        "sums beat the last gradient",
        "With three and four steps the sum of the gradients beats the last one alone.",
        "section 6.2, figure 3",
        FIVE_SHOT,
        beats(*((SUMS[k], LAST[k]) for k in (3, 4))),
    ),
    Finding(
        "longer sums are better",
        "The more gradients a sum includes, the better.",
        "section 6.2, figure 3",
        FIVE_SHOT,
        beats(*((SUMS[k + 1], SUMS[k]) for k in (1, 2, 3))),
    ),
    Finding(
        "longer sums learn faster",
        "Including more gradients yields faster learning (mean over the learning curve).",
        "post; section 6.2, figure 3",
        FIVE_SHOT,
        beats(*((SUMS[k + 1], SUMS[k]) for k in (1, 2, 3))),
        curve=True,
    ),
    Finding(
        "shared tail falls from 5 iterations",
        "Shared-tail FOMAML with cycling batches is fine up to 4 inner iterations (within "
        f"{POINTS}) and drops from 5, when it has seen all samples.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        drops(SHARED, STEPS, 4),
        same=(OUTER,),
    ),
    Finding(
        "replacement falls with iterations",
        "Shared-tail FOMAML with replacement degrades as inner iterations grow.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        falls(SHARED, STEPS, 4, replacement=True),
        same=(OUTER,),
    ),
    Finding(
        "separate tail keeps with iterations",
        f"Separate-tail FOMAML keeps its performance (within {POINTS}) as inner iterations grow.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        keeps(SEPARATE, STEPS, 4),
        same=(OUTER,),
    ),
    Finding(
        "Reptile keeps with iterations",
        f"Reptile keeps its performance (within {POINTS}) as inner iterations grow.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        keeps(REPTILE, STEPS, 4),
        same=(OUTER,),
    ),
    Finding(
        "shared tail falls above batch 25",
        "Shared-tail FOMAML with cycling is fine with 4 inner batches of up to 25 examples (within "
        f"{POINTS}) and falls above, where the batches overlap.",
        "section 6.3, figure 4b",
        {**FIVE_SHOT, STEPS: 4},
        drops(SHARED, BATCH, 25),
        same=(OUTER,),
    ),
    Finding(
        "separate tail keeps above batch 25",
        f"Separate-tail FOMAML keeps its performance (within {POINTS}) as the inner batch grows.",
        "section 6.3, figure 4b",
        {**FIVE_SHOT, STEPS: 4},
        keeps(SEPARATE, BATCH, 25),
        same=(OUTER,),
    ),
    Finding(
        "Reptile keeps above batch 25",
        f"Reptile keeps its performance (within {POINTS}) as the inner batch grows.",
        "section 6.3, figure 4b",
        {**FIVE_SHOT, STEPS: 4},
        keeps(REPTILE, BATCH, 25),
        same=(OUTER,),
    ),
    Finding(
        "full batches are poor at every outer step",
        "With full batches of 100, shared-tail FOMAML is poor for every outer step.",
        "section 6.3, figure 4c",
        {**FIVE_SHOT, STEPS: 4},
        full_batches_are_poor,
    ),
    Finding(
        "transduction helps Reptile",
        "Reptile + transduction beats Reptile on 1-shot Omniglot.",
        "table 2",
        {**ACCURACY, "task.name": "omniglot", "task.split": "paper", "shots": 1, "steps": 50},
        transduction_helps,
    ),
]


def _method(name: str) -> Side:
    return Side(name, {"method": name})


def _at(kind: dict[str, Any], key: str, value: Any) -> Side:
    return Side(WORDS[key].format(show_value(value)), {**kind, key: value})


def _values(frame: pd.DataFrame, where: dict[str, Any], key: str) -> list[Any]:
    """The values of `key`, ascending."""
    return sorted(_select(frame, where)[key].dropna().unique()) if key in frame else []


# --- checking -------------------------------------------------------------------------------------


def check(found: records.Records, findings: Sequence[Finding] = FINDINGS) -> list[Outcome]:
    """What completed runs say about each finding, an outcome a setting that has records of it.

    A finding without any has one outcome, 'no records'.
    """
    return [outcome for finding in findings for outcome in _outcomes(finding, found)]


def _outcomes(finding: Finding, found: records.Records) -> list[Outcome]:
    frame = found.curves if finding.curve else found.evaluations
    frame = _select(frame, {"status": "completed", **finding.study})
    if finding.curve and len(frame):
        frame = _curve_means(frame)
    frame = frame.assign(method=tail_names(frame))
    judged = [_judge(finding, setting, rows) for setting, rows in _settings(frame)]
    return [outcome for outcome in judged if outcome.differences] or [Outcome(finding, {}, [], [])]


def _judge(finding: Finding, setting: dict[str, Any], frame: pd.DataFrame) -> Outcome:
    claims = finding.claims(frame)
    measured = [_differences(claim, frame, finding.same) for claim in claims]
    missing = [claim for claim, found in zip(claims, measured, strict=True) if not found]
    return Outcome(finding, setting, list(itertools.chain(*measured)), missing)


def _select(frame: pd.DataFrame, where: dict[str, Any]) -> pd.DataFrame:
    """Rows with these values; none where a column is absent."""
    for key, value in where.items():
        frame = frame[frame[key].eq(value).fillna(False)] if key in frame else frame.iloc[:0]
    return frame


def _curve_means(points: pd.DataFrame) -> pd.DataFrame:
    """One row a run: the mean over its learning curve of one protocol.

    Its interval is the mean of theirs: all points rest on the same episodes, so that averaging
    them need not make the interval narrower.
    """
    means = points.groupby("run")[["value", "ci95"]].mean()
    runs = points.drop_duplicates("run").drop(columns="iteration").set_index("run")
    return runs.assign(**means, scores=None).reset_index()


def _settings(frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each setting with its rows; baselines belong to all that they do not differ from."""
    keys = [key for key in CONTEXT if key in frame]
    is_baseline = frame["method"].isin(schema.BASELINES)
    groups: Any = frame[~is_baseline].groupby(keys, dropna=False)
    for values, rows in groups:
        setting = dict(zip(keys, values, strict=True))
        baselines = frame[is_baseline]
        for key, value in setting.items():
            baselines = baselines[baselines[key].isna() | baselines[key].eq(value).fillna(False)]
        yield setting, frame.loc[[*rows.index, *baselines.index]]


def _differences(claim: Claim, frame: pd.DataFrame, same: Sequence[str]) -> list[Difference]:
    """The difference over the seeds of both sides, for each value of what else varies."""
    first, second = (_select(frame, side.where) for side in (claim.first, claim.second))
    on = [key for key in (*PAIRED, *same) if key in frame]
    rest = list(dict.fromkeys(row_keys(first, on) + row_keys(second, on)))
    kept = [*on, *rest, "run", "scores", "value", "ci95", "episodes"]
    pairs = first[kept].merge(second[kept], on=[*on, *rest], suffixes=("_first", "_second"))
    if pairs.empty:
        return []
    apart = [key for key in (*same, *rest) if pairs[key].nunique(dropna=False) > 1]
    groups = pairs.groupby(apart, dropna=False) if apart else [((), pairs)]
    return [
        Difference(claim, row_label(dict(zip(apart, values, strict=True))), *_estimate(group))
        for values, group in groups
    ]


def _estimate(pairs: pd.DataFrame) -> tuple[float, float, statistics.Estimate]:
    """Both means and their difference: paired by episode where the scores of each are there."""
    if not pairs[["scores_first", "scores_second"]].notna().all(axis=None):
        return _estimate_without_scores(pairs)
    try:
        first, second = common_episodes(pairs)
    except reading.DamagedRecord:
        return _estimate_without_scores(pairs)
    means = [np.mean([scores.mean(dtype=float) for scores in side]) for side in (first, second)]
    return float(means[0]), float(means[1]), statistics.paired_difference(first, second)


def _estimate_without_scores(pairs: pd.DataFrame) -> tuple[float, float, statistics.Estimate]:
    """Several seeds give the interval over their differences, which needs no more than means.

    One seed gives the joint interval of two independent numbers, wider than the paired one.
    """
    first, second = (pairs[f"value_{side}"].to_numpy(float) for side in ("first", "second"))
    episodes = int(pairs[["episodes_first", "episodes_second"]].to_numpy(int).min())
    if len(pairs) > 1:
        estimate = statistics.seed_interval(first - second, episodes)
    else:
        joint = float(np.hypot(*pairs[["ci95_first", "ci95_second"]].to_numpy(float)[0]))
        estimate = statistics.Estimate(float(first[0] - second[0]), joint, "episodes", 1, episodes)
    return float(first.mean()), float(second.mean()), estimate


# --- output ---------------------------------------------------------------------------------------

CAPTION = [
    "Accuracy in percent. A claim is held (or not held) where the 95 % interval of its difference",
    f"lies above (or below) zero, or minus {POINTS} for what may lose as much; across, it is",
    "undecided. The number of claims is not corrected for. ± is the half-width of that interval:",
    "over seeds where there are several; with one, over its episodes, so that training with",
    "another seed may give another difference.",
]

WIDTHS = {"finding": 44, "setting": 24, "verdict": 10, "evidence": 52}
LATEX_COLUMNS = {
    "finding": r"p{.36\linewidth}",
    "setting": r"p{.12\linewidth}",
    "verdict": "l",
    "evidence": r"p{.36\linewidth}",
}


def render(outcomes: Sequence[Outcome], style: str) -> str | bytes:
    """Outcomes in any of `tables.FORMATS`; csv and parquet hold numbers, a line a difference."""
    if style == "csv":
        return numbers(outcomes).to_csv(index=False)
    if style == "parquet":
        buffer = io.BytesIO()
        numbers(outcomes).to_parquet(buffer, index=False)
        return buffer.getvalue()
    shown = layout(outcomes)
    if style == "latex":
        return _latex(shown)
    if style == "text":
        shown = _spaced(shown)
    caption = "\n".join(CAPTION) if style == "text" else " ".join(CAPTION)
    return f"{tables.grid(shown, style)}\n\n{caption}\n"


def layout(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The outcomes as printed: finding, setting, verdict, evidence."""
    return pd.DataFrame(
        {
            "finding": [f"{o.finding.statement[:-1]} [{o.finding.source}]." for o in outcomes],
            "setting": _setting_names(outcomes),
            "verdict": [outcome.verdict for outcome in outcomes],
            "evidence": [outcome.evidence for outcome in outcomes],
        }
    )


def numbers(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One line a difference; accuracies are shares from 0 to 1, as in the records."""
    return pd.DataFrame(
        {
            "finding": outcome.finding.name,
            "source": outcome.finding.source,
            "setting": setting,
            "verdict": outcome.verdict,
            "first": difference.claim.first.label,
            "second": difference.claim.second.label,
            "among": difference.among,
            "first_mean": difference.first,
            "second_mean": difference.second,
            "difference": difference.estimate.mean,
            "ci95": difference.estimate.half_width,
            "bound": difference.claim.bound,
            "claim": difference.verdict,
            "interval_over": difference.estimate.over,
            "seeds": difference.estimate.seeds,
            "episodes": difference.estimate.episodes,
        }
        for outcome, setting in zip(outcomes, _setting_names(outcomes), strict=True)
        for difference in outcome.differences
    )


def _setting_names(outcomes: Sequence[Outcome]) -> list[str]:
    """'omniglot, 4000 meta-iterations', and what else tells the settings of a finding apart."""
    names = []
    for outcome in outcomes:
        setting = dict(outcome.setting)
        task, budget = (
            show_value(setting.pop(key, None)) for key in ("task.name", "algorithm.meta_iterations")
        )
        others = [o.setting for o in outcomes if o.finding is outcome.finding]
        telling = {
            key: value
            for key, value in setting.items()
            if len({show_value(other[key]) for other in others}) > 1
        }
        rest = f", {row_label(telling)}" if telling else ""
        names.append(f"{task}, {budget} meta-iterations{rest}")
    return names


def _spaced(shown: pd.DataFrame) -> pd.DataFrame:
    """Cells broken into lines, and a rule between two rows."""
    wrapped = shown.apply(
        lambda column: [
            textwrap.fill(text, WIDTHS[column.name], break_on_hyphens=False) for text in column
        ]
    )
    rules = pd.DataFrame(SEPARATING_LINE, wrapped.index[:-1], wrapped.columns)
    return pd.concat([wrapped, rules]).sort_index(kind="stable")


def _latex(shown: pd.DataFrame) -> str:
    """A booktabs table whose long columns wrap."""
    text = tabulate(
        shown.to_numpy().tolist(), headers=list(shown.columns), tablefmt="latex_booktabs"
    )
    columns = "".join(LATEX_COLUMNS[name] for name in shown.columns)
    text = text.replace(f"{{{'l' * len(shown.columns)}}}", f"{{{columns}}}", 1)
    caption = " ".join(CAPTION).replace("%", r"\%")
    table = (
        f"\\begin{{table}}\n\\centering\\small\n\\caption{{{caption}}}\n{text}\n\\end{{table}}\n"
    )
    return "% needs \\usepackage{booktabs}\n" + table.replace("±", r"$\pm$")
