"""A sweep: failures stay local, the same command goes on, two at once do not disturb each other."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmark.command.compose import compose
from benchmark.running import sweep as sweeps
from benchmark.running.interruption import Interruption
from benchmark.running.job import run_job
from benchmark.running.summary import Summary
from benchmark.running.trained import find_training
from tests.forks import GLYPHS, SINE, Fault, numbers

BROKEN = [f"tests.broken.{name}" for name in ("Killed", "Raises", "NotANumber")]
NETWORKS = f"model._target_={BROKEN[0]},benchmark.models.MLP,{BROKEN[1]},{BROKEN[2]}"

TOGETHER = "runtime.isolate=false"


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The directory of a completed run of its own, of seed 1."""
    directory = tmp_path_factory.mktemp("single") / "runs" / "mine"
    run_job(compose(*SINE, "seed=1"), directory, [])
    return directory


def sweep(directory: Path, *overrides: str) -> list[str]:
    return [*SINE, "--multirun", *overrides, f"hydra.sweep.dir={directory}"]


def statuses(directory: Path) -> list[str]:
    records = [json.loads(path.read_text()) for path in directory.glob("*/record.json")]
    return sorted(record["status"] for record in records)


def test_failures_stay_local_and_only_they_are_tried_again(forks, tmp_path):
    argv = sweep(tmp_path / "sweep", NETWORKS)
    first = forks.run(tmp_path / "1.log", argv)
    assert first.code == 1
    assert statuses(tmp_path / "sweep") == ["completed", "failed", "failed", "failed"]
    assert "failed: Killed: the job's process was killed by SIGKILL" in first.output
    assert "failed: RuntimeError: this network cannot be built" in first.output
    assert "failed: Diverged: the parameters were no longer finite" in first.output
    (table, problems) = first.output.split("Not (or not fully) in the table:")
    assert "Reptile " in table
    assert "failed (RuntimeError: this network cannot be built)" in problems
    assert "failed (Diverged: the parameters were no longer finite" in problems
    assert (tmp_path / "sweep" / "table.csv").exists()

    second = forks.run(tmp_path / "2.log", argv)
    assert second.code == 1
    assert second.output.count("already completed") == 1
    assert second.output.count("failed: ") == 3


def test_two_sweeps_at_once_share_the_work(forks, tmp_path, single):
    argv = sweep(tmp_path / "sweep", "seed=0,1", TOGETHER)
    jobs = [forks.start(tmp_path / f"{n}.log", argv) for n in range(2)]
    ended = [forks.wait(job) for job in jobs]
    assert [sweep.code for sweep in ended] == [0, 0], ended
    said = "".join(sweep.output for sweep in ended)
    assert said.count("already completed") == 2  # of four jobs two had nothing left to do
    assert "waiting for another process that runs this job" in said
    assert statuses(tmp_path / "sweep") == ["completed", "completed"]
    (second,) = (tmp_path / "sweep").glob("*seed1*")
    assert numbers(second) == numbers(single)  # no job feels the one before it


def test_a_sweep_without_a_writable_directory_ends_with_an_error(forks, tmp_path):
    (tmp_path / "sweep").write_text("a file")
    refused = forks.run(tmp_path / "1.log", sweep(tmp_path / "sweep", "seed=0,1"))
    assert refused.code == 2
    assert refused.output.splitlines()[-1].startswith(
        f"error: hydra.sweep.dir={tmp_path / 'sweep'}: must be a directory that can be written"
    )


def test_tables_that_cannot_be_written_are_an_error(single, tmp_path, caplog):
    shutil.copytree(single, tmp_path / "run")
    (tmp_path / "table.csv").mkdir()
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    with pytest.raises(SystemExit) as ended:
        Summary().on_multirun_end(config)
    assert ended.value.code == 1
    assert caplog.messages == [
        f"error: hydra.sweep.dir={tmp_path}: no summary was written "
        f"([Errno 21] Is a directory: '{tmp_path / 'table.csv'}')"
    ]


def test_the_bookkeeping_of_a_job_does_not_grow_with_the_sweep(single):
    """A job that has nothing left to do touches as many files among 3 runs as among 300."""
    cfg, touched = compose(*SINE, "seed=1"), []
    for runs in (3, 300):
        for number in range(runs):
            shutil.copytree(single, single.parent / str(number), dirs_exist_ok=True)
        touched.append(files_touched(single.parent, lambda: run_job(cfg, single, [])))
    assert touched[0] == touched[1]
    assert 0 < len(touched[0]) < 30


def test_a_search_for_a_training_reads_each_record_once(single):
    """Jobs of a large sweep search its tree one after the other."""
    for number in range(30):
        shutil.copytree(single, single.parent / str(number), dirs_exist_ok=True)
    searches = [
        files_touched(single.parent, lambda: find_training("another", single.parent / "new-1"))
        for _ in range(2)
    ]
    assert len(searches[0]) > 60 and searches[1] == [f"os.scandir {single.parent}"]


def files_touched(below: Path, call) -> list[str]:
    """The file operations of `call` on what lies below a directory."""
    found, on = [], True

    def hook(event: str, arguments: tuple) -> None:
        if on and event in ("open", "os.listdir", "os.scandir", "os.rename", "os.remove"):
            path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
            if path.startswith(str(below)):
                found.append(f"{event} {path}")

    sys.addaudithook(hook)
    call()
    on = False
    return found


def test_a_refused_job_is_recorded_and_counts_for_its_own_command_alone(forks, tmp_path):
    """The same directory again with the mistake corrected: what failed before is one line."""
    directory = tmp_path / "sweep"
    first = forks.run(tmp_path / "1.log", sweep(directory, "algorithm.inner_batch=10,0", TOGETHER))
    assert first.code == 1
    assert statuses(directory) == ["completed", "failed"]
    assert "failed (ConfigError: algorithm.inner_batch=0: must be at least 1)" in first.output
    second = forks.run(tmp_path / "2.log", sweep(directory, "algorithm.inner_batch=10", TOGETHER))
    assert second.code == 0, second.output
    assert "inner_batch=0" not in second.output
    assert "1 other runs in the same directory did not complete" in second.output
    refused = forks.run(tmp_path / "3.log", sweep(directory, "evaluation.shots=[0]"))
    assert refused.code == 1  # not one job of this command could start; its run is complete
    assert ": refused (evaluation.shots=[0]: must be at least 1 each)" in refused.output
    assert not list(directory.glob(".sweep-*"))


def test_a_job_that_was_refused_starts_in_its_directory_once_corrected(forks, tmp_path):
    """What was wrong is no part of its name; a number that no file can hold stops nothing else."""
    directory, step = tmp_path / "sweep", "algorithm.outer_step"
    refused = forks.run(
        tmp_path / "1.log", sweep(directory, f"{step}=0.5", "evaluation.shots=[0]", TOGETHER)
    )
    assert refused.code == 1 and statuses(directory) == ["failed"]
    corrected = forks.run(tmp_path / "2.log", sweep(directory, f"{step}=0.5,nan", TOGETHER))
    assert corrected.code == 1 and statuses(directory) == ["completed", "failed"]
    said = "failed (ConfigError: algorithm.outer_step=nan: must be above 0"
    assert said in corrected.output and "Reptile " in corrected.output
    assert "Traceback" not in corrected.output


def test_a_signal_after_the_last_look_still_ends_the_sweep(forks, tmp_path):
    """It comes while the completed record is written: the run is complete, the next one waits."""
    late = Fault(phase="recording", nth=4, stop=True)
    argv = sweep(tmp_path / "sweep", "seed=0,1", TOGETHER)
    ended = forks.run(tmp_path / "1.log", argv, late)
    assert ended.code == 128 + signal.SIGTERM, ended.output
    assert statuses(tmp_path / "sweep") == ["completed"]


def test_jobs_of_one_seed_share_their_reference_lines(forks, tmp_path):
    """Scored once, and bit for bit what a job scores alone."""
    small = [*GLYPHS, TOGETHER]
    argv = [*small, "--multirun", "algorithm.meta_iterations=1,2", f"hydra.sweep.dir={tmp_path}/s"]
    done = forks.run(tmp_path / "sweep.log", argv)
    assert done.code == 0, done.output
    scored = [e for e in done.events if (e["what"], e["phase"]) == ("end", "evaluation")]
    assert len(scored) == 2 * 3 + 2 + 2  # four episodes at a time: 12 of each, 8 of each reference
    alone = [*small, "algorithm.meta_iterations=2", f"hydra.run.dir={tmp_path}/another/alone"]
    assert forks.run(tmp_path / "alone.log", alone).code == 0
    (second,) = (tmp_path / "s").glob("*-2it-*")
    assert numbers(second) == numbers(tmp_path / "another" / "alone")


@pytest.fixture
def terminal():
    """The handlers of a process that was started at one: nohup and a shell's & ignore some."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def wait_for(condition, seconds=5.0):
    """Wait for what a signal brings about."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture
def begun(tmp_path, terminal):
    """A sweep that this process has begun, with a run that a test may add jobs to."""
    before = {number: signal.getsignal(number) for number in sweeps.stopping_signals()}
    sweeps.begin(tmp_path / "sweep", together=True)
    yield sweeps.current()
    sweeps.end()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    assert {number: signal.getsignal(number) for number in before} == before
    assert sweeps.current() is None and not list((tmp_path / "sweep").iterdir())


def test_a_terminal_s_signals_reach_the_launching_process_alone(begun):
    blocked = "import signal; print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    started = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert started.stdout.split() == [str(int(n)) for n in sorted(sweeps.FROM_TERMINALS)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_of_the_launching_process_is_one_of_its_jobs(begun, number, monkeypatch):
    interruption = Interruption()
    os.kill(os.getpid(), number)
    wait_for(lambda: begun.stopped() is not None)  # a thread that minds the terminal is told first
    assert begun.stopped() == number
    assert interruption.signal is None  # it looks only now and then
    monkeypatch.setattr(sweeps, "SECONDS_BETWEEN_LOOKS", 0.0)
    assert interruption.signal == number
    with pytest.raises(SystemExit) as ended:
        sweeps.join(3, Path("next"))
    assert ended.value.code == 128 + number
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        wait_for(lambda: False)


def test_a_process_that_works_for_a_launcher_stops_the_others_and_lives_on(begun, monkeypatch):
    theirs = {"folder": str(begun.folder), "launcher": 1, "together": True}
    monkeypatch.setenv(sweeps.VARIABLE, json.dumps(theirs))
    assert sweeps.join(0, Path("one"))
    sweeps.leave(signal.SIGTERM)
    assert begun.stopped() == signal.SIGTERM
    assert not sweeps.join(1, Path("two"))
    assert begun.jobs() == {"one": "", "two": ""}
    monkeypatch.setenv(sweeps.VARIABLE, json.dumps(theirs | {"together": False}))
    with pytest.raises(SystemExit):  # a job that a cluster has queued ends by itself
        sweeps.leave(signal.SIGTERM)
    monkeypatch.setenv(sweeps.VARIABLE, json.dumps(theirs | {"launcher": os.getpid()}))
