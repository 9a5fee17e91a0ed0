"""Which runs are completed already, and where their records are kept."""

import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.command.identity import NEUTRAL
from benchmark.studies.reproduce.costs import completed
from benchmark.studies.reproduce.parts import Run
from results import schema

THEORY_TABLE = "theory.csv"
KEPT = (schema.RECORD, schema.SCORES, schema.PREDICTIONS, THEORY_TABLE)
"""What is kept of a run: all that tables and figures need, without the network."""


def missing(runs: Sequence[Run], kept: Path) -> list[Run]:
    """The runs without a completed record of the same training and tests at or below `kept`."""
    there = [(flat(document["config"]), document) for document in completed(kept)]
    return [run for run in runs if not is_there(run, kept, there)]


def is_there(run: Run, kept: Path, there: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> bool:
    """Whether a run needs not be run, for one of the (settings, record) that are there."""
    if run.plain is None:
        return place_of(run, kept).joinpath(THEORY_TABLE).exists()
    wanted, asked = flat(run.plain), tests(run.plain)
    return any(same(wanted, other) and asked <= answered(record) for other, record in there)


def same(wanted: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether settings agree wherever both have them: an older record lacks newer settings."""
    return all(other[key] == value for key, value in wanted.items() if key in other)


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"task.ways": 5} of nested settings, less those on which no training depends.

    How it was computed (`runtime`) may change the last bits of a sum, not what a number means.
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if name in (*NEUTRAL, "runtime") or key == "_target_":
            continue
        if isinstance(value, dict):
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found


def tests(plain: dict[str, Any]) -> set[tuple[Any, ...]]:
    """What settings ask for: (split, shots, transductive, steps, queries, episodes) of each."""
    evaluation = plain["evaluation"]
    several = [evaluation[key] for key in ("splits", "shots", "transductive", "steps")]
    once = evaluation["queries"], evaluation["episodes"]
    return {(*protocol, *once) for protocol in itertools.product(*several)}


def answered(record: dict[str, Any]) -> set[tuple[Any, ...]]:
    """What a record holds, in the form of `tests`."""
    keys = ("split", "shots", "transductive", "steps", "queries", "episodes")
    return {tuple(row.get(key) for key in keys) for row in record["evaluations"]}


def place_of(run: Run, kept: Path) -> Path:
    """Where the records of a run are kept."""
    return (
        kept / run.directory.name
        if run.plain is None
        else kept / "reproduction" / run.directory.name
    )


def keep(run: Run, kept: Path) -> None:
    """Copy the record of a completed run, whole or not at all."""
    place = place_of(run, kept)
    fresh = place.with_name(f".{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in KEPT:
        if (run.directory / name).exists():
            shutil.copy2(run.directory / name, fresh / name)
    shutil.rmtree(place, ignore_errors=True)
    fresh.replace(place)


def completed_here(runs: Sequence[Run]) -> Iterator[Run]:
    """The runs whose own directory holds the completed record."""
    for run in runs:
        if run.plain is None:
            if (run.directory / THEORY_TABLE).exists():
                yield run
        elif is_completed(run.directory / schema.RECORD):
            yield run


def is_completed(file: Path) -> bool:
    """Whether a file is the record of a completed run."""
    try:
        return bool(json.loads(file.read_text(encoding="utf-8"))["status"] == "completed")
    except (OSError, ValueError, KeyError, TypeError):
        return False
