"""`python -m benchmark` as others rely on it: what it leaves, prints and refuses."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.command import FEW_GLYPHS, PROJECT, TINY, benchmark, python, record

needs_omniglot = pytest.mark.skipif(
    "TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR names no prepared Omniglot"
)


@needs_omniglot
def test_the_documented_command_leaves_the_documented_record(tmp_path):
    command = [
        "task=omniglot",
        "task.ways=5",
        "task.train_shots=10",
        "algorithm=reptile",
        "algorithm.meta_iterations=20",
        "algorithm.meta_batch=5",
        "algorithm.inner_steps=5",
        "algorithm.inner_batch=10",
        "algorithm.inner_learning_rate=0.001",
        "evaluation.shots=[1,5]",
        "evaluation.transductive=[false,true]",
        "evaluation.episodes=12",
        "evaluation.baseline_episodes=12",
        "training.curve_episodes=10",
        "seed=0",
    ]
    done = benchmark(*command, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    found = record(tmp_path / "run")
    assert found["status"] == "completed"
    assert found["config"]["algorithm"]["inner_learning_rate"] == 0.001
    protocols = [(e["shots"], e["transductive"]) for e in found["evaluations"]]
    assert protocols == [(1, False), (1, True), (5, False), (5, True)]
    for line in found["evaluations"]:
        assert (line["split"], line["ways"], line["episodes"]) == ("test", 5, 12)
        assert 0 <= line["accuracy"] <= 1 and 0 < line["ci95"] < 0.5
    assert found["data"]["classes"] == {"train": 4800, "test": 423}
    assert found["timing"]["seconds_per_meta_iteration"] > 0
    assert found["timing"]["train_seconds"] > 0 and found["timing"]["evaluation_seconds"] > 0
    environment = found["environment"]
    assert environment["tensorflow"] and environment["cores"] >= 1 and environment["device"]
    assert environment["memory_peak_mb"] < 1200
    with np.load(tmp_path / "run" / "scores.npz", allow_pickle=False) as scores:
        for line in [*found["evaluations"], *found["baselines"]]:
            own = scores[line["scores"]].astype(np.float64)
            assert (
                own.mean() == pytest.approx(line.get("accuracy")) and len(own) == line["episodes"]
            )


@pytest.fixture
def quick(forks, tmp_path):
    """`python -m benchmark ARGUMENTS` without the seconds of the import."""
    return lambda *arguments, cwd=PROJECT: forks.run(tmp_path / "log", list(arguments), cwd=cwd)


def test_a_run_says_what_is_for_the_user_and_the_same_seed_gives_the_same_bits(quick, tmp_path):
    small = [*TINY, *FEW_GLYPHS]
    done = benchmark(*small, "seed=0", f"hydra.run.dir={tmp_path / 'one'}")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("runtime.engine=")]
    assert said == ["one: 3 meta-iterations of reptile on glyphs, then 4 unseen tasks (2-shot)"]
    assert f"Run: {tmp_path / 'one'}" in done.stdout
    for name, seed in (("two", 0), ("other", 1)):
        there = tmp_path / "elsewhere" / name / "run"  # or it would be found, and not trained
        ended = quick(*small, f"seed={seed}", f"hydra.run.dir={there}")
        assert ended.code == 0, ended.output
        there.rename(tmp_path / name)
    parts = ("evaluations", "baselines", "learning_curve", "data")
    one, two, other = (
        {part: record(tmp_path / name)[part] for part in parts} for name in ("one", "two", "other")
    )
    assert one == two
    assert one["evaluations"] != other["evaluations"]


def test_errors_of_the_import_are_shown():
    script = (
        "import os\nfrom benchmark.running.startup import without_noise\n"
        "with without_noise():\n"
        "    os.write(2, b'E0000 cuda_platform.cc failed call to cuInit: (303)\\n')\n"
        "    os.write(2, b'E0000 something is really wrong\\n')\n"
    )
    done = python("-c", script)
    assert done.stderr == "E0000 something is really wrong\n"


def test_help_is_a_manual_and_cfg_shows_the_configuration(quick):
    shown = benchmark("--help")
    assert shown.returncode == 0
    for text in (
        "USAGE",
        "EXAMPLES",
        "--multirun",
        "+experiment=tutorial",
        "meta_iterations: 2000",
    ):
        assert text in shown.stdout
    assert "task: folder, fonts, glyphs, omniglot, sinusoid" in shown.stdout
    resolved = quick("task=sinusoid", "--cfg", "job")
    assert resolved.code == 0 and "name: mlp_sine" in resolved.output


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["task.wayz=5"], "error: task.wayz=5: must be a known key: name, ways, train_shots, "),
        (["+task.wayz=5"], "error: task.wayz=5: must be a known key: name, ways, train_shots, "),
        (["+foo=1"], "error: foo=1: must be a known key: algorithm, "),
        (["task.ways=banana"], "error: task.ways=banana: must be of type int"),
        (
            ["task=nope"],
            "error: task=nope: must be one of folder, fonts, glyphs, omniglot, sinusoid",
        ),
        (
            ["task.ways=9999"],
            "error: task.ways=9999: must be between 2 and 100, the classes of the ",
        ),
        (
            ["evaluation.shots=[25]"],
            "error: evaluation.shots=[25]: must be at most 19: the test split has 20 ",
        ),
        (
            ["task=omniglot", "task.data_dir=/no"],
            "error: task.data_dir=/no: must be a directory in ",
        ),
        (["hydra.run.dir=/dev/null/x"], "error: hydra.run.dir=/dev/null/x: must be a directory "),
    ],
)
def test_bad_input_is_one_line_before_any_work(arguments, line, quick, tmp_path):
    where = [] if any("run.dir" in a for a in arguments) else [f"hydra.run.dir={tmp_path / 'run'}"]
    ended = quick(*arguments, *where)
    assert ended.code == 2
    assert ended.output.startswith(line) and ended.output.count("\n") == 1
    assert not list(tmp_path.rglob("record.json"))


def test_the_tutorial_prints_class_probabilities_and_labels(quick, tmp_path):
    ended = quick("+experiment=tutorial", *TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.code == 0, ended.output
    assert "Unseen task 1 after 5 steps:" in ended.output
    first = record(tmp_path / "run")["predictions"][0]["query"][0]
    assert first["true"] == 0
    assert len(first["outputs"]) == 5 and sum(first["outputs"]) == pytest.approx(1, abs=1e-4)


def test_the_recorded_command_runs_again_as_it_stands(quick, tmp_path):
    """Pasted into a shell: with characters that mean something to one, and the user's own yaml."""
    (tmp_path / "my conf" / "model").mkdir(parents=True)
    (tmp_path / "my conf" / "model" / "tiny.yaml").write_text("defaults: [mlp]\nhidden: [4]\n")
    small = [*TINY, "algorithm.meta_iterations=0", "evaluation.baselines=[]", "model=tiny"]
    odd = r'algorithm.name="it\'s; a | b # $HOME (c)"'
    first = quick(*small, odd, "--config-dir", "my conf", cwd=tmp_path)
    assert first.code == 0, first.output
    (directory,) = (tmp_path / "outputs" / "runs").iterdir()
    command = record(directory)["command"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = os.environ | {"PYTHONPATH": str(PROJECT), "PATH": path}
    again = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    assert f"already completed: {directory} (resume=false runs it again)\n" in again.stderr
