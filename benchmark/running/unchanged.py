"""What must be as it was where a run is gone on with: the images and the network."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.config import Settings
from benchmark.progress import Progress
from tasks.base import Task
from tasks.checks import ConfigError, require

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


def check_network(settings: Settings, progress: Progress, initial: np.ndarray) -> None:
    """Raise ConfigError where `progress` is of a network with other than `initial` parameters."""
    held, needed = progress.learner[0].size, initial.size
    rule = f"the network of {held} parameters with which this run was trained, not of {needed}: "
    rule += f"it has changed since ({AGAIN})"
    require(held == needed, "model", settings.model.name, rule)
