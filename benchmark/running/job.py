"""One job: check, compute, record. It can be stopped anywhere and started again."""

import contextlib
import logging
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmark.command.identity import HASH, fingerprint
from benchmark.config import Settings, load
from benchmark.running import checkpoint, record
from benchmark.running.apart import compute_apart
from benchmark.running.computation import compute
from benchmark.running.directory import JOB_LOCK, locked, wait_for_what_is_left
from benchmark.running.interruption import Interruption, how_it_ended
from benchmark.running.launchers import as_launched
from tasks.checks import ConfigError

log = logging.getLogger(__name__)


def run_job(cfg: DictConfig, directory: Path, overrides: list[str]) -> dict[str, Any]:
    """Run one configuration in `directory` and return its record.

    A completed run is not repeated, an interrupted one goes on where it stopped, a failed one is
    tried again. Raises ConfigError (nothing was started), Interrupted, or what went wrong; in
    every case but the first the record says so.
    """
    began = time.time()
    logging.raiseExceptions = False  # a full disk stops the log file too; one line is enough
    settings = load(cfg)
    settings = replace(settings, runtime=as_launched(settings.runtime))
    with locked(directory, JOB_LOCK):
        wait_for_what_is_left(directory)
        before = record.read(directory)
        if before is not None and not is_of(before, settings):
            raise ConfigError(
                f"hydra.run.dir={directory}: must be empty or hold a run of this configuration; "
                f"it holds {before.get('command', 'another one')}"
            )
        if settings.resume and (done := completed_before(before, settings, directory)):
            return done
        if not settings.resume:
            checkpoint.clear(directory)
        if record.is_completed(before):
            record.set_aside(directory)
        return run_and_record(settings, directory, record.begin(settings, overrides), began)


def is_of(found: dict[str, Any], settings: Settings) -> bool:
    """Whether a record is one of these settings, whatever version wrote it."""
    config = found.get("config")
    return isinstance(config, dict) and fingerprint(config) == settings.identity


def completed_before(
    before: dict[str, Any] | None, settings: Settings, directory: Path
) -> dict[str, Any] | None:
    """The completed record of this run, in `directory` or under the name that version 1 gave it."""
    if before is not None and record.is_completed(before):
        log.info("already completed: %s (resume=false runs it again)", directory)
        remove_traces(directory)
        return before
    stem, _, ending = directory.name.rpartition("-")
    if before is not None or ending != settings.identity[:HASH]:
        return None  # a run that has begun, or a name of the user's
    older = directory.with_name(f"{stem}-{fingerprint(settings.plain, version=1)[:HASH]}")
    found = record.read(older)
    if found is None or not record.is_completed(found) or not is_of(found, settings):
        return None
    log.info("already completed: %s (resume=false runs it again)", older)
    return found


def run_and_record(
    settings: Settings, directory: Path, entry: dict[str, Any], began: float
) -> dict[str, Any]:
    """Compute, which completes the record; or record how it came to no end."""
    record.write(directory, entry)
    run = compute_apart if settings.runtime.isolate else compute
    try:
        with Interruption() as interruption:
            run(interruption, settings, directory, began)
    except BaseException as error:
        if not record.is_completed(record.read(directory)):  # a signal may come a moment too late
            record_the_end(directory, entry, error)
        raise
    remove_traces(directory)
    return record.read(directory) or entry


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
