"""One job: check, train, evaluate, record. It can be stopped anywhere and started again."""

import contextlib
import logging
import signal
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from benchmark.command.identity import HASH, fingerprint
from benchmark.config import Settings, load
from benchmark.running import checkpoint, record
from benchmark.running.apart import compute_apart
from benchmark.running.bar import Interruption
from benchmark.running.launchers import settled
from benchmark.running.startup import start_tensorflow
from benchmark.tracking.session import Session
from tasks.checks import ConfigError

log = logging.getLogger(__name__)
DIRECTORY_LOCK = ".lock"  # of the job: held from the first look at the record to the last
COMPUTING_LOCK = ".computing.lock"  # of a process of its own that computes it, which may outlive it


class Interrupted(Exception):
    """A signal asked the run to stop; its progress is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.args[0]).name}"


def run_job(cfg: DictConfig, directory: Path, overrides: list[str]) -> dict[str, Any]:
    """Run one configuration in `directory` and return its record.

    A completed run is not repeated, an interrupted one goes on where it stopped, a failed one is
    tried again. Raises ConfigError (nothing was started), Interrupted, or what went wrong; in
    every case but the first the record says so.
    """
    began = time.time()  # of the clock that all processes share
    logging.raiseExceptions = False  # a full disk stops the log file too; one line is enough
    settings = load(cfg)
    settings = replace(settings, runtime=settled(settings.runtime))
    with alone(directory, DIRECTORY_LOCK):
        with alone(directory, COMPUTING_LOCK):
            pass  # what a killed sweep left behind has saved itself now
        before = record.read(directory)
        refuse_another(before, settings, directory)
        if before is not None and record.is_completed(before) and settings.resume:
            log.info("already completed: %s (resume=false runs it again)", directory)
            forget_the_way(directory)
            return before
        if before is None and settings.resume and (older := of_version_1(settings, directory)):
            return older
        if not settings.resume:
            checkpoint.clear(directory)
        if record.is_completed(before):
            record.set_aside(directory)
        entry = record.begin(settings, overrides)
        return recorded(settings, directory, entry, began)


@contextlib.contextmanager
def alone(directory: Path, name: str) -> Iterator[None]:
    """Hold a lock in `directory`: a job that finds another one in it waits for its end.

    Raises ConfigError where the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / name)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log.info("waiting for another process that runs this job: %s", directory)
            lock.acquire()
    except OSError as error:
        rule = f"must be a directory that can be written ({error.strerror})"
        raise ConfigError(f"hydra.run.dir={directory}: {rule}") from error
    try:
        yield
    finally:
        lock.release()


def refuse_another(before: dict[str, Any] | None, settings: Settings, directory: Path) -> None:
    """Raise ConfigError where the directory holds a run of another configuration."""
    if before is not None and not is_of(before, settings):
        raise ConfigError(
            f"hydra.run.dir={directory}: must be empty or hold a run of this configuration; "
            f"it holds {before.get('command', 'another one')}"
        )


def is_of(found: dict[str, Any] | None, settings: Settings) -> bool:
    """Whether a record is one of these settings, whatever version wrote it."""
    config = (found or {}).get("config")
    return isinstance(config, dict) and fingerprint(config) == settings.identity


def of_version_1(settings: Settings, directory: Path) -> dict[str, Any] | None:
    """The completed record of this run beside `directory`, under the name that version 1 gave."""
    stem, _, ending = directory.name.rpartition("-")
    if ending != settings.identity[:HASH]:
        return None  # a name of the user's
    older = directory.with_name(f"{stem}-{fingerprint(settings.plain, version=1)[:HASH]}")
    found = record.read(older)
    if not record.is_completed(found) or not is_of(found, settings):
        return None
    log.info("already completed: %s (resume=false runs it again)", older)
    return found


def recorded(
    settings: Settings, directory: Path, entry: dict[str, Any], began: float
) -> dict[str, Any]:
    """Compute, and record the outcome or how it came to none."""
    record.write(directory, entry)
    try:
        with Interruption() as interruption:
            run = compute_apart if settings.runtime.isolate else compute
            done = {**entry, **run(interruption, settings, directory, began)}
            record.write(directory, done)
    except BaseException as error:
        if not record.is_completed(record.read(directory)):  # a signal may come a moment too late
            record_the_end(directory, entry, error)
        raise
    forget_the_way(directory)
    return done


def compute(
    interruption: Interruption, settings: Settings, directory: Path, began: float
) -> dict[str, Any]:
    """Train and evaluate; returns what the record says of a completed run."""
    start_tensorflow(settings.runtime)
    from benchmark.running.run import Run

    run = Run(settings, directory, interruption)
    startup = time.time() - began
    session = Session(settings.tracking, directory, run.progress.curve)
    try:
        run.train(session.points)
        run.evaluate()
        outcome = run.outcome()
    except BaseException as error:
        session.finish({"status": how_it_ended(error)})
        raise
    outcome["timing"]["startup_seconds"] = startup
    outcome |= {
        "data": settings.task.describe(),
        "environment": record.environment(),
        "status": "completed",
        "finished": record.now(),
    }
    done = {**(record.read(directory) or {}), **outcome}
    record.write(directory, done)  # before the end of the tracking, which may fail or hang
    session.finish(done)
    return outcome


def how_it_ended(error: BaseException) -> str:
    """The status of a run that ended with `error`: interrupted or failed."""
    stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit)
    return "interrupted" if stopped else "failed"


def record_the_end(directory: Path, entry: dict[str, Any], error: BaseException) -> None:
    """Record that the run was interrupted or failed, and why.

    Where not even that can be written, the record says "running" and the run counts as incomplete.
    """
    entry |= {
        "status": how_it_ended(error),
        "reason": f"{type(error).__name__}: {error}",
        "finished": record.now(),
    }
    if entry["status"] == "failed":
        entry["traceback"] = traceback.format_exc()
    with contextlib.suppress(record.CannotWrite):
        record.write(directory, entry)


def forget_the_way(directory: Path) -> None:
    """Remove what only an unfinished run needs, now that the completed record is on the disk."""
    record.drop_previous(directory)
    checkpoint.clear(directory)
