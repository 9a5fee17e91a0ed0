"""What a record is: the files of a run's directory and the fields of `record.json`.

The writer (`benchmark.running.record`) and the reader (`results.records`) share this page; it needs
nothing but Python.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SCHEMA = 1
"""Number of the format, `schema` in `record.json`; raised when an older reader would misread it."""

RECORD = "record.json"
"""What was asked, what came out, and on what it ran."""

SCORES = "scores.npz"
"""Per-episode scores, float32 [episode], under the key that an evaluation names as `scores`; of an
accuracy also KEY/queries (`queries_key`), bool [episode, query], whether each query was right; and
for each split classes/SPLIT (`classes_key`), integers [episode, way], the classes of each episode
by their number in the split (all protocols of a split share the episodes). Queries run class by
class, as `Episode.query_y` does."""

CURVE = "learning_curve.csv"
"""The learning curve so far, while a run goes on: CURVE_COLUMNS."""

PREDICTIONS = "predictions.npz"
"""Single episodes and what the adapted network said of them."""

KERAS_MODEL = "initialisation.keras"
"""The trained initialisation as a Keras model."""

ARRAYS = "initialisation.npz"
"""The trained initialisation as plain arrays: params/INDEX/NAME, moment, count."""

FILES = (RECORD, SCORES, CURVE, PREDICTIONS, KERAS_MODEL, ARRAYS)
"""All that a run leaves for its reader."""

STATUSES = ("completed", "failed", "interrupted", "running")
METRICS = ("accuracy", "mse")
BASELINES = ("scratch", "nearest_neighbour")

PROTOCOL = ("split", "metric", "ways", "shots", "transductive", "steps", "queries", "episodes")
"""How a number was measured: fields of an evaluation, of a baseline, of a point of the curve."""

CURVE_COLUMNS = (
    "iteration",
    "split",
    "shots",
    "transductive",
    "episodes",
    "metric",
    "value",
    "ci95",
)

OWN_PACKAGES = ("benchmark.", "tasks.")
"""Begin the `_target_` of the project's own classes. Where a class lives is no setting: its group's
`name` and settings identify it, and a record stays comparable when a file moves."""


def queries_key(scores: str) -> str:
    """Key in SCORES of an evaluation's single queries, next to its scores."""
    return f"{scores}/queries"


def classes_key(split: str) -> str:
    """Key in SCORES of the classes of a split's episodes."""
    return f"classes/{split}"


def digest(content: bytes) -> str:
    """sha256 of a file; a completed record lists those beside it as `digests` {name: digest}."""
    return hashlib.sha256(content).hexdigest()


def seal(record: Mapping[str, Any]) -> str:
    """sha256 of a record less its field `seal`, which holds it once the run is completed.

    Over the canonical JSON (sorted keys, no spaces, ASCII), so that layout does not matter; the
    `digests` of the files beside it are part of the record and so are sealed too.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    kept = {key: value for key, value in record.items() if key != "seal"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return digest(text.encode("ascii"))
