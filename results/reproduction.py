"""`python -m results.reproduction`: docs/reproduction.md, the scorecard of the reproduction.

Made from the committed records; `make reproduce` makes the records that are missing.
"""

import argparse
import math
import shlex
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from results import claims, drawn, findings, options, paper, records, scorecard
from results.formats import markdown_table
from results.labels import counted
from results.scorecard import WORDS, Kind, Line, of_runs, score

PROJECT = Path(__file__).parent.parent
RECORDS = PROJECT / "results" / "published"
PAGE = PROJECT / "docs" / "reproduction.md"

KINDS: dict[Kind, str] = {"cell": "cells", "curve": "curves", "statement": "statements"}


def page(directory: Path) -> str:
    """docs/reproduction.md, from the records at or below a directory."""
    found = records.read_records([directory])
    lines = score(found, directory / "theory" / "theory.csv")
    labels = {run: label for label, _, runs in groups(found, lines) for run in runs}
    parts = ["# The paper, reproduced", INTRODUCTION, counts(lines), spent(found, lines)]
    parts += RULES.split("\n\n")
    for kind, plural in KINDS.items():
        parts += [f"## {plural.capitalize()}", table(lines, kind, labels)]
    parts += [f"Not used: {problem}." for problem in found.problems]
    parts += ["## Figure 3: ours, the drawing and the authors' code", *figure_3(found)]
    if about := [*filter(None, [*figure_4(found), shared_tail(found), full_batches(found)])]:
        parts += ["## Figure 4: ours and the drawing", *about]
    if runs := runs_table(found, lines):
        parts += ["## Runs", runs]
    return "\n\n".join(map(wrapped, filter(None, parts))) + "\n"


def wrapped(part: str) -> str:
    """A paragraph in lines that an editor shows; tables, headings and pictures stay as they are."""
    return part if part.startswith(("|", "#", "<!--")) else textwrap.fill(part, 110)


INTRODUCTION = """\
Every cell, curve and statement of Nichol, Achiam and Schulman 2018 (arXiv:1803.02999v3) beside
what the records under `results/published` say of it. This page is made from them by
`make reproduce HOURS=0`; `make reproduce` runs what is missing. The last table has the commands
(for section 5.1: `python -m benchmark.studies.theory`)."""

RULES = f"""\
A number counts only with the paper's own budget and settings (one exception: the sine waves have
the tanh of the authors' program, not the ReLU of the paper's text). *Reproduced*: the 95 %
interval over several trainings lies on the paper's side; *not reproduced*: on the other;
*undecided*: across.

*Cells*: the difference lies within the joint interval of both numbers (of ours the one in brackets,
which covers other characters too), and that reaches at most {scorecard.WIDEST:g} point to either
side. *Curves*: ours lies within {drawn.TOLERANCE:g} of the drawing at its ends and at the points
that the text names (figure 3, drawn smoothed: at its end; figure 1: the error lies below that of
the untrained network, and the difference stands in the column of deviations). *Statements*: each
difference that it claims lies above its bound; where a figure draws it, the paper's column has it
as drawn, which may lie below that bound too.

One training says *held in this run* or *not held in this run* at most, which counts as undecided:
another seed gives another number. *Not run yet*: there is no record with the paper's budget and
settings."""


def counts(lines: Sequence[Line]) -> str:
    """How many of each kind came out how."""
    frame = pd.DataFrame(
        {
            "": plural,
            **{word: sum(x.kind == kind and x.word == word for x in lines) for word in WORDS},
            "of": sum(x.kind == kind for x in lines),
        }
        for kind, plural in KINDS.items()
    )
    held = sum(line.word == "undecided" and line.holds == "held" for line in lines)
    note = f"Of the undecided, {held} held in the one training that there is." if held else ""
    return "\n\n".join(filter(None, [markdown_table(frame), note]))


def spent(found: records.Records, lines: Sequence[Line]) -> str:
    """The hours behind the lines."""
    runs = chosen_runs(found, lines)
    if runs.empty:
        return ""
    machines = ", ".join(sorted(set(runs["machine"])))
    hours = f"{runs['hours'].sum():.1f} hours"
    return f"They rest on {counted(len(runs), 'run')} of {hours} together ({machines})."


def chosen_runs(found: records.Records, lines: Sequence[Line]) -> pd.DataFrame:
    """The runs behind the lines, with `hours` and `machine`."""
    used = {run for line in lines for run in line.runs}
    needed = ["run", "command", "environment.device", "environment.cores", "environment.commit"]
    runs = found.runs.reindex(columns=list(dict.fromkeys([*needed, *found.runs.columns])))
    runs = runs[runs["run"].isin(used)]
    parts = [f"timing.{name}_seconds" for name in ("train", "curve", "evaluation", "startup")]
    hours = runs.reindex(columns=parts).astype(float).sum(axis=1) / 3600
    traits = runs[["environment.device", "environment.cores"]].astype("string").fillna("unknown")
    machine = [f"{device}, {cores} cores" for device, cores in traits.to_numpy()]
    return runs.assign(hours=hours, machine=machine)


def table(lines: Sequence[Line], kind: Kind, labels: dict[str, str]) -> str:
    """The lines of one kind."""
    chosen = [line for line in lines if line.kind == kind]
    named = {"cell": "difference", "curve": "largest deviation", "statement": "difference"}[kind]
    frame = pd.DataFrame(
        {
            "of": line.place,
            kind: line.what,
            "paper": line.paper,
            "ours": line.ours,
            named: line.difference,
            "verdict": line.verdict,
            "seeds": line.seeds if line.seeds and line.chance else "",
            "budget": line.budget,
            "runs": ", ".join(sorted({labels[run] for run in line.runs if run in labels}, key=int)),
        }
        for line in chosen
    )
    empty = [column for column in frame if not frame[column].astype(bool).any()]
    return markdown_table(frame.drop(columns=empty))


def groups(
    found: records.Records, lines: Sequence[Line]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(label, command, runs) of the runs that one command with several values makes."""
    runs = chosen_runs(found, lines)
    keys = [runs["command"].map(shape), runs["environment.commit"], runs["machine"]]
    alike = [group for _, group in runs.groupby(keys, sort=False, dropna=False)]
    for number, part in enumerate((part for group in alike for part in products(group)), 1):
        yield str(number), joined(part["command"]), tuple(part["run"])


def products(runs: pd.DataFrame) -> list[pd.DataFrame]:
    """Few parts of alike runs that each are every combination of their commands' values."""
    words = pd.DataFrame([words_of(command) for command in runs["command"]], index=runs.index)
    if len(set(map(tuple, words.to_numpy()))) == math.prod(words.nunique()):
        return [runs]
    partners = (words[key].map(with_each(words, str(key))) for key in words)
    cuts = [list(runs.groupby(beside)) for beside in partners if beside.nunique() > 1]
    return min(([p for _, part in cut for p in products(part)] for cut in cuts), key=len)


def with_each(words: pd.DataFrame, key: str) -> pd.Series:
    """For each value of `key`, what the other words are in the commands that have it."""
    others = words.drop(columns=key).agg(" ".join, axis=1)
    return others.groupby(words[key]).agg(lambda beside: " | ".join(sorted(set(beside))))


def words_of(command: Any) -> dict[str, str]:
    """{key: value} of a command's overrides that say what is computed; values without quotes."""
    words = [word.split("=", 1) for word in shlex.split(str(command))[3:] if "=" in word]
    said = [(key, value) for key, value in words if not key.startswith("hydra") and key != "resume"]
    return {key: value.strip("'\"") for key, value in said}


def shape(command: Any) -> str:
    """What commands that differ in their values alone have in common."""
    words = words_of(command)
    fixed = sorted(f"{key}={value}" for key, value in words.items() if key == "+experiment")
    return " ".join([*fixed, *sorted(words)])


def joined(commands: pd.Series) -> str:
    """One command for all: the values that differ are joined by commas."""
    every = [words_of(command) for command in commands]
    values = {key: in_order(dict.fromkeys(words[key] for words in every)) for key in every[0]}
    several = any(len(found) > 1 for found in values.values())
    words = [f"{key}={','.join(map(for_hydra, found))}" for key, found in values.items()]
    start = "python -m benchmark --multirun" if several else "python -m benchmark"
    ordered = sorted(words, key=lambda word: not word.startswith("+"))
    return " ".join([start, *map(shlex.quote, ordered)])


def in_order(values: Collection[str]) -> list[str]:
    """Whole numbers ascending; other values as they come."""
    return sorted(values, key=int) if all(value.isdecimal() for value in values) else list(values)


def for_hydra(value: str) -> str:
    """A value in the quotes that Hydra's grammar wants: mean(g1) is a call, "mean(g1)" a name."""
    return f'"{value}"' if "(" in value else value


def runs_table(found: records.Records, lines: Sequence[Line]) -> str:
    """Command, machine, commit and hours of the runs behind the lines."""
    runs = chosen_runs(found, lines).set_index("run")
    frame = pd.DataFrame(
        {
            "runs": label,
            "command": command,
            "number": len(which),
            "hours": f"{runs['hours'][list(which)].sum():.2f}",
            "machine": runs["machine"][which[0]],
            "commit": runs["environment.commit"].fillna("unknown").str[:7][which[0]],
        }
        for label, command, which in groups(found, lines)
    )
    return markdown_table(frame) if len(frame) else ""


# --- figure 3, at two inner rates ----------------------------------------------------------------

SHOWN = ("g1", "g2", "g1+g2", "g1+g2+g3+g4")
MOMENTS = (2_000, 4_000, 10_000, drawn.META_ITERATIONS)

FIGURE_3 = (
    (drawn.DRAWINGS[0], "combinations_40000"),
    (drawn.SLOWER, "combinations_40000_rate_0.001"),
)
"""The drawing beside ours at either inner rate, and the folder of these records."""

At = dict[str, dict[int, tuple[float, float]]]
"""(ours, the paper's) by curve and meta-iteration."""


def figure_3(found: records.Records) -> list[str]:
    """Ours at the inner rates of tables 5 and 3, the drawing and the authors' code."""
    figures = [(*figure, at_rate(figure[0], found)) for figure in FIGURE_3]
    figures = [figure for figure in figures if all(MOMENTS[-1] in figure[2][x] for x in SHOWN)]
    rates = {f"{drawing.rate:g}": at for drawing, _, at in figures}
    if "0.003" not in rates:
        return ["Not run yet."]
    return [
        *(picture(drawing, runs) for drawing, runs, _ in figures),
        markdown_table(moments(rates)),
        distances(rates),
        authors_code(rates["0.003"]["g2"]),
        two_steps(found),
    ]


def at_rate(drawing: drawn.Drawing, found: records.Records) -> At:
    return {curve.name: curve.at for curve in drawn.curves_of(drawing, found)}


def picture(drawing: drawn.Drawing, *folders: str) -> str:
    """The marker of a generated figure, and the figure."""
    runs = " ".join(f"results/published/{folder}" for folder in folders)
    return (
        f"<!-- figure {drawing.picture} {runs} -->\n"
        f"![The paper's {drawing.name}, thin and grey, and ours{drawing.note}]"
        f"(../results/published/figures/{drawing.picture}.png)"
    )


def moments(rates: dict[str, At]) -> pd.DataFrame:
    """Some of the curves on their way: the paper's, and ours at each rate."""
    ours, theirs = 0, 1
    shown = {"drawn": (rates["0.003"], theirs)}
    shown |= {f"ours, {rate}": (at, ours) for rate, at in rates.items()}
    return pd.DataFrame(
        {
            "combination": name,
            "curve": label,
            **{f"at {x:,}": f"{at[name][x][whose]:.3f}" for x in MOMENTS},
        }
        for name in SHOWN
        for label, (at, whose) in shown.items()
    )


def distances(rates: dict[str, At]) -> str:
    """How far ours lie from the drawing at each rate, where all rates have a point."""
    shared = {
        (name, x)
        for name in rates["0.003"]
        for x in set.intersection(*(set(at[name]) for at in rates.values()))
    }
    texts = [f"{apart(at, shared)} with an inner rate of {rate}" for rate, at in rates.items()]
    table_3 = (
        " The latter is table 3's; table 5 and the authors' README have 0.003, which the verdicts "
        "above keep to. The drawing ends as with table 3's; before, smoothing makes it lag."
    )
    return f"Ours lie {'; '.join(texts)}.{table_3 if len(rates) > 1 else ''}"


def authors_code(ours: dict[int, tuple[float, float]]) -> str:
    """The authors' released code against ours and the drawing, for g2."""
    code = pd.read_csv(drawn.FOLDER / "authors_code_g2.csv")
    texts = [
        f"{accuracy:.3f} at {x:,} (ours {ours[x][0]:.3f}, drawn {ours[x][1]:.3f})"
        for x, accuracy in zip(code["meta_iteration"], code["accuracy"], strict=True)
        if x in ours
    ]
    return (
        "The authors' released code, run by this project on the same data with the command of its "
        f"README for g2, gives {', '.join(texts)}. It has an inner rate of 0.003."
    )


def two_steps(found: records.Records) -> str:
    """Two-step Reptile against two-step FOMAML, at the end and along the curve."""
    ours = of_runs(found, {run for curve in drawn.curves(found) for run in curve.runs})
    pair = claims.beats(("g2", "g1+g2"))
    texts = []
    for curve_too, where in ((False, "at the end"), (True, "on the mean of the learning curve")):
        finding = claims.Finding("", "", "", paper.FIVE_SHOT, pair, curve=curve_too)
        for outcome in findings.check(ours, [finding]):
            texts += [f"{where} {difference}" for difference in outcome.differences]
    return (
        f"Two-step FOMAML (g2) against two-step Reptile (g1+g2), in percent: {'; '.join(texts)}. "
        'The paper\'s "noticeably worse" is about the drawn curves.'
    )


def apart(curves: At, places: set[tuple[str, int]]) -> str:
    """'0.02 from the drawing on average, 0.05 at most (g2 at 2,000), 0.03 at most at its ends'."""
    far = {(name, x): abs(np.subtract(*curves[name][x])) for name, x in places}
    name, x = max(far, key=lambda place: far[place])
    ends = max(value for (_, x), value in far.items() if x == drawn.META_ITERATIONS)
    return (
        f"{np.mean(list(far.values())):.3f} from the drawing on average, {far[name, x]:.3f} at "
        f"most ({name} at {x:,}) and {ends:.3f} at most at the ends"
    )


# --- figure 4 -------------------------------------------------------------------------------------

FIGURE_4 = {
    "figure 4a": ["overlap_iterations_40000"],
    "figure 4b": ["overlap_batch_40000", "overlap_iterations_40000"],  # the latter: batches of 25
    "figure 4c": ["overlap_step_40000", "overlap_batch_40000"],  # the latter: an outer step of 1
}
"""The folders of the records beside each drawing."""


def figure_4(found: records.Records) -> list[str]:
    """The pictures of those figures of which a curve has been run at its ends."""
    whole = {c.drawing.name for c in drawn.curves(found) if c.anchors["mean"].notna().all()}
    figures = [drawing for drawing in drawn.DRAWINGS if drawing.name in FIGURE_4.keys() & whole]
    pictures = [picture(drawing, *FIGURE_4[drawing.name]) for drawing in figures]
    return [*pictures, "Ours was measured where there are marks."] if pictures else []


def shared_tail(found: records.Records) -> str:
    """Points of the curve of figure 4a that tells the rates apart most, at both rates."""
    figure, name = drawn.DRAWINGS[1], "FOMAML, shared tail, cycling"
    usual, slower = (
        at_rate(figure.at(rate), found)[name] for rate in (figure.rate, drawn.SLOWER.rate)
    )
    texts = [
        f"{usual[steps][1]:.3f} for {steps} inner iterations and comes to {usual[steps][0]:.3f} "
        f"with {figure.rate:g} and {at[0]:.3f} with {drawn.SLOWER.rate:g} here"
        for steps, at in slower.items()
        if steps in usual
    ]
    if not texts:
        return ""
    return (
        f"Figure 4a has the rate of table 6, {figure.rate:g}: shared-tail FOMAML with cycling "
        f"batches is drawn at {'; at '.join(texts)}."
    )


def full_batches(found: records.Records) -> str:
    """What figures 4b and 4c say of one method: batches of all examples, an outer step of 1."""
    cycling, replacement = "FOMAML, shared tail, cycling", "FOMAML, shared tail, replacement"
    size = claims.EXAMPLES
    places = (
        ("figure 4b", cycling, size),
        ("figure 4b", replacement, size),
        ("figure 4c", cycling, 0),  # log2 of the outer step
    )
    at = {(curve.drawing.name, curve.name): curve.at for curve in drawn.curves(found)}
    points = [at[figure, name].get(x) for figure, name, x in places]
    if None in points:
        return ""
    ours, theirs = ([f"{value:.3f}" for value in values] for values in zip(*points, strict=True))
    return (
        f"Where a batch holds all {size} examples of a task, cycling and replacement are one "
        "method, which figure 4c has a third time, at its outer step of 1. It is drawn at "
        f"{theirs[0]} and {theirs[1]} in figure 4b and at {theirs[2]} in figure 4c, and comes to "
        f"{', '.join(dict.fromkeys(ours))} here: that far apart lie drawings of one method."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; with --check only say whether it is stale."""
    parser = argparse.ArgumentParser(prog="python -m results.reproduction", description=__doc__)
    parser.add_argument("records", nargs="?", type=Path, default=RECORDS, help="where to read")
    parser.add_argument("--output", type=options.new_file, default=PAGE, help="the page")
    parser.add_argument("--check", action="store_true", help="only say whether the page is stale")
    asked = parser.parse_args(arguments)
    if not asked.records.is_dir():
        return say(f"records={asked.records}: must be a directory of records")
    fresh = page(asked.records)
    if asked.check:
        stale = not asked.output.exists() or asked.output.read_text("utf-8") != fresh
        return say(f"{asked.output} is stale: run make reproduce HOURS=0") if stale else 0
    try:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(fresh, encoding="utf-8")
    except OSError as error:
        return say(f"--output {asked.output}: {error.strerror}")
    print(f"wrote {asked.output}")
    return 0


def say(problem: str) -> int:
    """Print what is wrong; returns the exit status."""
    print(problem, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
