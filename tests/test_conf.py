"""Coverage by listing: every file under conf/ runs, tiny, through the real command."""

import os

import pytest
from omegaconf import OmegaConf

from tests.command import PROJECT, TINY, benchmark, records

CONF = PROJECT / "conf"
NOT_A_CHOICE = {"hydra"}  # how Hydra itself looks and launches; test_launchers runs those
FITS = {  # what a choice needs beside it
    "algorithm/maml": ["task.train_shots=1", "algorithm.meta_batch=2"],
    "algorithm/reptile_sine": ["task=sinusoid"],
    "evaluation/regression": ["task=sinusoid"],
    "model/mlp_sine": ["task=sinusoid"],
}
DEFAULTS = [
    "/".join(*choice.items())
    for choice in OmegaConf.load(CONF / "config.yaml").defaults
    if choice != "_self_" and not any("override" in str(group) for group in choice)
]
CHOICES = sorted(  # the defaults run with any of them, so the task's stands for all
    {
        f"{path.parent.name}/{path.stem}"
        for path in CONF.glob("*/*.yaml")
        if path.parent.name not in NOT_A_CHOICE
    }
    - set(DEFAULTS)
    | {"task/glyphs"}
)
NEEDS = {f"tracking/{name}": name for name in ("tensorboard", "mlflow", "wandb")}


def overrides(choice: str) -> list[str]:
    group, name = choice.split("/")
    return [f"{'+' if group == 'experiment' else ''}{group}={name}", *FITS.get(choice, [])]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_runs(choice, tmp_path):
    if "omniglot" in choice and "TFDS_DATA_DIR" not in os.environ:
        pytest.skip("TFDS_DATA_DIR names no prepared Omniglot")
    if choice in NEEDS:
        pytest.importorskip(NEEDS[choice], reason=f"{choice} is an optional extra")
    sweep = ["--multirun", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    small = [*TINY, "hydra.sweeper.params=null"]
    if choice == "tracking/mlflow":
        small.append(f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")
    done = benchmark(*sweep, *overrides(choice), *small)
    assert done.returncode == 0, done.stderr
    assert [found["status"] for found in records(tmp_path / "sweep")] == ["completed"]


def test_every_key_is_commented():
    bare = [
        f"{path.relative_to(CONF)}: {line}"
        for path in sorted(CONF.glob("*/*.yaml"))
        if path.parent.name not in ("experiment", *NOT_A_CHOICE)
        for before, line in pairs(path.read_text().splitlines())
        if line.strip()
        and not line.startswith(("#", "_target_", "defaults", "name:", "  - "))
        and line.strip() != "task:"
        and not line.strip().startswith(("_target_", "name:"))
        and "#" not in line
        and not before.startswith("#")
    ]
    derived = (
        "fomaml",
        "joint",
        "maml",
        "reptile_sine",
    )  # their keys are commented in reptile.yaml
    assert [line for line in bare if not any(name in line for name in derived)] == []


def pairs(lines: list[str]) -> list[tuple[str, str]]:
    """Each line with the one before it."""
    return list(zip(["", *lines], lines, strict=False))


def test_every_experiment_is_headed_by_its_command():
    for path in (CONF / "experiment").glob("*.yaml"):
        head = [line for line in path.read_text().splitlines() if line.startswith("#")]
        assert any(f"+experiment={path.stem}" in line for line in head), path.name
