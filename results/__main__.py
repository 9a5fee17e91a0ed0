"""`python -m results DIR...`: tables, figures and a report from the records of any runs."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from results import findings, formats, paper, records, tables
from results.compare import against, costs, paired, planning, ranking
from results.compare.other_numbers import numbers_of
from results.grouping import BadOption, narrow, resolve_key
from results.options import Parser, build_parser, refuse_unused

Result = TypeVar("Result")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else list(arguments)
    if options.fail_on_worse and not options.against:
        parser.error("argument --fail-on-worse: needs --against")
    if bool(options.plan) != (options.margin is not None):
        parser.error("argument --plan: needs --margin POINTS, and --margin needs --plan A B")
    refuse_unused(options, parser)
    if options.format == "parquet" and options.output is None:
        parser.error("argument --format: parquet is binary and needs --output FILE")
    try:
        return watched(options, parser) if options.watch else answered(options, parser)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        file = error.filename or options.output or "to standard output"
        parser.error(f"cannot write {file}: {error.strerror}")
    return 0


def watched(options: argparse.Namespace, parser: Parser) -> int:
    """The jobs below the directories, until none runs any more."""
    from results.watch import watch

    for directory in options.directories:
        if not os.path.exists(directory):
            parser.error(f"{directory}: no such file or directory")
    return watch(options.directories, options.report)


def answered(options: argparse.Namespace, parser: Parser) -> int:
    """Everything that was asked for, of the records there are; the exit status."""
    found = records.read_records(options.directories)
    say(found.problems)
    usable = len(found.completed) or (len(found.curves) and (options.figures or options.report))
    if not usable:
        say([f"no completed evaluation in {', '.join(options.directories)}"])
        return 1
    found = checked(options, found, parser)
    say(f"note: {note}" for note in found.notes)
    return write_all(options, found, parser)


def checked(options: argparse.Namespace, found: records.Records, parser: Parser) -> records.Records:
    """The records that meet --where, once every key is known to exist."""
    found = or_error(parser, "--where", partial(narrow, found, options.where))
    for name in ("rows", "columns"):
        for key in getattr(options, name) or []:
            or_error(parser, f"--{name}", partial(resolve_key, key, found.evaluations))
    return found


def or_error(parser: Parser, option: str, action: Callable[[], Result]) -> Result:
    """What `action` returns; where it cannot, an error of this option."""
    try:
        return action()
    except BadOption as error:
        parser.error(f"argument {option}: {error}")


def write_all(options: argparse.Namespace, found: records.Records, parser: Parser) -> int:
    """Everything that was asked for: the table, then figures and report; the exit status."""
    status = 0
    numbers = published(options, parser)
    made = accuracies(options, found, parser, numbers)
    if options.compare:
        emit(options, or_error(parser, "--compare", partial(compared, options, found)))
    elif options.rank:
        emit(options, or_error(parser, "--rank", partial(ranked, options, found)))
    elif options.plan:
        emit(options, or_error(parser, "--plan", partial(planned, options, found)))
    elif options.against:
        status = emit_against(options, found, parser)
    elif options.findings:
        status = emit_findings(options, found)
    elif made:
        shown = made if options.published else [table.without_comparison() for table in made]
        emit(options, tables.render(shown, style_of(options)))
    if options.figures:
        draw(found, options.figures)
    if options.report:
        from results.page import report

        report.write_report(found, made, options.report, options.words, numbers)
        say([f"wrote {options.report}"])
    return status


INSTEAD = ("compare", "rank", "plan", "against", "findings")
"""Options that print something else than the accuracies."""


def published(options: argparse.Namespace, parser: Parser) -> pd.DataFrame | None:
    """The published numbers to compare with: those asked for, in a report ours at least."""
    files = options.published or ([None] if options.report else [])
    return or_error(parser, "--published", partial(numbers_of, files)) if files else None


def accuracies(
    options: argparse.Namespace,
    found: records.Records,
    parser: Parser,
    numbers: pd.DataFrame | None,
) -> list[tables.Table]:
    """The tables that are to be shown, in the report too."""
    if any(getattr(options, name) for name in INSTEAD) and not options.report:
        return []
    keys = (options.rows, options.columns)
    beside = False if numbers is None else numbers
    made = or_error(parser, "--rows", partial(tables.accuracy_tables, found, *keys, beside))
    if options.cost is None:
        return made
    target = None if options.cost is True else options.cost
    return [costs.priced(found, table, target) for table in made]


def draw(found: records.Records, directory: Path) -> None:
    """Write every figure that there are data for."""
    from results.pictures import figures, gallery, plotting  # a table needs no Matplotlib

    known, said = len(found.problems), len(found.notes)
    with plotting.style():
        for name, (_, axes) in gallery.all_figures(found).items():
            files = figures.save(axes, directory / name)
            say([f"wrote {', '.join(map(str, files))}"])
    say(found.problems[known:] + found.notes[said:])
    del found.problems[known:], found.notes[said:]  # a report's own pictures say them again


def compared(options: argparse.Namespace, found: records.Records) -> str | bytes:
    """The paired comparison in the chosen format."""
    table, problems = paired.paired_table(found, *options.compare)
    say(problems)
    if table.empty:
        raise BadOption("no pair of evaluations has its scores (scores.npz beside record.json)")
    return paired.render_paired(table, options.compare, style_of(options))


def ranked(options: argparse.Namespace, found: records.Records) -> str | bytes:
    """The order of all methods in the chosen format."""
    made = ranking.rankings(found, options.rows, options.columns)
    say(f"not ranked: {problem}" for one in made for problem in one.problems)
    return ranking.render(made, style_of(options))


def planned(options: argparse.Namespace, found: records.Records) -> str | bytes:
    """What would decide between two methods, in the chosen format."""
    first, second = options.plan
    made, problems = planning.plans(found, first, second, options.margin)
    say(problems)
    machine = planning.machine_of(found.runs)
    return planning.render(made, options.plan, options.margin, machine, style_of(options))


def emit_against(options: argparse.Namespace, found: records.Records, parser: Parser) -> int:
    """Print each cell beside the older one; 1 where one is worse and that is to be a failure."""
    old = records.read_records(options.against)
    say(old.problems)
    if not len(old.completed):
        parser.error(f"argument --against: no completed evaluation in {', '.join(options.against)}")
    narrowed = or_error(parser, "--against", partial(narrow, old, options.where))
    made = or_error(parser, "--against", partial(against.against, found, narrowed))
    names = [", ".join(paths) for paths in (options.directories, options.against)]
    emit(options, against.render(made, names, style_of(options)))
    return int(options.fail_on_worse and made.worse)


def emit_findings(options: argparse.Namespace, found: records.Records) -> int:
    """Print the findings that have records; 1 where none has."""
    outcomes = [o for o in findings.check(found, paper.STATEMENTS) if o.verdict != "no records"]
    if not outcomes:
        say([f"no finding has its records in {', '.join(options.directories)}"])
        return 1
    emit(options, findings.render(outcomes, options.format))
    return 0


def style_of(options: argparse.Namespace) -> str:
    """The format asked for; on a terminal, text as wide as that is."""
    fits = options.format == "text" and options.output is None and not options.wide
    return formats.SCREEN if fits and formats.on_terminal() else str(options.format)


def emit(options: argparse.Namespace, content: str | bytes) -> None:
    """Write to --output, or else print."""
    if options.output is None:
        formats.show(str(content))
        return
    options.output.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    options.output.write_bytes(data)
    say([f"wrote {options.output}"])


def say(lines: Iterable[str]) -> None:
    """Lines on standard error."""
    for line in lines:
        formats.show(f"{line}\n", sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
