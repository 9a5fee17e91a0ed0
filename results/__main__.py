"""`python -m results DIR...`: tables, figures and a report from the records of any runs."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

from results import comparison, findings, formats, paper, ranking, records, tables
from results.grouping import BadOption, narrow, resolve_key

Result = TypeVar("Result")

DESCRIPTION = """\
Read the records (record.json) of any number of runs at or below each DIR and print how accurate
each method was on unseen tasks, with 95 % intervals.

What varies over the records becomes the rows; way, shots and transduction are the columns; what is
constant is said once above the table. Only seeds are averaged: with several, ± is the t interval
over seeds, with one it is the interval over episodes, and the caption says which. Runs that failed
or cannot be read are named on standard error and the rest goes on."""

EPILOG = """\
keys
  Any key of the configuration (algorithm.meta_iterations, task.ways) or its last part
  (meta_iterations), the protocol (split, metric, ways, shots, transductive, steps, queries,
  episodes), method, seed. algorithm, task and model mean their names.

examples
  python -m results outputs
  python -m results outputs --published
  python -m results outputs --rows meta_iterations --columns shots --where algorithm=reptile
  python -m results outputs --where transductive=false --format latex --output table.tex
  python -m results outputs --compare reptile fomaml
  python -m results outputs --rank
  python -m results outputs/combinations --findings
  python -m results outputs --figures figures --report report.html

exit status
  0 done   1 no completed evaluation, or none that a finding needs   2 an option is wrong"""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with the message alone."""
        self.exit(2, f"{self.prog}: {message}\n")


def build_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m results",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directories", metavar="DIR", nargs="+", help="directories (or record.json files) to read"
    )
    add_table_options(parser)
    add_output_options(parser)
    return parser


def add_table_options(parser: Parser) -> None:
    """What to show, of which records."""
    parser.add_argument(
        "--rows",
        metavar="KEYS",
        type=keys_of,
        help="keys of the rows, joined by commas "
        "(default: method and what varies); a key that varies inside a cell is added",
    )
    parser.add_argument(
        "--columns",
        metavar="KEYS",
        type=keys_of,
        help="keys of the columns, joined by commas (default: ways,shots,transductive)",
    )
    parser.add_argument(
        "--where",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="use only records with this value; KEY=A,B allows several; may be repeated",
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="compare with the published numbers: difference, verdict, and how budgets differ",
    )
    add_other_tables(parser)


def add_other_tables(parser: Parser) -> None:
    """What to print instead of the accuracies, one at a time."""
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--compare",
        metavar=("A", "B"),
        nargs=2,
        help="print A minus B on the same episodes instead; A and B are methods, or conditions "
        "such as meta_iterations=1000 (several joined by ';')",
    )
    instead.add_argument(
        "--rank",
        action="store_true",
        help="print the order of all methods of the same protocols instead, with the differences "
        "to the best, corrected for their number, and who shares a tier",
    )
    instead.add_argument(
        "--findings",
        action="store_true",
        help="print instead which of the paper's qualitative findings hold in these records, with "
        "the differences and intervals that decide it",
    )


def add_output_options(parser: Parser) -> None:
    """How to show it, and where."""
    parser.add_argument(
        "--format",
        choices=formats.STYLES,
        default="text",
        help="text, markdown or latex (booktabs) to read; csv or parquet for numbers, a line a "
        "cell (default: text)",
    )
    parser.add_argument(
        "--wide", action="store_true", help="whole lines, where the terminal is narrower"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write the table here instead of printing it; parquet needs it",
    )
    parser.add_argument(
        "--figures", metavar="DIR", type=Path, help="write every figure as SVG, PDF and PNG"
    )
    parser.add_argument(
        "--report", metavar="FILE", type=Path, help="write one self-contained HTML page"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.format == "parquet" and options.output is None:
        parser.error("argument --format: parquet is binary and needs --output FILE")
    found = records.read_records(options.directories)
    say(found.problems)
    usable = len(found.completed) or (len(found.curves) and (options.figures or options.report))
    if not usable:
        say([f"no completed evaluation in {', '.join(options.directories)}"])
        return 1
    try:
        found = checked(options, found, parser)
        say(f"note: {note}" for note in found.notes)
        return write_all(options, found, parser)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        parser.error(f"cannot write {error.filename}: {error.strerror}")
    return 0


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
    made = tables.accuracy_tables(
        found, options.rows, options.columns, options.published or options.report is not None
    )
    if options.compare:
        emit(options, or_error(parser, "--compare", partial(compared, options, found)))
    elif options.rank:
        emit(options, or_error(parser, "--rank", partial(ranked, options, found)))
    elif options.findings:
        status = emit_findings(options, found)
    elif made:
        shown = made if options.published else [table.without_comparison() for table in made]
        emit(options, tables.render(shown, style_of(options)))
    if options.figures:
        draw(found, options.figures)
    if options.report:
        from results import report

        report.write_report(found, made, options.report, options.directories)
        say([f"wrote {options.report}"])
    return status


def draw(found: records.Records, directory: Path) -> None:
    """Write every figure that there are data for."""
    from results import figures, gallery, plotting  # a table needs no Matplotlib

    known = len(found.problems)
    with plotting.style():
        for name, (_, axes) in gallery.all_figures(found).items():
            files = figures.save(axes, directory / name)
            say([f"wrote {', '.join(map(str, files))}"])
    say(found.problems[known:])


def compared(options: argparse.Namespace, found: records.Records) -> str | bytes:
    """The paired comparison in the chosen format."""
    table, problems = comparison.paired_table(found, *options.compare)
    say(problems)
    if table.empty:
        raise BadOption("no pair of evaluations has its scores (scores.npz beside record.json)")
    return tables.render_paired(table, options.compare, style_of(options))


def ranked(options: argparse.Namespace, found: records.Records) -> str | bytes:
    """The order of all methods in the chosen format."""
    made = ranking.rankings(found, options.rows, options.columns)
    say(f"not ranked: {problem}" for one in made for problem in one.problems)
    return ranking.render(made, style_of(options))


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
    return formats.SCREEN if fits and sys.stdout.isatty() else str(options.format)


def emit(options: argparse.Namespace, content: str | bytes) -> None:
    """Write to --output, or else print."""
    if options.output is None:
        formats.show(str(content))
        return
    options.output.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    options.output.write_bytes(data)
    say([f"wrote {options.output}"])


def keys_of(text: str) -> list[str]:
    """Keys joined by commas, for argparse."""
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if not keys:
        raise argparse.ArgumentTypeError("needs at least one key")
    return keys


def say(lines: Iterable[str]) -> None:
    """Lines on standard error."""
    for line in lines:
        formats.show(f"{line}\n", sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
