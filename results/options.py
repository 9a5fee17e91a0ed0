"""The command line of `python -m results`: what it can be asked."""

import argparse
import os
from pathlib import Path
from typing import NoReturn

from results import formats

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
  python -m results outputs --published --published theirs.csv
  python -m results outputs --rows meta_iterations --columns shots --where algorithm=reptile
  python -m results outputs --where transductive=false --format latex --output table.tex
  python -m results outputs --compare reptile fomaml
  python -m results outputs --cost 90
  python -m results outputs --rank
  python -m results outputs/new --against outputs/old --fail-on-worse
  python -m results outputs --plan reptile fomaml --margin 0.5
  python -m results outputs/combinations --findings
  python -m results outputs --figures figures --report report.html
  python -m results outputs/new --watch --report live.html

exit status
  0 done   1 no completed evaluation, or none that a finding needs, or --fail-on-worse found one
  2 an option is wrong"""


OF_REPORT = ("rows", "columns", "cost", "published")
"""Options of the table of accuracies, which a report shows too."""

UNUSED = {
    **{mode: OF_REPORT for mode in ("compare", "plan", "against", "findings")},
    "rank": ("cost", "published"),
    "watch": (*OF_REPORT, "where", "format", "wide", "output", "figures"),
}
"""What each of the other tables makes no use of."""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with the message alone."""
        self.exit(2, f"{self.prog}: {message}\n")


def refuse_unused(options: argparse.Namespace, parser: Parser) -> None:
    """Leave with an error where an option was given that what is to be shown makes no use of."""
    for mode in (mode for mode in UNUSED if getattr(options, mode)):
        reported = OF_REPORT if options.report and mode != "watch" else ()
        for name in (name for name in UNUSED[mode] if name not in reported):
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"argument --{name}: --{mode} makes no use of it")


def build_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m results",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directories",
        metavar="DIR",
        nargs="+",
        type=named,
        help="directories (or record.json files) to read",
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
        metavar="FILE.csv",
        nargs="?",
        action="append",
        type=csv_file,
        help="compare with the published numbers: difference, verdict, how budgets differ; with "
        "those of a table of your own (docs/extend.md) instead, or both where both are asked for",
    )
    add_cost(parser)
    add_other_tables(parser)
    add_options_of_these(parser)


def add_cost(parser: Parser) -> None:
    """What the numbers cost, beside them."""
    parser.add_argument(
        "--cost",
        metavar="SCORE",
        nargs="?",
        type=positive,
        const=True,
        help="add what each row cost: meta-iterations, seconds of training and, with an accuracy "
        "in percent (or another score), the seconds until the learning curve reaches it",
    )


def add_other_tables(parser: Parser) -> None:
    """What to print instead of the accuracies, one at a time."""
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--compare",
        metavar=("A", "B"),
        nargs=2,
        help="print A minus B on the same episodes instead; A and B are methods, or conditions "
        "such as meta_iterations=1000 (several joined by ';'); A may be 'others': all but B",
    )
    instead.add_argument(
        "--rank",
        action="store_true",
        help="print the order of all methods of the same protocols instead, with the differences "
        "to the best, corrected for their number, and who shares a tier",
    )
    instead.add_argument(
        "--against",
        metavar="OLD",
        action="append",
        type=named,
        help="print each cell beside that of the records in OLD instead: what is better or worse "
        "by more than noise, and what the settings differ in; may be repeated",
    )
    instead.add_argument(
        "--plan",
        metavar=("A", "B"),
        nargs=2,
        help="print instead how many more seeds and episodes tell a difference of --margin between "
        "A and B (named as for --compare) from none, and what they cost",
    )
    instead.add_argument(
        "--findings",
        action="store_true",
        help="print instead which of the paper's qualitative findings hold in these records, with "
        "the differences and intervals that decide it",
    )
    add_watching(instead)


def add_watching(instead: argparse._MutuallyExclusiveGroup) -> None:
    """What to show while a sweep runs."""
    instead.add_argument(
        "--watch",
        action="store_true",
        help="show instead how the jobs of a sweep get on, until none runs any more; --report FILE "
        "is kept up to date meanwhile, and the page loads itself again",
    )


def add_options_of_these(parser: Parser) -> None:
    """What goes with one of the other tables."""
    parser.add_argument(
        "--margin",
        metavar="POINTS",
        type=positive,
        help="with --plan: the least difference that matters, in points of accuracy (of another "
        "score as it is)",
    )
    parser.add_argument(
        "--fail-on-worse",
        action="store_true",
        help="with --against: exit status 1 where a cell is worse by more than noise",
    )


def add_output_options(parser: Parser) -> None:
    """How to show it, and where."""
    parser.add_argument(
        "--format",
        choices=formats.STYLES,
        default="text",
        help="text, markdown, latex (booktabs) or html to read; csv or parquet for numbers, a line "
        "a cell (default: text)",
    )
    parser.add_argument(
        "--wide", action="store_true", help="whole lines, where the terminal is narrower"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=new_file,
        help="write the table here instead of printing it; parquet needs it",
    )
    parser.add_argument(
        "--figures",
        metavar="DIR",
        type=new_directory,
        help="write every figure as SVG, PDF and PNG",
    )
    parser.add_argument(
        "--report", metavar="FILE", type=new_page, help="write one self-contained HTML page"
    )


def keys_of(text: str) -> list[str]:
    """Keys joined by commas, for argparse."""
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if not keys:
        raise argparse.ArgumentTypeError("needs at least one key")
    return keys


def positive(text: str) -> float:
    """A number above 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def named(text: str) -> str:
    """The name of something, for argparse; "" would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("'' names no file or directory")
    return text


def new_file(text: str) -> Path:
    """The name of a file that can be written, for argparse."""
    path = Path(named(text))
    if os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{text!r} is a directory, not a file")
    return with_room(path)


def new_page(text: str) -> Path:
    """The same of a file that is replaced as a whole, as no device can be."""
    path = new_file(text)
    if os.path.exists(path) and not os.path.isfile(path):
        raise argparse.ArgumentTypeError(f"{text!r} is no regular file")
    return path


def new_directory(text: str) -> Path:
    """The name of a directory that can be made and written in, for argparse."""
    path = Path(named(text))
    if os.path.exists(path) and not os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{text!r} is no directory")
    return with_room(path)


def with_room(path: Path) -> Path:
    """A path whose nearest directory that is there can be written in, for argparse."""
    there = next(part for part in (path, *path.parents) if os.path.exists(part))
    if there != path and not os.path.isdir(there):
        raise argparse.ArgumentTypeError(f"'{path}': {there} is no directory")
    if not os.access(there, os.W_OK):
        raise argparse.ArgumentTypeError(f"'{path}': {there} cannot be written")
    return path


def csv_file(text: str) -> Path:
    """The name of a CSV file, for argparse."""
    if not text.endswith(".csv"):
        raise argparse.ArgumentTypeError(f"{text!r} is no .csv file (a DIR stands before it)")
    return Path(text)
