"""`make reproduce`: the queue, its costs, its choice, and that it goes on where it was stopped."""

import copy
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.command.compose import compose
from benchmark.studies.reproduce import __main__ as command
from benchmark.studies.reproduce import costs, queue, records
from benchmark.studies.reproduce.costs import Costs, Known
from benchmark.studies.reproduce.parts import PARTS, THEORY, Part, Run, all_runs, once, runs_of
from results import schema
from results.records import read_records
from results.scorecard import score
from tests import fake_records, toy
from tests.command import PROJECT

PUBLISHED = PROJECT / "results" / "published"
EQUAL = {True: 1.0, False: 1.0}
SINE = Part("figure 1", "a sine wave", "sine", 3, ("algorithm=reptile_sine",))
THE_THEORY = next(part for part in PARTS if part.experiment == THEORY)


def plain(**algorithm):
    """Settings of a run with two tasks of 2 x 10 images an iteration, tested on 1-shot."""
    return {
        "seed": 0,
        "task": {"name": "omniglot", "ways": 5, "train_shots": 10},
        "model": {"name": "conv"},
        "algorithm": {
            "name": "reptile",
            "meta_iterations": 100,
            "meta_batch": 2,
            "inner_steps": 2,
            "inner_batch": 10,
            **algorithm,
        },
        "evaluation": {
            "shots": [1],
            "steps": [1],
            "batch": 5,
            "queries": 1,
            "splits": ["test"],
            "transductive": [True],
            "episodes": 10,
            "baselines": [],
            "baseline_episodes": 1,
        },
        "training": {"curve_points": 2, "curve_episodes": 5},
    }


TIMING = {"seconds_per_meta_iteration": 0.5, "evaluation_seconds": 7.0, "curve_seconds": 3.0}


def run(name="a", part=PARTS[0], seed=0, **algorithm):
    return Run(part, seed, ("+experiment=x", name), Path(name), plain(**algorithm))


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.place} {part.what}")
def test_a_run_has_the_settings_that_its_command_composes(part, tmp_path):
    runs = runs_of(part, 2, [], tmp_path)
    assert len({one.directory for one in runs}) == len(runs)
    if part.experiment == THEORY:
        assert [(one.plain, one.program) for one in runs] == [(None, "benchmark.studies.theory")]
        assert compose(*runs[0].overrides, root="theory").tasks == 200_000
        return
    assert {one.seed for one in runs} == {0, 1}
    for one in (runs[0], runs[-1]):
        assert toy.settings(*one.overrides).plain == one.plain
        assert one.plain["seed"] == one.seed


def invented_record(one):
    """A record as this run would leave it."""
    evaluation, task = one.plain["evaluation"], one.plain["task"]
    metric = "mse" if task["name"] == "sinusoid" else "accuracy"
    keys = ("splits", "shots", "transductive", "steps")
    rows = [
        {
            **dict(zip(("split", "shots", "transductive", "steps"), values, strict=True)),
            "ways": task["ways"],
            "metric": metric,
            metric: 0.5,
            "ci95": 0.01,
            **{key: evaluation[key] for key in ("queries", "episodes")},
        }
        for values in itertools.product(*(evaluation[key] for key in keys))
    ]
    committed = json.loads((PUBLISHED / "omniglot_5way/reptile_seed0/record.json").read_text())
    return {
        **{key: committed[key] for key in ("schema", "status", "data", "environment", "timing")},
        "command": f"python -m benchmark {' '.join(one.overrides)}",
        "experiment": one.part.experiment,
        "config": one.plain,
        "evaluations": rows,
        "baselines": [{**row, "method": "scratch"} for row in rows],
        "learning_curve": [{**row, "iteration": 1000} for row in rows],
    }


def test_the_parts_that_settle_something_are_all_that_the_scorecard_asks_for(tmp_path):
    parts = [part for part in PARTS if part.settles]
    for one in once(all_runs(parts, 1, [], tmp_path)):
        if one.plain is not None:
            fake_records.write(one.directory, invented_record(one))
    lines = score(read_records([tmp_path]), PUBLISHED / "theory" / "theory.csv")
    here = [line for line in lines if line.place != "table 1"]
    assert [line for line in here if line.word == "not run yet"] == []
    assert sum(part.settles for part in parts) == len(here)


def test_a_training_that_two_parts_need_is_run_once(tmp_path):
    shared = "algorithm=reptile", "algorithm.inner_steps=4"
    parts = [
        Part("4a", "one point", "overlap_iterations", 1, shared),
        Part("4b", "two points", "overlap_batch", 1, (shared[0], "algorithm.inner_batch=5,25")),
    ]
    runs = all_runs(parts, 1, [], tmp_path)
    assert [one.part.place for one in runs] == ["4a", "4b", "4b"]
    assert [one.part.place for one in once(runs)] == ["4a", "4b"]
    assert runs[0].directory == runs[2].directory != runs[1].directory


def test_settings_of_the_users_reach_every_run(tmp_path):
    runs = runs_of(SINE, 1, ["budget=smoke", "task.ways=1"], tmp_path)
    assert [one.plain["algorithm"]["meta_iterations"] for one in runs] == [300]
    assert runs[0].overrides[1:] == (
        "algorithm=reptile_sine",
        "budget=smoke",
        "task.ways=1",
        "seed=0",
    )


# --- costs ----------------------------------------------------------------------------------------


def test_time_grows_with_the_images(tmp_path):
    known = [Known(plain(), TIMING)]
    assert costs.training_images(plain()) == 40
    start = costs.STARTUP_SECONDS
    assert costs.seconds(plain(), known) == start + 100 * 0.5 + 7 + 3
    twice = costs.seconds(plain(inner_steps=4, meta_iterations=200), known)
    assert twice == start + 200 * 0.5 * 2 + 7 + 3
    more = plain()
    more["evaluation"] |= {"episodes": 30, "baselines": ["scratch"]}
    assert costs.seconds(more, known) == pytest.approx(start + 50 + 7 * 31 / 10 + 3)


def test_the_records_most_alike_tell(tmp_path):
    native = Known(
        plain() | {"runtime": {"engine": "native"}},
        TIMING | {"seconds_per_meta_iteration": 0.1},
    )
    maml = Known(plain(name="maml"), TIMING | {"seconds_per_meta_iteration": 9.0})
    alone = Known(plain(meta_batch=1), TIMING | {"seconds_per_meta_iteration": 0.3})
    known = [maml, alone, Known(plain(), TIMING), native]
    for settings, record in (
        (native.plain, native),
        (plain(inner_steps=9), known[2]),
        (plain(meta_batch=1), alone),
        (plain(name="maml"), maml),
    ):
        assert costs.most_alike(settings, known) == [record]
    busy = Known(plain(), TIMING | {"seconds_per_meta_iteration": 99.0})
    assert costs.seconds(plain(), [busy, known[2], known[2]]) == costs.seconds(plain(), known)


def test_a_small_meta_iteration_does_not_tell_the_time_of_a_large_one(tmp_path):
    small = Known(plain(inner_steps=1), TIMING | {"seconds_per_meta_iteration": 0.4})
    large, larger = (
        Known(plain(inner_steps=steps), TIMING | {"seconds_per_meta_iteration": steps / 100})
        for steps in (20, 25)
    )
    assert costs.iteration_seconds(plain(inner_steps=30), [small, large, larger]) == pytest.approx(
        0.3
    )
    assert costs.iteration_seconds(plain(inner_steps=1), [small, large, larger]) == 0.4


def test_committed_records_tell_each_others_costs():
    """To within a factor of three, but for a few that were recorded on a machine busy otherwise."""
    known = costs.known_costs([PUBLISHED])
    assert list(PUBLISHED.glob("rivals/omniglot_protonet_*")), "which has no inner loop to compare"
    ratios = {}
    for one in known:
        others = [k for k in known if k.plain["algorithm"] != one.plain["algorithm"]]
        expected = costs.seconds(one.plain, others) - costs.STARTUP_SECONDS
        spent = sum(one.timing[f"{part}_seconds"] for part in ("train", "curve", "evaluation"))
        ratios[json.dumps(one.plain)] = expected / spent
    images = {name: r for name, r in ratios.items() if "sinusoid" not in name}
    assert len(images) > 50
    assert sum(1 / 3 < ratio < 3 for ratio in images.values()) > 0.95 * len(images)


def test_a_slow_machine_multiplies(tmp_path):
    known = [Known(plain(), TIMING), Known(plain(meta_batch=1), TIMING)]

    def measure(several):
        seconds = 1.0 if several else 1.5
        timing = {"seconds_per_meta_iteration": seconds}
        return Known(plain(meta_batch=2 if several else 1, meta_iterations=5), timing)

    slower = costs.slowness(known, measure)
    assert slower == {True: 2.0, False: 3.0}
    whole = Costs(known, slower).whole(run())
    assert whole == 2 * costs.seconds(plain(), known)
    assert costs.slowness([], measure) == EQUAL


def test_what_is_trained_already_costs_nothing_more(tmp_path):
    from benchmark.progress import Progress
    from benchmark.running import checkpoint

    one = replace(run(), directory=tmp_path)
    cost = Costs([Known(plain(), TIMING)], EQUAL)
    assert cost.left(one) == cost.whole(one)
    checkpoint.save(tmp_path, Progress(75, ()), "any")
    assert cost.left(one) == pytest.approx(cost.whole(one) / 4)
    (tmp_path / checkpoint.CURRENT).write_bytes(b"damaged")
    assert cost.left(one) == cost.whole(one)


def test_the_short_measurement_is_a_run_that_can_be():
    for several, words in costs.MEASURED.items():
        settings = toy.settings(*words, *costs.SHORT)
        assert costs.side_by_side(settings.plain) == several


# --- the choice -----------------------------------------------------------------------------------


def batch(settles, hours, what="x"):
    return queue.Batch(Part("t", what, "e", 1), 0, (run(what),), settles, hours)


def test_most_worth_an_hour_comes_first(monkeypatch):
    monkeypatch.setattr(queue, "usable_cores", lambda: 2)
    cheap, dear = Part("t", "cheap", "e", 4), Part("t", "dear", "e", 4)
    runs = [
        run("a", dear, meta_iterations=1000),
        run("b", cheap),
        run("c", cheap, meta_iterations=1),
        run("d", cheap, seed=1),
    ]
    made = queue.batches(runs, Costs([Known(plain(), TIMING)], EQUAL))
    assert [(one.part.what, one.seed, len(one.runs)) for one in made] == [
        ("cheap", 0, 2),
        ("cheap", 1, 1),
        ("dear", 0, 1),
    ]
    assert made == sorted(made, key=lambda one: -one.worth)
    by_seed = {(one.part.what, one.seed): one.settles for one in made}
    assert by_seed[("cheap", 1)] == 2 and by_seed[("cheap", 0)] == 4


def test_what_fits_is_chosen_and_the_next_is_begun():
    ordered = [batch(9, 3, "a"), batch(8, 6, "b"), batch(7, 4, "c"), batch(1, 90, "d")]
    names = lambda hours: [one.part.what for one in queue.chosen(ordered, hours)]  # noqa: E731
    assert names(7) == ["a", "c"]
    assert names(8) == ["a", "c", "b"]  # an hour is left for the most worth that does not fit
    assert names(200) == ["a", "b", "c", "d"]
    assert names(1) == ["a"]
    assert queue.chosen([], 5) == []


# --- running --------------------------------------------------------------------------------------


class Machine:
    """A clock that `sleep` moves, and processes that take minutes of it."""

    def __init__(self, minutes, codes=None):
        self.now, self.minutes, self.codes = 0.0, minutes, codes or {}
        self.lines, self.started, self.together, self.finished = [], [], 0, []
        self.running = {}

    def start(self, one, cores):
        self.started.append((one.overrides[1], cores))
        process = FakeProcess(self, one.overrides[1])
        self.running[process.name] = process
        self.together = max(self.together, len(self.running))
        return process

    def sleep(self, seconds):
        self.now += 60 * seconds  # every look a half minute

    def queue(self, hours=9.0, asked=lambda: False, cores=2):
        return queue.Queue(
            self.start,
            lambda one: self.finished.append(one.overrides[1]),
            3600 * hours,
            asked,
            cores,
            lambda: self.now,
            self.sleep,
            self.lines.append,
        )


class FakeProcess:
    def __init__(self, machine, name):
        self.machine, self.name = machine, name
        self.end = machine.now + 60 * machine.minutes.get(name, 10)
        self.signals = []

    def poll(self):
        if self.signals:
            code = 128 + self.signals[-1]
        elif self.machine.now < self.end:
            return None
        else:
            code = self.machine.codes.get(self.name, 0)
        self.machine.running.pop(self.name, None)
        return code

    def send_signal(self, number):
        self.signals.append(number)


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(costs, "usable_cores", lambda: 2)


def test_runs_of_one_core_go_side_by_side(two_cores):
    machine = Machine({"a": 30, "b": 10, "c": 10, "d": 5})
    runs = [run(name, meta_batch=1) for name in "abc"] + [run("d")]
    machine.queue().work(runs)
    assert machine.finished == ["b", "c", "a", "d"] and machine.together == 2
    assert machine.started == [("a", 1), ("b", 1), ("c", 1), ("d", 2)]
    assert 30 * 60 <= machine.now - 5 * 60 < 32 * 60


def test_the_deadline_saves_what_runs_and_starts_nothing_more(two_cores):
    machine = Machine({"a": 120})
    busy = machine.queue(hours=1)
    busy.work([run("a"), run("b")])
    assert machine.started == [("a", 2)] and machine.finished == [] and not busy.running
    assert machine.now == pytest.approx(3600, abs=60)
    assert machine.lines[-1].startswith("saved") and not busy.failed


def test_a_signal_saves_what_runs(two_cores):
    machine = Machine({})
    runs = [run(name, meta_batch=1) for name in "abc"]
    machine.queue(asked=lambda: machine.now > 120).work(runs)
    assert [name for name, _ in machine.started] == ["a", "b"]
    assert [line.split()[0] for line in machine.lines] == ["started", "started", "saved", "saved"]


def test_long_runs_say_how_far_they_have_come(two_cores):
    machine = Machine({"a": 40})
    machine.queue().work([run("a")])
    assert [line.split()[:3] for line in machine.lines[1:-1]] == [
        ["0%", "of", run("a").part.experiment]
    ] * 2


def test_a_failed_run_leaves_the_others_alone_and_bad_input_does_not(two_cores):
    machine = Machine({}, {"a": 1})
    busy = machine.queue()
    busy.work([run("a"), run("b")])
    assert [one.overrides[1] for one in busy.failed] == ["a"] and machine.finished == ["b"]
    machine = Machine({}, {"a": queue.BAD_INPUT})
    busy = machine.queue()
    busy.work([run("a"), run("b")])
    assert busy.hopeless and machine.finished == []


def test_nothing_goes_on_running_after_an_error(two_cores):
    machine = Machine({})
    processes = []

    def start(one, cores):
        processes.append(machine.start(one, cores))
        return processes[-1]

    busy = replace(machine.queue(asked=lambda: machine.now > 100 and 1 / 0), starter=start)
    with pytest.raises(ZeroDivisionError):
        busy.work([run("a")])
    assert processes[0].signals == [signal.SIGKILL]


def test_a_run_is_its_real_command_in_a_group_of_its_own(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    one = replace(run("a"), directory=tmp_path / "runs" / "a")
    process = queue.start(one, 3)
    assert os.getpgid(process.pid) == process.pid
    assert process.wait() == 0
    words = f"-m benchmark +experiment=x a runtime.cores=3 hydra.run.dir={one.directory}"
    assert queue.log_of(one).read_text() == f"{words}\n"


# --- records --------------------------------------------------------------------------------------


def committed(directory, config, status="completed"):
    document = json.loads((PUBLISHED / "omniglot_5way/reptile_seed0/record.json").read_text())
    keys = ("split", "shots", "transductive", "steps", "queries", "episodes")
    row = {"metric": "accuracy", "accuracy": 0.5, "ci95": None}
    rows = [row | dict(zip(keys, test, strict=True)) for test in records.tests(plain())]
    document |= {"config": config, "status": status, "evaluations": rows, "baselines": []}
    directory.mkdir(parents=True)
    (directory / schema.RECORD).write_text(json.dumps(document))


def test_a_record_of_the_same_settings_counts_whatever_no_number_depends_on(tmp_path):
    one, other = run("a"), run("b")
    older = copy.deepcopy(one.plain) | {"runtime": {"cores": 7}, "resume": False}
    del older["task"]["train_shots"]  # as if it had come later
    older["model"]["_target_"] = "somewhere.else"
    assert records.missing([one], tmp_path) == [one]
    committed(tmp_path / "older", older)
    assert records.missing([one], tmp_path) == []
    differs = replace(other, plain=plain() | {"seed": 1})
    longer = replace(other, plain=copy.deepcopy(plain()))
    longer.plain["evaluation"]["episodes"] = 99  # trained, but tested on fewer
    assert records.missing([differs, longer], tmp_path) == [differs, longer]
    (tmp_path / "older" / schema.RECORD).write_text("damaged")
    assert records.missing([one], tmp_path) == [one]


def test_the_committed_records_at_full_budget_are_not_run_again(tmp_path):
    by_experiment = {part.experiment: part for part in PARTS}
    runs = [
        one for name in ("sine", THEORY) for one in runs_of(by_experiment[name], 3, [], tmp_path)
    ]
    assert records.missing(runs, PUBLISHED) == []


def test_the_record_of_a_run_is_kept_whole(tmp_path):
    one = replace(run("a"), directory=tmp_path / "runs" / "a")
    committed(one.directory, one.plain)
    (one.directory / schema.SCORES).write_bytes(b"scores")
    (one.directory / schema.KERAS_MODEL).write_bytes(b"a network")
    unfinished = replace(run("b"), directory=tmp_path / "runs" / "b")
    committed(unfinished.directory, unfinished.plain, "interrupted")
    assert list(records.completed_here([one, unfinished])) == [one]
    for _ in range(2):  # the second time over the first
        records.keep(one, tmp_path / "kept")
        found = sorted(path.name for path in (tmp_path / "kept").rglob("*") if path.is_file())
        assert found == [schema.RECORD, schema.SCORES]
    assert records.missing([one], tmp_path / "kept") == []


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hours", "abc"], "hours=abc: must be a number of at least 0"),
        (["--hours", "-1"], "hours=-1: must be a number of at least 0"),
        (["--hours", "nan"], "hours=nan: must be a number of at least 0"),
        (["--seeds", "0"], "seeds=0: must be a number of at least 1"),
        (["--seeds", "1.5"], "seeds=1.5: must be a whole number of at least 1"),
        (["budget=smoke"], "budget=smoke: needs --into DIR"),
        (["--into", "x", "budget=tiny"], "budget=tiny: must be one of smoke, short, paper"),
        (["--into", "x", "task=mars"], "task=mars: must be one of"),
    ],
)
def test_bad_input_is_one_line(words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["reproduce", *words])
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and shown.startswith(f"error: {said}")
    assert len(shown.splitlines()) == 1 and not list(tmp_path.iterdir())


@pytest.fixture
def few_parts(monkeypatch):
    """A part of seconds, on a machine as fast as that of the records."""
    monkeypatch.setattr(command, "PARTS", (SINE,))
    monkeypatch.setattr(costs, "slowness", lambda *_: EQUAL)


def test_the_plan_lists_the_queue_and_runs_nothing(few_parts, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert command.main(["--plan", "--into", "here", "--seeds", "2", "--hours", "0.001"]) == 0
    shown = capsys.readouterr().out
    assert not (tmp_path / "here").exists()
    rows = [line for line in shown.splitlines() if line.startswith("figure 1")]
    assert len(rows) == 2 and "needs images" in shown and "completed so far: 0 of 2." in shown
    assert re.search(r"figure 1 +a sine wave +1 +1 +0\.0\d +1\.5", shown)


class Forked:
    """`subprocess.Popen` of a run, as a fork of the server that has imported TensorFlow."""

    def __init__(self, server, command, stdout, **_):
        assert command[:3] == [sys.executable, "-m", "benchmark"]
        self.pid, log = server.start(Path(stdout.name).with_suffix(".fork"), command[3:])
        self.code = None
        ended = lambda: setattr(self, "code", server.wait((self.pid, log)).code)  # noqa: E731
        threading.Thread(target=ended, daemon=True).start()

    def poll(self):
        return self.code

    def send_signal(self, number):
        os.kill(self.pid, number)


@pytest.fixture
def forked(forks, monkeypatch):
    """Runs are forks, which `queue.start` starts one at a time."""
    pipes = {"DEVNULL": subprocess.DEVNULL, "STDOUT": subprocess.STDOUT}
    monkeypatch.setattr(queue, "subprocess", SimpleNamespace(Popen=partial(Forked, forks), **pipes))


SMALL = ["runtime.jit=false", "training.curve_points=0", "evaluation.baselines=[]"]


def test_the_whole_way_with_real_runs(few_parts, forked, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(PROJECT)
    words = ["--hours", "0.2", "--seeds", "1", "--into", str(tmp_path / "here"), "budget=smoke"]
    words += [*SMALL, "evaluation.episodes=8"]
    assert command.main(words) == 0
    shown = capfd.readouterr().out
    assert shown.count("completed  ") == 1
    assert "not run yet" in (tmp_path / "here" / "reproduction.md").read_text()
    assert command.main(words) == 0
    assert "completed so far: 1 of 1." in capfd.readouterr().out


def test_a_run_that_is_stopped_goes_on_from_its_checkpoint(forked, monkeypatch, tmp_path, capsys):
    from benchmark.running import checkpoint

    monkeypatch.chdir(PROJECT)
    given = ["algorithm.meta_iterations=3000000", "training.checkpoint_every=50", *SMALL]
    one = runs_of(SINE, 1, given, tmp_path)[0]
    cost = Costs([], EQUAL)
    begun = cost.left(one)
    busy = queue.Queue(
        queue.start,
        lambda _: None,
        deadline=float("inf"),
        asked=(one.directory / checkpoint.CURRENT).exists,
    )
    busy.work([one])
    assert not busy.failed and "saved" in capsys.readouterr().out
    assert 0 < cost.left(one) < begun
    assert json.loads((one.directory / schema.RECORD).read_text())["status"] == "interrupted"
