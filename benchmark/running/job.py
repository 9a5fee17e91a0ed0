"""One job: check, compute, record. It can be stopped anywhere and started again."""

import contextlib
import logging
import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmark.command.settings import settings_of
from benchmark.config import Settings
from benchmark.running import checkpoint, finished, parts, record
from benchmark.running.apart import compute_apart
from benchmark.running.computation import compute
from benchmark.running.directory import locked, wait_for_what_is_left
from benchmark.running.interruption import Interrupted, Interruption, how_it_ended
from benchmark.running.launchers import as_launched
from benchmark.running.trained import is_of, is_usable, take_over
from benchmark.running.unchanged import tell_of_changed_sources
from results.schema import LOCK
from tasks.checks import ConfigError, require

log = logging.getLogger(__name__)


def run_job(cfg: DictConfig, directory: Path, overrides: list[str]) -> dict[str, Any]:
    """`run` what the command line asks for."""
    return run(settings_of(cfg, overrides), directory)


def run(settings: Settings, directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Run one configuration in `directory` ("~" is the home directory) and return its record.

    A training that is completed is not repeated, here or where it stands; scores that it has are
    not scored again. An interrupted run goes on where it stopped, a failed one is tried again.
    Raises ConfigError (nothing was started), Interrupted, or what went wrong; in every case but
    the first the record says so.
    """
    began = time.time()
    require(str(directory) != "", "directory", "", "the path of a directory")
    refuse_inside_a_starting_process()
    logging.raiseExceptions = False  # a full disk stops the log file too; one line is enough
    settings = replace(settings, runtime=as_launched(settings.runtime))
    directory = Path(directory).expanduser().absolute()
    with locked(directory, LOCK):
        wait_for_what_is_left(directory)
        before = record.read(directory)
        if before is not None and record.is_of_refused(before):
            before = None
        if before is not None and not is_of(before, settings):
            raise ConfigError(
                f"hydra.run.dir={directory}: must be empty or hold a run of this configuration; "
                f"it holds {before.get('command', 'another one')}"
            )
        if before is not None and record.is_completed(before):
            record.put_aside_damaged_files(directory, before)
        if record.is_completed(before) and not (settings.resume and is_usable(directory)):
            record.set_aside(directory)
            before = None
        taken = None
        if not record.is_completed(before) and settings.resume:
            taken = take_over(settings, directory)
        if not settings.resume:
            checkpoint.clear(directory)
        done = taken or before
        if done is not None and record.is_completed(done):
            with given_back(directory, taken):
                return evaluate_further(settings, directory, done, began)
        log.info("%s: %s", directory.name, plan(settings))
        return run_and_record(
            settings,
            directory,
            record.begin(settings.plain, settings.identity, settings.overrides),
            began,
        )


def refuse_inside_a_starting_process() -> None:
    """Raise RuntimeError where a process of a job's own reads the script that started it.

    It would run the script's jobs anew, and wait for its parent, which waits for it.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "a script whose jobs compute in processes of their own (runtime.isolate) is read again "
            'there: benchmark.run must stand under `if __name__ == "__main__":`'
        )


def plan(settings: Settings) -> str:
    """What a run is about to do, in a line."""
    algorithm, evaluation = settings.algorithm, settings.evaluation
    shots = " and ".join(f"{shots}-shot" for shots in evaluation.shots)
    return (
        f"{algorithm.meta_iterations:,} meta-iterations of {algorithm.name} on "
        f"{settings.task.name}, then {evaluation.episodes:,} unseen tasks ({shots})"
    )


def run_and_record(
    settings: Settings, directory: Path, entry: dict[str, Any], began: float
) -> dict[str, Any]:
    """Compute, which completes the record; or record how it came to no end."""
    record.write(directory, entry)
    start = compute_apart if settings.runtime.isolate else compute
    try:
        with Interruption() as interruption:
            start(interruption, settings, directory, began)
    except BaseException as error:
        if not record.is_completed(record.read(directory)):  # a signal may come a moment too late
            record_the_end(directory, entry, error)
        raise
    remove_traces(directory)
    if interruption.signal is not None:  # it came after the run's last look, and is not forgotten
        raise Interrupted(interruption.signal)
    return record.read(directory) or entry


def evaluate_further(
    settings: Settings, directory: Path, done: dict[str, Any], began: float
) -> dict[str, Any]:
    """Score what a completed record lacks of what is asked; it stays whole until then."""
    todays = finished.with_todays_keys(done)
    scores = finished.read_scores(directory)
    if parts.is_scored(settings, done, {todays.get(k, k): v for k, v in scores.items()}):
        log.info("already completed: %s (resume=false runs it again)", directory)
        tell_of_changed_sources(settings, done.get("sources") or {})
        remove_traces(directory)
        return done
    log.info("trained already: evaluating further %s", directory)
    again = [e for e in done.get("evaluated_again", []) if e["finished"] is not None]
    command = record.command(settings.overrides)
    again.append(
        {
            "command": command,
            "engine": settings.runtime.engine,
            "started": record.now(),
            "finished": None,
        }
    )
    return run_and_record(settings, directory, {**done, "evaluated_again": again}, began)


@contextlib.contextmanager
def given_back(directory: Path, taken: dict[str, Any] | None) -> Iterator[None]:
    """Remove the copy of a run that was `taken` over where the settings turn out not to work."""
    try:
        yield
    except ConfigError as error:
        if taken is not None and not isinstance(error, record.CannotWrite):
            record.remove(directory)
        raise


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


def remove_traces(directory: Path) -> None:
    """Remove what only an unfinished run needs, now that the completed record is on the disk."""
    record.drop_previous(directory)
    checkpoint.clear(directory)
