"""Which runs the hours are spent on, and running them: side by side, stopped and continued at will.

Every run is the real command in a process of its own. It saves itself when it is asked to stop, and
the same queue goes on from there; what a killed queue leaves behind is whole, too.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from benchmark.command.program import BAD_INPUT
from benchmark.running.startup import usable_cores
from benchmark.studies.reproduce.costs import Costs, cores_of, trained_share
from benchmark.studies.reproduce.parts import Part, Run

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_REPORTS = 900.0
LEAST_SECONDS = 30.0  # no run starts with less time left: it would hardly begin
STOPPED = (128 + signal.SIGTERM, 128 + signal.SIGINT)  # exit codes of a run that was asked to stop


@dataclass(frozen=True)
class Batch:
    """The runs of one part with one seed that are not completed yet.

    settles: what they settle in cells, curves and statements. A further seed settles less: the
    first one shows whether a number comes out, the others how sure that is.
    hours: what is left of them, on all cores of this machine.
    """

    part: Part
    seed: int
    runs: tuple[Run, ...]
    settles: float
    hours: float

    @property
    def worth(self) -> float:
        """What an hour of it settles."""
        return self.settles / max(self.hours, 1e-9)


def batches(runs: Sequence[Run], costs: Costs) -> list[Batch]:
    """The runs by part and seed, most worth an hour first."""
    grouped: dict[tuple[Part, int], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.part, run.seed), []).append(run)
    made = [
        Batch(part, seed, tuple(group), part.settles / (1 + seed), hours(group, costs))
        for (part, seed), group in grouped.items()
    ]
    return sorted(made, key=lambda batch: -batch.worth)


def hours(runs: Sequence[Run], costs: Costs) -> float:
    """Hours of runs that share the cores of this machine."""
    return sum(costs.left(run) * cores_of(run) for run in runs) / usable_cores() / 3600


def chosen(ordered: Sequence[Batch], limit: float) -> list[Batch]:
    """What fits into `limit` hours, in order; then the first that does not fit, to be begun.

    What is begun is saved at the end of the hours and goes on in the next call, where less of it is
    left and it comes earlier.
    """
    fitting: list[Batch] = []
    too_long: list[Batch] = []
    spent = 0.0
    for batch in ordered:
        fits = spent + batch.hours <= limit
        (fitting if fits else too_long).append(batch)
        spent += batch.hours if fits else 0.0
    begun = too_long[:1] if limit - spent > LEAST_SECONDS / 3600 else []
    return fitting + begun


class Process(Protocol):
    """What the queue needs of `subprocess.Popen`."""

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""

    def send_signal(self, number: int, /) -> None:
        """Send it a signal."""


def start(run: Run, cores: int) -> Process:
    """The real command of a run, with its output in a file beside its directory."""
    words = [*run.overrides, f"runtime.cores={cores}", f"hydra.run.dir={run.directory}"]
    log_of(run).parent.mkdir(parents=True, exist_ok=True)
    with log_of(run).open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", run.program, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # a Ctrl-C reaches it once, from here
        )


def log_of(run: Run) -> Path:
    """What a run printed."""
    return run.directory.with_name(f"{run.directory.name}.log")


def say(line: str) -> None:
    """Print a line at once, also into a pipe, with the time of day."""
    print(f"{datetime.now():%H:%M}  {line}", flush=True)


@dataclass
class Queue:
    """Runs on their way.

    starter(run, cores) starts one; finished(run) is told of each that is completed; deadline: on
    the `clock`, in seconds; asked(): whether to stop. Clock and sleep are replaced in tests.
    """

    starter: Callable[[Run, int], Process]
    finished: Callable[[Run], None]
    deadline: float
    asked: Callable[[], bool]
    cores: int = field(default_factory=usable_cores)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = say
    running: dict[Run, tuple[Process, float]] = field(default_factory=dict)
    failed: list[Run] = field(default_factory=list)
    hopeless: bool = False  # the next run would fail in the same way
    reported: float = field(init=False)

    def __post_init__(self) -> None:
        self.reported = self.clock()

    def work(self, runs: Sequence[Run]) -> None:
        """Run all of them in this order, as many side by side as there are cores for.

        Returns when they are done, the deadline is reached or a signal came; then those that run
        have saved themselves. Where it is left by an error nothing goes on running.
        """
        waiting = list(runs)
        try:
            while not self.ended() and (self.running or (waiting and self.in_time())):
                while waiting and self.in_time() and self.has_room(waiting[0]):
                    self.begin(waiting.pop(0))
                self.sleep(SECONDS_BETWEEN_LOOKS)
                self.look()
                self.report()
            self.stop()
        finally:
            for process, _ in self.running.values():
                process.send_signal(signal.SIGKILL)

    def ended(self) -> bool:
        """Whether whatever runs is to be stopped."""
        return self.asked() or self.hopeless or self.clock() >= self.deadline

    def in_time(self) -> bool:
        """Whether there is time to start another run."""
        return self.clock() + LEAST_SECONDS <= self.deadline

    def has_room(self, run: Run) -> bool:
        """Whether there are cores for another run."""
        taken = sum(min(self.cores, cores_of(other)) for other in self.running)
        return not taken or taken + cores_of(run) <= self.cores

    def begin(self, run: Run) -> None:
        """Start a run."""
        self.say(f"started    {run.name}")
        self.running[run] = (self.starter(run, cores_of(run)), self.clock())

    def look(self) -> None:
        """Take note of the runs that have ended."""
        for run, (process, began) in list(self.running.items()):
            code = process.poll()
            if code is None:
                continue
            del self.running[run]
            if code == 0:
                self.finished(run)
                self.say(f"completed  {run.name} ({(self.clock() - began) / 60:.1f} min)")
            elif code in STOPPED:
                self.say(f"saved      {run.name}: the same command goes on from here")
            else:
                self.failed.append(run)
                self.hopeless |= code == BAD_INPUT
                self.say(f"failed     {run.name} (exit code {code}): {log_of(run)}")

    def report(self) -> None:
        """Now and then, how far those that run have come."""
        if self.clock() - self.reported >= SECONDS_BETWEEN_REPORTS:
            self.reported = self.clock()
            for run in self.running:
                self.say(f"{trained_share(run):>7.0%} of  {run.name}")

    def stop(self) -> None:
        """Ask all that run to save themselves, and wait for that."""
        for process, _ in self.running.values():
            process.send_signal(signal.SIGTERM)
        while self.running:
            self.sleep(SECONDS_BETWEEN_LOOKS)
            self.look()
