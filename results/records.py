"""Records of any number of runs, as tidy DataFrames.

A run leaves `record.json` in its directory. `read_records` finds them, checks them and returns
what was measured (`evaluations`, `curves`), what ran (`runs`) and what could not be used
(`problems`). Nothing is dropped without a line that says so.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from results import schema
from results.reading import DamagedRecord, one_line, read_curve, read_record
from results.schema import BASELINES, PROTOCOL

MEASURED = [
    "run",
    "status",
    "finished",
    "seed",
    "value",
    "ci95",
    "ci95_classes",
    "scores",
    "classes",
    "test_classes",
]
"""Columns that differ from run to run without making it another configuration."""

OF_RUN = " of the run"
"""Ends the name of a setting of the run where an evaluation states its own."""

CURVE_COLUMNS = ["run", *schema.CURVE_COLUMNS]

# What a run was asked to list (each row states its own protocol exactly), where it ran and what it
# wrote on the way: nothing a result depends on.
NO_MATTER = re.compile(
    rf"evaluation\.({'|'.join(PROTOCOL)}|splits|baselines|baseline_episodes|predictions)$"
    r"|(task|tested)\.((data|cache)_dir|directory)$"
    r"|training\.(curve_\w+|checkpoint_every)$|(runtime|tracking|hydra|timing|environment)\."
)
# All a network from scratch shares with the meta-learned one, of the algorithm's settings.
ADAPTATION = (
    "algorithm.inner_optimizer",
    "algorithm.inner_learning_rate",
    "algorithm.loss_reduction",
    "algorithm.replacement",
)
TRAINING_ONLY = re.compile(
    r"algorithm\.|training\.|data\.train$"
    r"|task\.(train_shots|rotations|validation_classes)$"
)


@dataclass(frozen=True, eq=False)
class Records:
    """All that was found.

    Attributes:
        evaluations: one row for each evaluation and baseline, without repetitions:
            run (directory), status, finished (ISO 8601), seed,
            method (the algorithm's name, 'scratch' or 'nearest_neighbour'),
            metric ('accuracy', as a share from 0 to 1, or 'mse'), value, ci95 (half-width of the
            95 % interval over episodes, unit of value), ci95_classes (what other test classes
            add to it, or missing), scores and classes (keys in scores.npz, or missing),
            test_classes (how many classes the run's test episodes are drawn from, or missing),
            split, ways, shots, transductive, steps, queries, episodes (the protocol),
            version (the project's, as far as results may depend on it), data.test, data.train
            (hashes of the images) and the flattened configuration (`algorithm.meta_iterations`).
            Settings that a baseline does not depend on are missing in its rows.
        runs: one row a record: run, status (STATUSES, or 'damaged'), reason, command, overrides
            (a line each), experiment, fingerprint, started, finished, seed, method,
            `environment.*`, `timing.*`, and the configuration.
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
    def swept(self) -> list[str]:
        """Settings that the runs' commands give different values."""
        values: dict[str, set[str]] = {}
        commands: Any = self.runs["overrides"].dropna().unique() if "overrides" in self.runs else []
        for word in itertools.chain(*(command.split("\n") for command in commands)):
            key, _, value = word.lstrip("+").partition("=")
            values.setdefault(key, set()).add(value)
        return [key for key, several in values.items() if "." in key and len(several) > 1]

    @cached_property
    def completed(self) -> pd.DataFrame:
        """The evaluations of runs that ended as they should: what tables are made of."""
        return self.evaluations[self.evaluations["status"] == "completed"]


def read_records(paths: Iterable[str | os.PathLike[str]]) -> Records:
    """Read every `record.json` at or below `paths` (directories or files).

    Never raises for what a file holds: a damaged record becomes a line in `problems`.
    """
    problems: list[str] = []
    runs: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for file in find(paths, problems):
        try:
            run, measured, curve = read_run(file, problems)
        except DamagedRecord as error:
            problems.append(f"{file}: {error}")
            runs.append({"run": str(file.parent), "status": "damaged", "reason": str(error)})
            continue
        if run["status"] != "completed":
            reason = f" ({one_line(run['reason'])})" if run["reason"] else ""
            problems.append(f"{file}: {run['status']}{reason}")
        elif not measured:
            problems.append(f"{file}: completed, but it holds no evaluation")
        runs.append(run)
        rows += measured
        points += curve
    run_frame = typed(pd.DataFrame(runs))
    evaluations, repeated = without_repetitions(with_configuration(rows, run_frame))
    curves, _ = without_repetitions(with_configuration(points, run_frame))
    return Records(evaluations, run_frame, curves, problems, repeated + environments(run_frame))


def configuration_columns(frame: pd.DataFrame) -> list[str]:
    """Columns that make a row another configuration or protocol: all but seed and result."""
    return [column for column in frame.columns if column not in MEASURED]


# --- finding and reading -------------------------------------------------------------------------


def find(paths: Iterable[str | os.PathLike[str]], problems: list[str]) -> Iterator[Path]:
    """Each record once, in a stable order, however often the paths overlap.

    A directory with only a learning curve is a run that has not written its record yet.
    """
    seen: set[str] = set()
    for path in map(Path, paths):
        empty = True
        for file in record_files(path, problems):
            empty = False
            identity = os.path.realpath(file)
            if identity not in seen:
                seen.add(identity)
                yield file
        if empty:
            problems.append(
                f"{path}: no record.json here or below"
                if os.path.exists(path)
                else f"{path}: no such file or directory"
            )


def record_files(path: Path, problems: list[str]) -> Iterator[Path]:
    """The records at or below a path, through links to directories too, none of them twice."""

    def unreadable(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be read ({error.strerror})")

    if not os.path.isdir(path):
        yield from [path] if os.path.exists(path) else []
        return
    seen: set[str] = set()
    for directory, folders, files in os.walk(path, onerror=unreadable, followlinks=True):
        real = os.path.realpath(directory)
        folders[:] = sorted(n for n in folders if real not in seen and not is_copy(n, files))
        if real in seen:  # a link to where we have been, or to what it stands in
            continue
        seen.add(real)
        for name in (schema.RECORD, schema.CURVE):
            if name in files:
                yield Path(directory, name)
                break


def is_copy(folder: str, beside: list[str]) -> bool:
    """Whether a tracker keeps copies of records in a folder that stands beside these files."""
    return folder == "mlflow-artifacts" or (folder == "wandb" and schema.RECORD in beside)


def read_run(
    file: Path, problems: list[str]
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The run, its evaluations and its learning curve.

    Raises:
        DamagedRecord: it is not a record, or not one of this schema.
    """
    directory = str(file.parent)
    if file.name == schema.CURVE:
        run = {
            "run": directory,
            "status": "running",
            "reason": "no record.json yet",
            "method": file.parent.name,
        }
        return run, [], curve_beside(file, problems)
    document = read_record(file)
    run = run_row(document, directory)
    method = run["method"]
    measured = [row(item, directory, method) for item in document.get("evaluations") or ()]
    measured += [row(item, directory, item["method"]) for item in document.get("baselines") or ()]
    points = document.get("learning_curve") or ()
    curve = [curve_row(point, directory) for point in points]
    if not curve and (beside := file.with_name(schema.CURVE)).exists():
        curve = curve_beside(beside, problems)
    return run, measured, curve


def curve_beside(file: Path, problems: list[str]) -> list[dict[str, Any]]:
    """The points of a run in progress; what does not fit is a line in `problems`."""
    points, unfit = read_curve(file)
    problems += unfit
    return [curve_row(point, str(file.parent)) for point in points]


def run_row(document: dict[str, Any], directory: str) -> dict[str, Any]:
    """What ran, flat."""
    config = flatten(document["config"])
    environment = document.get("environment") or {}
    data = document.get("data") or {}
    hashes = data.get("sha256")
    told = ("status", "reason", "command", "experiment", "fingerprint", "started", "finished")
    return {
        **{key: value for key, value in config.items() if "." in key and not is_own(key, value)},
        "run": directory,
        "method": document["config"]["algorithm"]["name"],
        "seed": config.get("seed"),
        "overrides": "\n".join(map(str, document.get("overrides") or ())),
        **{key: document.get(key) for key in told},
        "version": version(environment.get("project")),
        "test_classes": class_count(data.get("classes")),
        "images": images_read(data),
        **{
            f"data.{split}": str(value)[:12]
            for split, value in (hashes if isinstance(hashes, dict) else {}).items()
            if split in ("test", "train")
        },
        **flatten(document.get("timing") or {}, "timing."),
        **flatten(environment, "environment."),
    }


def class_count(classes: Any) -> int | None:
    """How many test classes a record's data have, where it says so."""
    count = classes.get("test") if isinstance(classes, dict) else None
    return count if isinstance(count, int) and count > 0 else None


def images_read(data: dict[str, Any]) -> str | None:
    """'train 38400 of 64; test 12000 of 20' where a record counts its images by split."""
    images, classes = data.get("images"), data.get("classes")
    if not (isinstance(images, dict) and isinstance(classes, dict)):
        return None
    return "; ".join(f"{split} {count} of {classes.get(split)}" for split, count in images.items())


def is_own(key: str, value: Any) -> bool:
    """Whether a setting only says in which file a class of the project stands."""
    return key.endswith("._target_") and str(value).startswith(schema.OWN_PACKAGES)


def row(item: dict[str, Any], directory: str, method: str) -> dict[str, Any]:
    """One evaluation."""
    widths = {key: item.get(key) for key in ("ci95", "ci95_classes")}
    return {
        "run": directory,
        "method": method,
        "value": float(item[item["metric"]]),
        **{key: np.nan if width is None else float(width) for key, width in widths.items()},
        "scores": item.get("scores"),
        "classes": item.get("classes"),
        **{key: item.get(key) for key in PROTOCOL},
        **({"evaluation.batch": item["batch"]} if "batch" in item else {}),
        **({"test_classes": item["drawn_classes"]} if "drawn_classes" in item else {}),
        **tested_of(item),
    }


def tested_of(item: dict[str, Any]) -> dict[str, Any]:
    """The settings of other tasks than those of the training, which an evaluation may state."""
    stated = flatten(item.get("tested") or {}, "tested.")
    return {k: v for k, v in stated.items() if v is not None and not is_own(k, v)}


def curve_row(point: dict[str, Any], directory: str) -> dict[str, Any]:
    """One point of a learning curve: CURVE_COLUMNS."""
    whole = {"iteration": point["iteration"], **row(point, directory, "")}
    return {key: whole[key] for key in CURVE_COLUMNS}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'a': {'b': 1}} as {'a.b': 1}; a list becomes text, so that every value can be a key."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value) if isinstance(value, list) else value
    return flat


def version(project: str | None) -> str | None:
    """The part of a version number whose change may change results: '1' of 1.4, '0.2' of 0.2.1."""
    if project is None:
        return None
    major, *rest = str(project).split(".")
    return f"0.{rest[0]}" if major == "0" and rest else major


def with_configuration(rows: list[dict[str, Any]], runs: pd.DataFrame) -> pd.DataFrame:
    """Each row with the configuration of its run."""
    if runs.empty:
        return pd.DataFrame(columns=[*MEASURED, "method", *PROTOCOL])
    known = ["run", "status", "finished", "seed", "version", "data.test", "data.train"]
    known += ["test_classes", "images"]
    config = [column for column in runs.columns if "." in column and not NO_MATTER.match(column)]
    shared = runs.reindex(columns=list(dict.fromkeys(known + config)))
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["run", "method", *PROTOCOL])
    if "method" not in frame:
        shared = shared.assign(method=runs.get("method"))
    merged = typed(frame).merge(shared, on="run", how="left", sort=False, suffixes=("", OF_RUN))
    if (of_run := f"test_classes{OF_RUN}") in merged:  # some evaluations draw from fewer
        merged["test_classes"] = merged["test_classes"].fillna(merged.pop(of_run))
    elsewhere = merged.get("tested.name", pd.Series(pd.NA, merged.index)).notna().to_numpy()
    if elsewhere.any():  # the run's images are not those that it was tested on
        merged.loc[elsewhere, ["data.test", "images"]] = pd.NA
    for column in (str(column) for column in frame if "." in str(column)):
        whole = elsewhere & column.startswith("tested.")  # the settings of another task
        for other in {f"{column}{OF_RUN}", re.sub(r"^tested\.", "task.", column)} - {column}:
            if other in merged:
                own = merged[column].astype(object)
                merged[column] = own.where(own.notna() | whole, merged[other].astype(object))
    return typed(merged.drop(columns=[c for c in merged if str(c).endswith(OF_RUN)]))


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns with the narrowest type that can miss values; a mixed one becomes text."""
    frame = frame.convert_dtypes()
    for column, dtype in frame.dtypes.items():
        if dtype == "Float64" or column in ("value", "ci95", "ci95_classes"):
            frame[column] = frame[column].astype(float)
        elif pd.api.types.is_object_dtype(dtype):
            frame[column] = frame[column].map(str, na_action="ignore").astype("string")
    return frame


def without_repetitions(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Each cell of each seed once, the latest completed; and lines about what was left out."""
    if rows.empty:
        return rows, []
    rows = without_irrelevant_settings(rows)
    order = rows.assign(_done=rows["status"].eq("completed"))
    order = order.sort_values(["_done", "finished"], kind="stable", na_position="first")
    cell = pd.Series(cell_numbers(order, ["seed", *configuration_columns(rows)]), order.index)
    repeated = cell.duplicated(keep="last")
    kept = rows.loc[order.index[~repeated].sort_values()].reset_index(drop=True)
    if not repeated.any():
        return kept, []
    is_baseline = order["method"].isin(BASELINES)
    notes = []
    if count := int((repeated & ~is_baseline).sum()):
        left_out = order.loc[repeated & ~is_baseline, "run"].unique()
        notes.append(
            f"{count} evaluations were found more than once (same configuration, seed and "
            f"protocol): the latest completed counts, not those of {some(left_out)}"
        )
    if is_baseline.any():
        values = order.loc[is_baseline, "value"].groupby(cell)
        if count := int((values.max() - values.min() > 1e-6).sum()):
            notes.append(
                f"{count} baselines differ from run to run although seed and protocol are "
                "the same: the latest completed counts"
            )
    return kept, notes


def cell_numbers(rows: pd.DataFrame, keys: Iterable[str]) -> np.ndarray:
    """A number for each row, the same for rows with the same values of all keys; from 0 on."""
    numbers = np.zeros(len(rows), int)
    for key in keys:
        numbers = divided(numbers, rows[key])
    return numbers


def divided(numbers: np.ndarray, values: pd.Series) -> np.ndarray:
    """`cell_numbers`, once the cells are told apart by these values too."""
    codes, known = pd.factorize(values, use_na_sentinel=False)
    if len(known) < 2:
        return numbers
    return np.unique(numbers * len(known) + codes, return_inverse=True)[1]


def without_irrelevant_settings(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of baselines, freed of settings they do not depend on, such as meta-iterations."""
    is_baseline = rows["method"].isin(BASELINES)
    if not is_baseline.any():
        return rows
    rows = rows.copy()
    settings = [column for column in rows.columns if "." in column]
    of_training = [c for c in settings if TRAINING_ONLY.match(c) and c not in ADAPTATION]
    of_networks = [
        c for c in settings if c.startswith(("algorithm.", "training.", "model.", "evaluation."))
    ]
    rows.loc[is_baseline, of_training] = pd.NA
    if {"algorithm.replacement", "evaluation.batch", "ways"} <= set(rows):
        whole = rows["evaluation.batch"] >= rows["ways"] * rows["shots"]  # each batch holds all
        rows.loc[is_baseline & whole.fillna(False), "algorithm.replacement"] = pd.NA
    rows.loc[rows["method"] == "nearest_neighbour", [*of_networks, "steps"]] = pd.NA
    return rows


def environments(runs: pd.DataFrame) -> list[str]:
    """One line for each trait of the machines or the software that is not the same everywhere."""
    names = {
        "environment.device": "devices",
        "environment.commit": "commits",
        "environment.python": "versions of Python",
        "environment.tensorflow": "versions of TensorFlow",
        "environment.project": "versions of the project",
    }
    lines = []
    for column, name in names.items():
        values: Any = runs[column].dropna().unique() if column in runs else []
        if len(values) > 1:
            lines.append(f"the records come from {len(values)} {name}: {some(values)}")
    for column in (c for c in map(str, runs) if c.startswith("environment.variables.")):
        values = runs[column].fillna("unset").unique()
        if len(values) > 1:
            lines.append(f"the records come from runs with {column[22:]} = {some(values)}")
    if "environment.dirty" in runs and (changed := int(runs["environment.dirty"].eq(True).sum())):
        lines.append(f"{changed} of {len(runs)} runs used code with uncommitted changes")
    return lines


def some(values: Iterable[Any], most: int = 3) -> str:
    """'a, b, c and 2 more'."""
    texts = [str(value) for value in values]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
