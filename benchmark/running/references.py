"""Reference lines that the jobs of a sweep share: who has scored one leaves it for the others.

They know nothing of the training: an untrained network and the nearest neighbour score the same in
every job of one seed, task and protocol. The sweep's folder keeps them as long as the sweep runs.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.config import Settings
from benchmark.inner_loop import InnerLoop
from benchmark.running import sweep
from benchmark.running.parts import TRAINED, Part
from results.schema import OWN_PACKAGES, queries_key
from tasks.files import read_sealed, write_sealed


def place_of(part: Part, settings: Settings, inner: InnerLoop) -> Path | None:
    """The file in which jobs with the same reference line share it; None where none is shared."""
    mine = sweep.current()
    ours = f"{type(inner).__module__}.".startswith(OWN_PACKAGES)  # another may depend on anything
    if mine is None or part.name == TRAINED or not ours:
        return None
    decisive = json.dumps(what_decides(part, settings, inner), sort_keys=True)
    return mine.folder / f"reference-{hashlib.sha256(decisive.encode()).hexdigest()}"


def what_decides(part: Part, settings: Settings, inner: InnerLoop) -> dict[str, Any]:
    """All that a reference line's scores depend on, but for the number of episodes."""
    plain = settings.plain
    known = {
        "part": part._replace(episodes=0),
        "seed": settings.seed,
        "tested": plain.get("tested") or plain["task"],
        "threads": settings.runtime.threads,
    }
    if part.name == "nearest_neighbour":
        return known
    return known | {
        "task": plain["task"],
        "model": plain["model"],
        "initial": hashlib.sha256(inner.network.initial.tobytes()).hexdigest(),
        "inner loop": f"{type(inner).__module__}.{type(inner).__qualname__}",
        "its settings": {k: v for k, v in vars(inner).items() if isinstance(v, str | int | float)},
        "replacement": settings.algorithm.replacement,
    }


def take(place: Path, part: Part, scores: dict[str, np.ndarray]) -> None:
    """Add to `scores` what another job has left, as far as this one asks for it."""
    with contextlib.suppress(OSError, ValueError):
        for key, values in read_sealed(place).items():
            if len(values) > len(scores.get(key, ())) < part.episodes:
                scores[key] = values[: part.episodes]


def leave(place: Path, part: Part, scores: dict[str, np.ndarray]) -> None:
    """Leave for other jobs what is scored now; where nothing can be written they do without."""
    keys = [part.key(cell) for cell in part.cells]
    kept = {key: scores[key] for own in keys for key in (own, queries_key(own)) if key in scores}
    with contextlib.suppress(OSError):
        write_sealed(place, kept)
