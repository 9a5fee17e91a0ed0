"""What must be as it was where a run is gone on with: the images and the network."""

import inspect
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.config import Settings
from benchmark.models import Model
from benchmark.progress import Progress
from results.schema import OWN_PACKAGES, digest
from tasks.base import Task
from tasks.checks import ConfigError, require

log = logging.getLogger(__name__)
AGAIN = "resume=false trains again"
APART = "another task.name keeps the scores apart"


def check_images(task: Task, now: Any, known: Sequence[Any], done: str, way_out: str) -> None:
    """Raise ConfigError where a task's data are not those on which something was `done`.

    now, known: hashes as `Task.describe` gives them and as record and checkpoint have them; None
        where they have none, as those of earlier versions
    """
    key, value = "task", task.name
    if hasattr(task, "directory"):
        key, value = "task.directory", task.directory
    if any(seen and now and as_json(seen) != as_json(now) for seen in known):
        rule = f"with the images on which this run was {done}, which have changed since"
        raise ConfigError(f"{key}={value}: must be {rule} ({way_out})")


def as_json(hashes: Any) -> str:
    """Equal for what is equal in a file."""
    return json.dumps(hashes, sort_keys=True)


def source_of(model: Model) -> str | None:
    """Hash of the file in which a model of the user's own is written; None where there is none."""
    if type(model).__module__.startswith(OWN_PACKAGES):
        return None
    try:
        return digest(Path(inspect.getfile(type(model))).read_bytes())
    except (OSError, TypeError):  # of a notebook
        return None


def note_source(model: Model, progress: Progress) -> None:
    """Keep the hash of a model's file; warn where it is another: a comment, or another network."""
    now, known = source_of(model), progress.model_source
    if known is None and not progress.iteration:
        progress.model_source = now
    if now and known and now != known:
        log.warning(
            "model=%s: %s has changed since this run was trained: what was learned is of use to a "
            "network alone that computes the same (%s)",
            model.name,
            inspect.getfile(type(model)),
            AGAIN,
        )


def check_network(settings: Settings, progress: Progress, initial: np.ndarray) -> None:
    """Raise ConfigError where `progress` is of a network with other than `initial` parameters."""
    held, needed = progress.learner[0].size, initial.size
    rule = f"the network of {held} parameters with which this run was trained, not of {needed}: "
    rule += f"it has changed since ({AGAIN})"
    require(held == needed, "model", settings.model.name, rule)
