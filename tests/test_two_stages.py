"""Train once, ask anything: what is trained is only evaluated, and scores are never made twice."""

import importlib
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import benchmark
from benchmark.command.identity import MOVED
from benchmark.running import named, unchanged
from benchmark.running.trained import find_training
from results.records import read_records
from results.schema import digest
from tasks.checks import ConfigError
from tests.forks import GLYPHS, SINE, Fault
from tests.toy import settings


@pytest.fixture
def run(forks, tmp_path):
    """`python -m benchmark OVERRIDES`."""
    logs = iter(range(100))

    def command(*overrides, fault=None):
        return forks.run(tmp_path / "logs" / f"{next(logs)}.log", list(overrides), fault)

    return command


def record_of(directory):
    return json.loads((directory / "record.json").read_text())


def arrays(directory, name="scores.npz"):
    with np.load(directory / name) as file:
        return {key: file[key] for key in file.files}


def same_arrays(first, second):
    assert first.keys() == second.keys()
    for key, values in first.items():
        np.testing.assert_array_equal(values, second[key])


@pytest.fixture(scope="module")
def glyphs(forks, tmp_path_factory):
    """A trained run that tests copy."""
    folder = tmp_path_factory.mktemp("glyphs")
    ended = forks.run(folder / "log", [*GLYPHS, f"hydra.run.dir={folder / 'run'}"])
    assert ended.code == 0, ended.output
    return folder / "run"


@pytest.fixture
def trained(glyphs, tmp_path):
    return shutil.copytree(glyphs, tmp_path / "run")


def test_more_shots_steps_and_episodes_only_evaluate(run, trained, tmp_path):
    """What comes out in two goes is what comes out in one, and nothing is scored again."""
    before = arrays(trained)
    more = ["evaluation.shots=[1,2]", "evaluation.steps=[0,2]", "evaluation.episodes=20"]
    ended = run(*GLYPHS, *more, f"hydra.run.dir={trained}")
    assert ended.code == 0, ended.output
    assert "training:" not in ended.output
    at_once = tmp_path / "elsewhere" / "whole"  # in a tree where nothing is trained yet
    assert run(*GLYPHS, *more, f"hydra.run.dir={at_once}").code == 0
    found, whole = arrays(trained), arrays(at_once)
    same_arrays(found, whole)
    for key, values in before.items():
        np.testing.assert_array_equal(found[key][: len(values)], values)
    by_key = [
        {row["scores"]: row for row in record_of(d)["evaluations"]} for d in (trained, at_once)
    ]
    assert by_key[0] == by_key[1]
    (again,) = record_of(trained)["evaluated_again"]
    assert "evaluation.episodes=20" in again["command"] and again["environment"]


def test_scores_that_are_there_are_enough(run, trained):
    before = (trained / "record.json").read_bytes()
    ended = run(*GLYPHS, "evaluation.episodes=5", f"hydra.run.dir={trained}")
    assert ended.code == 0 and "already completed" in ended.output
    assert (trained / "record.json").read_bytes() == before


def test_a_training_is_found_whatever_its_directory_is_called(run, trained, tmp_path):
    place, found = tmp_path / "of my own", tmp_path / "another"
    trained.rename(place)
    ended = run(*GLYPHS, "evaluation.shots=[2]", f"hydra.run.dir={found}")
    assert ended.code == 0, ended.output
    assert f"trained already: {place}" in ended.output
    assert {row["shots"] for row in record_of(found)["evaluations"]} == {1, 2}
    same_arrays(arrays(found, "initialisation.npz"), arrays(place, "initialisation.npz"))


def test_the_whole_tree_below_the_working_directory_is_looked_through(
    trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "outputs" / "sweep" / "of my own"
    place.parent.mkdir(parents=True)
    trained.rename(place)
    identity = record_of(place)["fingerprint"]
    assert find_training(identity, tmp_path / "outputs" / "runs" / "new") == [place]
    assert find_training("0" * 64, tmp_path / "outputs" / "runs" / "new") == []
    (place / "initialisation.npz").write_bytes(b"damaged")
    assert find_training(identity, tmp_path / "outputs" / "runs" / "new") == []


def test_elsewhere_only_the_neighbours_are_looked_at(trained, tmp_path, monkeypatch):
    """The parent of a run's directory may be a home directory."""
    monkeypatch.chdir(trained)
    identity = record_of(trained)["fingerprint"]
    new = tmp_path / "new"
    assert find_training(identity, new) == [trained]
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    trained.rename(deep / "run")
    assert find_training(identity, new) == []
    assert find_training(identity, deep / "new") == [deep / "run"]


def test_a_pipe_beside_a_run_is_no_record_and_nobody_waits_for_it(tmp_path):
    pipe = tmp_path / "run" / "record.json"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    assert find_training("0" * 64, tmp_path / "new") == []
    with pytest.raises(ConfigError, match="it is no regular file"):
        named.record_of("evaluate", pipe.parent)


def test_a_finished_run_is_evaluated_by_its_name_alone(run, trained):
    more = ["evaluation.shots=[2]", "runtime.progress=off", "runtime.cores=1"]
    ended = run(f"evaluate={trained}", *more, f"hydra.run.dir={trained}")
    assert ended.code == 0, ended.output
    rows = record_of(trained)["evaluations"]
    assert [(row["shots"], row["episodes"], row["batch"]) for row in rows] == [
        (1, 12, 2),
        (2, 12, 2),
    ]


def test_other_tasks_than_those_of_the_training_are_kept_apart(run, trained):
    others = ["task.test_classes=5", "task.ways=2", "evaluation.episodes=6"]
    ended = run(f"evaluate={trained}", *others, f"hydra.run.dir={trained}")
    assert ended.code == 0, ended.output
    first, second = record_of(trained)["evaluations"]
    assert "tested" not in first and second["tested"]["test_classes"] == 5
    assert record_of(trained)["config"]["task"]["test_classes"] == 6
    ours = read_records([trained]).completed.query("method == 'reptile'")
    assert ours["tested.test_classes"].tolist() == [6, 5]
    assert arrays(trained)[second["classes"]].max() < 5


def test_a_kill_while_evaluating_further_loses_nothing(run, trained, tmp_path):
    more = [*GLYPHS, "evaluation.episodes=40"]
    shutil.copytree(trained, tmp_path / "whole")
    assert run(*more, f"hydra.run.dir={tmp_path / 'whole'}").code == 0
    before = record_of(trained)["evaluations"]
    fault = Fault(phase="evaluation", fraction=0.5, seconds=0.5)
    assert run(*more, f"hydra.run.dir={trained}", fault=fault).code != 0
    assert record_of(trained)["status"] == "completed"
    assert record_of(trained)["evaluations"] == before
    assert run(*more, f"hydra.run.dir={trained}").code == 0
    same_arrays(arrays(trained), arrays(tmp_path / "whole"))


def test_two_jobs_at_once_train_once(forks, tmp_path):
    """The second waits for the first, and only evaluates."""
    jobs = [
        forks.start(tmp_path / f"{n}.log", [*SINE, f"evaluation.steps=[{n}]"], cwd=tmp_path)
        for n in (2, 3)
    ]
    ended = [forks.wait(job) for job in jobs]
    assert [job.code for job in ended] == [0, 0], ended
    (found,) = (tmp_path / "outputs" / "runs").iterdir()
    document = record_of(found)
    assert sorted(row["steps"] for row in document["evaluations"]) == [2, 3]
    assert len(document["evaluated_again"]) == 1


def test_a_record_of_the_earlier_format_is_taken_up(run, trained):
    """It named its scores otherwise, hashed its evaluation, and did not say the size of a batch."""
    document, scores = record_of(trained), arrays(trained)
    then = {now: before for before, now in MOVED.items()}
    algorithm = document["config"]["algorithm"]
    algorithm["_target_"] = then.get(algorithm["_target_"], algorithm["_target_"])
    kept = {}
    for row in (*document["evaluations"], *document["baselines"]):
        former = f"{row.get('method', '')}/test/1shot/plain/{row['steps']}steps".lstrip("/")
        kept[former] = scores[row["scores"]]
        row["scores"] = former
        del row["batch"], row["classes"]
    document["fingerprint"] = "of version 1"
    document.pop("seal", None), document.pop("digests", None)
    (trained / "record.json").write_text(json.dumps(document))
    np.savez(trained / "scores.npz", **kept)
    ended = run(*GLYPHS, f"hydra.run.dir={trained}")
    assert ended.code == 0 and "already completed" in ended.output, ended.output
    assert run(*GLYPHS, "evaluation.shots=[1,2]", f"hydra.run.dir={trained}").code == 0
    assert [row["shots"] for row in record_of(trained)["evaluations"]] == [1, 2]


@pytest.mark.parametrize("name", ["scores.npz", "initialisation.npz"])
def test_a_file_that_is_missing_comes_back(run, trained, name):
    before = arrays(trained, name)
    (trained / name).unlink()
    ended = run(*GLYPHS, f"hydra.run.dir={trained}")
    assert ended.code == 0, ended.output
    same_arrays(arrays(trained, name), before)


@pytest.mark.parametrize("name", ["scores.npz", "initialisation.npz"])
def test_evaluate_and_adapt_refuse_files_that_the_record_convicts(trained, tmp_path, name):
    """Readable ones, but not those that the run was completed with."""
    changed = arrays(trained, name)
    np.savez(
        trained / name, **{key: values[::-1] for key, values in changed.items() if values.ndim}
    )
    rule = f"must be a completed run whose {name} is whole"
    with pytest.raises(ConfigError, match=f"^evaluate={trained}: {rule}"):
        benchmark.compose(f"evaluate={trained}", "evaluation.episodes=40")
    if name == "initialisation.npz":
        with pytest.raises(ConfigError, match=f"^run={trained}: {rule}"):
            benchmark.adapt(trained, np.ones((2, 28, 28)), [0, 1])
    identity = record_of(trained)["fingerprint"]
    expected = [] if name == "initialisation.npz" else [trained]  # its scores can be made again
    assert find_training(identity, tmp_path / "new") == expected


def test_scores_of_another_run_are_not_taken_over(run, trained, tmp_path):
    before = arrays(trained)
    np.savez(trained / "scores.npz", **{key: values[::-1] for key, values in before.items()})
    ended = run(*GLYPHS, f"hydra.run.dir={tmp_path / 'new'}")
    assert ended.code == 0 and f"trained already: {trained}" in ended.output, ended.output
    assert "scores.npz is damaged: kept as scores.damaged1.npz" in ended.output
    same_arrays(arrays(tmp_path / "new"), before)


MINE = """from dataclasses import dataclass

from benchmark.models import MLP


@dataclass(frozen=True, kw_only=True)
class Mine(MLP):
    pass
"""


@pytest.mark.parametrize("ends", ["completed", "interrupted"])
def test_a_file_of_ones_own_model_that_has_changed_is_warned_of(forks, tmp_path, ends):
    file, out = tmp_path / "mine.py", tmp_path / "run"
    file.write_text(MINE)
    job = [*GLYPHS, "model._target_=mine.Mine", "runtime.engine=tensorflow"]

    def run(*more, fault=None):
        ended = forks.run(
            tmp_path / "log", [*job, f"hydra.run.dir={out}", *more], fault, cwd=tmp_path
        )
        assert "Traceback" not in ended.output, ended.output
        return f"model=mlp: {file} has changed since this run was trained" in ended.output

    fault = Fault(phase="training", nth=2, stop=True) if ends == "interrupted" else None
    assert not run(fault=fault)
    assert record_of(out)["status"] == ends
    if ends == "completed":
        assert not run("evaluation.episodes=13")
    file.write_text(f"{MINE}    # another network, perhaps\n")
    assert run()
    assert run("evaluation.episodes=14")
    assert record_of(out)["sources"] == {"model": digest(MINE.encode())}


def test_own_tasks_and_algorithms_are_watched_as_models_are(tmp_path, monkeypatch, caplog):
    file = tmp_path / "own_parts.py"
    lines = ["from tests.toy import Clouds", "class Task(Clouds): ..."]
    lines += ["from benchmark.algorithms import FirstOrder", "class Rule(FirstOrder): ..."]
    file.write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("own_parts")
    rule = object.__new__(own.Rule)
    object.__setattr__(rule, "name", "rule")
    chosen = SimpleNamespace(task=own.Task(), model=settings().model, algorithm=rule)
    known = unchanged.sources_of(chosen)
    assert known == dict.fromkeys(["task", "algorithm"], digest(file.read_bytes()))
    unchanged.tell_of_changed_sources(chosen, known)
    assert caplog.messages == []
    file.write_text("# another rule")
    unchanged.tell_of_changed_sources(chosen, known)
    assert [line.partition(":")[0] for line in caplog.messages] == ["task=clouds", "algorithm=rule"]


def test_other_episodes_are_predicted_where_others_are_asked_for(run, tmp_path):
    """shots=[1,2] predicts 2-shot episodes, shots=[1] those of one shot: each says which."""
    out = [*GLYPHS, f"hydra.run.dir={tmp_path / 'run'}", "evaluation.predictions=1"]
    for shots, last in (("[1,2]", 2), ("[1]", 1), ("[1]", 1)):
        ended = run(*out, f"evaluation.shots={shots}")
        assert ended.code == 0, ended.output
        support = arrays(tmp_path / "run", "predictions.npz")["0/support_y"]
        (predicted,) = record_of(tmp_path / "run")["predictions"]
        assert len(support) == 2 * last and f"{last}shot" in predicted["scores"]
    assert "already completed" in ended.output


def change(run):
    """Change a value of a record, so that its seal no longer fits."""
    path = run / "record.json"
    path.write_text(path.read_text().replace('"episodes": 12', '"episodes": 13', 1))


@pytest.mark.parametrize("moment", ["before it is composed", "before it is run"])
def test_evaluate_never_trains_where_the_record_was_changed(trained, tmp_path, moment):
    new, rule = tmp_path / "new", "must be a completed run whose record is whole"
    if moment == "before it is composed":
        change(trained)
        with pytest.raises(ConfigError, match=f"^evaluate={trained}: {rule}"):
            benchmark.compose(f"evaluate={trained}", "evaluation.shots=[2]")
        return
    settings = benchmark.compose(f"evaluate={trained}", "evaluation.shots=[2]")
    change(trained)
    with pytest.raises(ConfigError, match=f"^evaluate={trained}: {rule}"):
        benchmark.run(settings, new)
    assert not (new / "record.json").exists()


def test_a_changed_record_is_no_training_to_take_over(trained, tmp_path):
    identity = record_of(trained)["fingerprint"]
    change(trained)
    assert find_training(identity, tmp_path / "new") == []


def test_evaluate_uses_its_run_where_another_of_the_same_training_is_of_no_use(run, trained):
    """Here the directory that is written to has lost its arrays."""
    other = shutil.copytree(trained, trained.parent / "other")
    (other / "initialisation.npz").unlink()
    ended = run(f"evaluate={trained}", "evaluation.shots=[2]", f"hydra.run.dir={other}")
    assert ended.code == 0 and "training:" not in ended.output, ended.output
    assert "meta-iterations of" not in ended.output
    same_arrays(*(arrays(place, "initialisation.npz") for place in (other, trained)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["evaluate=nowhere"], "evaluate=nowhere: must be a completed run's directory"),
        (["evaluate={run}", "seed=1"], "seed: must not be given with evaluate="),
        (["evaluate={run}", "algorithm.inner_steps=3"], "algorithm.inner_steps: must not be given"),
        (["evaluate={run}", "training.curve_points=3"], "training.curve_points: must not be giv"),
        (["evaluate={run}", "runtime.jit=true"], "runtime.jit: must not be given with evaluate="),
        (["evaluate={run}", "runtime=compiled"], "runtime: must not be given with evaluate="),
        (["evaluate={run}", "task=sinusoid"], "task=sinusoid: must be one whose score is accuracy"),
        (["evaluate={run}", "task.ways=3"], "task.ways=3: must be at most 2, the outputs"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(run, trained, overrides, message):
    ended = run(*(text.format(run=trained) for text in overrides))
    assert ended.code == 2 and f"error: {message}" in ended.output
    assert "Traceback" not in ended.output
