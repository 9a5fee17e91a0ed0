"""How far a run has come: all that is kept of it while it is under way."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]


@dataclass
class Progress:
    """Everything that a run needs to continue bit for bit.

    iteration: meta-iterations done
    learner: params [P], moment [P], count []; outer: the outer optimiser's variables
    curve: points of the learning curve, as in the record
    scores: per-episode scores so far, by protocol label: [episode, steps, transductive]
    seconds: time spent so far, by phase
    images: hashes of the data it has seen, as `Task.describe` gives them; None where unknown
    tested: the same of other tasks that it is tested on, by `digest_of_task`
    sources: hash of the file of each class of the user's own, by group ("model")
    sessions: when, by which command and on what it was trained, one for each time it went on
    """

    iteration: int
    learner: Arrays
    outer: Arrays = ()
    curve: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    images: Any = None
    tested: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    sessions: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def fresh(cls, initial: np.ndarray, outer: Arrays = ()) -> "Progress":
        """Before the first meta-iteration: initial weights [P], an Adam that has seen no step."""
        return cls(0, (initial, np.zeros_like(initial), np.array(0, np.int64)), outer)
