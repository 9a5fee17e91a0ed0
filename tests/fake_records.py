"""Small synthetic records for the tests of `results`. Their numbers are invented."""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

CONFIG: dict[str, Any] = {
    "seed": 0,
    "task": {
        "name": "omniglot",
        "ways": 5,
        "train_shots": 10,
        "split": "paper",
        "split_seed": 0,
        "rotations": True,
        "validation_classes": 0,
        "within_alphabet": False,
    },
    "model": {"name": "conv", "layers": 4, "filters": 64},
    "algorithm": {
        "name": "reptile",
        "meta_iterations": 2000,
        "meta_batch": 5,
        "inner_steps": 5,
        "inner_batch": 10,
        "inner_optimizer": "adam",
        "inner_learning_rate": 0.001,
        "loss_reduction": "sum",
        "replacement": False,
        "serial": False,
        "outer_step": 1.0,
        "outer_step_final": 0.0,
        "outer_optimizer": None,
        "step_weights": "all",
        "tail_shots": 0,
    },
    "evaluation": {
        "shots": [1, 5],
        "transductive": [False, True],
        "episodes": 400,
        "steps": [50],
        "batch": 5,
        "queries": 1,
    },
    "training": {"checkpoint_every": None},
    "runtime": {"threads": 2},
}


def evaluation(
    shots: int,
    transductive: bool,
    value: float,
    *,
    ci95: float | None = 0.017,
    steps: int | None = 50,
    metric: str = "accuracy",
    ways: int = 5,
    **more: Any,
) -> dict[str, Any]:
    kind = "transductive" if transductive else "plain"
    return {
        "split": "test",
        "ways": ways,
        "shots": shots,
        "transductive": transductive,
        "steps": steps,
        "queries": 1,
        "episodes": 400,
        "metric": metric,
        metric: value,
        "ci95": ci95,
        "scores": f"test/{ways}way/{shots}shot/{kind}/{steps}steps",
        **more,
    }


def record(
    overrides: dict[str, Any] | None = None, *, accuracy: float = 0.8, **changes: Any
) -> dict[str, Any]:
    """A completed record. `overrides` are dotted config keys; `changes` replace top-level keys."""
    config = copy.deepcopy(CONFIG)
    for key, value in (overrides or {}).items():
        *groups, last = key.split(".")
        node = config
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value
    ways = config["task"].get("ways", 5)
    cells = [(1, False, 0.0), (1, True, 0.05), (5, False, 0.12), (5, True, 0.15)]
    words = [f"{key}={value}" for key, value in (overrides or {}).items()]
    curve = [
        {
            "iteration": i,
            "split": "test",
            "shots": 1,
            "transductive": False,
            "episodes": 100,
            "metric": "accuracy",
            "accuracy": accuracy - 30 / (i + 50),
            "ci95": 0.03,
        }
        for i in (100, 200, 400)
    ]
    document = {
        "schema": 1,
        "status": "completed",
        "reason": None,
        "command": " ".join(["python -m benchmark", *words]),
        "overrides": words,
        "experiment": None,
        "fingerprint": f"{abs(hash(json.dumps(config, sort_keys=True))):064x}"[:64],
        "started": "2026-11-24T10:00:00+00:00",
        "finished": "2026-11-24T10:05:00+00:00",
        "config": config,
        "data": {
            "classes": {"train": 4800, "test": 423},
            "sha256": {"train": "aa" * 32, "test": "bb" * 32},
        },
        "evaluations": [
            evaluation(shots, t, min(accuracy + gain, 1.0), ways=ways) for shots, t, gain in cells
        ],
        "baselines": [
            evaluation(1, False, 0.45, method="nearest_neighbour", ways=ways),
            evaluation(1, False, 0.4, method="scratch", ways=ways),
        ],
        "learning_curve": curve,
        "timing": {
            "train_seconds": 104.0,
            "seconds_per_meta_iteration": 0.052,
            "evaluation_seconds": 40.0,
            "startup_seconds": 6.0,
        },
        "environment": {
            "project": "0.1.0",
            "commit": "abc123",
            "dirty": False,
            "python": "3.11.7",
            "tensorflow": "2.21.0",
            "device": "a CPU",
            "cores": 2,
        },
    }
    return document | changes


def write(
    directory: Path, document: dict[str, Any], scores: dict[str, Iterable[float]] | None = None
) -> Path:
    """Write a record (and its per-episode scores) as a run does; returns the run's directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "record.json").write_text(json.dumps(document), encoding="utf-8")
    if scores is not None:
        arrays = {key: np.asarray(values, np.float32) for key, values in scores.items()}
        np.savez(directory / "scores.npz", **arrays)  # type: ignore[arg-type]
    return directory


def sweep(
    directory: Path,
    *,
    seeds: Iterable[int] = (0, 1, 2),
    meta_iterations: Iterable[int] = (1000, 2000),
) -> Path:
    """A sweep of Reptile over budgets and seeds."""
    for budget in meta_iterations:
        for seed in seeds:
            overrides = {"algorithm.meta_iterations": budget, "seed": seed}
            accuracy = 0.78 - 80 / budget + seed / 100
            write(directory / f"{budget}_{seed}", record(overrides, accuracy=accuracy))
    return directory


def scored(
    directory: Path,
    means: dict[str, float],
    *,
    seeds: Iterable[int] = (0, 1, 2),
    cells: Iterable[tuple[int, bool]] = ((1, False), (5, False)),
    spread: float = 0.01,
    episodes: int = 60,
    **overrides: Any,
) -> Path:
    """Runs of several methods with the scores of their episodes, which share how hard they are.

    means: the accuracy of each method; trainings vary by `spread` around it.
    """
    for method, mean in means.items():
        for seed in seeds:
            rng = np.random.default_rng([seed, len(method), ord(method[0]), round(1000 * mean)])
            own = mean + spread * rng.standard_normal()
            rows, scores = [], {}
            for shots, transductive in cells:
                hard = 0.1 * np.random.default_rng([seed, shots]).standard_normal(episodes)
                values = own + hard + 0.02 * rng.standard_normal(episodes)
                row = evaluation(shots, transductive, float(values.mean()), episodes=episodes)
                scores[row["scores"]] = values
                rows.append(row)
            config = {"algorithm.name": method, "seed": seed, **overrides}
            write(
                directory / f"{method}_{seed}",
                record(config, evaluations=rows, baselines=[]),
                scores,
            )
    return directory
