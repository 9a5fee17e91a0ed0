"""Each launcher preset runs a real sweep with a failing, a diverging and a killed job in it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmark.config import Runtime
from benchmark.running import launchers
from tests.command import PROJECT, benchmark, records
from tests.forks import SINE

REASONS = {
    "tests.broken.Raises": "failed (RuntimeError: this network cannot be built)",
    "tests.broken.NotANumber": "failed (Diverged: the parameters were no longer finite",
    "tests.broken.Killed": "failed (Killed: the job's process was killed by SIGKILL: the system",
}
PRESETS = PROJECT / "conf" / "hydra" / "launcher"
PLUGINS = {
    "processes": "joblib",
    "ray_cluster": "ray",
    "slurm": "submitit",
    "slurm_local": "submitit",
}


def assert_a_sweep_survives(preset: str, directory: Path, *overrides: str, **environment: str):
    """A sound job and three that fail: it completes, and they are in the list at the end."""
    done = benchmark(
        "--multirun",
        f"hydra/launcher={preset}",
        *SINE,
        f"model._target_={','.join(['benchmark.models.MLP', *REASONS])}",
        f"hydra.sweep.dir={directory}",
        *overrides,
        **environment,
    )
    assert done.returncode == 1, done.stderr
    table, problems = done.stdout.split("Not (or not fully) in the table:")
    assert "Reptile " in table
    assert [reason for reason in REASONS.values() if reason not in problems] == []
    found = records(directory)
    assert sorted(record["status"] for record in found) == ["completed"] + ["failed"] * 3
    (sound,) = (record for record in found if record["status"] == "completed")
    assert sound["evaluations"][0]["mse"] > 0


@pytest.mark.parametrize("jobs", [-100, -1, 1, 2, 100])
def test_every_job_has_a_core_whatever_joblib_is_told(jobs):
    assert launchers.share_of_cores({"n_jobs": jobs}) >= 1


def test_processes_with_joblib(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="extra: joblib")
    assert_a_sweep_survives("processes", tmp_path)


def test_one_stop_saves_every_job_of_parallel_processes(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="extra: joblib")
    endless = ["algorithm.meta_iterations=100000000", "training.checkpoint_every=0", "seed=0,1,2"]
    options = ["hydra/launcher=processes", "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={tmp_path}"]
    command = [sys.executable, "-m", "benchmark", "--multirun", *SINE, *endless, *options]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) as process:
        while len(records(tmp_path)) < 2 and process.poll() is None:
            time.sleep(0.2)
        process.terminate()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "stopping: every run is saved first" in said
    assert [record["status"] for record in records(tmp_path)] == ["interrupted"] * 2
    assert len(list(tmp_path.glob("*/checkpoint.npz"))) == 2


def test_submitit_on_this_machine(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="extra: slurm")
    assert_a_sweep_survives("slurm_local", tmp_path)


def test_ray_with_two_workers(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="extra: ray")
    environment = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    assert_a_sweep_survives(
        "ray_cluster", tmp_path / "sweep", "+hydra.launcher.ray.init.num_cpus=2", **environment
    )


@pytest.mark.skipif("SLURM_CONF" not in os.environ, reason="no SLURM: scripts/slurm_one_node.sh")
def test_slurm(tmp_path):
    small = ("hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2")
    assert_a_sweep_survives("slurm", tmp_path, *small)


def test_every_preset_says_how_it_is_used_and_comments_its_keys():
    found = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    assert found == sorted(PLUGINS)
    for name in found:
        lines = (PRESETS / f"{name}.yaml").read_text().splitlines()
        assert any(f"--multirun hydra/launcher={name} " in line for line in lines[:8])
        keys = [line for line in lines if re.match(r"\s*\w+: \S", line)]
        assert keys and all("#" in line for line in keys), name


@pytest.mark.parametrize(
    ("launcher", "cores", "isolate", "progress"),
    [
        ({}, 8, False, "auto"),
        ({"_target_": "BasicLauncher"}, 8, True, "auto"),
        ({"n_jobs": -1}, 1, True, "lines"),
        ({"n_jobs": -3}, 1, True, "lines"),
        ({"n_jobs": 2}, 4, True, "lines"),
        ({"n_jobs": 3}, 2, True, "lines"),
        ({"n_jobs": 100}, 1, True, "lines"),
        ({"submitit_folder": "x", "cpus_per_task": 4}, 4, True, "lines"),
        ({"submitit_folder": "x", "cpus_per_task": None}, 8, True, "lines"),
        ({"submitit_folder": "x", "cpus_per_task": 100}, 8, True, "lines"),
        ({"ray": {"init": {}, "remote": {"num_cpus": 1}}}, 1, True, "lines"),
        ({"ray": {"init": {}, "remote": {}}}, 8, True, "lines"),
    ],
)
def test_a_job_takes_its_share_of_eight_cores(monkeypatch, launcher, cores, isolate, progress):
    monkeypatch.setattr(launchers, "usable_cores", lambda: 8)
    monkeypatch.setattr(launchers, "launcher_settings", lambda: launcher)
    found = launchers.as_launched(
        Runtime(
            cores=None, threads=1, jit=False, isolate=None, progress="auto", engine="tensorflow"
        )
    )
    assert (found.cores, found.isolate, found.progress) == (cores, isolate, progress)


def test_what_is_asked_for_stays(monkeypatch):
    monkeypatch.setattr(launchers, "launcher_settings", lambda: {"n_jobs": 2})
    asked = Runtime(
        cores=3, threads=1, jit=False, isolate=False, progress="off", engine="tensorflow"
    )
    assert launchers.as_launched(asked) == asked


def test_slurm_may_give_fewer_cores_than_the_machine_has(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert launchers.usable_cores() == 1


def test_tuning_looks_at_validation_classes_only(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="extra: tune")
    small = ["model=mlp", "model.hidden=[4]", "algorithm.meta_iterations=3", "runtime.progress=off"]
    small += ["task.classes=12", "task.test_classes=6", "task.alphabets=2", "task.drawers=8"]
    small += ["task.ways=2", "task.train_shots=3", "task.validation_classes=4"]
    small += ["evaluation.shots=[1]", "evaluation.episodes=8", "evaluation.baselines=[]"]
    small += ["evaluation.steps=[2]", "training.curve_points=0", "hydra.sweeper.n_trials=3"]
    small += ["model._target_=benchmark.models.MLP,tests.broken.Raises", "algorithm.inner_steps=2"]
    tune = ["--multirun", "hydra/sweeper=tune", *small, f"hydra.sweep.dir={tmp_path}"]
    done = benchmark(*tune)
    assert done.returncode == 1, done.stderr  # a trial failed, and the search went on
    assert len(records(tmp_path)) == 3
    found = [record for record in records(tmp_path) if record["status"] == "completed"]
    assert 1 <= len(found) <= 2
    assert {row["split"] for record in found for row in record["evaluations"]} == {"validation"}
    best = OmegaConf.load(tmp_path / "optimization_results.yaml")
    assert best.best_value == max(
        sum(row["accuracy"] for row in record["evaluations"]) / len(record["evaluations"])
        for record in found
    )
    refused = benchmark(*tune, "evaluation.splits=[test]", f"hydra.sweep.dir={tmp_path / 'test'}")
    assert refused.returncode == 2
    rule = "must be [validation] with a sweeper that searches, so that no setting is chosen on test"
    assert f"error: evaluation.splits=[test]: {rule} classes" in refused.stderr
