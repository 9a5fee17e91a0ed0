"""Records -> DataFrames: nothing dropped silently, nothing counted twice, nothing mixed up."""

import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from results import reading, records, schema, tables
from tests import fake_records as fake
from tests.command import PROJECT

PUBLISHED = sorted(
    {path.parent.parent for path in PROJECT.glob("results/published/*/*/record.json")}
)


def test_results_never_import_tensorflow_or_the_benchmark():
    code = (
        "import sys, results.__main__, results.summary\n"
        "bad = {'tensorflow', 'keras', 'tasks', 'benchmark'} & set(sys.modules)\n"
        "sys.exit(f'imported: {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_row_for_each_evaluation_and_baseline(tmp_path):
    fake.write(tmp_path / "a", fake.record(accuracy=0.8))
    found = records.read_records([tmp_path])
    rows = found.evaluations
    assert found.problems == []
    assert len(rows) == 6
    first = rows.iloc[0]
    assert first["run"] == str(tmp_path / "a")
    assert (first["method"], first["metric"], first["split"]) == ("reptile", "accuracy", "test")
    assert (first["value"], first["ci95"], first["episodes"]) == (0.8, 0.017, 400)
    assert (first["ways"], first["shots"], first["transductive"]) == (5, 1, False)
    assert (first["steps"], first["queries"], first["seed"]) == (50, 1, 0)
    assert first["algorithm.meta_iterations"] == 2000
    assert (first["version"], first["data.test"]) == ("0.1", "bb" * 6)
    assert set(rows["method"]) == {"reptile", "scratch", "nearest_neighbour"}


def test_regression_rows_carry_the_squared_error(tmp_path):
    row = fake.evaluation(10, False, 0.132, ci95=0.012, metric="mse", ways=1, steps=32)
    fake.write(tmp_path, fake.record(evaluations=[row], baselines=[]))
    found = records.read_records([tmp_path]).evaluations.iloc[0]
    assert (found["metric"], found["value"], found["ways"]) == ("mse", 0.132, 1)


def test_learning_curves_carry_their_configuration(tmp_path):
    fake.write(tmp_path, fake.record({"algorithm.meta_iterations": 400}))
    curves = records.read_records([tmp_path]).curves
    assert list(curves["iteration"]) == [100, 200, 400]
    assert set(curves["algorithm.meta_iterations"]) == {400}


def test_a_run_in_progress_can_be_plotted_and_is_named(tmp_path):
    (tmp_path / "live").mkdir()
    file = tmp_path / "live" / "learning_curve.csv"
    file.write_text(
        "iteration,split,shots,transductive,episodes,metric,value,ci95\n"
        "100,test,1,False,100,accuracy,0.6,0.02\n200,tes"
    )
    found = records.read_records([tmp_path])
    assert found.problems == [f"{file}: running (no record.json yet)"]
    assert list(found.curves["value"]) == [0.6]
    assert set(found.curves["method"]) == {"live"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema": 1, "sta', "damaged or cut off: not JSON"),
        ("[]", "not a record: it has no `config`"),
        ("", "damaged or cut off: not JSON"),
        (json.dumps(fake.record() | {"schema": 2}), "schema 2; this reader knows 1"),
        (
            fake.record(status="splendid"),
            "damaged: status is 'splendid', not one of completed, failed, interrupted, running",
        ),
        (
            fake.record(evaluations=[{"metric": "accuracy", "episodes": 1}]),
            "damaged: evaluations[0].accuracy is missing, not a number of at least 0 and at most 1",
        ),
        (
            fake.record(evaluations=[fake.evaluation(1, False, float("nan"))]),
            "damaged or cut off: not JSON (the number NaN)",
        ),
        (
            fake.record(evaluations=[fake.evaluation(1, False, 78.9)]),
            "damaged: evaluations[0].accuracy is 78.9, not a number of at least 0 and at most 1",
        ),
        (
            fake.record(evaluations=[fake.evaluation(1, False, 0.8, ci95=-1)]),
            "damaged: evaluations[0].ci95 is -1, not a number of at least 0",
        ),
        (
            fake.record(evaluations=[fake.evaluation(1, False, 0.8, episodes=None)]),
            "damaged: evaluations[0].episodes is missing, not a whole number of at least 1",
        ),
        (
            fake.record(baselines=["x"]),
            "damaged: baselines[0] is 'x', not an object",
        ),
        (
            fake.record(evaluations=[fake.evaluation(1, False, 0.8, accuracy="high")]),
            "damaged: evaluations[0].accuracy is 'high', not a number",
        ),
        (fake.record(config={"seed": 0}), "damaged: config.algorithm.name is missing, not text"),
        (
            fake.record(evaluations=[fake.evaluation("1", False, 0.8)]),
            "damaged: evaluations[0].shots is '1', not a whole number of at least 1",
        ),
        (
            fake.record(evaluations=[fake.evaluation(True, False, 0.8)]),
            "damaged: evaluations[0].shots is True, not a whole number of at least 1",
        ),
        (
            fake.record(evaluations=[fake.evaluation(10**400, False, 0.8)]),
            "damaged or cut off: not JSON (a whole number of 401 digits)",
        ),
        (
            fake.record({"algorithm.outer_step": float("inf")}),
            "damaged or cut off: not JSON (the number Infinity)",
        ),
        (
            json.dumps(fake.record()).replace("104.0", "1e999"),
            "damaged or cut off: not JSON (the number 1e999)",
        ),
        (
            fake.record({"model.name": "half \ud800"}),
            "damaged: it holds half a character (a lone surrogate)",
        ),
        ("[" * 100_000, "damaged: nested too deeply"),
        (
            json.dumps(fake.record()).replace('"conv"', "[" * 2_000 + "]" * 2_000),
            "damaged: nested too deeply",
        ),
        (
            fake.record({"seed": "zero"}),
            "damaged: config.seed is 'zero', not a whole number of at least 0",
        ),
        (
            fake.record({"evaluation.batch": "5"}),
            "damaged: config.evaluation.batch is '5', not a whole number of at least 0",
        ),
        (
            fake.record(timing={"train_seconds": "long"}),
            "damaged: timing.train_seconds is 'long', not a number",
        ),
        (fake.record(finished={}), "damaged: finished is {}, not text"),
        (
            fake.record(learning_curve=[fake.evaluation(1, False, 0.8)]),
            "damaged: learning_curve[0].iteration is missing, not a whole number of at least 0",
        ),
    ],
)
def test_a_damaged_record_is_one_line_and_the_rest_goes_on(tmp_path, content, message):
    (tmp_path / "bad").mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "bad" / "record.json").write_text(text)
    fake.write(tmp_path / "good", fake.record())
    found = records.read_records([tmp_path])
    assert len(found.problems) == 1 and "\n" not in found.problems[0]
    assert found.problems[0].startswith(f"{tmp_path / 'bad' / 'record.json'}: {message}")
    assert len(found.completed) == 6


@pytest.mark.parametrize("name", ["record.json", "learning_curve.csv"])
def test_a_pipe_is_one_line_and_nobody_waits_for_it(tmp_path, name):
    os.mkfifo(tmp_path / name)
    (problem,) = records.read_records([tmp_path]).problems
    assert problem.startswith(f"{tmp_path / name}: ") and "it is no regular file" in problem


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    (tmp_path / "record.json").write_bytes(b'{"schema": 1, "status": "\xff\xfe"}')
    (problem,) = records.read_records([tmp_path]).problems
    assert problem.startswith(f"{tmp_path / 'record.json'}: damaged or cut off: not JSON ('utf-8'")


def test_lines_of_a_learning_curve_that_do_not_fit_are_named_and_left_out(tmp_path):
    file = tmp_path / "learning_curve.csv"
    file.write_text(
        "iteration,split,shots,transductive,episodes,metric,value,ci95\n"
        "100,test,1,False,100,accuracy,0.6,0.02\n"
        "200,test,1,False,100,accuracy,high,0.02\n"
        "300,test,1,False,100,accuracy,nan,0.02\n"
        "400,test,1,False,100,accuracy\n"
        f"{'9' * 400},test,1,False,100,accuracy,0.7,0.02\n"
        "600,test,1,False,100,accuracy,0.7,\n"
    )
    found = records.read_records([tmp_path])
    assert list(found.curves["iteration"]) == [100, 600]
    assert [problem.split(": ", 1)[1] for problem in found.problems] == [
        "line 3 is left out (damaged: the point.accuracy is 'high', not a number of at least 0 "
        "and at most 1)",
        "line 4 is left out (damaged: the point.accuracy is nan, not a number of at least 0 "
        "and at most 1)",
        "line 5 is left out (zip() argument 2 is shorter than argument 1)",
        "line 6 is left out (a whole number of 400 digits)",
        "running (no record.json yet)",
    ]


def test_a_file_that_is_no_learning_curve_is_one_line(tmp_path):
    (tmp_path / "learning_curve.csv").write_text("some,text\n1,2\n")
    (problem,) = records.read_records([tmp_path]).problems
    assert problem.endswith(
        "damaged: not a learning curve (no column iteration, split, shots, transductive, "
        "episodes, metric, value, ci95)"
    )


def sealed(document):
    return document | {"seal": schema.seal(document)}


def test_no_bit_of_a_sealed_record_changes_unnoticed(tmp_path):
    """Each flip is named, or leaves the numbers as they were (a letter of the word `seal`)."""
    content = (fake.write(tmp_path, sealed(fake.record())) / "record.json").read_bytes()
    before = records.read_records([tmp_path])
    assert before.problems == []
    for place in range(0, 8 * len(content), 997):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        (tmp_path / "record.json").write_bytes(flipped)
        found = records.read_records([tmp_path])
        assert found.problems or found.evaluations.equals(before.evaluations)


def test_the_seal_holds_whatever_the_layout(tmp_path):
    document = sealed(fake.record())
    (tmp_path / "record.json").write_text(json.dumps(document, indent=4, sort_keys=True))
    assert records.read_records([tmp_path]).problems == []
    fake.write(tmp_path, document | {"status": "failed"})
    (problem,) = records.read_records([tmp_path]).problems
    assert problem.endswith("damaged: changed after the run completed (its seal does not fit)")


def test_scores_that_are_not_those_of_the_record_are_refused(tmp_path):
    run = fake.write(tmp_path, fake.record(), {"a": [0.2, 0.4]})
    digest = schema.digest((run / "scores.npz").read_bytes())
    fake.write(tmp_path, sealed(fake.record(digests={"scores.npz": digest})))
    assert len(reading.load_scores(str(run), "a")) == 2
    np.savez(run / "scores.npz", a=np.array([0.2, 0.5], np.float32))
    with pytest.raises(reading.DamagedRecord, match="changed after the run completed"):
        reading.load_scores(str(run), "a")


def test_linked_run_directories_are_read_once(tmp_path):
    run = fake.write(tmp_path / "elsewhere" / "a", fake.record())
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / "linked").symlink_to(run)
    (sweep / "round").symlink_to(sweep)
    found = records.read_records([sweep])
    assert found.problems == []
    assert list(found.runs["run"]) == [str(sweep / "linked")]
    assert len(records.read_records([tmp_path]).runs) == 1


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_where_a_class_stands_does_not_part_the_seeds_of_a_published_record(tmp_path, folder):
    """A record of the same settings, written when the project's files had other names."""
    document = json.loads(next(folder.glob("*/record.json")).read_text())
    for seed, moved in enumerate((False, True)):
        config = json.loads(json.dumps(document["config"])) | {"seed": seed}
        if moved:
            config["algorithm"]["_target_"] = "benchmark.elsewhere.Algorithm"
        document.pop("seal", None)  # it is of the settings before
        fake.write(tmp_path / str(seed), document | {"config": config})
    found = records.read_records([tmp_path])
    for table in tables.accuracy_tables(found):
        assert set(table.cells["seeds"]) == {2}


def test_a_class_of_the_user_is_another_configuration(tmp_path):
    for seed, path in enumerate(["mine.Reptile", "benchmark.algorithms.FirstOrder"]):
        fake.write(tmp_path / str(seed), fake.record({"seed": seed, "algorithm._target_": path}))
    (table,) = tables.accuracy_tables(records.read_records([tmp_path]))
    reptile = table.cells[table.cells["method"] == "reptile"]
    assert set(reptile["seeds"]) == {1}


@pytest.mark.parametrize("status", ["failed", "interrupted", "running"])
def test_a_run_that_did_not_complete_is_named_with_its_reason(tmp_path, status):
    fake.write(
        tmp_path, fake.record(status=status, reason="loss is\nNaN", evaluations=[], baselines=[])
    )
    found = records.read_records([tmp_path])
    assert found.problems == [f"{tmp_path / 'record.json'}: {status} (loss is NaN)"]
    assert len(found.completed) == 0
    assert list(found.runs["status"]) == [status]


def test_an_empty_or_missing_directory_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    found = records.read_records([tmp_path / "empty", tmp_path / "gone"])
    assert found.problems == [
        f"{tmp_path / 'empty'}: no record.json here or below",
        f"{tmp_path / 'gone'}: no such file or directory",
    ]


def test_overlapping_paths_read_a_file_once(tmp_path):
    run = fake.write(tmp_path / "a", fake.record())
    found = records.read_records([tmp_path, run, run / "record.json"])
    assert len(found.runs) == 1 and found.notes == []


def test_the_same_cell_twice_counts_once_and_is_said(tmp_path):
    old = fake.record(accuracy=0.7, finished="2026-01-01T00:00:00+00:00")
    new = fake.record(accuracy=0.8, finished="2026-02-01T00:00:00+00:00")
    failed = fake.record(accuracy=0.75, finished="2026-03-01T00:00:00+00:00", status="failed")
    for name, document in [("b_old", old), ("a_new", new), ("c_failed", failed)]:
        fake.write(tmp_path / name, document)
    found = records.read_records([tmp_path])
    kept = found.evaluations[found.evaluations["method"] == "reptile"]
    assert set(kept["run"]) == {str(tmp_path / "a_new")}
    assert "8 evaluations were found more than once" in found.notes[0]
    assert len(found.curves) == 3


def test_runs_asked_for_other_protocols_share_a_cell(tmp_path):
    """`evaluation.shots` lists what to evaluate; it does not make 1-shot another cell."""
    fake.write(tmp_path / "a", fake.record({"evaluation.shots": [1, 5]}))
    fake.write(tmp_path / "b", fake.record({"evaluation.shots": [1]}))
    rows = records.read_records([tmp_path]).evaluations
    assert len(rows[(rows["method"] == "reptile") & (rows["shots"] == 1)]) == 2


def test_baselines_do_not_depend_on_meta_training(tmp_path):
    for budget in (1000, 2000):
        fake.write(
            tmp_path / str(budget),
            fake.record({"algorithm.meta_iterations": budget, "task.train_shots": budget // 100}),
        )
    found = records.read_records([tmp_path])
    baselines = found.evaluations[found.evaluations["method"].isin(schema.BASELINES)]
    assert sorted(baselines["method"]) == ["nearest_neighbour", "scratch"]
    assert baselines["algorithm.meta_iterations"].isna().all()
    assert found.notes == []


def test_scratch_depends_on_the_learning_rate_and_nearest_neighbour_does_not(tmp_path):
    for rate in (0.001, 0.01):
        fake.write(tmp_path / str(rate), fake.record({"algorithm.inner_learning_rate": rate}))
    methods = list(records.read_records([tmp_path]).evaluations["method"])
    assert (methods.count("scratch"), methods.count("nearest_neighbour")) == (2, 1)


@pytest.mark.parametrize(("batch", "rows"), [(4, 2), (5, 1)])
def test_scratch_with_whole_support_sets_does_not_depend_on_replacement(tmp_path, batch, rows):
    """5-way 1-shot: a mini-batch of five holds the whole support set, however it is drawn."""
    for drawn in (False, True):
        changed = {"algorithm.replacement": drawn, "evaluation.batch": batch}
        fake.write(tmp_path / str(drawn), fake.record(changed))
    found = records.read_records([tmp_path]).evaluations
    assert (found["method"] == "scratch").sum() == rows
    assert (found["method"] == "reptile").sum() == 8


def test_baselines_that_disagree_are_said(tmp_path):
    for value in (0.40, 0.41):
        row = fake.evaluation(1, False, value, method="scratch")
        fake.write(
            tmp_path / str(value),
            fake.record({"algorithm.meta_iterations": int(1e4 * value)}, baselines=[row]),
        )
    assert "1 baselines differ from run to run" in records.read_records([tmp_path]).notes[0]


def test_other_machines_and_commits_are_a_note(tmp_path):
    for number, device in enumerate(["a CPU", "another CPU"]):
        document = fake.record({"seed": number})
        document["environment"] |= {"device": device, "dirty": number == 1}
        document["environment"]["variables"] = {"TF_ENABLE_ONEDNN_OPTS": "0"} if number else {}
        fake.write(tmp_path / str(number), document)
    notes = records.read_records([tmp_path]).notes
    assert notes == [
        "the records come from 2 devices: a CPU, another CPU",
        "the records come from runs with TF_ENABLE_ONEDNN_OPTS = unset, 0",
        "1 of 2 runs used code with uncommitted changes",
    ]


@pytest.mark.parametrize(
    ("project", "version"), [("0.1.3", "0.1"), ("0.2.0", "0.2"), ("1.4.2", "1"), ("2", "2")]
)
def test_version_is_the_part_that_may_change_results(tmp_path, project, version):
    document = fake.record()
    document["environment"]["project"] = project
    fake.write(tmp_path, document)
    assert records.read_records([tmp_path]).evaluations["version"].iloc[0] == version


def test_scores_are_read_without_pickle(tmp_path):
    run = fake.write(tmp_path, fake.record(), {"a/b": [0.2, 0.4]})
    assert reading.load_scores(str(run), "a/b").tolist() == pytest.approx([0.2, 0.4])
    with pytest.raises(reading.DamagedRecord, match="no scores 'c'"):
        reading.load_scores(str(run), "c")
    np.savez(run / "scores.npz", evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(reading.DamagedRecord, match="allow_pickle"):
        reading.load_scores(str(run), "evil")


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[0.2]], "holds no scores"),
        ([], "holds no scores"),
        ([0.2, np.nan], "holds scores that are not finite"),
    ],
)
def test_scores_that_are_none_are_refused(tmp_path, scores, message):
    run = fake.write(tmp_path, fake.record(), {"a": scores})
    with pytest.raises(reading.DamagedRecord, match=message):
        reading.load_scores(str(run), "a")


def test_a_cut_off_file_of_scores_is_one_line(tmp_path):
    run = fake.write(tmp_path, fake.record(), {"a": [0.2] * 100})
    whole = (run / "scores.npz").read_bytes()
    for size in range(0, len(whole), 31):
        (run / "scores.npz").write_bytes(whole[:size])
        with pytest.raises(reading.DamagedRecord, match=r"scores.npz: damaged"):
            reading.load_scores(str(run), "a")


def write_many(directory, count):
    """`count` records of 10 seeds over a grid of budgets, rates and shots, 20 curve points each."""
    for number in range(count):
        document = fake.record(
            {
                "seed": number % 10,
                "algorithm.meta_iterations": 1000 * (1 + number // 10 % 10),
                "algorithm.inner_learning_rate": 0.001 * (1 + number // 100 % 10),
                "task.train_shots": 5 + number // 1000,
            },
            accuracy=0.5 + number % 97 / 300,
        )
        point = document["learning_curve"][0]
        document["learning_curve"] = [point | {"iteration": 100 * i} for i in range(1, 21)]
        fake.write(directory / str(number), document)


def test_a_thousand_records_take_a_second(tmp_path):
    """A tenth of the promise, 10,000 in < 10 s and < 1 GB; `python -m tests.test_records` is all
    of it."""
    write_many(tmp_path, 1_000)
    start = time.process_time()
    found = records.read_records([tmp_path])
    assert time.process_time() - start < 2.5
    assert len(found.runs) == 1_000 and len(found.curves) == 20_000
    assert (found.evaluations["method"] == "reptile").sum() == 4_000


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        from pathlib import Path

        write_many(Path(folder), 10_000)
        before = time.perf_counter()
        everything = records.read_records([folder])
        text = tables.render(tables.accuracy_tables(everything, published=True), "text")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"10,000 records: {time.perf_counter() - before:.1f} s, peak {peak:.0f} MiB, "
            f"{len(text.splitlines())} lines of tables"
        )


def test_of_other_tasks_nothing_is_filled_in_from_those_of_the_training(tmp_path):
    other = {"name": "drawn", "ways": 5, "seed": 3}
    rows = [fake.evaluation(1, False, 0.8), fake.evaluation(1, False, 0.6, tested=other)]
    fake.write(tmp_path, fake.record({"task.seed": 0}, evaluations=rows, baselines=[]))
    own, elsewhere = records.read_records([tmp_path]).completed.to_dict("records")
    assert (own["tested.name"], own["tested.seed"]) == ("omniglot", 0)
    assert (elsewhere["tested.name"], elsewhere["tested.seed"]) == ("drawn", 3)
    # A key that only another run's tasks have.
    more = [fake.evaluation(1, False, 0.6, tested={"name": "third", "split": "mine"})]
    fake.write(tmp_path / "b", fake.record({"seed": 1}, evaluations=more, baselines=[]))
    found = records.read_records([tmp_path]).completed
    assert found.loc[found["tested.name"] == "drawn", "tested.split"].isna().all()
