"""Decoded data sets in the user's cache: built once, whatever number of jobs wants them."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

logger = logging.getLogger(__name__)
Data = TypeVar("Data")


def folder(cache_dir: str | None) -> Path:
    """The directory of all caches; None: reptile-benchmark in the user's own."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("reptile-benchmark")


def load(
    path: Path,
    title: str,
    read: Callable[[Path], Data],
    build: Callable[[], Data],
    write: Callable[[Path, Data], None],
) -> Data:
    """What `read` finds in `path`, which is built and written first where that is not done yet.

    read raises OSError where nothing is there and ValueError where it is damaged; write raises
    OSError. Of several jobs that find no cache one builds and the others wait. A cache that cannot
    be written costs a warning.
    """
    found = attempt(read, path)
    if found is not None:
        return found
    with building(path, title) as writable:
        if not writable:
            return build()
        found = attempt(read, path)  # another job may have built it while this one waited
        if found is not None:
            return found
        if path.exists():
            logger.warning("The %s cache %s is damaged; rebuilding it", title, path)
        logger.info("Decoding %s once, into %s", title, path)
        built = build()
        try:
            write(path, built)
        except OSError as error:
            warn_uncached(path, title, error)
            return built
        del built  # large ones are mapped from the file, not held in memory
        return read(path)


def attempt(read: Callable[[Path], Data], path: Path) -> Data | None:
    """What `read` finds, or None where the file is absent or damaged."""
    try:
        return read(path)
    except (OSError, ValueError):
        return None


@contextmanager
def building(path: Path, title: str) -> Iterator[bool]:
    """Hold the lock under which a cache is built; gives False where it cannot be written."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        warn_uncached(path, title, error)
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def warn_uncached(path: Path, title: str, error: Exception) -> None:
    logger.warning("Cannot keep %s in %s (%s); going on without a cache", title, path.parent, error)
