"""What must be as it was where a run is gone on with: the images and the network."""

import contextlib
import inspect
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.config import Settings
from benchmark.progress import Progress
from results.schema import OWN_PACKAGES, digest
from tasks.base import Task
from tasks.checks import ConfigError, require

log = logging.getLogger(__name__)
GROUPS = ("task", "model", "algorithm")  # whose classes may be of the user's own
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


def sources_of(settings: Settings) -> dict[str, str]:
    """Hash of the file in which each class of the user's own is written, by its group."""
    found = {}
    for group in GROUPS:
        cls = type(getattr(settings, group))
        if not cls.__module__.startswith(OWN_PACKAGES):
            with contextlib.suppress(OSError, TypeError):  # of a notebook
                found[group] = digest(Path(inspect.getfile(cls)).read_bytes())
    return found


def note_sources(settings: Settings, progress: Progress) -> None:
    """Keep the hashes of own files of a training that begins; warn where one has changed since."""
    if not progress.iteration:
        progress.sources = progress.sources or sources_of(settings)
    tell_of_changed_sources(settings, progress.sources)


def tell_of_changed_sources(settings: Settings, known: dict[str, str]) -> None:
    """Warn of own files that are others than in training: a comment, or another computation."""
    for group, now in sources_of(settings).items():
        if known.get(group, now) != now:
            part = getattr(settings, group)
            log.warning(
                "%s=%s: %s has changed since this run was trained: what is recorded is of the file "
                "as it was (%s)",
                group,
                part.name,
                inspect.getfile(type(part)),
                AGAIN,
            )


def check_network(settings: Settings, progress: Progress, initial: np.ndarray) -> None:
    """Raise ConfigError where `progress` is of a network with other than `initial` parameters."""
    held, needed = progress.learner[0].size, initial.size
    rule = f"the network of {held} parameters with which this run was trained, not of {needed}: "
    rule += f"it has changed since ({AGAIN})"
    require(held == needed, "model", settings.model.name, rule)
