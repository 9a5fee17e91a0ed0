"""What other programs have set up around a run, or a user has lying about, changes nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.running import environment
from tests.command import PROJECT, benchmark, python

BUILD = """
import json
from benchmark.command.settings import settings
from benchmark.running.startup import start_tensorflow

chosen = settings("model.filters=8")
start_tensorflow(chosen.runtime)
import keras
from benchmark.network import build_network
network = build_network(chosen.model, chosen.task, 0)
dtypes = sorted({str(v.dtype) for v in network.model.trainable_variables})
print(json.dumps([network.initial.size, dtypes, keras.config.epsilon(), keras.backend.backend()]))
"""
SCRIPT = Path(sys.executable).with_name("reptile-benchmark")


def test_a_network_does_not_depend_on_the_settings_of_keras(tmp_path):
    others = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1}
    (tmp_path / "keras.json").write_text(json.dumps(others | {"backend": "jax"}))
    surroundings = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    done = python("-c", BUILD, **surroundings)
    assert done.returncode == 0, done.stderr
    # 9 x 8 and 3 x 9 x 8 x 8 weights, scale and shift of 8 in 4 blocks; 2 x 2 x 8 x 5 + 5 outputs
    assert json.loads(done.stdout) == [72 + 3 * 576 + 64 + 165, ["float32"], 1e-7, "tensorflow"]


@pytest.fixture
def littered(tmp_path):
    """A working directory in which everything bears the name of something of ours."""
    for name in ("conf", "benchmark", "results", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("not: ours\n")
    for name in ("tasks", "results", "conf"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was run')\n")
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom benchmark.models import MLP\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Mine(MLP):\n    pass\n"
    )
    return tmp_path


def installed(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`reptile-benchmark ARGUMENTS`, the installed command."""
    return subprocess.run([SCRIPT, *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.mark.skipif(not SCRIPT.exists(), reason="the project is not installed")
def test_the_installed_command_runs_among_files_of_the_same_names(littered):
    small = ["task=sinusoid", "model._target_=mine.Mine", "algorithm.meta_iterations=2"]
    small += ["evaluation.episodes=2", "evaluation.steps=[1]", "evaluation.baselines=[]"]
    small += ["training.curve_points=0", "runtime.jit=false", "runtime.isolate=true"]
    done = installed(*small, "hydra.run.dir=run", cwd=littered)
    assert done.returncode == 0, done.stderr
    left = json.loads((littered / "run" / "record.json").read_text())
    assert left["status"] == "completed"


def test_python_m_benchmark_finds_its_own_files_among_others(littered):
    (littered / "benchmark" / "config.yaml").unlink()
    (littered / "benchmark").rmdir()  # what bears that very name is what Python runs
    done = benchmark("--cfg", "job", cwd=littered)
    assert done.returncode == 0, done.stderr
    assert "meta_iterations: 2000" in done.stdout


def test_a_module_of_the_users_that_is_imported_already_is_named(tmp_path):
    (tmp_path / "tasks.py").write_text("")
    done = python("-c", "import tasks, benchmark", cwd=tmp_path)
    assert "ImportError: another module tasks is imported already: " in done.stderr


def test_variables_that_may_change_bits_are_recorded(monkeypatch):
    mattering = ("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "OMP_NUM_THREADS")
    others = ("TF_CPP_MIN_LOG_LEVEL", "HOME", "TF_TOKEN_example_com", "TF_CLI_CONFIG_FILE")
    for name in (*mattering, *others):  # Terraform's begin with TF_, too, and hold secrets
        monkeypatch.setenv(name, "0")
    found = environment.variables()
    assert set(mattering) <= set(found) and not set(others) & set(found)


COMPLETE = r"""
eval "$(reptile-benchmark -sc install=bash)"
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}
COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
hydra_bash_completion
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(not SCRIPT.exists(), reason="the project is not installed")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("reptile-benchmark task=", {"task=glyphs", "task=omniglot", "task=sinusoid"}),
        ("reptile-benchmark task=glyphs algorithm.meta_", {"algorithm.meta_iterations="}),
    ],
)
def test_the_installed_command_completes_in_bash(typed, offered, tmp_path):
    path = {"PATH": f"{SCRIPT.parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    command = ["bash", "-c", COMPLETE, "bash", typed]
    done = subprocess.run(command, env=path, cwd=PROJECT, capture_output=True, text=True)
    assert offered <= set(done.stdout.split()), done.stdout + done.stderr


def test_the_commit_is_that_of_this_source_and_not_of_a_project_around_it(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    inside = tmp_path / "site-packages" / "benchmark" / "running" / "environment.py"
    inside.parent.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(inside))
    assert environment.commit_of_project.__wrapped__() == (None, None)
