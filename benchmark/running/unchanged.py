"""What must be as it was where a run is gone on with: the images."""

import json
from typing import Any

from benchmark.config import Settings
from tasks.checks import ConfigError

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
