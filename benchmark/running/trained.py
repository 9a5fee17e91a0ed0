"""Where the training of a job stands already, so that it is not done twice."""

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from benchmark.command.identity import fingerprint
from benchmark.config import Settings
from benchmark.running import initialisation, record
from benchmark.running.named import damaged_files, directory_of, record_of
from results.schema import ARRAYS, FILES, RECORD, content_of, is_whole

log = logging.getLogger(__name__)
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # what a record raises
SEEN: dict[tuple[Path, bool], str] = {}  # (completed run, read in full?): its training's identity


def is_of(found: dict[str, Any], settings: Settings) -> bool:
    """Whether a record is one of this training, whatever version wrote it."""
    config = found.get("config")
    return isinstance(config, dict) and fingerprint(config) == settings.identity


def is_usable(directory: Path) -> bool:
    """Whether a completed run's initialisation is there; says so where it is not."""
    usable = initialisation.can_be_read(directory)
    if not usable:
        log.warning("%s is missing or damaged in %s: training again", ARRAYS, directory)
    return usable


def take_over(settings: Settings, directory: Path) -> dict[str, Any] | None:
    """The completed record of this training, copied into `directory` from where it stands.

    That is the run which evaluate=RUN names, or any of the tree that is written to; None where
    there is none. Raises ConfigError where the run that is named cannot be used.
    """
    if settings.source is not None:
        record_of("evaluate", settings.source, FILES)
        initialisation.of_run("evaluate", settings.source)
        found = directory_of(settings.source)
    elif not (places := find_training(settings.identity, directory)):
        return None
    else:
        found = places[0]
        log.info("trained already: %s", found)
    record.copy(found, directory)
    taken = record.read(directory)
    if taken is not None:
        record.put_aside_damaged_files(directory, taken)  # of scores the others are made again
    return taken


def find_training(identity: str, directory: Path) -> list[Path]:
    """Completed runs of a training in the tree that `directory` is part of, namesakes first.

    The tree is the first folder of a path below the working directory (outputs); elsewhere only
    the neighbours are looked at, since the parent may be anything (/tmp, a home directory).
    Runs of the same name but for the end may be of an earlier format: they are looked into too.
    """
    here = Path.cwd()
    inside = directory.is_relative_to(here) and len(directory.relative_to(here).parts) > 1
    top = here / directory.relative_to(here).parts[0] if inside else directory.parent
    stem = directory.name.rpartition("-")[0]

    def seen_as(path: Path) -> tuple[Path, bool]:
        return path, bool(stem) and path.name.startswith(f"{stem}-")

    for folder, below, files in os.walk(top):
        path = Path(folder)
        if RECORD in files:
            look_at(*seen_as(path))
        deeper = inside or path == top
        below[:] = [name for name in below if deeper and seen_as(path / name) not in SEEN]
    same = {run for (run, _), known in SEEN.items() if known == identity} - {directory}
    found = [run for run in same if run.is_relative_to(top) and is_training(run, identity)]
    return sorted(found, key=lambda path: (path.name != directory.name, path))


def look_at(run: Path, namesake: bool) -> None:
    """Add a run to SEEN if it is completed; a namesake is read in full, others say what they are.

    A large sweep looks at each of its runs once, not once a job.
    """
    try:
        text = content_of(run / RECORD)
        stated = re.search(rb'"fingerprint": "(\w*)"', text)
        if b'"status": "completed"' not in text:
            return
        if namesake or stated is None:
            SEEN[run, namesake] = fingerprint(json.loads(text)["config"])
        else:
            SEEN[run, namesake] = stated[1].decode()
    except (OSError, *DAMAGED):
        pass


def is_training(run: Path, identity: str) -> bool:
    """Whether a run has completed the training `identity`."""
    try:
        found = json.loads(content_of(run / RECORD))
        same = found["status"] == "completed" and fingerprint(found["config"]) == identity
        whole = is_whole(found) and ARRAYS not in damaged_files(run, found)
        return same and whole and initialisation.can_be_read(run)
    except (OSError, *DAMAGED):
        return False
