"""`make reproduce`: spend some hours on the runs behind the paper that are missing.

Everything the paper reports stands in a queue, most worth an hour first. Costs come from the
committed records and a short measurement of this machine. Runs go side by side where one cannot
fill the cores. It may be stopped at any moment (Ctrl-C saves what runs) and goes on with the same
command. The records are kept under results/published/reproduction, and docs/reproduction.md says
what is reproduced.
"""

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from tabulate import tabulate

from benchmark.command.messages import explained
from benchmark.running.interruption import Interruption
from benchmark.running.startup import usable_cores
from benchmark.studies.reproduce import costs, queue, records
from benchmark.studies.reproduce.parts import NOT_HERE, PARTS, Run, all_runs, once
from tasks.checks import ConfigError

PROJECT = Path(__file__).parents[3]
OUTPUTS = Path("outputs/reproduce")
PUBLISHED = PROJECT / "results" / "published"


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def build_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m benchmark.studies.reproduce", description=__doc__)
    add = parser.add_argument
    add("--hours", metavar="H", default="8", help="hours to spend; 0 only writes the page (8)")
    add("--seeds", metavar="N", default="3", help="trainings of each setting (3)")
    add("--plan", action="store_true", help="only list the queue with its costs")
    add(
        "--into",
        metavar="DIR",
        type=Path,
        help="reproduce afresh: runs, records and page in this directory; committed records count "
        "for the costs alone",
    )
    add("overrides", metavar="OVERRIDE", nargs="*", help="settings of every run; needs --into")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    hours = number(parser, "hours", options.hours, 0)
    seeds = number(parser, "seeds", options.seeds, 1)
    if seeds != int(seeds):
        parser.error(f"seeds={options.seeds}: must be a whole number of at least 1")
    if options.overrides and not options.into:
        parser.error(
            f"{options.overrides[0]}: needs --into DIR: the committed records are those of the "
            "paper's settings"
        )
    place = options.into or PUBLISHED
    try:
        if options.plan or hours:
            status = spend(options, hours, int(seeds), place)
            if options.plan:
                return status
            return write_page(place, options.into) or status
        return write_page(place, options.into)
    except KeyboardInterrupt:  # before anything runs, or the second one
        return 130
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        parser.error(explained(error, "config", sys.argv[1:]))


def number(parser: Parser, name: str, text: str, least: float) -> float:
    """A number typed by the user; ends the program where it is none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        parser.error(f"{name}={text}: must be a number of at least {least:g}")
    return value


def spend(options: argparse.Namespace, hours: float, seeds: int, place: Path) -> int:
    """List the queue and, unless that is all, work through it; the exit status.

    place: where the records that count are, at or below it.
    """
    outputs = options.into or OUTPUTS
    runs = all_runs(PARTS, seeds, options.overrides, outputs)
    missing = records.missing(runs, place)
    if not options.into:
        for run in records.completed_here(missing):  # of a call that was killed
            records.keep(run, place)
        missing = records.missing(missing, place)
    known = costs.known_costs([PUBLISHED, outputs])
    print(f"measuring this machine ({counted(usable_cores(), 'core')}) ...", flush=True)
    cost = costs.Costs(known, costs.slowness(known, costs.short_run))
    ordered = queue.batches(missing, cost)
    picked = queue.chosen(ordered, hours)
    print(listing(ordered, picked, hours))
    total = queue.hours(once(missing), cost)
    print(f"All that is left takes {total:.1f} hours here; {hours:g} are to be spent now.")
    print(f"Runs completed so far: {len(once(runs)) - len(once(missing))} of {len(once(runs))}.")
    if options.plan or not picked:
        return 0
    picked_runs = once(run for batch in picked for run in batch.runs)
    return work(picked_runs, hours, None if options.into else place)


def listing(ordered: Sequence[queue.Batch], picked: Sequence[queue.Batch], hours: float) -> str:
    """The queue as a table: what, at what cost, and whether now."""
    rows = [
        [
            batch.part.place,
            batch.part.what,
            batch.seed,
            len(batch.runs),
            f"{batch.hours:.2f}",
            f"{batch.settles:.1f}",
            f"{batch.worth:.2g}",
            when,
        ]
        for batch, when in timetable(ordered, picked, hours)
    ]
    rows += [[place, what, "", "", "", "", "", why] for place, what, why in NOT_HERE]
    header = ["of", "what", "seed", "runs left", "hours", "settles", "an hour", "when"]
    said = "settles: cells, curves and statements; a further seed counts a half, a third ..."
    return f"{tabulate(rows, header, disable_numparse=True)}\n{said}"


def timetable(
    ordered: Sequence[queue.Batch], picked: Sequence[queue.Batch], hours: float
) -> Iterator[tuple[queue.Batch, str]]:
    """Each batch and when it is its turn: those picked first."""
    spent = 0.0
    for batch in picked:
        spent += batch.hours
        yield batch, "now" if spent <= hours else "begun now"
    for batch in ordered:
        if batch not in picked:
            yield batch, "later"


def work(runs: Sequence[Run], hours: float, kept: Path | None) -> int:
    """Work through the runs; 0, 1 where one failed, or as the signal says that stopped it.

    kept: where records of completed runs are copied to; None: they stay in their directories.
    """

    def finished(run: Run) -> None:
        if kept is not None:
            records.keep(run, kept)

    with Interruption() as interruption:
        busy = queue.Queue(
            queue.start,
            finished,
            deadline=time.monotonic() + 3600 * hours,
            asked=lambda: interruption.signal is not None,
        )
        busy.work(runs)
    if interruption.signal is not None:
        return 128 + interruption.signal
    if busy.hopeless:
        print("stopped: the other runs would fail in the same way", file=sys.stderr)
    return 1 if busy.failed else 0


def write_page(place: Path, into: Path | None) -> int:
    """Write the scorecard from the records at or below `place`; the exit status.

    A program of its own: `benchmark` does not import what reads records.
    """
    page = [] if into is None else ["--output", str(into / "reproduction.md")]
    return subprocess.run(
        [sys.executable, "-m", "results.reproduction", str(place), *page]
    ).returncode


def counted(count: int, noun: str) -> str:
    """'1 run', '3 runs'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


if __name__ == "__main__":
    sys.exit(main())
