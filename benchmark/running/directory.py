"""A run's directory: one process at a time works in it."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from results.schema import LOCK
from tasks.checks import ConfigError

log = logging.getLogger(__name__)
COMPUTING_LOCK = ".computing.lock"  # of a process of its own that computes, which may outlive it


@contextlib.contextmanager
def locked(directory: Path, name: str) -> Iterator[None]:
    """Hold a lock in `directory`, which is made; whoever finds it taken waits for its release.

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


def remove_if_empty(directory: Path, log_file: str) -> None:
    """Remove a directory that was made for a job in vain, and what it was made in below here."""
    here = Path.cwd()
    with contextlib.suppress(OSError):  # there is something in it
        made = {log_file, LOCK, COMPUTING_LOCK}
        if {path.name for path in directory.iterdir()} <= made:
            for name in made:
                (directory / name).unlink(missing_ok=True)
        directory.rmdir()
        for parent in directory.resolve().parents:
            if here in parent.parents:
                parent.rmdir()


def wait_for_what_is_left(directory: Path) -> None:
    """Return once the process that a killed sweep has left behind, if any, has saved itself."""
    with locked(directory, COMPUTING_LOCK):
        pass
