"""A run's progress on disk: enough to continue it bit for bit."""

import io
import json
import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tasks.files import write_atomic

log = logging.getLogger(__name__)
CURRENT, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"


@dataclass
class Progress:
    """How far a run has come.

    iteration: meta-iterations done
    learner: params [P], moment [P], count []; outer: the outer optimiser's variables
    curve: points of the learning curve, as in the record
    scores: per-episode scores so far, by protocol label: [episode, steps, transductive]
    seconds: time spent so far, by phase
    """

    iteration: int
    learner: tuple[np.ndarray, ...]
    outer: tuple[np.ndarray, ...] = ()
    curve: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def save(directory: Path, progress: Progress, fingerprint: str) -> None:
    """Write the checkpoint; the one before it stays until the new one is whole.

    Raises OSError where the disk is full or the directory cannot be written.
    """
    meta = {
        "fingerprint": fingerprint,
        "iteration": progress.iteration,
        "curve": progress.curve,
        "seconds": progress.seconds,
    }
    arrays = {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}
    arrays |= {f"learner/{i}": value for i, value in enumerate(progress.learner)}
    arrays |= {f"outer/{i}": value for i, value in enumerate(progress.outer)}
    arrays |= {f"scores/{name}": value for name, value in progress.scores.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    fresh = directory / f"{CURRENT}.new"
    write_atomic(fresh, buffer.getvalue())
    if (directory / CURRENT).exists():
        (directory / CURRENT).replace(directory / PREVIOUS)
    fresh.replace(directory / CURRENT)


def load(directory: Path, fingerprint: str) -> Progress | None:
    """The newest whole checkpoint of this configuration, or None.

    A damaged one is passed over with a warning; zip's checksums find flipped and missing bytes.
    """
    for name in (f"{CURRENT}.new", CURRENT, PREVIOUS):
        path = directory / name
        if not path.exists():
            continue
        try:
            found, progress = read(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s is damaged (%s): falling back to the one before it", path, error)
            continue
        if found == fingerprint:
            return progress
    return None


def read(path: Path) -> tuple[str, Progress]:
    """Fingerprint and progress of one file; never loads a pickle."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
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
    )
    return meta["fingerprint"], progress


def clear(directory: Path) -> None:
    """Remove the checkpoints: the run is recorded, or starts afresh."""
    for name in (f"{CURRENT}.new", CURRENT, PREVIOUS):
        (directory / name).unlink(missing_ok=True)
