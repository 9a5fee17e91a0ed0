"""`python -m results DIR --watch`: a sweep while it runs, as a table and as a page."""

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from results import formats, records, tables
from results.jobs import STATES, Job, Watcher
from results.labels import counted, duration

SECONDS = 2.0
"""Between two looks."""
PAGE_SECONDS = 5
"""Between two versions of the page at least, and between two loads of it."""
CLEAR = "\x1b[H\x1b[J"
MOST_JOBS = 30
"""Jobs in a block of lines."""
WIDE = 120  # characters: a terminal that holds a line whole, which else takes two
BARS, PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.,-=+*#"


def watch(directories: Sequence[str], page: Path | None = None) -> int:
    """Show the jobs until none runs any more; returns the exit status, 130 after Ctrl-C.

    Args:
        directories: of sweeps or runs.
        page: where to keep a report (`report.write_report`), which loads itself again meanwhile.
    """
    watcher, screen, written = Watcher(directories), Screen(), Page(directories, page)
    try:
        while True:
            jobs = watcher.look()
            under_way = watcher.is_under_way(jobs)
            screen.show(jobs)
            written.write(jobs, under_way)
            if not under_way:
                formats.show("nothing runs any more\n")
                return 0
            time.sleep(SECONDS)
    except KeyboardInterrupt:
        formats.show("\n")
        return 130


class Screen:
    """A terminal, where each table replaces the last; else a block of lines for each change."""

    def __init__(self) -> None:
        self.last: object = None
        self.is_terminal = formats.on_terminal()

    def show(self, jobs: list[Job]) -> None:
        """The table, where there is something new to say; on a terminal always."""
        now = [(job.run, job.state, job.part, str(job.done), job.scores) for job in jobs]
        if self.is_terminal:
            formats.show(CLEAR + text_of(jobs, formats.SCREEN))
        elif now != self.last:
            formats.show(f"{time.strftime('%H:%M:%S')} {text_of(jobs, 'text')}\n")
        self.last = now


class Page:
    """A report that is written again where something has changed."""

    def __init__(self, directories: Sequence[str], path: Path | None) -> None:
        self.directories, self.path = list(directories), path
        self.last: list[Job] | None = None
        self.next = 0.0

    def write(self, jobs: list[Job], under_way: bool) -> None:
        """Write it if it is time; once nothing runs, a last time, and it loads itself no more."""
        early = time.monotonic() < self.next or jobs == self.last
        if self.path is None or (early and under_way):
            return
        from results.page import report

        found = records.read_records(self.directories)
        if found.runs.empty:
            return
        found.problems[:] = [p for p in found.problems if not is_of_running(p, jobs)]
        made = tables.accuracy_tables(found, published=True)
        report.write_report(
            found,
            made,
            self.path,
            [*self.directories, "--report", str(self.path)],
            reload=PAGE_SECONDS if under_way else 0,
            jobs=layout(jobs),
        )
        self.last, self.next = jobs, time.monotonic() + PAGE_SECONDS


def is_of_running(problem: str, jobs: list[Job]) -> bool:
    """Whether a line says only that a job has not come to its end yet."""
    running = (job.run for job in jobs if job.state == "running")
    return any(problem.startswith(f"{run}/") and ": running" in problem for run in running)


def text_of(jobs: list[Job], style: str) -> str:
    """How many jobs there are of each state, then the jobs, as many as the screen holds."""
    counts = Counter(job.state for job in jobs)
    head = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    said = [f"{counted(len(jobs), 'job')}{f': {head}' if head else ''}"]
    if not jobs:
        return f"{said[0]}\n"
    most = most_jobs() if style == formats.SCREEN else MOST_JOBS
    more = [f"and {len(jobs) - most} more"] if len(jobs) > most else []
    return str(formats.write(said, layout(jobs[:most]), more, style))


def most_jobs() -> int:
    """How many jobs a terminal shows without scrolling."""
    width, height = shutil.get_terminal_size()
    return max(3, height - 7 if width >= WIDE else height // 2 - 5)


def layout(jobs: list[Job]) -> pd.DataFrame:
    """The jobs as printed, a line each."""
    names = short_names([job.run for job in jobs])
    return pd.DataFrame(
        [
            {
                "job": name,
                "state": job.part if job.state == "running" else job.state,
                "done": f"{job.done} of {job.total}" if job.total else "-",
                "rate": f"{job.rate:.3g}/s" if job.rate else "-",
                "left": "-" if job.ends is None else left(job.ends),
                "newest": job.reason if job.state == "failed" else job.scores or "-",
                "curve": spark(job.curve),
            }
            for job, name in zip(jobs, names, strict=True)
        ],
        columns=["job", "state", "done", "rate", "left", "newest", "curve"],
    )


def short_names(runs: list[str]) -> list[str]:
    """Directories without what all of them begin with."""
    whole = [os.path.abspath(run) for run in runs]
    shared = os.path.commonpath([os.path.dirname(run) for run in whole]) if whole else ""
    return [os.path.relpath(run, shared) for run in whole]


def left(ends: float) -> str:
    """How long it takes until then."""
    return "-" if ends == float("inf") else duration(max(0, round(ends - time.time())))


def spark(values: Sequence[float]) -> str:
    """A learning curve in a line, from its lowest point to its highest."""
    if not values:
        return "-"
    bars = BARS if can_show(BARS) else PLAIN_BARS
    low, span = min(values), (max(values) - min(values)) or 1.0
    return "".join(bars[round((value - low) / span * (len(bars) - 1))] for value in values)


def can_show(text: str) -> bool:
    """Whether standard output has these characters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
