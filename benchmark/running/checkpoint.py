"""A run's progress on disk: enough to continue it bit for bit."""

import json
import logging
from pathlib import Path

import numpy as np

from benchmark.progress import Progress
from benchmark.running.record import writing
from tasks.files import read_sealed, write_sealed

log = logging.getLogger(__name__)
CURRENT, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
FRESH = "checkpoint.new.npz"  # whole, but not yet in its place


def save(directory: Path, progress: Progress, fingerprint: str) -> None:
    """Write the checkpoint; the one before it stays until the new one is whole.

    Raises CannotWrite where the disk is full or the directory cannot be written.
    """
    meta = {
        "fingerprint": fingerprint,
        "iteration": progress.iteration,
        "curve": progress.curve,
        "seconds": progress.seconds,
        "images": progress.images,
        "tested": progress.tested,
        "sources": progress.sources,
        "sessions": progress.sessions,
    }
    arrays = {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}
    arrays |= {f"learner/{i}": value for i, value in enumerate(progress.learner)}
    arrays |= {f"outer/{i}": value for i, value in enumerate(progress.outer)}
    arrays |= {f"scores/{name}": value for name, value in progress.scores.items()}
    fresh = directory / FRESH
    with writing(fresh):
        write_sealed(fresh, arrays)
    if (directory / CURRENT).exists():
        (directory / CURRENT).replace(directory / PREVIOUS)
    fresh.replace(directory / CURRENT)


def load(directory: Path, fingerprint: str) -> Progress | None:
    """The newest whole checkpoint of this configuration, or None.

    A damaged one, or one of another configuration, is passed over with a line that names it.
    """
    passed_over = False
    for path in (directory / name for name in (FRESH, CURRENT, PREVIOUS)):
        if not path.exists():
            continue
        try:
            found, progress = read(path)
        except Exception as error:  # there is no end to what damaged bytes can raise
            log.warning("%s is damaged and not used (%s)", path, error)
        else:
            if found == fingerprint:
                return progress
            log.warning("%s belongs to another configuration and is not used", path)
        passed_over = True
    if passed_over:
        log.warning("no usable checkpoint in %s: starting from the beginning", directory)
    return None


def read(path: Path) -> tuple[str, Progress]:
    """Fingerprint and progress of one file; never loads a pickle."""
    arrays = read_sealed(path)
    meta = json.loads(arrays.pop("meta").tobytes())

    def group(prefix: str) -> tuple[np.ndarray, ...]:
        return tuple(value for name, value in arrays.items() if name.startswith(prefix))

    scores = {n.removeprefix("scores/"): v for n, v in arrays.items() if n.startswith("scores/")}
    progress = Progress(
        meta["iteration"],
        group("learner/"),
        group("outer/"),
        meta["curve"],
        scores,
        meta["seconds"],
        meta.get("images"),  # earlier versions have none
        meta.get("tested", {}),
        meta.get("sources", {}),
        meta.get("sessions", []),
    )
    return meta["fingerprint"], progress


def clear(directory: Path) -> None:
    """Remove the checkpoints, also half-written ones: the run is recorded, or starts afresh."""
    for name in (FRESH, CURRENT, PREVIOUS):
        (directory / name).unlink(missing_ok=True)
    for left_by_a_kill in directory.glob(".*.tmp"):
        left_by_a_kill.unlink(missing_ok=True)
