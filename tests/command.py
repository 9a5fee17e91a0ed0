"""The real commands, as a user types them, in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
# Small enough for seconds, still through every part of a run.
TINY = (
    "algorithm.meta_iterations=3",
    "evaluation.shots=[2]",
    "evaluation.steps=[5]",
    "evaluation.episodes=4",
    "evaluation.baseline_episodes=3",
    "training.curve_points=1",
    "training.curve_episodes=2",
)

FEW_GLYPHS = ("task.classes=12", "task.test_classes=6", "task.alphabets=2")  # with task=glyphs


def benchmark(
    *arguments: str, cwd: Path = PROJECT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`python -m benchmark ARGUMENTS`, to its end."""
    return python("-m", "benchmark", *arguments, cwd=cwd, **environment)


def python(
    *arguments: str, cwd: Path = PROJECT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` with the project importable from anywhere."""
    variables = os.environ | {"PYTHONPATH": str(PROJECT)} | environment
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def record(directory: Path) -> dict[str, Any]:
    """The record that a run left."""
    return json.loads((directory / "record.json").read_text())


def records(directory: Path) -> list[dict[str, Any]]:
    """The records of a sweep, in the order of their directories, less the copies W&B keeps."""
    found = sorted(directory.rglob("record.json"))
    return [record(path.parent) for path in found if "wandb" not in path.parts]
