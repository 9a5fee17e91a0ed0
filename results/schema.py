"""What a record is: the files of a run's directory and the fields of `record.json`.

The writer (`benchmark.running.record`) and the reader (`results.records`) share this page; it needs
nothing but Python.
"""

import errno
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Number of the format, `schema` in `record.json`; raised when an older reader would misread it."""

RECORD = "record.json"
"""What was asked, what came out, and on what it ran."""

SCORES = "scores.npz"
"""Per-episode scores, float32 [episode], under the key that an evaluation names as `scores`; of an
accuracy also KEY/queries (`queries_key`), bool [episode, query], whether each query was right; and
under the key that it names as `classes` (`classes_key`) integers [episode, way], the classes of
each episode by their number in the split (evaluations of a split share the episodes, unless classes
have different numbers of examples). Queries run class by class, as `Episode.query_y` does."""

CURVE = "learning_curve.csv"
"""The learning curve so far, while a run goes on: CURVE_COLUMNS."""

PREDICTIONS = "predictions.npz"
"""Single episodes and what the adapted network said of them."""

KERAS_MODEL = "initialisation.keras"
"""The trained initialisation as a Keras model."""

ARRAYS = "initialisation.npz"
"""The trained initialisation as plain arrays: params/INDEX/NAME, moment, count."""

PAGE = "page.html"
"""The page on which a reader gives the run something to learn (`python -m benchmark.page`)."""

FILES = (RECORD, SCORES, CURVE, PREDICTIONS, KERAS_MODEL, ARRAYS)
"""All that a run leaves for its reader."""

LOCK = ".lock"
"""Held by the process that works at a run, from its first look at the record to the last."""

MOST_DIGITS = 18
"""Of a whole number in a record: more do not fit into the 64 bits of a reader's column."""

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


KINDS: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


class Misfit(ValueError):
    """A record that is none; the text names the field, its value and what it may be."""


@dataclass(frozen=True)
class Field:
    """What a field may hold: a `kind` of value between `least` and `most`, or one of `choices`.

    Unless it is required it may also be null or missing. A whole number counts as a float; true
    and false are no numbers; NaN and infinity never fit.
    """

    kind: type
    least: float = -math.inf
    most: float = math.inf
    choices: tuple[str, ...] = ()
    required: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value may stand in this field."""
        if value is None:
            return not self.required
        kinds: Any = (int, float) if self.kind is float else self.kind
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.kind is not bool):
            return False
        if self.choices and value not in self.choices:
            return False
        if self.kind in (int, float):
            return self.least <= value <= self.most and abs(value) < math.inf
        return True

    def __str__(self) -> str:
        """'a whole number of at least 1'."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        name = KINDS[self.kind]
        low = f" of at least {self.least:g}" if self.least > -math.inf else ""
        return name + low + (f" and at most {self.most:g}" if self.most < math.inf else "")


RECORD_FIELDS = {
    "status": Field(str, choices=STATUSES, required=True),
    "config": Field(dict, required=True),
    **{
        key: Field(str)
        for key in (
            "reason",
            "command",
            "experiment",
            "fingerprint",
            "started",
            "finished",
            "seal",
        )
    },
    **{key: Field(dict) for key in ("data", "timing", "environment", "digests", "sources")},
    **{
        key: Field(list)
        for key in ("overrides", "evaluations", "baselines", "learning_curve", "sessions")
    },
}

SCORE_FIELDS = {
    "metric": Field(str, choices=METRICS, required=True),
    "split": Field(str),
    "ways": Field(int, 1),
    "shots": Field(int, 1),
    "transductive": Field(bool),
    "steps": Field(int, 0),
    "queries": Field(int, 1),
    "episodes": Field(int, 1, required=True),
    "ci95": Field(float, 0),
    "ci95_classes": Field(float, 0),
    "scores": Field(str),
    "classes": Field(str),
    "drawn_classes": Field(int, 1),
    "batch": Field(int, 1),
    "tested": Field(dict),
}
"""An evaluation; a baseline has a `method` besides, a point of the curve an `iteration`. Each holds
its number under the name of its metric (VALUE_FIELDS). `ci95` is the half-width of its 95 %
interval over episodes, given the classes of the split; `ci95_classes` what other classes would add
(`statistics.new_classes`); either is null where there is none. `scores` and `classes` are keys in
SCORES. `drawn_classes`: how many classes have images enough, where they differ in that."""

SETTING_FIELDS = {
    "seed": Field(int, 0),
    "algorithm.name": Field(str, required=True),
    **{f"{group}.name": Field(str) for group in ("task", "model")},
    **{
        key: Field(int, 0)
        for key in (
            "task.ways",
            "task.train_shots",
            "algorithm.meta_iterations",
            "algorithm.meta_batch",
            "algorithm.inner_steps",
            "algorithm.inner_batch",
            "algorithm.tail_shots",
            "evaluation.batch",
        )
    },
    **{f"algorithm.{key}": Field(float) for key in ("inner_learning_rate", "outer_step")},
    "algorithm.replacement": Field(bool),
}
"""Settings in `config` that a reader reckons with; any others may stand there too."""

VALUE_FIELDS = {
    "accuracy": Field(float, 0, 1, required=True),
    "mse": Field(float, 0, required=True),
}
BASELINE_FIELDS = {"method": Field(str, required=True)}
POINT_FIELDS = {"iteration": Field(int, 0, required=True)}

OWN_PACKAGES = ("benchmark.", "tasks.")
"""Begin the `_target_` of the project's own classes. Where a class lives is no setting: its group's
`name` and settings identify it, and a record stays comparable when a file moves."""


def queries_key(scores: str) -> str:
    """Key in SCORES of an evaluation's single queries, next to its scores."""
    return f"{scores}/queries"


def classes_key(split: str, ways: int) -> str:
    """Key in SCORES of the classes of a split's episodes."""
    return f"classes/{split}/{ways}way"


def content_of(file: Path) -> bytes:
    """What a file holds; a pipe, which nobody may ever write to, is none.

    Raises:
        OSError: it cannot be read.
    """
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(file))
    return file.read_bytes()


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


def is_whole(record: Mapping[str, Any]) -> bool:
    """Whether a record is as it was sealed; one without a seal, of an earlier version, passes."""
    return "seal" not in record or record["seal"] == seal(record)


def check(record: Any) -> None:
    """Raise Misfit where a record has not the fields that this page promises."""
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise Misfit("not a record: it has no `config`")
    if record.get("schema") != SCHEMA:
        raise Misfit(f"schema {shown(record.get('schema'))}; this reader knows {SCHEMA}")
    check_fields("", record, RECORD_FIELDS)
    check_fields(
        "config.", {k: setting(record["config"], k) for k in SETTING_FIELDS}, SETTING_FIELDS
    )
    check_fields("timing.", record.get("timing") or {}, {}, others=Field(float))
    check_fields("digests.", record.get("digests") or {}, {}, others=Field(str))
    more = {"evaluations": {}, "baselines": BASELINE_FIELDS, "learning_curve": POINT_FIELDS}
    for name, fields in more.items():
        for number, row in enumerate(record.get(name) or ()):
            check_row(f"{name}[{number}]", row, fields)


def setting(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key, or None where there is none."""
    group, _, name = key.rpartition(".")
    values = config.get(group) if group else config
    return values.get(name) if isinstance(values, Mapping) else None


def check_row(name: str, row: Any, more: Mapping[str, Field]) -> None:
    """Raise Misfit unless `row` is an evaluation with the fields `more` besides."""
    check_fields("", {name: row}, {name: Field(dict, required=True)})
    check_fields(f"{name}.", row, {**SCORE_FIELDS, **more})
    check_fields(f"{name}.", row, {row["metric"]: VALUE_FIELDS[row["metric"]]})


def check_fields(
    prefix: str, values: Mapping[str, Any], fields: Mapping[str, Field], others: Field | None = None
) -> None:
    """Raise Misfit for the first value that does not fit; `others` is for keys not in `fields`."""
    named = {**dict.fromkeys(values, others), **fields} if others else fields
    for key, field in named.items():
        if not field.fits(values.get(key)):
            raise Misfit(f"damaged: {prefix}{key} is {shown(values.get(key))}, not {field}")


def shown(value: Any) -> str:
    """A value as it stands in a file, cut short."""
    text = "missing" if value is None else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
