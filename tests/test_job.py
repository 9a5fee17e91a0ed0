"""One job: repeated, interrupted, failed, out of disk; what it leaves and what it says."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from benchmark.running import record
from benchmark.running.bar import Bar
from benchmark.running.interruption import Interruption
from tests.command import python
from tests.forks import ROOT, SINE, Ended, Fault, Forks, numbers

OUTPUTS = [
    "benchmark.log",
    "initialisation.keras",
    "initialisation.npz",
    "learning_curve.csv",
    "record.json",
    "scores.npz",
]


class Job:
    """The command line of a tiny run in one directory, to be given again and again."""

    def __init__(self, forks: Forks, folder: Path, *overrides: str) -> None:
        self.forks, self.directory, self.logs = forks, folder / "run", folder / "logs"
        self.argv = [*SINE, *overrides, f"hydra.run.dir={self.directory}"]

    def run(self, *overrides: str, fault: Fault | None = None, cwd: Path = ROOT) -> Ended:
        number = len(list(self.logs.glob("*.log"))) if self.logs.exists() else 0
        return self.forks.run(self.logs / f"{number}.log", [*self.argv, *overrides], fault, cwd)

    def record(self) -> dict:
        return json.loads((self.directory / "record.json").read_text())

    def files(self) -> list[str]:
        return sorted(name for name in os.listdir(self.directory) if not name.startswith("."))


@pytest.fixture
def job(forks, tmp_path):
    return Job(forks, tmp_path)


@pytest.fixture(scope="module")
def completed(forks, tmp_path_factory):
    """A job that ran to its end; for tests that leave it so."""
    job = Job(forks, tmp_path_factory.mktemp("completed"))
    job.ended = job.run()
    return job


def test_a_run_leaves_its_outputs_and_nothing_else(completed):
    assert completed.ended.code == 0
    assert completed.record()["status"] == "completed"
    assert completed.files() == OUTPUTS


def test_an_evaluation_in_parts_scores_each_episode_once(completed):
    """Twelve episodes, four at a time: no score comes twice."""
    with np.load(completed.directory / "scores.npz") as scores:
        assert len(scores) == 2
        sizes = [(len(values), len(set(values.tolist()))) for values in scores.values()]
    assert sizes == [(12, 12), (8, 8)]


def test_a_completed_run_is_not_repeated(completed):
    before = (completed.directory / "record.json").read_bytes()
    again = completed.run()
    assert again.code == 0
    line = f"already completed: {completed.directory} (resume=false runs it again)\n"
    assert again.output.startswith(line) and "meta-iterations of" not in again.output
    assert (completed.directory / "record.json").read_bytes() == before


def test_a_directory_with_another_configuration_is_refused_by_name(completed):
    before = (completed.directory / "record.json").read_bytes()
    for resume in ("true", "false"):
        refused = completed.run("seed=1", f"resume={resume}")
        assert refused.code == 2
        assert f"hydra.run.dir={completed.directory}: must be empty or hold a run of this " in (
            refused.output
        )
        assert "it holds python -m benchmark task=sinusoid" in refused.output
    assert (completed.directory / "record.json").read_bytes() == before


def test_how_to_compute_is_no_part_of_a_run(completed):
    again = completed.run("runtime.progress=off", "training.checkpoint_every=0")
    assert again.output.startswith("already completed")


def test_sigterm_saves_and_the_same_command_continues(job, completed):
    stop = Fault(phase="training", nth=2, stop=True)
    stopped = job.run("training.checkpoint_every=0", fault=stop)
    assert stopped.code == 128 + signal.SIGTERM
    assert "stopping: the run is saved first\n" in stopped.output
    assert "interrupted by SIGTERM: the same command goes on from here" in stopped.output
    assert job.record()["status"] == "interrupted"
    done = job.run("training.checkpoint_every=0").output
    assert "continuing after" in done
    assert numbers(job.directory) == numbers(completed.directory)
    first, second = job.record()["sessions"]
    assert first["command"] == second["command"] == job.record()["command"]
    assert first["started"] <= second["started"] == job.record()["started"]
    assert first["commit"] == job.record()["environment"]["commit"]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("Raises", "RuntimeError: this network cannot be built"),
        ("OutOfMemory", "MemoryError: cannot allocate 1 TB"),
        ("NotANumber", "Diverged: the parameters were no longer finite between meta-iterations"),
    ],
)
def test_a_failure_is_recorded_with_its_reason(job, network, reason):
    failed = job.run(f"model._target_=tests.broken.{network}")
    assert failed.code == 1
    assert f"failed: {reason}" in failed.output
    left = job.record()
    assert left["status"] == "failed"
    assert left["reason"].startswith(reason)
    assert "tests/broken.py" in left["traceback"] or network == "NotANumber"


def test_a_score_that_is_not_a_number_is_a_failure(job):
    failed = job.run("model._target_=tests.broken.NotANumber", "algorithm.meta_iterations=0")
    assert failed.code == 1
    assert job.record()["reason"] == (
        "Diverged: the evaluation of test/1way-10shot-1query/batch10 gave a score that is not "
        "finite: a learning rate or step may be too large"
    )


def test_a_full_disk_is_one_line_that_names_the_file_and_the_next_try_goes_on(job):
    wide = ("model.hidden=[64,64]", "training.checkpoint_every=0")
    full = job.run(*wide, fault=Fault(file_size=10_000))  # no room for a checkpoint
    path = job.directory / "checkpoint.new.npz"
    assert full.output.endswith(f"\nerror: {path}: could not be written (File too large)\n")
    assert full.output.count("\n") == 2  # after the line that says what is about to be done
    assert full.code == 2
    assert job.record()["status"] == "failed"
    assert job.files() == ["benchmark.log", "learning_curve.csv", "record.json"]
    assert job.run(*wide).code == 0
    assert job.record()["status"] == "completed"


def test_a_directory_that_cannot_be_written_is_one_line(forks, tmp_path):
    (tmp_path / "file").write_text("")
    job = Job(forks, tmp_path / "file")
    job.logs = tmp_path / "logs"
    refused = job.run()
    assert refused.code == 2
    assert refused.output.startswith(f"error: hydra.run.dir={job.directory}: must be a directory ")
    assert refused.output.count("\n") == 1


def test_a_damaged_record_is_kept_under_another_name(job, completed):
    job.directory.mkdir()
    damaged = (completed.directory / "record.json").read_bytes()[:1000]
    (job.directory / "record.json").write_bytes(damaged)
    ended = job.run()
    assert ended.code == 0
    assert f"{job.directory / 'record.json'} is damaged" in ended.output
    assert "kept as record.damaged1.json, the run is repeated" in ended.output
    assert (job.directory / "record.damaged1.json").read_bytes() == damaged
    assert numbers(job.directory) == numbers(completed.directory)


def test_a_completed_record_that_was_changed_is_noticed_and_the_run_repeated(job, completed):
    shutil.copytree(completed.directory, job.directory)
    path = job.directory / "record.json"
    path.write_text(re.sub(r'"mse": \d', '"mse": 77', path.read_text(), count=1))
    ended = job.run()
    assert (
        f"{path} is damaged (its seal does not fit): kept as record.damaged1.json" in ended.output
    )
    assert numbers(job.directory) == numbers(completed.directory)


@pytest.mark.parametrize("damage", [lambda content: content[:500], lambda content: None])
def test_scores_that_are_damaged_or_gone_are_scored_again(job, completed, damage):
    shutil.copytree(completed.directory, job.directory)
    path = job.directory / "scores.npz"
    content = damage(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    assert job.run().code == 0
    found, expected = numbers(job.directory), numbers(completed.directory)
    assert found["scores"] == expected["scores"]
    assert found["evaluations"] == expected["evaluations"]


MINE = """
from dataclasses import dataclass
import keras
from benchmark.models import MLP

@dataclass(frozen=True, kw_only=True)
class Net(MLP):
    def build(self, input_shape, outputs):
        layers = [keras.Input(input_shape), keras.layers.Dense({}), keras.layers.Dense(outputs)]
        return keras.Sequential(layers)
"""


@pytest.mark.parametrize("ends", ["completed", "interrupted"])
def test_a_network_that_was_edited_since_is_refused(job, tmp_path, ends):
    (tmp_path / "edited.py").write_text(MINE.format(6))
    job.argv = ["model._target_=edited.Net", *job.argv]
    fault = Fault(phase="training", nth=2, stop=True) if ends == "interrupted" else None
    job.run(fault=fault, cwd=tmp_path)
    assert job.record()["status"] == ends
    (tmp_path / "edited.py").write_text(MINE.format(33))
    refused = job.run("evaluation.episodes=14", cwd=tmp_path)
    assert refused.code == 2 and "Traceback" not in refused.output
    assert refused.output.endswith(
        "error: model=mlp_sine: must be the network of 19 parameters with which this run was "
        "trained, not of 100: it has changed since (resume=false trains again)\n"
    )
    assert job.run("resume=false", cwd=tmp_path).code == 0


def test_resume_false_runs_again_and_keeps_the_old_record_until_the_new_one_is_complete(job):
    job.run()
    first = job.record()
    killed = job.run("resume=false", fault=Fault(phase="training", nth=3))
    assert killed.code == -signal.SIGKILL
    assert job.record()["status"] == "running"
    kept = json.loads((job.directory / "record.previous.json").read_text())
    assert kept == first
    again = job.run("resume=false")
    assert again.code == 0
    assert "continuing" not in again.output
    assert job.record()["evaluations"] == first["evaluations"]
    assert job.files() == OUTPUTS


def test_a_long_run_says_a_line_a_minute(monkeypatch, caplog):
    caplog.set_level("INFO")
    now = [0.0]
    monkeypatch.setattr("benchmark.running.bar.time.monotonic", lambda: now[0])
    with Bar("training", 1000, 100, "auto") as bar:
        for done in range(110, 350, 10):
            now[0] += 10
            bar.update(done, "5-shot 93.0 %" if done == 200 else None)
    assert caplog.messages == [
        "training: 160 of 1000, 1.0/s, 14.0 min left",
        "training: 220 of 1000, 1.0/s, 13.0 min left, 5-shot 93.0 %",
        "training: 280 of 1000, 1.0/s, 12.0 min left, 5-shot 93.0 %",
        "training: 340 of 1000, 1.0/s, 11.0 min left, 5-shot 93.0 %",
    ]


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Bar("training", 1000, 0, "auto") as bar:
        bar.update(500, "5-shot 93.0 %")
    shown = capsys.readouterr().err
    assert "training:" in shown and "1000" in shown


def test_the_curve_of_a_running_job_can_be_read(job):
    killed = job.run(fault=Fault(phase="training", nth=5))
    assert killed.code == -signal.SIGKILL
    rows = (job.directory / "learning_curve.csv").read_text().splitlines()
    assert rows[0] == "iteration,split,shots,transductive,episodes,metric,value,ci95"
    assert [row.split(",")[0] for row in rows[1:]] == ["6"]
    assert job.record()["status"] == "running"


def test_a_schedulers_handler_is_called_once_the_run_is_saved():
    calls = []
    before = signal.signal(signal.SIGUSR2, lambda *_: calls.append("scheduler"))
    try:
        with pytest.raises(KeyError), Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGUSR2)
            assert interruption.signal == signal.SIGUSR2
            assert calls == []
            raise KeyError("the run stops")
        assert calls == ["scheduler"]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_second_ctrl_c_ends_at_once():
    with pytest.raises(KeyboardInterrupt), Interruption():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_nothing_that_stands_in_a_record_can_break_its_reader(tmp_path):
    record.write(tmp_path, {"status": "running"})
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        record.write(tmp_path, {"value": float("nan")})
    assert record.read(tmp_path) == {"status": "running"}


def test_peak_memory_is_this_process_own_and_not_its_parents():
    ask = "import benchmark.running.environment as r; print(r.memory_peak_mb())"
    fat = (
        "import subprocess, sys\n"
        "ballast = bytes(400 << 20) + b'1'\n"
        f"subprocess.run([sys.executable, '-c', {ask!r}], check=True)\n{ask}"
    )
    child, parent = map(int, python("-c", fat).stdout.split())
    assert child < 300 and parent > 400
