"""A completed run, named by its directory or by the name under which it is published."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from results.schema import ARRAYS, PREDICTIONS, RECORD, SCORES, content_of, digest, is_whole
from tasks.checks import ConfigError, one_line

PUBLISHED = Path(__file__).parents[2] / "results" / "published"


def directory_of(run: str | os.PathLike[str]) -> Path:
    """The directory of a run, given as such, by its record.json or by its published name.

    A directory that exists comes before a published run of the same name.
    """
    path = Path(run)
    if path.is_file():
        return path.parent
    published = PUBLISHED / path
    return published if published.is_dir() and not path.exists() else path


def record_of(key: str, run: str | os.PathLike[str], files: Collection[str] = ()) -> dict[str, Any]:
    """The record of a completed run; `key` is what names it in an error.

    Raises ConfigError where there is none, or where it or one of the `files` beside it was changed
    after the run completed.
    """
    rule = f"a completed run's directory, with {RECORD} and {ARRAYS}, or a published run's name"
    try:
        record = json.loads(content_of(directory_of(run) / RECORD))
        completed = record["status"] == "completed" and isinstance(record["config"], dict)
        whole = is_whole(record)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{key}={run}: must be {rule} ({one_line(error)})") from error
    if not completed:
        raise ConfigError(f"{key}={run}: must be {rule}; this one is {record['status']}")
    if not whole:
        rule = "must be a completed run whose record is whole"
        raise ConfigError(f"{key}={run}: {rule} (the seal of {RECORD} does not fit)")
    for name in damaged_files(directory_of(run), record):
        if name in files:
            rule = f"must be a completed run whose {name} is whole"
            raise ConfigError(f"{key}={run}: {rule} (it was changed after the run completed)")
    return record


def damaged_files(directory: Path, record: dict[str, Any]) -> list[str]:
    """Names of the files beside a completed record that are not those it was completed with.

    While it is evaluated further, what that writes may be newer than the record.
    """
    under_way = any(again["finished"] is None for again in record.get("evaluated_again", []))
    newer = (SCORES, PREDICTIONS) if under_way else ()
    paths = {name: directory / name for name in record.get("digests", {}) if name not in newer}
    return [
        name
        for name, path in paths.items()
        if path.exists() and digest(path.read_bytes()) != record["digests"][name]
    ]
