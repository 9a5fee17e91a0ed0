"""Records of any number of runs, as tidy DataFrames.

A run leaves `record.json` in its directory. `read_records` finds them, checks them and returns
what was measured (`evaluations`, `curves`), what ran (`runs`) and what could not be used
(`problems`). Nothing is dropped without a line that says so.
"""

import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SCHEMA = 1
STATUSES = ("completed", "failed", "interrupted", "running")
METRICS = ("accuracy", "mse")
BASELINES = ("scratch", "nearest_neighbour")

PROTOCOL = ["split", "metric", "ways", "shots", "transductive", "steps", "queries", "episodes"]
"""Columns that say how a number was measured."""

MEASURED = ["run", "status", "finished", "seed", "value", "ci95", "scores"]
"""Columns that differ from run to run without making it another configuration."""

CURVE_COLUMNS = [
    "run",
    "iteration",
    "split",
    "shots",
    "transductive",
    "episodes",
    "metric",
    "value",
    "ci95",
]

# What a run was asked to list (each row states its own protocol exactly), where it ran and what it
# wrote on the way: nothing a result depends on.
_NO_MATTER = re.compile(
    rf"evaluation\.({'|'.join(PROTOCOL)}|splits|baselines|baseline_episodes|predictions)$|task\.(data|cache)_dir$"
    r"|training\.(curve_\w+|checkpoint_every)$|(runtime|paths|tracking|hydra|timing|environment)\."
)
# All a network from scratch shares with the meta-learned one, of the algorithm's settings.
_ADAPTATION = (
    "algorithm.inner_optimizer",
    "algorithm.inner_learning_rate",
    "algorithm.loss_reduction",
    "algorithm.replacement",
)
_TRAINING_ONLY = re.compile(
    r"algorithm\.|training\.|data\.train$"
    r"|task\.(train_shots|rotations|validation_classes)$"
)


@dataclass(frozen=True)
class Records:
    """All that was found.

    Attributes:
        evaluations: one row for each evaluation and baseline, without repetitions:
            run (directory), status, finished (ISO 8601), seed,
            method (the algorithm's name, 'scratch' or 'nearest_neighbour'),
            metric ('accuracy', as a share from 0 to 1, or 'mse'), value, ci95 (half-width of the
            95 % interval over episodes, unit of value), scores (key in scores.npz, or missing),
            split, ways, shots, transductive, steps, queries, episodes (the protocol),
            version (the project's, as far as results may depend on it), data.test, data.train
            (hashes of the images) and the flattened configuration (`algorithm.meta_iterations`).
            Settings that a baseline does not depend on are missing in its rows.
        runs: one row a record: run, status (STATUSES, or 'damaged'), reason, command, experiment,
            fingerprint, started, finished, seed, method, `environment.*`, `timing.*`, and the
            configuration.
        curves: one row a point of a learning curve: CURVE_COLUMNS, status, method, seed and the
            configuration.
        problems: one line for each file or directory that could not be used in full.
        notes: what a reader of the numbers should know (repetitions, several machines).
    """

    evaluations: pd.DataFrame
    runs: pd.DataFrame
    curves: pd.DataFrame
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def completed(self) -> pd.DataFrame:
        """The evaluations of runs that ended as they should: what tables are made of."""
        return self.evaluations[self.evaluations["status"] == "completed"]


class DamagedRecord(ValueError):
    """A record that cannot be used; the text says why."""


def read_records(paths: Iterable[str | os.PathLike[str]]) -> Records:
    """Read every `record.json` at or below `paths` (directories or files).

    Never raises for what a file holds: a damaged record becomes a line in `problems`.
    """
    problems: list[str] = []
    runs: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for file in _find(paths, problems):
        try:
            run, measured, curve = _read_one(file)
        except DamagedRecord as error:
            problems.append(f"{file}: {error}")
            runs.append({"run": str(file.parent), "status": "damaged", "reason": str(error)})
            continue
        if run["status"] != "completed":
            reason = f" ({_one_line(str(run['reason']))})" if run["reason"] else ""
            problems.append(f"{file}: {run['status']}{reason}")
        elif not measured:
            problems.append(f"{file}: completed, but it holds no evaluation")
        runs.append(run)
        rows += measured
        points += curve
    run_frame = _typed(pd.DataFrame(runs))
    evaluations, repeated = _without_repetitions(_with_configuration(rows, run_frame))
    curves, _ = _without_repetitions(_with_configuration(points, run_frame))
    return Records(evaluations, run_frame, curves, problems, repeated + _environments(run_frame))


def load_scores(run: str, key: str) -> np.ndarray:
    """Scores [episodes], float32, of one evaluation of the run in directory `run`.

    Raises:
        DamagedRecord: no such file or key.
    """
    try:
        with np.load(Path(run, "scores.npz"), allow_pickle=False) as scores:
            return scores[key]
    except (OSError, KeyError, ValueError) as error:
        raise DamagedRecord(f"{Path(run, 'scores.npz')}: no scores {key!r} ({error})") from error


def configuration_columns(frame: pd.DataFrame) -> list[str]:
    """Columns that make a row another configuration or protocol: all but seed and result."""
    return [column for column in frame.columns if column not in MEASURED]


def _find(paths: Iterable[str | os.PathLike[str]], problems: list[str]) -> Iterator[Path]:
    """Each record once, in a stable order, however often the paths overlap.

    A directory with only a learning curve is a run that has not written its record yet.
    """
    seen: set[str] = set()
    for path in map(Path, paths):
        found = False
        for file in _record_files(path):
            found = True
            identity = os.path.realpath(file)
            if identity not in seen:
                seen.add(identity)
                yield file
        if not found:
            problems.append(
                f"{path}: no record.json here or below"
                if path.exists()
                else f"{path}: no such file or directory"
            )


def _record_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for directory, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not _is_copy(name, files))
        if "record.json" in files:
            yield Path(directory, "record.json")
        elif "learning_curve.csv" in files:
            yield Path(directory, "learning_curve.csv")


def _is_copy(folder: str, beside: list[str]) -> bool:
    """Whether a tracker keeps copies of records in a folder that stands beside these files."""
    return folder == "mlflow-artifacts" or (folder == "wandb" and "record.json" in beside)


def _read_one(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The run, its evaluations and its learning curve.

    Raises:
        DamagedRecord: it is not a record, or not one of this schema.
    """
    run_directory = str(file.parent)
    if file.name == "learning_curve.csv":
        run = {
            "run": run_directory,
            "status": "running",
            "reason": "no record.json yet",
            "method": file.parent.name,
        }
        return run, [], _read_curve_file(file)
    document = _load_json(file)
    run = _run_row(document, run_directory)
    try:
        method = run["method"]
        measured = [_row(item, run_directory, method) for item in document["evaluations"] or ()]
        measured += [
            _row(item, run_directory, item["method"]) for item in document.get("baselines") or ()
        ]
        curve = [
            {"iteration": int(item["iteration"]), **_row(item, run_directory, method)}
            for item in document.get("learning_curve") or ()
        ]
    except DamagedRecord:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DamagedRecord(f"damaged: an evaluation lacks or garbles {error}") from error
    if not curve and (beside := file.with_name("learning_curve.csv")).exists():
        curve = _read_curve_file(beside)
    return run, measured, [{key: point.get(key) for key in CURVE_COLUMNS} for point in curve]


def _load_json(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DamagedRecord(f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DamagedRecord(f"damaged or cut off: not JSON ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise DamagedRecord("not a record: it has no `config`")
    if document.get("schema") != SCHEMA:
        raise DamagedRecord(f"schema {document.get('schema')!r}; this reader knows {SCHEMA}")
    if document.get("status") not in STATUSES:
        raise DamagedRecord(f"status {document.get('status')!r} is none of {', '.join(STATUSES)}")
    return document


def _run_row(document: dict[str, Any], run_directory: str) -> dict[str, Any]:
    """What ran, flat."""
    try:
        config = flatten(document["config"])
        environment = document.get("environment") or {}
        hashes = (document.get("data") or {}).get("sha256") or {}
        return {
            "run": run_directory,
            "method": document["config"]["algorithm"]["name"],
            **{
                key: document.get(key)
                for key in (
                    "status",
                    "reason",
                    "command",
                    "experiment",
                    "fingerprint",
                    "started",
                    "finished",
                )
            },
            "version": _version(environment.get("project")),
            **{
                f"data.{split}": str(hashes[split])[:12]
                for split in ("test", "train")
                if split in hashes
            },
            **config,
            **flatten(document.get("timing") or {}, "timing."),
            **flatten(environment, "environment."),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedRecord(f"damaged: {error}") from error


def _row(item: dict[str, Any], run_directory: str, method: str) -> dict[str, Any]:
    """One evaluation; a number without a usable interval is refused."""
    metric = item["metric"]
    if metric not in METRICS:
        raise DamagedRecord(f"metric {metric!r} is none of {', '.join(METRICS)}")
    value = float(item[metric])
    ci95 = math.nan if item["ci95"] is None else float(item["ci95"])  # of one episode: none
    if not (0 <= value <= (1 if metric == "accuracy" else math.inf)) or math.isinf(value):
        raise DamagedRecord(f"damaged: {metric} is {value}")
    if item["ci95"] is not None and not 0 <= ci95 < math.inf:
        raise DamagedRecord(f"damaged: the interval of an evaluation (ci95) is {ci95}")
    return {
        "run": run_directory,
        "method": method,
        "value": value,
        "ci95": ci95,
        "scores": item.get("scores"),
        **{key: item.get(key) for key in PROTOCOL},
    }


def _read_curve_file(file: Path) -> list[dict[str, Any]]:
    """Points of a run in progress; a half-written last line is left out."""
    try:
        frame = pd.read_csv(file, on_bad_lines="skip").dropna(subset=["iteration", "value", "ci95"])
    except (OSError, ValueError, KeyError) as error:
        raise DamagedRecord(f"damaged: not a learning curve ({_one_line(str(error))})") from error
    return frame.assign(run=str(file.parent)).to_dict("records")  # type: ignore[return-value]


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'a': {'b': 1}} as {'a.b': 1}; a list becomes text, so that every value can be a key."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value) if isinstance(value, list) else value
    return flat


def _version(project: str | None) -> str | None:
    """The part of a version number whose change may change results: '1' of 1.4, '0.2' of 0.2.1."""
    if project is None:
        return None
    major, *rest = str(project).split(".")
    return f"0.{rest[0]}" if major == "0" and rest else major


def _with_configuration(rows: list[dict[str, Any]], runs: pd.DataFrame) -> pd.DataFrame:
    """Each row with the configuration of its run."""
    if runs.empty:
        return pd.DataFrame(columns=[*MEASURED, "method", *PROTOCOL])
    known = ["run", "status", "finished", "seed", "version", "data.test", "data.train"]
    config = [column for column in runs.columns if "." in column and not _NO_MATTER.match(column)]
    shared = runs.reindex(columns=list(dict.fromkeys(known + config)))
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["run", "method", *PROTOCOL])
    if "method" not in frame:
        shared = shared.assign(method=runs.get("method"))
    return _typed(frame).merge(shared, on="run", how="left", sort=False)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns with the narrowest type that can miss values; a mixed one becomes text."""
    frame = frame.convert_dtypes()
    real = [*frame.select_dtypes("Float64").columns, "value", "ci95"]
    frame = frame.astype({column: float for column in real if column in frame})
    for column in frame.select_dtypes(object).columns:
        frame[column] = frame[column].map(str, na_action="ignore").astype("string")
    return frame


def _without_repetitions(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Each cell of each seed once, the latest completed; and lines about what was left out."""
    if rows.empty:
        return rows, []
    rows = _without_irrelevant_settings(rows)
    order = rows.assign(_done=rows["status"].eq("completed"))
    order = order.sort_values(["_done", "finished"], kind="stable", na_position="first")
    cell = ["seed", *(c for c in configuration_columns(rows) if rows[c].nunique(dropna=False) > 1)]
    repeated = order.duplicated(cell, keep="last")
    kept = rows.loc[order.index[~repeated].sort_values()].reset_index(drop=True)
    if not repeated.any():
        return kept, []
    is_baseline = order["method"].isin(BASELINES)
    notes = []
    if count := int((repeated & ~is_baseline).sum()):
        left_out = order.loc[repeated & ~is_baseline, "run"].unique()
        notes.append(
            f"{count} evaluations were found more than once (same configuration, seed and "
            f"protocol): the latest completed counts, not those of {_some(left_out)}"
        )
    if is_baseline.any():
        spread = order[is_baseline].groupby(cell, dropna=False)["value"].agg(np.ptp)
        if count := int((spread > 1e-6).sum()):
            notes.append(
                f"{count} baselines differ from run to run although seed and protocol are "
                "the same: the latest completed counts"
            )
    return kept, notes


def _without_irrelevant_settings(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of baselines, freed of settings they do not depend on, such as meta-iterations."""
    rows = rows.copy()
    settings = [column for column in rows.columns if "." in column]
    of_training = [c for c in settings if _TRAINING_ONLY.match(c) and c not in _ADAPTATION]
    of_networks = [
        c for c in settings if c.startswith(("algorithm.", "training.", "model.", "evaluation."))
    ]
    is_baseline = rows["method"].isin(BASELINES)
    rows.loc[is_baseline, of_training] = pd.NA
    if {"algorithm.replacement", "evaluation.batch", "ways"} <= set(rows):
        whole = rows["evaluation.batch"] >= rows["ways"] * rows["shots"]  # each batch holds all
        rows.loc[is_baseline & whole.fillna(False), "algorithm.replacement"] = pd.NA
    rows.loc[rows["method"] == "nearest_neighbour", [*of_networks, "steps"]] = pd.NA
    return rows


def _environments(runs: pd.DataFrame) -> list[str]:
    """One line for each trait of the machines or the software that is not the same everywhere."""
    names = {
        "environment.device": "devices",
        "environment.hostname_hash": "machines",
        "environment.commit": "commits",
        "environment.python": "versions of Python",
        "environment.tensorflow": "versions of TensorFlow",
        "environment.project": "versions of the project",
    }
    lines = []
    for column, name in names.items():
        values: Any = runs[column].dropna().unique() if column in runs else []
        if len(values) > 1:
            lines.append(f"the records come from {len(values)} {name}: {_some(values)}")
    if "environment.dirty" in runs and (changed := int(runs["environment.dirty"].eq(True).sum())):
        lines.append(f"{changed} of {len(runs)} runs used code with uncommitted changes")
    return lines


def _some(values: Iterable[Any], most: int = 3) -> str:
    texts = [str(value) for value in values]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)[:300]
