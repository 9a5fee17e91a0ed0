"""Reading and writing what a run leaves; `results.schema` says what that is."""

import contextlib
import csv
import io
import json
import logging
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from benchmark.running.named import damaged_files
from results.schema import (
    CURVE,
    CURVE_COLUMNS,
    FILES,
    PREDICTIONS,
    RECORD,
    SCHEMA,
    SCORES,
    content_of,
    digest,
    is_whole,
    seal,
)
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
        found = json.loads(content_of(path))
        if not isinstance(found, dict):
            raise ValueError("not a record")
        if is_completed(found) and not is_whole(found):
            raise ValueError("its seal does not fit")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        aside = put_aside(path)
        log.warning("%s is damaged (%s): kept as %s, the run is repeated", path, error, aside.name)
        return None
    return found


def put_aside_damaged_files(directory: Path, record: dict[str, Any]) -> None:
    """Rename the files beside a completed record that are not those it was completed with."""
    for name in damaged_files(directory, record):
        path = directory / name
        log.warning("%s is damaged: kept as %s", path, put_aside(path).name)
        if name == CURVE:
            write_curve(directory, record["learning_curve"])


def is_completed(record: dict[str, Any] | None) -> bool:
    """Whether a record says that its run came to its end."""
    return record is not None and record.get("status") == "completed"


def put_aside(path: Path) -> Path:
    """Rename a file to record.damaged1.json, or the first number that is free; returns the name."""
    number = 1
    while (name := path.with_stem(f"{path.stem}.damaged{number}")).exists():
        number += 1
    return path.rename(name)


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


def remove(directory: Path) -> None:
    """Remove what `copy` has written, the record first."""
    for name in sorted(FILES, key=lambda name: name != RECORD):
        (directory / name).unlink(missing_ok=True)


def drop_previous(directory: Path) -> None:
    """Remove what `set_aside` kept."""
    for name in FILES:
        previous(directory / name).unlink(missing_ok=True)


def previous(path: Path) -> Path:
    """record.json -> record.previous.json"""
    return path.with_stem(f"{path.stem}.previous")


def write(directory: Path, record: dict[str, Any]) -> None:
    """Write record.json atomically; a completed one is sealed, with the files beside it."""
    if is_completed(record):
        paths = {name: directory / name for name in files_beside(directory)}
        digests = {name: digest(path.read_bytes()) for name, path in paths.items()}
        record = {**record, "digests": digests}
        record["seal"] = seal(record)
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


def begin(plain: dict[str, Any], identity: str, overrides: list[str]) -> dict[str, Any]:
    """A record of a run that has just started."""
    chosen = [o for o in overrides if o.lstrip("+").startswith("experiment=")]
    return {
        "schema": SCHEMA,
        "status": "running",
        "reason": None,
        "command": command(overrides),
        "overrides": overrides,
        "experiment": chosen[0].split("=", 1)[1] if chosen else None,
        "fingerprint": identity,
        "started": now(),
        "finished": None,
        "config": plain,
        "data": {},
        "evaluations": [],
        "baselines": [],
        "learning_curve": [],
        "timing": {},
        "environment": {},
    }


def write_refused(
    cfg: DictConfig, directory: Path, overrides: list[str], error: ConfigError
) -> None:
    """Record a job of a sweep that could not start, where nothing else is recorded.

    Its settings are as they were typed, without an identity; numbers that are none are null.
    """
    typed = json.dumps(OmegaConf.to_container(cfg, resolve=False), default=str)
    plain = json.loads(typed, parse_constant=lambda _: None)
    ended = {"status": "failed", "reason": f"ConfigError: {error}", "finished": now()}
    if not (directory / RECORD).exists():
        with contextlib.suppress(CannotWrite):
            write(directory, begin(plain, "", overrides) | ended)


def is_of_refused(record: dict[str, Any]) -> bool:
    """Whether a record says no more than that a job could not start (`write_refused`)."""
    return record.get("status") == "failed" and record.get("fingerprint") == ""


def command(overrides: list[str]) -> str:
    """What was typed, to be pasted into a shell from the same working directory."""
    return shlex.join(["python", "-m", "benchmark", *config_dirs(), *overrides])


def config_dirs() -> list[str]:
    """--config-dir DIR as it was given, where it was."""
    if not HydraConfig.initialized():
        return []
    sources = HydraConfig.get().runtime.config_sources
    given = [Path(source.path) for source in sources if source.provider == "command-line"]
    here = Path.cwd()
    inside = [path.relative_to(here) if path.is_relative_to(here) else path for path in given]
    return [word for path in inside for word in ("--config-dir", str(path))]


def now() -> str:
    """UTC time in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
