"""Whether the statements of a paper hold in records: held, not held or undecided.

A statement makes claims (`results.claims`). Each is decided by the 95 % interval of the difference,
never by the difference alone. A statement is held when all its claims are, not held when one is
refuted, and undecided otherwise. Where records hold several settings (tasks, budgets), each is
judged for itself; what else varies on a side is compared like with like.
"""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from results import formats, reading, records, schema, statistics
from results.claims import POINTS, Claim, Finding
from results.compare.contrasts import Measured, Side, difference_of, paired, shared_means
from results.grouping import longest, row_keys, rows_where, varying_keys
from results.labels import ONE_TRAINING, about_this_run, counted, row_label, show_value, tail_names

Verdict = Literal["held", "not held", "undecided", "no records"]

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

MATCHED = ("run", "scores", "value", "ci95", "episodes")
"""What each side of a difference brings along."""

MOST_SHOWN = 3


def decided(difference: float, half_width: float) -> Verdict:
    """'held' where the interval lies above zero, 'not held' below, else 'undecided'."""
    lies = statistics.verdict(difference, half_width)
    names: dict[str, Verdict] = {"above": "held", "below": "not held"}
    return names.get(lies, "undecided")


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
        return decided(self.estimate.mean - self.claim.bound, self.estimate.half_width)

    def __str__(self) -> str:
        """'g1+g2 97.10 against g1 61.20: +35.90 ± 1.20'."""
        first, second, mean, width = (
            100 * value
            for value in (self.first, self.second, self.estimate.mean, self.estimate.half_width)
        )
        names = self.claim.names
        return (
            f"{names[0]} {first:.2f} against {names[1]} {second:.2f}: {mean:+.2f} ± {width:.2f}"
            + (f" ({self.among})" if self.among else "")
        )


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
    def seeds(self) -> int:
        """Seeds behind the difference that has fewest."""
        return min((difference.estimate.seeds for difference in self.differences), default=0)

    @property
    def word(self) -> str:
        """The verdict as printed: with one seed, in this run at most."""
        return about_this_run(self.verdict, self.seeds)

    @property
    def shown(self) -> list[Difference]:
        """The differences; of many, those that support the finding least."""
        if len(self.differences) <= MOST_SHOWN:
            return self.differences
        lowest = sorted(self.differences, key=lambda d: d.estimate.mean - d.estimate.half_width)
        return lowest[:MOST_SHOWN]

    @property
    def evidence(self) -> str:
        """What is shown of the differences, and what is not."""
        texts = [str(difference) for difference in self.shown]
        if more := len(self.differences) - len(self.shown):
            texts.append(counted(more, "larger difference"))
        if self.differences and self.missing:
            absent = (" against ".join(claim.names) for claim in self.missing)
            texts.append(f"not recorded: {', '.join(absent)}")
        return "; ".join(texts)


# --- checking -------------------------------------------------------------------------------------


def check(found: records.Records, findings: Sequence[Finding]) -> list[Outcome]:
    """What completed runs say about each finding, an outcome a setting that has records of it.

    A finding without any has one outcome, 'no records'.
    """
    return [outcome for finding in findings for outcome in outcomes_of(finding, found)]


def outcomes_of(finding: Finding, found: records.Records) -> list[Outcome]:
    frame = found.curves if finding.curve else found.evaluations
    frame = rows_where(frame, {"status": "completed", **finding.study})
    if "tested.name" in frame:  # the paper tests on the task that it trains on
        frame = frame[frame["tested.name"].isna() | frame["tested.name"].eq(frame["task.name"])]
    if finding.curve and len(frame):
        frame = curve_means(frame)
    frame = frame.assign(method=tail_names(frame))
    judged = [judge(finding, setting, rows) for setting, rows in settings_of(frame)]
    return [outcome for outcome in judged if outcome.differences] or [Outcome(finding, {}, [], [])]


def judge(finding: Finding, setting: dict[str, Any], frame: pd.DataFrame) -> Outcome:
    claims, varying = finding.claims(frame), varying_keys(frame)
    measured = [differences_of(claim, frame, finding.same, varying) for claim in claims]
    missing = [claim for claim, found in zip(claims, measured, strict=True) if not found]
    return Outcome(finding, setting, list(itertools.chain(*measured)), missing)


def curve_means(points: pd.DataFrame) -> pd.DataFrame:
    """One row a run: the mean over its learning curve of one protocol.

    Its interval is the mean of theirs: all points rest on the same episodes, so that averaging
    them need not make the interval narrower.
    """
    means = points.groupby("run")[["value", "ci95"]].mean()
    runs = points.drop_duplicates("run").drop(columns="iteration").set_index("run")
    return runs.assign(**means, scores=None).reset_index()


def settings_of(frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each setting with its rows; baselines belong to all that they do not differ from."""
    keys = [key for key in CONTEXT if key in frame]
    is_baseline = frame["method"].isin(schema.BASELINES)
    groups: Any = frame[~is_baseline].groupby(keys, dropna=False)
    baselines = frame.loc[is_baseline, keys]
    for values, rows in groups:
        setting = dict(zip(keys, values, strict=True))
        fits = np.ones(len(baselines), bool)
        for key, value in setting.items() if len(baselines) else ():
            known = baselines[key]
            fits &= (known.isna() | known.eq(value).fillna(False)).to_numpy(bool)
        yield setting, frame.loc[[*rows.index, *baselines.index[fits]]]


def differences_of(
    claim: Claim, frame: pd.DataFrame, same: Sequence[str], varying: Sequence[str]
) -> list[Difference]:
    """The difference over the seeds of all sides, for each value of what else varies.

    varying: `varying_keys(frame)`.
    """
    sides = [rows_where(frame, side.where) for side in claim.sides]
    if any(side.empty for side in sides):
        return []
    on = [key for key in (*PAIRED, *same) if key in frame]
    needed = dict.fromkeys(key for side in sides for key in row_keys(side, on, varying))
    rest = [key for key in needed if key != "episodes"]
    pairs = matched(sides, [*on, *rest])
    if pairs.empty:
        return []
    apart = [key for key in (*same, *rest) if pairs[key].nunique(dropna=False) > 1]
    groups = pairs.groupby(apart, dropna=False) if apart else [((), pairs)]
    return [
        Difference(claim, row_label(dict(zip(apart, values, strict=True))), *estimate_of(group))
        for values, group in groups
    ]


def matched(sides: Sequence[pd.DataFrame], keys: Sequence[str]) -> pd.DataFrame:
    """Evaluations that agree in `keys` on all sides, with the columns run_0, run_1, ... of each.

    Of several on one side the longest counts.
    """
    pairs = pd.DataFrame()
    for number, side in enumerate(sides):
        own = longest(side[[*keys, *MATCHED]], keys)
        own = own.rename(columns={key: f"{key}_{number}" for key in MATCHED})
        pairs = pairs.merge(own, on=list(keys)) if number else own
    return pairs


def estimate_of(pairs: pd.DataFrame) -> tuple[float, float, statistics.Estimate]:
    """Both means and their difference: paired by episode where the scores of each are there.

    Of four sides the last two are taken off the first two.
    """
    numbers = range(4 if "run_2" in pairs else 2)
    try:
        first, second, *less = [scores_of(pairs, number) for number in numbers]
    except reading.DamagedRecord:
        return estimate_without_scores(pairs, numbers)
    if less:
        first, second = (
            {seed: difference_of(one, other[seed]) for seed, one in side.items()}
            for side, other in zip((first, second), less, strict=True)
        )
    found = paired(first, second)
    estimate = statistics.Estimate(
        found.mean, found.half_width(), found.over, found.seeds, found.episodes
    )
    return *shared_means(first, second), estimate


def scores_of(pairs: pd.DataFrame, number: int) -> Side:
    """The scores of one side, a line of `pairs` a seed. Raises DamagedRecord: they are missing."""
    files = zip(pairs[f"run_{number}"], pairs[f"scores_{number}"], strict=True)
    return {
        str(seed): Measured(reading.load_scores(run, key)) for seed, (run, key) in enumerate(files)
    }


def estimate_without_scores(
    pairs: pd.DataFrame, sides: Sequence[int]
) -> tuple[float, float, statistics.Estimate]:
    """Several seeds give the interval over their differences, which needs no more than means.

    One seed gives the joint interval of independent numbers, wider than the paired one.
    """
    values = [pairs[f"value_{side}"].to_numpy(float) for side in sides]
    first, second = (values[n] - (values[n + 2] if len(sides) == 4 else 0) for n in (0, 1))
    episodes = int(pairs[[f"episodes_{side}" for side in sides]].to_numpy(int).min())
    if len(pairs) > 1:
        estimate = statistics.seed_interval(first - second, episodes)
    else:
        widths = pairs[[f"ci95_{side}" for side in sides]].to_numpy(float)[0]
        joint = float(np.sqrt(np.sum(widths**2)))
        estimate = statistics.Estimate(float(first[0] - second[0]), joint, "episodes", 1, episodes)
    return float(first.mean()), float(second.mean()), estimate


# --- output ---------------------------------------------------------------------------------------

CAPTION = [
    "Accuracy in percent. A claim is held (or not held) where the 95 % interval of its difference",
    f"lies above (or below) zero, or minus {POINTS} for what may lose as much; across, it is",
    "undecided. The number of claims is not corrected for. ± is the half-width of that interval:",
    "over seeds where there are several, else over episodes.",
    *textwrap.wrap(ONE_TRAINING, 95),
]

WIDTHS = {"finding": 44, "setting": 24, "verdict": 11, "evidence": 52}


def render(outcomes: Sequence[Outcome], style: str) -> str | bytes:
    """Outcomes in any of `formats.STYLES`; csv and parquet hold numbers, a line a difference."""
    rows = numbers(outcomes) if style in formats.NUMBERS else layout(outcomes)
    return formats.write([], rows, CAPTION, style, wrap=WIDTHS)


def layout(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The outcomes as printed: finding, setting, verdict, evidence."""
    return pd.DataFrame(
        {
            "finding": [f"{o.finding.statement[:-1]} [{o.finding.source}]." for o in outcomes],
            "setting": setting_names(outcomes),
            "verdict": [outcome.word for outcome in outcomes],
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
            "verdict": outcome.word,
            "first": difference.claim.names[0],
            "second": difference.claim.names[1],
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
        for outcome, setting in zip(outcomes, setting_names(outcomes), strict=True)
        for difference in outcome.differences
    )


def setting_names(outcomes: Sequence[Outcome]) -> list[str]:
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
