"""The scorecard: what counts, what decides, and that the committed page is current."""

import functools
import itertools
import json
import math
import shlex

import numpy as np
import pandas as pd
import pytest

from benchmark.command.arguments import split_sweep
from benchmark.command.compose import compose
from results import drawn, records, reproduction
from results.reproduction import PAGE, RECORDS, main, page
from results.scorecard import Line, cells, curves, order_of_ends, score, statements, theory, within
from tests import fake_records

CELL = "Reptile, 5-way 1-shot"
PUBLISHED = 0.9539
TEN = list(pd.read_csv(drawn.FOLDER / "figure3.csv")["curve"].unique())


def ends():
    """Where the paper's ten curves end."""
    frame = pd.read_csv(drawn.FOLDER / "figure3.csv")
    return frame[frame["meta_iteration"] == 40_000].set_index("curve")["accuracy"]


def like(run, seed=0, accuracy=None, **algorithm):
    """A committed record with another seed, accuracy (of its first evaluation) and algorithm."""
    document = json.loads((RECORDS / run / "record.json").read_text())
    document["config"]["seed"] = seed
    document["config"]["algorithm"] |= algorithm
    for evaluation in document["evaluations"]:
        evaluation["scores"] = None
    if accuracy is not None:
        document["evaluations"][0]["accuracy"] = accuracy
    document.pop("seal", None)
    return document


def found(directory, *documents):
    for number, document in enumerate(documents):
        fake_records.write(directory / str(number), document)
    return records.read_records([directory])


def cell(directory, *documents):
    lines = cells(found(directory, *documents))
    return next(line for line in lines if line.what == CELL)


def figure_3(directory, accuracies, seeds=(0, 1, 2)):
    """Records of the combinations that end at these accuracies."""
    return found(
        directory,
        *(
            like(
                f"combinations_40000/{name.replace('(', '_').replace(')', '')}",
                seed,
                accuracy + 0.001 * (seed - 1),
            )
            for name, accuracy in accuracies.items()
            for seed in seeds
        ),
    )


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ([0.953, 0.954, 0.955], "reproduced"),
        ([0.943, 0.944, 0.945], "not reproduced"),
        ([0.954], "undecided: held in this run"),
        ([0.944], "undecided: not held in this run"),
        ([], "not run yet"),
    ],
)
def test_a_cell_is_decided_by_the_joint_interval_of_several_trainings(
    tmp_path, accuracies, verdict
):
    line = cell(
        tmp_path,
        *(like("omniglot_5way/reptile_seed0", seed, a) for seed, a in enumerate(accuracies)),
    )
    assert line.verdict == verdict and line.seeds == len(accuracies)
    if len(accuracies) == 3:  # by hand: t(2) = 4.303
        ours = np.mean(accuracies)
        document = json.loads((RECORDS / "omniglot_5way/reptile_seed0/record.json").read_text())
        others = 100 * document["evaluations"][0]["ci95_classes"]  # what other characters add
        seeds = 4.3027 * np.std(accuracies, ddof=1) / np.sqrt(3) * 100
        width = np.sqrt(seeds**2 + others**2 + 0.09**2)
        assert line.difference == f"{100 * (ours - PUBLISHED):+.2f} ± {width:.2f}"


def test_a_part_of_the_budget_does_not_count(tmp_path):
    run = "omniglot_5way/reptile_seed0"
    line = cell(tmp_path, *(like(run, s, PUBLISHED, meta_iterations=50_000) for s in range(3)))
    assert line.verdict == "not run yet" and not line.runs
    assert line.budget == "95.39 with 50 % of 100000 meta-iterations"


@pytest.mark.parametrize(
    ("end", "verdict"),
    [(0.01, "reproduced"), (0.06, "not reproduced"), (0.031, "undecided")],
)
def test_a_curve_of_figure_3_is_judged_at_its_end(tmp_path, end, verdict):
    here = figure_3(tmp_path, {"g2": ends()["g2"] + end})
    line = next(line for line in curves(here) if line.what == "g2")
    assert line.verdict == verdict and line.seeds == 3 and len(line.runs) == 3
    assert line.difference.startswith("+0.1") and line.difference.endswith("at 2000")


def test_a_curve_without_all_its_anchors_is_not_run_yet():
    points = pd.DataFrame({"x": [1, 4, 5, 15], "paper": [0.23, 0.97, 0.7, 0.66]})
    points = points.assign(mean=[0.23, 0.97, 0.7, np.nan], ci95=0.01, seeds=3, episodes=1000)
    points["difference"] = points["mean"] - points["paper"]
    drawing, runs = (
        next(d for d in drawn.DRAWINGS if d.name == "figure 4a"),
        pd.DataFrame({"run": ["a"]}),
    )
    one = drawn.Curve(drawing, "FOMAML, shared tail, cycling", points, runs)
    from results.scorecard import curve

    assert curve(one).verdict == "not run yet" and curve(one).budget == "3 of its 4 points"
    whole = drawn.Curve(drawing, one.name, points.fillna(0.66).assign(difference=0.0), runs)
    assert curve(whole).verdict == "reproduced"
    assert list(whole.anchors["x"]) == [1, 4, 5, 15]


def test_points_of_ours_that_are_not_drawn_are_kept_but_decide_nothing():
    here = records.read_records([RECORDS / "overlap_iterations_40000"])
    (one,) = (
        curve
        for curve in drawn.curves(here)
        if (curve.drawing.name, curve.name) == ("figure 4a", "FOMAML, separate tail, cycling")
    )
    assert list(one.points["x"]) == [1, 2, 3, 4, 15] and list(one.measured["x"]) == [1, 15]
    assert np.isnan(one.points["paper"][3]) and one.points["mean"][3] > 0.9
    assert list(one.anchors["x"]) == [1, 15] and len(one.drawn) == 4


def test_the_order_of_ends_is_refuted_by_one_pair_the_other_way(tmp_path):
    same = order_of_ends(figure_3(tmp_path / "same", ends()))
    assert (same.verdict, same.seeds) == ("reproduced", 3)
    other = dict(ends()) | {"g4": 0.5}
    refuted = order_of_ends(figure_3(tmp_path / "other", other))
    assert refuted.verdict == "not reproduced"


def test_ends_that_met_the_same_episodes_are_compared_in_pairs(tmp_path):
    """Trainings that vary together by far more than their ends lie apart."""
    rng = np.random.default_rng(0)
    for seed, luck in enumerate((-0.05, 0.0, 0.05)):
        for name in ("g1+g2", "g1+g2+g3+g4"):
            scores = ends()[name] + luck + 0.001 * rng.standard_normal(50)
            document = like(f"combinations_40000/{name}", seed, float(scores.mean()))
            document["evaluations"][0] |= {"scores": "one", "episodes": 50, "classes": None}
            fake_records.write(tmp_path / f"{name}{seed}", document, {"one": scores})
    line = order_of_ends(records.read_records([tmp_path]))
    assert line.verdict == "reproduced" and line.ours.startswith("1 pairs in that order")


def test_the_theory_needs_no_several_trainings(tmp_path):
    lines = theory(RECORDS / "theory" / "theory.csv")
    assert [line.verdict for line in lines] == ["reproduced"] * 3
    wrong = pd.read_csv(RECORDS / "theory" / "theory.csv")
    wrong["agrees"] = wrong["agrees"] & ~((wrong["algorithm"] == "maml") & (wrong["k"] == 2))
    wrong.to_csv(tmp_path / "theory.csv")
    assert next(iter(theory(tmp_path / "theory.csv"))).word == "not reproduced"
    assert {line.word for line in theory(tmp_path / "absent.csv")} == {"not run yet"}


def test_the_sine_waves_are_paired_by_seed():
    lines = curves(records.read_records([RECORDS / "sine"]))[:2]
    assert [line.what for line in lines] == ["after MAML", "after Reptile"]
    assert {(line.verdict, line.seeds) for line in lines} == {("reproduced", 3)}


def test_statements_hold_at_the_papers_budget_alone(tmp_path):
    few = figure_3(tmp_path / "few", ends(), seeds=[0])
    by_name = {line.what: line for line in statements(few, [], tmp_path / "none.csv")}
    text = "Every combination that includes g2 or a later gradient beats g1."
    assert by_name[text].verdict == "undecided: held in this run"
    assert len(by_name[text].runs) == 10
    short = [like(f"combinations_4000/{name}") for name in ("g1", "g2")]
    lines = statements(found(tmp_path / "short", *short), [], tmp_path / "none.csv")
    assert {line.word for line in lines} == {"not run yet"}


def test_statements_hold_with_the_papers_settings_alone(tmp_path):
    """More seeds with another inner rate count neither for a statement nor for a curve."""
    settings = [(0, 0.003, 0.5), *((seed, 0.001, 0.9) for seed in range(3))]
    documents = [
        like(f"combinations_40000/{name}", seed, accuracy, inner_learning_rate=rate)
        for seed, rate, high in settings
        for name, accuracy in (("g1", 0.4), ("g2", high))
    ]
    here = found(tmp_path, *documents)
    assert {line.seeds for line in curves(here) if line.what in ("g1", "g2")} == {1}
    text = "Every combination that includes g2 or a later gradient beats g1."
    line = next(x for x in statements(here, [], tmp_path / "none.csv") if x.what == text)
    assert (line.seeds, len(line.runs)) == (1, 2)


def test_beside_a_statements_differences_stand_those_of_the_drawing(tmp_path):
    batches = [RECORDS / f"overlap_{name}_40000" for name in ("batch", "iterations")]
    here, none = records.read_records(batches), tmp_path / "none.csv"
    drawings = pd.read_csv(drawn.FOLDER / "figure4b.csv").set_index(["curve", "inner_batch"])
    tail, cycling, anew = (
        100 * drawings["accuracy"][f"FOMAML, {kind}"]
        for kind in ("separate tail, cycling", "shared tail, cycling", "shared tail, replacement")
    )
    paper = {x.place[-2:] + " " + x.what: x.paper for x in statements(here, [], none)}
    (kept,) = (text for what, text in paper.items() if what.startswith("4b Separate-tail"))
    assert kept == f"drawn: {tail[75] - tail[25]:+.1f}"
    (gradual,) = (text for what, text in paper.items() if what.startswith("4b From batches"))
    assert gradual == f"drawn: {cycling[25] - cycling[35] - (anew[25] - anew[35]):+.1f}"
    (flat,) = (text for what, text in paper.items() if what.startswith("4a Separate-tail"))
    assert flat == ""  # the drawing, as read, has its ends alone


def test_of_what_is_not_drawn_it_is_said(tmp_path):
    sizes = {25: "overlap_iterations_40000/reptile_4steps_cycling"}
    sizes[101] = "overlap_batch_40000/reptile_100examples_cycling"
    documents = [like(run, inner_batch=size) for size, run in sizes.items()]
    shared = like("overlap_batch_40000/fomaml_100examples_cycling", inner_batch=36)
    pivot = like("overlap_iterations_40000/fomaml_4steps_cycling")
    five = like("overlap_batch_40000/fomaml_5examples_cycling")
    here = found(tmp_path, *documents, shared, pivot, five)
    lines = [x for x in statements(here, [], tmp_path / "none.csv") if x.place.endswith("4b")]
    assert [line.paper for line in lines if line.ours] == ["drawn: +9.0; not drawn", ""]


def test_what_is_drawn_is_looked_up_where_it_stands():
    figures = drawn.curves(records.read_records([RECORDS / "overlap_batch_40000"]))
    shared = {"method": "FOMAML, shared tail", "algorithm.outer_step": 0.25}
    (step,) = (one for one in figures if one.drawing.name == "figure 4c")
    axis = pd.read_csv(drawn.FOLDER / "figure4c.csv").set_index("log2_outer_step")["accuracy"]
    for size, accuracy in ((100, axis[-2]), (25, np.nan)):  # 4c has batches of 100 alone
        value = drawn.paper_at([step], shared | {"algorithm.inner_batch": size})
        assert value == pytest.approx(accuracy, nan_ok=True)


def test_other_settings_are_no_seeds_of_a_curve(tmp_path):
    """Runs without rotations or with another network do not stand beside the paper's."""
    same = [like("combinations_40000/g2", seed) for seed in range(3)]
    other = [like("combinations_40000/g2", seed) for seed in (3, 4, 5, 6)]
    for document in other:
        document["config"]["task"]["rotations"] = False
        document["config"]["model"]["filters"] = 32
    line = next(line for line in curves(found(tmp_path, *same, *other)) if line.what == "g2")
    assert line.seeds == 3


def test_sine_waves_of_other_settings_are_no_seeds(tmp_path):
    documents = [json.loads(p.read_text()) for p in (RECORDS / "sine").rglob("record.json")]
    for document in list(documents):
        if document["config"]["algorithm"]["name"] == "reptile":
            again = json.loads(json.dumps(document))
            again["config"]["algorithm"]["outer_step"] = 0.5
            documents.append(again)
    for document in documents:
        document.pop("seal", None)
    here = found(tmp_path, *documents)
    assert [line.seeds for line in curves(here)[:2]] == [3, 3]


def test_a_wide_interval_does_not_say_that_a_cell_agrees():
    assert within("within", 0.5) == "held" and within("within", 1.5) == "undecided"
    assert within("above", 1.5) == "not held" and within("unknown", 0.1) == "undecided"


def test_one_training_decides_nothing():
    line = Line("cell", "table 2", "x", holds="held", seeds=1)
    assert line.verdict == "undecided: held in this run"
    assert Line("cell", "table 2", "x", holds="not held", seeds=2).verdict == "not reproduced"


def test_both_tables_are_listed_and_the_one_without_images_says_so(tmp_path):
    lines = cells(records.read_records([tmp_path]))
    places = [line.place for line in lines]
    assert (places.count("table 2"), places.count("table 1"), len(lines)) == (16, 8, 24)
    assert {line.budget for line in lines if line.place == "table 1"} == {
        "needs the images of Mini-ImageNet"
    }


def test_a_page_of_no_records_lists_everything_as_not_run_yet(tmp_path):
    lines = score(records.read_records([tmp_path]), tmp_path / "none.csv")
    assert {line.word for line in lines} == {"not run yet"}
    assert "Runs" not in page(tmp_path)


def test_a_mistyped_directory_or_page_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--output", str(tmp_path / "page.md")]) == 1
    assert not (tmp_path / "page.md").exists()
    assert "none: must be a directory of records" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--output", str(tmp_path)])
    assert "argument --output: " in capsys.readouterr().err.splitlines()[-1]


def commands_of_the_page():
    """(command, number of runs) of the last table."""
    rows = PAGE.read_text().partition("## Runs")[2].splitlines()
    cells = [[cell.strip() for cell in row.split("|")] for row in rows if "python -m" in row]
    return [(row[2], int(row[3])) for row in cells]


@pytest.mark.parametrize(("command", "number"), commands_of_the_page())
def test_a_command_of_the_page_makes_as_many_runs_as_it_says(command, number):
    overrides = shlex.split(command)[3:]
    varied = [split_sweep(word) for word in overrides if not word.startswith("-")]
    jobs = list(itertools.product(*varied))
    assert len(jobs) == number
    for job in jobs[:: max(1, number - 1)]:  # the first and the last
        compose(*job)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([2, 1], ["model=mlp seed=0", "model=conv seed=0", "model=conv seed=1"]),
        ([1, 6], ["seed=0 model=mlp", *(f"seed={n} model={m}" for n in (1, 2) for m in "abc")]),
        ([6, 1], [*(f"seed={n} model={m}" for n in (1, 2) for m in "abc"), "seed=3 model=a"]),
        ([2], ["seed=0", "seed=0"]),
        ([2], ["", ""]),
    ],
)
def test_runs_are_told_by_the_fewest_commands_that_make_them_alone(parts, words):
    runs = pd.DataFrame({"command": [f"python -m benchmark {word}" for word in words]})
    told = reproduction.products(runs)
    assert sorted(map(len, told)) == sorted(parts)
    assert sorted(index for part in told for index in part.index) == list(runs.index)
    for part in told:
        said = shlex.split(reproduction.joined(part["command"]))[3:]
        made = math.prod(len(split_sweep(word)) for word in said if "=" in word)
        assert made == part["command"].nunique()


def test_joined_numbers_ascend():
    commands = pd.Series([f"python -m benchmark seed={seed} model=mlp" for seed in (15, 1, 4)])
    assert reproduction.joined(commands) == "python -m benchmark --multirun seed=1,4,15 model=mlp"


def test_where_and_whether_anew_a_run_was_made_is_not_said():
    command = "python -m benchmark seed=0 resume=False hydra.run.dir=there +experiment=sine"
    said = reproduction.joined(pd.Series([command]))
    assert said == "python -m benchmark +experiment=sine seed=0"


def test_the_page_is_that_of_the_committed_records(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduction, "page", functools.cache(page))  # it takes seconds to make
    assert main(["--check"]) == 0, "stale: run `make reproduce HOURS=0`"
    (tmp_path / "page.md").write_text("old")
    assert main(["--check", "--output", str(tmp_path / "page.md")]) == 1
    assert "stale" in capsys.readouterr().err
    assert main(["--output", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == PAGE.read_text()
