"""The one thing a run leaves: what was asked, what came out, and on what it ran."""

import csv
import importlib.metadata
import io
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.startup import usable_cores
from tasks.files import write_atomic

SCHEMA = 1
RECORD, SCORES, CURVE = "record.json", "scores.npz", "learning_curve.csv"
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "hydra-core")
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


def read(directory: Path) -> dict[str, Any] | None:
    """The record of a run directory, or None where there is none or it is damaged."""
    try:
        found = json.loads((directory / RECORD).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write(directory: Path, record: dict[str, Any]) -> None:
    """Write record.json atomically."""
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    write_atomic(directory / RECORD, text.encode())


def write_scores(directory: Path, scores: dict[str, np.ndarray]) -> None:
    """Write per-episode scores: one float32 array [episode] a key; readable without pickle."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **scores)  # type: ignore[arg-type]
    write_atomic(directory / SCORES, buffer.getvalue())


def write_curve(directory: Path, curve: list[dict[str, Any]]) -> None:
    """Write the learning curve so far, for plotting a job that still runs."""
    text = io.StringIO()
    table = csv.DictWriter(text, CURVE_COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows({**point, "value": point[point["metric"]]} for point in curve)
    write_atomic(directory / CURVE, text.getvalue().encode())


def begin(plain: dict[str, Any], fingerprint: str, overrides: list[str]) -> dict[str, Any]:
    """A record of a run that has just started."""
    chosen = [o for o in overrides if o.lstrip("+").startswith("experiment=")]
    return {
        "schema": SCHEMA,
        "status": "running",
        "reason": None,
        "command": " ".join(["python -m benchmark", *map(quoted, overrides)]),
        "overrides": overrides,
        "experiment": chosen[0].split("=", 1)[1] if chosen else None,
        "fingerprint": fingerprint,
        "started": now(),
        "finished": None,
        "config": plain,
        "data": {},
        "evaluations": [],
        "baselines": [],
        "learning_curve": [],
        "timing": {},
        "environment": {},
    }


def quoted(override: str) -> str:
    """An override as it is typed in a shell."""
    return f"'{override}'" if any(c in override for c in '[]{}()*$ "') else override


def now() -> str:
    """UTC time in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment() -> dict[str, Any]:
    """Versions, commit and machine; TensorFlow must have been started."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus
    ]
    commit, dirty = commit_of_project()
    return {
        "project": version("reptile-benchmark"),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        **{package.replace("-", "_"): version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "device": ", ".join(names) or processor(),
        "cores": usable_cores(),
        "memory_peak_mb": memory_peak_mb(),
    }


def version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit_of_project() -> tuple[str | None, bool | None]:
    """The commit of this code and whether files differ from it; (None, None) outside a checkout."""

    def git(*words: str) -> str:
        folder = Path(__file__).parent
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_peak_mb() -> int | None:
    """Peak resident memory of this process so far, in megabytes; None where unknown (Windows)."""
    if os.name != "posix":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
