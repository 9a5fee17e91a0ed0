"""One job: check, train, evaluate, record. It can be stopped anywhere and started again."""

import logging
import time
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import DictConfig

from benchmark import checkpoint, record
from benchmark.config import Settings, fingerprint, load
from benchmark.progress import Interruption
from benchmark.startup import start_tensorflow
from tasks.checks import ConfigError

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """A signal asked the run to stop; its progress is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by signal {number}")
        self.exit_code = 128 + number


def run_job(cfg: DictConfig, directory: Path, overrides: list[str]) -> dict[str, Any]:
    """Run one configuration in `directory` and return its record.

    A completed run is not repeated and an interrupted one goes on where it stopped.
    Raises ConfigError (nothing was started), Interrupted, or what went wrong; in every case but the
    first the record says so.
    """
    began = time.perf_counter()
    settings = load(cfg)
    identity = fingerprint(settings.plain)
    try:
        with FileLock(directory / ".lock"):
            return locked_job(settings, identity, directory, overrides, began)
    except OSError as error:
        raise ConfigError(f"hydra.run.dir={directory}: must be writable ({error})") from error


def locked_job(
    settings: Settings, identity: str, directory: Path, overrides: list[str], began: float
) -> dict[str, Any]:
    """`run_job` with the directory to itself."""
    before = record.read(directory)
    if before is not None and before.get("fingerprint") != identity:
        raise ConfigError(
            f"hydra.run.dir={directory}: must be empty or hold a run of this configuration; it holds "
            f"{before.get('command', 'another one')}"
        )
    if before is not None and before.get("status") == "completed" and settings.resume:
        log.info("already completed: %s (resume=false runs it again)", directory)
        return before
    if not settings.resume:
        checkpoint.clear(directory)
    entry = record.begin(settings.plain, identity, overrides)
    record.write(directory, entry)
    try:
        start_tensorflow(settings.runtime)
        from benchmark.run import Run

        with Interruption() as interruption:
            run = Run(settings, identity, directory, interruption)
            entry["environment"] = record.environment()
            entry["data"] = settings.task.describe()
            startup = time.perf_counter() - began
            run.train()
            run.evaluate()
            entry |= run.outcome()
            entry["timing"]["startup_seconds"] = startup
            entry["environment"]["memory_peak_mb"] = record.memory_peak_mb()
            entry |= {"status": "completed", "finished": record.now()}
            record.write(directory, entry)
    except BaseException as error:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit)
        entry |= {
            "status": "interrupted" if stopped else "failed",
            "reason": f"{type(error).__name__}: {error}",
            "finished": record.now(),
        }
        record.write(directory, entry)
        raise
    checkpoint.clear(directory)
    return entry
