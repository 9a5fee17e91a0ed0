"""A completed run as the start of more evaluations: its training is done, its scores are kept."""

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.progress import Progress
from benchmark.running import initialisation, parts
from results.schema import SCORES

log = logging.getLogger(__name__)
Rows = list[dict[str, Any]]


def take_up(record: dict[str, Any], directory: Path, progress: Progress) -> Progress:
    """The progress of a run that `record` completes; `progress` is that of a later evaluation.

    Rows of an earlier format get today's keys, in `record` too.
    """
    renamed = with_todays_keys(record)
    kept = {renamed.get(key, key): values for key, values in read_scores(directory).items()}
    return Progress(
        record["config"]["algorithm"]["meta_iterations"],
        initialisation.read(directory),
        curve=record["learning_curve"],
        scores=parts.longest(kept, progress.scores),
        seconds=progress.seconds,
        images=progress.images,
        tested=progress.tested,
        sources=record.get("sources") or {},
    )


def with_todays_keys(record: dict[str, Any]) -> dict[str, str]:
    """Complete rows that do not say in which batches they adapted; {former key: today's}."""
    batch = record["config"]["evaluation"]["batch"]
    renamed = {}
    for row in (*record["evaluations"], *record["baselines"]):
        if "batch" not in row:
            renamed[row["scores"]] = parts.of_record(row, batch)
            row |= {"batch": batch, "scores": parts.of_record(row, batch)}
    return renamed


def read_scores(directory: Path) -> dict[str, np.ndarray]:
    """All arrays of scores.npz; none, with a line that says so, where it is missing or damaged."""
    try:
        with np.load(directory / SCORES, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is not used (%s): what is missing is scored again", SCORES, error)
        return {}


def merged(earlier: Rows, asked: Rows) -> Rows:
    """Rows of a record: those of earlier evaluations, and what is asked now in place of them."""
    return list({row["scores"]: row for row in (*earlier, *asked)}.values())
