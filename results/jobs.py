"""The jobs of a sweep as they stand: what each one's directory says of it, and whether it runs."""

import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import filelock
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from results import records, schema
from results.reading import DamagedRecord, one_line

STATES = ("running", "failed", "damaged", "stopped", "interrupted", "completed", "waiting")
"""In the order of the table. 'stopped': its record says that it runs, but nothing works at it."""

SWEEP = "multirun.yaml"
"""What Hydra leaves in the directory of a sweep, at its beginning."""

QUIET_SECONDS = 180
"""A run writes a line a minute. One that has been silent for longer runs if its lock is held: where
several machines share a directory, a lock may be seen on one alone."""

PROGRESS = re.compile(r"(training|evaluation): (\d+) of (\d+), ([\d.]+)/s, ([\d.]+|inf) min left")
LAST_BYTES = 8192  # of a log: its last line of progress stands there
MOST_SCORES = 2


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        run: its directory; state: one of STATES.
        part: 'training' or 'evaluation'; done, total: its steps.
        rate: steps a second; ends: when the part will have ended (seconds since 1970); as far as
            they are known.
        scores: the newest accuracies; curve: its learning curve under the first protocol.
        reason: why it failed.
    """

    run: str
    state: str
    part: str = "training"
    done: int = 0
    total: int = 0
    rate: float | None = None
    ends: float | None = None
    scores: str = ""
    curve: tuple[float, ...] = ()
    reason: str = ""


class Watcher:
    """Looks at directories again and again; what has not changed on the disk is not read again."""

    def __init__(self, directories: Iterable[str]) -> None:
        self.directories = list(directories)
        self.known: dict[Path, tuple[list[Any], Job]] = {}

    def look(self) -> list[Job]:
        """The jobs now, those that run first."""
        jobs = [self.job(file) for file in records.find(self.directories, [])]
        begun = {os.path.realpath(job.run) for job in jobs}
        to_come = [run for folder in self.sweeps() for run in [*noted_in(folder), *planned(folder)]]
        jobs += [Job(run, "waiting") for run in to_come if os.path.realpath(run) not in begun]
        return sorted(jobs, key=lambda job: (STATES.index(job.state), job.run))

    def is_under_way(self, jobs: list[Job]) -> bool:
        """Whether a job runs, or a sweep does from which more may come."""
        return any(job.state == "running" for job in jobs) or any(self.sweeps())

    def sweeps(self) -> Iterator[Path]:
        """The folders that the processes of a sweep share while it is under way."""
        places = {Path(directory) for directory in self.directories}
        for place in places | {file.parent.parent for file in self.known}:
            yield from filter(is_alive, sorted(place.glob(".sweep-*-*")))

    def job(self, file: Path) -> Job:
        """What a run's files say of it."""
        stamp = [(path, path.stat().st_mtime_ns) for path in files_of(file.parent)]
        if file not in self.known or self.known[file][0] != stamp:
            self.known[file] = stamp, read_job(file)
        job = self.known[file][1]
        if job.state != "running":
            return job
        silent = time.time() - max(changed for _, changed in stamp) / 1e9
        runs = silent < QUIET_SECONDS or is_locked(file.with_name(schema.LOCK))
        return job if runs else replace(job, state="stopped", rate=None, ends=None)


def files_of(run: Path) -> list[Path]:
    """The files that change while a run goes on."""
    beside = [run / name for name in (schema.RECORD, schema.CURVE)]
    return [path for path in [*beside, *sorted(run.glob("*.log"))] if path.exists()]


def is_locked(lock: Path) -> bool:
    """Whether a process holds the lock of a run; also where one may not ask."""
    try:
        filelock.FileLock(lock).acquire(blocking=False).lock.release()
    except (filelock.Timeout, OSError):
        return True
    return False


def is_alive(folder: Path) -> bool:
    """Whether the process that started a sweep is still there; its folder has its number."""
    number = folder.name.split("-")[1]
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def noted_in(folder: Path) -> Iterator[str]:
    """The directories of a sweep's jobs that have begun, or are just about to; not of refused."""
    for file in sorted(folder.glob("job*")):
        try:
            job = json.loads(file.read_bytes())
        except (OSError, ValueError):  # it is being written
            continue
        if not job.get("refused"):
            yield job["directory"]


def planned(folder: Path) -> list[str]:
    """Names for the jobs of a sweep that have not begun, as far as its command tells how many."""
    begun = {file.name for file in folder.glob("job*")}
    numbers = range(number_of_jobs(folder.parent / SWEEP))
    return [str(folder.parent / f"job {n}") for n in numbers if f"job{n}" not in begun]


def number_of_jobs(file: Path) -> int:
    """The jobs of a sweep over a grid; 0 where its file is not there or has another sweeper."""
    try:
        hydra: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
        sweeper, given = hydra["hydra"]["sweeper"], hydra["hydra"]["overrides"]["task"]
        if not sweeper["_target_"].endswith("BasicSweeper"):
            return 0
        grid = [*(f"{key}={value}" for key, value in (sweeper["params"] or {}).items()), *given]
        parsed = OverridesParser.create().parse_overrides(grid)
    except Exception:  # it is just being written, or of some other program
        return 0
    return math.prod(len(list(o.sweep_iterator())) for o in parsed if o.is_sweep_override())


# --- one job --------------------------------------------------------------------------------------


def read_job(file: Path) -> Job:
    """A job as its files have it."""
    run = str(file.parent)
    try:
        row, measured, curve = records.read_run(file, [])
    except DamagedRecord as error:
        return Job(run, "damaged", reason=one_line(str(error)))
    total = int(row.get("algorithm.meta_iterations") or 0)
    done = max((point["iteration"] for point in curve), default=0)
    own = [item for item in measured if item["method"] == row["method"]]
    newest = own or [p for p in curve if p["iteration"] == curve[-1]["iteration"]]
    job = Job(
        run,
        row["status"],
        done=total if row["status"] == "completed" else done,
        total=total,
        scores=scores_text(newest),
        curve=tuple(p["value"] for p in curve if is_alike(p, curve[0])),
        reason=one_line(str(row.get("reason") or "")),
    )
    return with_progress(job, row, file.parent) if job.state == "running" else job


def is_alike(point: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two points of a learning curve are of the same protocol."""
    return all(point[key] == other[key] for key in ("split", "shots", "transductive"))


def scores_text(rows: list[dict[str, Any]]) -> str:
    """'test 1-shot 93.1 %, 5-shot 97.5 %': after the most steps, those not transductive first."""
    steps = max((row.get("steps") or 0 for row in rows), default=0)
    last = [row for row in rows if (row.get("steps") or 0) == steps]
    plain = [row for row in last if not row["transductive"]] or last
    texts = [
        f"{row['shots']}-shot "
        + (
            f"{100 * row['value']:.1f} %"
            if row["metric"] == "accuracy"
            else f"mse {row['value']:.3g}"
        )
        for row in plain[:MOST_SCORES]
    ]
    return f"{plain[0]['split']} {', '.join(texts)}" if plain else ""


def with_progress(job: Job, row: dict[str, Any], directory: Path) -> Job:
    """How far a running job is: by the last line of its log, else by its learning curve."""
    curve = directory / schema.CURVE
    for log in directory.glob("*.log"):
        if said := PROGRESS.findall(tail(log)):
            part, done, total, rate, minutes = said[-1]
            if part == "evaluation" or int(done) >= job.done:
                ends = log.stat().st_mtime + 60 * float(minutes)
                return replace(
                    job, part=part, done=int(done), total=int(total), rate=float(rate), ends=ends
                )
    if job.done and row.get("started") and curve.exists():
        at = curve.stat().st_mtime
        spent = at - datetime.fromisoformat(str(row["started"])).timestamp()
        if spent > 0:
            rate = job.done / spent
            return replace(job, rate=rate, ends=at + (job.total - job.done) / rate)
    return job


def tail(file: Path) -> str:
    """The end of a text file."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - LAST_BYTES))
        return stream.read().decode(errors="replace")
