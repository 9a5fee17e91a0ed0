"""Watching a sweep: what its jobs' files say while they run, and when nothing runs any more."""

import json
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from benchmark.running import record
from results import schema, watch
from results.__main__ import main
from results.jobs import QUIET_SECONDS, Watcher
from tests import fake_records as fake

REAL = Path("results/published/main_glyphs/100it_seed0")
NO_PROCESS = 4_194_305  # above the highest number that Linux gives


@contextmanager
def working(run):
    """The run's lock is held, as by a process that works at it."""
    with FileLock(run / schema.LOCK):
        yield


def make_silent(run):
    """As if nothing had been written there for long."""
    long_ago = time.time() - QUIET_SECONDS - 60
    for file in run.iterdir():
        os.utime(file, (long_ago, long_ago))


def on_sleeping(monkeypatch, *actions):
    """Do these, one after the other, each time that the watcher waits."""
    todo = iter(actions)
    monkeypatch.setattr(watch.time, "sleep", lambda _: next(todo)())


def begun(run):
    """A run that has just started, as its own code writes it; returns what it will have written."""
    run.mkdir(parents=True)
    done = json.loads((REAL / schema.RECORD).read_text())
    record.write(run, record.begin(done["config"], done["fingerprint"], done["overrides"]))
    return done


def test_a_run_from_its_beginning_to_its_end(tmp_path, monkeypatch, capsys):
    run, page = tmp_path / "runs" / "mine", tmp_path / "live.html"
    done = begun(run)
    point = {"split": "test", "shots": 1, "transductive": False, "episodes": 9, "ci95": 0.1}
    point |= {"metric": "accuracy", "accuracy": 0.5}
    pages = []

    def train():
        pages.append(page.read_text())
        record.write_curve(run, [{**point, "iteration": i, "accuracy": i / 10} for i in (1, 2)])
        (run / "benchmark.log").write_text("training: 2 of 8, 0.1/s, 1.0 min left, test 20.0 %\n")

    def complete():
        record.write(run, done)

    on_sleeping(monkeypatch, train, lambda: None, complete)
    monkeypatch.setattr(watch, "PAGE_SECONDS", 0.001)
    with working(run):
        assert main([str(run.parent), "--watch", "--report", str(page)]) == 0
    blocks = re.sub(" +", " ", capsys.readouterr().out).split(" 1 job: ")[1:]
    assert len(blocks) == 3, "one for each change"
    total = done["config"]["algorithm"]["meta_iterations"]
    assert "1 running" in blocks[0] and f"mine training 0 of {total}" in blocks[0]
    assert "2 of 8" in blocks[1] and "0.1/s" in blocks[1] and "test 1-shot 20.0 %" in blocks[1]
    assert "▁█" in blocks[1]
    assert "1 completed" in blocks[2] and f"{total} of {total}" in blocks[2]
    assert "nothing runs any more" in blocks[2]
    assert 'data-reload="' in pages[0] and ">training<" in pages[0]
    assert "did not complete" not in pages[0], "it runs, and has not failed"
    assert 'data-reload="' not in page.read_text() and ">completed<" in page.read_text()


def test_ctrl_c_ends_it(tmp_path, monkeypatch, capsys):
    run = fake.write(tmp_path / "run", fake.record(status="running", evaluations=[], baselines=[]))

    def interrupt():
        raise KeyboardInterrupt

    on_sleeping(monkeypatch, interrupt)
    with working(run):
        assert watch.watch([str(tmp_path)]) == 130
    assert "nothing runs" not in capsys.readouterr().out


def test_how_jobs_stand(tmp_path):
    """One of each state, those that run first."""
    running = {"status": "running", "evaluations": [], "baselines": []}
    for name in ("works", "writes", "killed"):
        fake.write(tmp_path / name, fake.record(**running))
    record.write_curve(tmp_path / "works", fake.record()["learning_curve"])
    make_silent(tmp_path / "works")
    make_silent(tmp_path / "killed")
    failed = fake.record(status="failed", reason="no\nspace", evaluations=[], baselines=[])
    fake.write(tmp_path / "wrong", failed)
    fake.write(tmp_path / "done", fake.record())
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "record.json").write_text("{")
    watcher = Watcher([str(tmp_path)])
    with working(tmp_path / "works"):
        jobs = watcher.look()
        assert watcher.is_under_way(jobs)
    shown = watch.layout(jobs).set_index("job")
    assert dict(shown["state"]) == {
        "works": "training",
        "writes": "training",
        "wrong": "failed",
        "cut": "damaged",
        "killed": "stopped",
        "done": "completed",
    }
    assert list(shown.index)[:2] == ["works", "writes"]
    assert shown.loc["wrong", "newest"] == "no space"
    assert shown.loc["done", "newest"] == "test 1-shot 80.0 %, 5-shot 92.0 %"
    assert "400 of 2000" in shown.loc["works", "done"] and shown.loc["works", "rate"] != "-"
    make_silent(tmp_path / "writes")
    assert not watcher.is_under_way(watcher.look())


@pytest.mark.parametrize(("process", "alive"), [(None, True), (NO_PROCESS, False)])
def test_jobs_that_wait(tmp_path, process, alive):
    """Those that its command tells of and that have not begun, while the sweep's process lives."""
    run = fake.write(tmp_path / "first", fake.record())
    folder = tmp_path / f".sweep-{process or os.getpid()}-17"
    folder.mkdir()
    for number, (name, refused) in enumerate([("first", ""), ("second", ""), ("bad", "why")]):
        job = {"directory": str(run.parent / name), "refused": refused}
        (folder / f"job{number}").write_text(json.dumps(job))
    (tmp_path / "multirun.yaml").write_text(
        "hydra: {sweeper: {_target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper, "
        "params: {model.filters: '32,64'}}, overrides: {task: ['seed=range(3)', task=omniglot]}}"
    )
    watcher = Watcher([str(tmp_path)])
    jobs = watcher.look()
    waiting = [os.path.basename(job.run) for job in jobs if job.state == "waiting"]
    assert waiting == (["job 3", "job 4", "job 5", "second"] if alive else [])
    assert watcher.is_under_way(jobs) == alive


def test_a_directory_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "none"), "--watch"])
    assert capsys.readouterr().err.endswith("none: no such file or directory\n")
    assert main([str(tmp_path), "--watch"]) == 0
    assert "0 jobs" in capsys.readouterr().out


def test_only_what_changed_is_read_again(tmp_path, monkeypatch):
    run = fake.write(tmp_path / "run", fake.record(accuracy=0.5))
    fake.write(tmp_path / "other", fake.record())
    watcher, read = Watcher([str(tmp_path)]), []
    reader = watch.records.read_run
    monkeypatch.setattr(
        "results.jobs.records.read_run",
        lambda file, problems: read.append(file) or reader(file, problems),
    )
    watcher.look()
    fake.write(run, fake.record(accuracy=0.6))
    make_silent(run)
    assert "60.0 %" in {job.run: job.scores for job in watcher.look()}[str(run)]
    assert [file.parent.name for file in read] == ["other", "run", "run"]
