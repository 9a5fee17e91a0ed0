"""Reading and writing what a run leaves; `results.schema` says what that is."""

import contextlib
import csv
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.config import Settings
from results.schema import CURVE, CURVE_COLUMNS, FILES, PREDICTIONS, RECORD, SCHEMA, SCORES
from tasks.checks import ConfigError
from tasks.files import write_atomic

log = logging.getLogger(__name__)


class CannotWrite(ConfigError):
    """The disk is full, or the directory read-only; the text names the file and says which."""


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises CannotWrite; what was there before is untouched."""
    with writing(path):
        write_atomic(path, content)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises CannotWrite where writing to `path` fails."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"{path}: could not be written ({error.strerror})") from error


def read(directory: Path) -> dict[str, Any] | None:
    """The record of a run directory, or None where there is none.

    A damaged one is put aside under another name, so that nothing overwrites it.
    """
    path = directory / RECORD
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("not a record")
    except FileNotFoundError:
        return None
    except ValueError as error:
        aside = unused_name(path)
        path.rename(aside)
        log.warning("%s is damaged (%s): kept as %s, the run is repeated", path, error, aside.name)
        return None
    return found


def is_completed(record: dict[str, Any] | None) -> bool:
    """Whether a record says that its run came to its end."""
    return record is not None and record.get("status") == "completed"


def unused_name(path: Path) -> Path:
    """record.damaged1.json, or the first number that is free."""
    number = 1
    while (name := path.with_stem(f"{path.stem}.damaged{number}")).exists():
        number += 1
    return name


def set_aside(directory: Path) -> None:
    """Rename a completed run's files to NAME.previous.*: kept until the new ones are complete."""
    for name in FILES:
        path = directory / name
        if path.exists():
            path.replace(previous(path))


def copy(source: Path, directory: Path) -> None:
    """Copy a completed run's files, the record last: what is not whole is no record."""
    for name in sorted(FILES, key=lambda name: name == RECORD):
        if (source / name).exists():
            write_file(directory / name, (source / name).read_bytes())


def drop_previous(directory: Path) -> None:
    """Remove what `set_aside` kept."""
    for name in FILES:
        previous(directory / name).unlink(missing_ok=True)


def previous(path: Path) -> Path:
    """record.json -> record.previous.json"""
    return path.with_stem(f"{path.stem}.previous")


def write(directory: Path, record: dict[str, Any]) -> None:
    """Write record.json atomically."""
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    write_file(directory / RECORD, text.encode())


def write_scores(directory: Path, scores: dict[str, np.ndarray]) -> None:
    """Write per-episode scores: one float32 array [episode] a key."""
    write_arrays(directory / SCORES, scores)


def write_predictions(directory: Path, episodes: list[dict[str, np.ndarray]]) -> None:
    """Write the arrays of `benchmark.predictions.predict_episodes`, as keys "episode/name"."""
    arrays = {f"{n}/{name}": v for n, episode in enumerate(episodes) for name, v in episode.items()}
    write_arrays(directory / PREDICTIONS, arrays)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz file, compressed, that is readable without pickle."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_file(path, buffer.getvalue())


def files_beside(directory: Path) -> list[str]:
    """Names of the files that a run has left beside its record."""
    return [name for name in FILES if name != RECORD and (directory / name).exists()]


def write_curve(directory: Path, curve: list[dict[str, Any]]) -> None:
    """Write the learning curve so far, for plotting a job that still runs."""
    text = io.StringIO()
    table = csv.DictWriter(text, CURVE_COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows({**point, "value": point[point["metric"]]} for point in curve)
    write_file(directory / CURVE, text.getvalue().encode())


def begin(settings: Settings) -> dict[str, Any]:
    """A record of a run that has just started."""
    chosen = [o for o in settings.overrides if o.lstrip("+").startswith("experiment=")]
    return {
        "schema": SCHEMA,
        "status": "running",
        "reason": None,
        "command": command(settings.overrides),
        "overrides": settings.overrides,
        "experiment": chosen[0].split("=", 1)[1] if chosen else None,
        "fingerprint": settings.identity,
        "started": now(),
        "finished": None,
        "config": settings.plain,
        "data": {},
        "evaluations": [],
        "baselines": [],
        "learning_curve": [],
        "timing": {},
        "environment": {},
    }


def command(overrides: list[str]) -> str:
    """What was typed, to be typed again."""
    return " ".join(["python -m benchmark", *map(quoted, overrides)])


def quoted(override: str) -> str:
    """An override as it is typed in a shell."""
    return f"'{override}'" if any(c in override for c in '[]{}()*$ "') else override


def now() -> str:
    """UTC time in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
