"""What must be as it was where a run is gone on with: the images and the network."""

import json
from typing import Any

import numpy as np

from benchmark.config import Settings
from benchmark.progress import Progress
from tasks.checks import ConfigError, require

AGAIN = "resume=false trains again"


def check_images(settings: Settings, now: Any, *known: Any) -> None:
    """Raise ConfigError where the training's data are not those that it has seen.

    now, known: hashes as `Task.describe` gives them and as record and checkpoint have them; None
        where they have none, as those of earlier versions
    """
    task = settings.task
    key, value = "task", task.name
    if hasattr(task, "directory"):
        key, value = "task.directory", task.directory
    if any(seen and now and as_json(seen) != as_json(now) for seen in known):
        rule = "with the images on which this run was trained, which have changed since"
        raise ConfigError(f"{key}={value}: must be {rule} ({AGAIN})")


def as_json(hashes: Any) -> str:
    """Equal for what is equal in a file."""
    return json.dumps(hashes, sort_keys=True)


def check_network(settings: Settings, progress: Progress, initial: np.ndarray) -> None:
    """Raise ConfigError where `progress` is of a network with other than `initial` parameters."""
    held, needed = progress.learner[0].size, initial.size
    rule = f"the network of {held} parameters with which this run was trained, not of {needed}: "
    rule += f"it has changed since ({AGAIN})"
    require(held == needed, "model", settings.model.name, rule)
