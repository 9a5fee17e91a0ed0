"""Tables: what is averaged, what is told apart, what is said, and the published numbers."""

import io
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from benchmark.command.compose import compose
from results import grouping, labels, records, tables
from results.compare import comparison, paired, planning, ranking
from tests import fake_records as fake


def table_of(directory, **options):
    made = tables.accuracy_tables(records.read_records([directory]), **options)
    assert len(made) == 1
    return made[0]


def cell(table, **keys):
    found = table.cells
    for key, value in keys.items():
        found = found[found[key.replace("__", ".")] == value]
    assert len(found) == 1, found
    return found.iloc[0]


def test_seeds_are_averaged_with_the_t_interval_over_seeds(tmp_path):
    for seed, accuracy in enumerate([0.7, 0.75, 0.8]):
        fake.write(tmp_path / str(seed), fake.record({"seed": seed}, accuracy=accuracy))
    table = table_of(tmp_path)
    one = cell(table, method="reptile", shots=1, transductive=False)
    assert one["mean"] == pytest.approx(0.75)
    assert one["ci95"] == pytest.approx(4.302653 * 0.05 / np.sqrt(3), rel=1e-6)
    assert (one["interval_over"], one["seeds"], one["episodes"]) == ("seeds", 3, 400)
    assert table.caption[0].startswith(
        "Mean over 3 seeds; ± is the half-width of the 95 % t interval over seeds, which holds"
    )


def test_one_seed_keeps_its_interval_over_episodes_and_says_so(tmp_path):
    fake.write(tmp_path, fake.record(accuracy=0.7891))
    table = table_of(tmp_path)
    shown = tables.layout(table)
    assert shown.loc[0, "5-way 1-shot"] == "78.91 ± 1.70"
    assert table.caption == [
        "± is the half-width of the 95 % interval over the episodes of one seed, not over seeds."
    ]


def test_one_episode_has_no_interval(tmp_path):
    row = fake.evaluation(1, False, 0.8, ci95=None, episodes=1)
    fake.write(tmp_path, fake.record(evaluations=[row], baselines=[]))
    table = table_of(tmp_path, published=True)
    assert tables.layout(table)["5-way 1-shot"].tolist() == ["80.00 ± -"]
    assert table.comparison["verdict"].tolist() == ["unknown"]


def test_two_seeds_are_said_to_be_few(tmp_path):
    fake.sweep(tmp_path, seeds=(0, 1))
    assert "one degree of freedom" in table_of(tmp_path).caption[1]


def test_a_cell_with_fewer_seeds_says_so(tmp_path):
    fake.sweep(tmp_path, seeds=(0, 1, 2), meta_iterations=(1000, 2000))
    shutil.rmtree(tmp_path / "2000_1")
    shutil.rmtree(tmp_path / "2000_2")
    table = table_of(tmp_path)
    shown = tables.layout(table).set_index("meta_iterations")["5-way 1-shot"]
    assert shown["1000"] == "71.00 ± 2.48"
    assert shown["2000"] == "74.00 ± 1.70 [1 seed]"
    assert "with one seed, its ± is over episodes" in table.caption[1]


def test_rows_are_method_and_what_varies_and_baselines_come_once_and_last(tmp_path):
    fake.sweep(tmp_path)
    shown = tables.layout(table_of(tmp_path))
    assert list(shown.columns) == [
        "method",
        "meta_iterations",
        "5-way 1-shot",
        "5-way 1-shot transductive",
        "5-way 5-shot",
        "5-way 5-shot transductive",
    ]
    assert shown[["method", "meta_iterations"]].to_numpy().tolist() == [
        ["Reptile", "1000"],
        ["Reptile", "2000"],
        ["nearest neighbour (pixels)", "-"],
        ["from scratch (no meta-learning)", "-"],
    ]


def test_summary_is_the_text_with_what_is_missing(tmp_path):
    fake.sweep(tmp_path)
    fake.write(
        tmp_path / "bad",
        fake.record(status="failed", reason="no data", evaluations=[], baselines=[]),
    )
    found = records.read_records([tmp_path])
    text = tables.summary_text(found, tables.accuracy_tables(found))
    assert "71.00 ± 2.48" in text
    assert (
        f"Not (or not fully) in the table:\n  {tmp_path}/bad/record.json: failed (no data)" in text
    )


def test_what_is_constant_is_said_once_with_both_numbers_of_shots(tmp_path):
    fake.sweep(tmp_path)
    header = table_of(tmp_path).header
    assert header[0].startswith(
        "Accuracy in percent: task omniglot; split paper; split seed 0; test classes"
    )
    assert (
        header[1] == "Trained with 10 shots (task.train_shots), evaluated with 1, 5 shots "
        "(evaluation.shots)."
    )
    assert header[2] == "Seeds 0, 1, 2; 400 episodes for each number."
    assert tables.shots_of(pd.Series([1, 1])) == "1 shot"


@pytest.mark.parametrize(
    "key",
    [
        "task.split_seed",
        "data.test",
        "version",
        "episodes",
        "steps",
        "queries",
        "split",
        "model.filters",
    ],
)
def test_what_differs_besides_the_seed_is_never_averaged(tmp_path, key):
    """Two records that differ in seed and in one more thing are two rows."""
    first, second = fake.record(), fake.record({"seed": 1})
    if key.startswith(("task", "model")):
        group, name = key.split(".")
        second["config"][group][name] = 7
    elif key == "data.test":
        second["data"]["sha256"]["test"] = "cc" * 32
    elif key == "version":
        second["environment"]["project"] = "0.2.0"
    else:
        second["evaluations"] = [
            e | {key: "validation" if key == "split" else 7} for e in second["evaluations"]
        ]
    for name, document in [("a", first), ("b", second)]:
        fake.write(tmp_path / name, document | {"baselines": []})
    table = table_of(tmp_path)
    assert key in table.rows
    assert (table.cells["seeds"] == 1).all() and len(table.cells) == 8


def test_budgets_that_follow_from_the_method_stay_visible(tmp_path):
    fake.write(tmp_path / "a", fake.record({"algorithm.meta_iterations": 1000}))
    fake.write(
        tmp_path / "b", fake.record({"algorithm.meta_iterations": 2000, "algorithm.name": "maml"})
    )
    assert table_of(tmp_path).rows == ["method", "algorithm.meta_iterations"]


def test_settings_that_follow_from_the_columns_share_a_row_and_are_named(tmp_path):
    fake.write(tmp_path / "a", fake.record())
    fake.write(tmp_path / "b", fake.record({"task.ways": 20, "algorithm.inner_batch": 20}))
    table = table_of(tmp_path)
    assert table.rows == ["method"]
    assert table.caption[-1] == (
        "Differs too, as rows and columns do: algorithm.inner_batch (10, 20)."
    )


def test_a_swept_key_stands_once(tmp_path):
    """Among the columns where it is asked for there; the ways are those of the protocol."""
    for budget in (1000, 2000):
        document = fake.record({"algorithm.meta_iterations": budget}, baselines=[])
        fake.write(tmp_path / "budgets" / str(budget), document)
    table = table_of(tmp_path / "budgets", columns=["meta_iterations", "shots"])
    assert table.columns == ["algorithm.meta_iterations", "shots"]
    assert table.rows == ["method", "transductive"]
    for ways in (5, 20):
        fake.write(tmp_path / "ways" / str(ways), fake.record({"task.ways": ways}))
    table = table_of(tmp_path / "ways")
    assert table.rows == ["method"] and "ways" in table.columns


def test_what_only_some_have_is_not_said_of_all(tmp_path):
    fake.write(tmp_path / "a", fake.record({"task.split": None}))
    fake.write(tmp_path / "b", fake.record({"seed": 1, "algorithm.name": "maml"}))
    assert "split paper" not in table_of(tmp_path).header[0]
    fake.write(tmp_path / "c", fake.record({"seed": 1, "algorithm.name": "maml"}))
    assert "split paper" in table_of(tmp_path / "c").header[0]


@pytest.mark.parametrize(
    ("mean", "width", "shown"),
    [
        (123.4, 0.3, "123.4 ± 0.3"),
        (2.752, 0.004, "2.752 ± 0.004"),
        (0.132, 0.012, "0.132 ± 0.012"),
        (123.4, np.nan, "123 ± -"),
    ],
)
def test_digits_show_the_interval_of_a_squared_error(mean, width, shown):
    assert tables.show_number(mean, width, "mse") == shown


def test_a_key_that_would_be_averaged_away_is_added_to_the_rows(tmp_path):
    fake.sweep(tmp_path)
    table = table_of(tmp_path, rows=["algorithm"], columns=["evaluation.shots"])
    assert table.columns == ["shots"]
    assert set(table.rows) == {"method", "algorithm.meta_iterations", "transductive"}
    assert any(
        line.startswith("Added to the rows, since it varies within a cell: ")
        for line in table.caption
    )


def test_all_settings_of_a_random_search_are_shown(tmp_path):
    """Each trial has its own rate and step, so that either follows from the other."""
    for number, (rate, step) in enumerate([(0.01, 0.5), (0.002, 0.3), (0.004, 0.9)]):
        settings = {"algorithm.inner_learning_rate": rate, "algorithm.outer_step": step}
        fake.write(tmp_path / str(number), fake.record({**settings, "seed": number}))
    shown = tables.layout(table_of(tmp_path))
    assert shown[["inner_learning_rate", "outer_step"]].head(3).to_numpy().tolist() == [
        ["0.002", "0.3"],
        ["0.004", "0.9"],
        ["0.01", "0.5"],
    ]


def test_seeds_can_be_rows(tmp_path):
    fake.sweep(tmp_path, meta_iterations=[1000])
    table = table_of(tmp_path, rows=["seed", "method"])
    assert (table.cells["seeds"] == 1).all()
    assert cell(table, seed=2, method="reptile", shots=1, transductive=False)[
        "mean"
    ] == pytest.approx(0.72)


def test_failed_runs_stay_out_of_the_table(tmp_path):
    fake.write(tmp_path / "a", fake.record(accuracy=0.8))
    fake.write(tmp_path / "b", fake.record({"seed": 1}, accuracy=0.6, status="interrupted"))
    assert cell(table_of(tmp_path), method="reptile", shots=1, transductive=False)["mean"] == 0.8


def test_squared_errors_are_not_percent(tmp_path):
    rows = [
        fake.evaluation(10, False, value, ci95=width, metric="mse", ways=1, steps=steps)
        for steps, value, width in [(0, 4.191, 0.05), (32, 0.1321, 0.0123)]
    ]
    fake.write(tmp_path, fake.record({"task.name": "sinusoid"}, evaluations=rows, baselines=[]))
    table = table_of(tmp_path, published=True)
    assert tables.layout(table).to_numpy().tolist() == [
        ["Reptile", "0", "4.19 ± 0.05"],
        ["Reptile", "32", "0.132 ± 0.012"],
    ]
    assert table.header[0].startswith("Mean squared error")
    assert table.comparison is not None and table.comparison.empty


def test_a_regression_is_not_headed_transductive(tmp_path):
    row = fake.evaluation(10, True, 0.132, ci95=0.012, metric="mse", ways=1, steps=32)
    fake.write(tmp_path, fake.record(evaluations=[row], baselines=[]))
    assert list(tables.layout(table_of(tmp_path)).columns) == ["method", "10-shot"]


def test_accuracy_and_squared_error_are_two_tables(tmp_path):
    sine = fake.evaluation(10, False, 0.2, metric="mse", ways=1)
    fake.write(tmp_path / "a", fake.record())
    fake.write(tmp_path / "b", fake.record({"task.name": "sinusoid"}, evaluations=[sine]))
    made = tables.accuracy_tables(records.read_records([tmp_path]))
    assert [table.metric for table in made] == ["accuracy", "mse"]


# --- choosing ------------------------------------------------------------------------------------


def test_where_selects_by_alias_number_and_list(tmp_path):
    fake.sweep(tmp_path)
    frame = records.read_records([tmp_path]).evaluations
    assert set(grouping.select(frame, ["algorithm=reptile"])["method"]) == {"reptile"}
    one = grouping.select(frame, ["meta_iterations=1e3", "transductive=true"])
    assert set(one["algorithm.meta_iterations"]) == {1000} and one["transductive"].all()
    assert set(grouping.select(frame, ["shots=1,5"])["shots"]) == {1, 5}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("shots", "'shots' is not of the form key=value"),
        ("shots=7", "no record has shots = '7'; it takes 1, 5"),
        ("shots=1,7", "no record has shots = '7'; it takes 1, 5"),
        ("shot=1", "no record has 'shot'; did you mean shots"),
        ("name=conv", "'name' could be any of task.name, model.name, algorithm.name"),
    ],
)
def test_a_bad_condition_says_what_is_possible(tmp_path, condition, message):
    fake.write(tmp_path, fake.record())
    frame = records.read_records([tmp_path]).evaluations
    with pytest.raises(grouping.BadOption) as error:
        grouping.select(frame, [condition])
    assert str(error.value).startswith(message)


# --- published numbers ---------------------------------------------------------------------------


def test_every_published_number_has_a_source_and_says_what_its_interval_is():
    numbers = comparison.published_numbers()
    assert numbers["source"].notna().all() and numbers["interval"].notna().all()
    assert numbers["accuracy"].astype(float).between(45, 100).all()
    of_the_paper = numbers[numbers["file"] == "nichol2018"]
    names = {"omniglot": "table 2", "mini_imagenet": "table 1"}
    for task, group in of_the_paper.groupby("task"):
        assert (
            group["source"]
            .str.contains(f"arXiv:1803.02999v3), {names[task]} (page 9)", regex=False)
            .all()
        )
    assert of_the_paper["task"].value_counts().to_dict() == {"omniglot": 16, "mini_imagenet": 8}
    compared = numbers[numbers["comparable"]]
    assert compared["task"].value_counts().to_dict() == {"omniglot": 20, "mini_imagenet": 4}
    assert not compared.duplicated(["task", "method", "ways", "shots", "transductive"]).any()


@pytest.mark.parametrize(
    ("method", "ways", "shots", "transductive", "accuracy", "half_width"),
    [
        ("reptile", 5, 1, False, 95.39, 0.09),
        ("reptile", 20, 5, True, 97.12, 0.32),
        ("reptile", 20, 1, False, 88.14, 0.15),
        ("maml", 5, 5, True, 99.9, 0.1),
        ("fomaml", 20, 1, True, 89.4, 0.5),
    ],
)
def test_published_numbers_of_nichol_2018(method, ways, shots, transductive, accuracy, half_width):
    numbers = comparison.published_numbers()
    row = numbers[
        numbers["comparable"]
        & (numbers["task"] == "omniglot")
        & (numbers["method"] == method)
        & (numbers["ways"] == ways)
        & (numbers["shots"] == shots)
        & (numbers["transductive"] == transductive)
    ]
    assert row[["accuracy", "half_width"]].to_numpy().tolist() == [[accuracy, half_width]]


@pytest.mark.parametrize(
    ("accuracy", "verdict"), [(0.9539, "within"), (0.98, "above"), (0.93, "below")]
)
def test_verdict_beside_the_published_number(tmp_path, accuracy, verdict):
    row = fake.evaluation(1, False, accuracy, ci95=0.003)
    fake.write(
        tmp_path,
        fake.record({"algorithm.meta_iterations": 100_000}, evaluations=[row], baselines=[]),
    )
    line = table_of(tmp_path, published=True).comparison.iloc[0]
    assert line["verdict"] == verdict
    assert line["difference"] == pytest.approx(100 * accuracy - 95.39)
    assert line["joint_ci95"] == pytest.approx(np.hypot(0.3, 0.09))
    assert line["settings"] == "the paper's"
    assert line["source"].startswith("Nichol et al. 2018")


def test_a_partial_budget_and_other_settings_are_marked(tmp_path):
    row = fake.evaluation(1, False, 0.8, steps=10)
    fake.write(tmp_path, fake.record({"task.train_shots": 5}, evaluations=[row], baselines=[]))
    table = table_of(tmp_path, published=True)
    assert table.comparison["settings"].tolist() == [
        "train_shots 5 (paper 10); steps 10 (paper 50); partial: 2 % of 100000 meta-iterations"
    ]
    text = tables.render([table], "text")
    assert "below in this run, partial budget" in text
    assert "With one seed a verdict is about this run" in text


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"task.rotations": False}, "rotations false (paper true)"),
        ({"task.within_alphabet": True}, "within_alphabet true (paper false)"),
        ({"task.validation_classes": 500}, "validation_classes 500 (paper 0)"),
        ({"model.filters": 8}, "filters 8 (paper 64)"),
        ({"algorithm.inner_learning_rate": 0.1}, "inner_learning_rate 0.1 (paper 0.001)"),
        ({"algorithm.meta_batch": 1}, "meta_batch 1 (paper 5)"),
        ({"algorithm.outer_optimizer": "adam"}, "outer_optimizer adam (paper -)"),
        ({"algorithm.replacement": True}, "replacement true (paper false)"),
        ({"evaluation.batch": 25}, "batch 25 (paper 5)"),
        ({"algorithm.momentum": 0.9}, "momentum 0.9 (paper without)"),
        ({"algorithm._target_": "mine.Reptile"}, "_target_ mine.Reptile (paper without)"),
        ({"algorithm.serial": True}, "the paper's"),
        ({"task.split_seed": 7, "seed": 3, "runtime.threads": 8}, "the paper's"),
    ],
)
def test_the_papers_means_every_setting_that_changes_a_number(tmp_path, changed, told):
    budget = {"algorithm.meta_iterations": 100_000}
    row = fake.evaluation(1, False, 0.95)
    fake.write(tmp_path, fake.record({**budget, **changed}, evaluations=[row], baselines=[]))
    assert table_of(tmp_path, published=True).comparison["settings"].tolist() == [told]


@pytest.mark.parametrize(
    ("preset", "methods"),
    [
        (["+experiment=omniglot_5way"], {"reptile"}),
        (["+experiment=omniglot_20way"], {"reptile"}),
        (["+experiment=omniglot_5way_maml"], {"maml"}),
        (["+experiment=omniglot_5way_maml", "task.train_shots=5"], {"maml"}),
        (["+experiment=omniglot_5way_maml", "algorithm=maml_first_order"], {"fomaml"}),
        (["+experiment=omniglot_20way_maml", "algorithm=maml_first_order"], {"fomaml"}),
        (["+experiment=omniglot_protonet"], {"protonet"}),
        (["+experiment=omniglot_protonet", "task.train_shots=5", "task.ways=20"], {"protonet"}),
        (["+experiment=mini_imagenet_1shot", "task.directory=x"], {"reptile"}),
        (["+experiment=mini_imagenet_5shot", "task.directory=x"], {"reptile"}),
    ],
)
def test_a_preset_has_the_settings_of_its_published_numbers(tmp_path, preset, methods):
    config = OmegaConf.to_container(compose(*preset), resolve=True)
    assert isinstance(config, dict)
    steps = [0] if methods == {"protonet"} else config["evaluation"]["steps"]
    rows = [
        fake.evaluation(k, transductive, 0.9, steps=n, ways=config["task"]["ways"], queries=queries)
        for transductive in (False, True)
        for n in steps
        for k in config["evaluation"]["shots"]
        for queries in [config["evaluation"]["queries"]]
    ]
    made = fake.record(evaluations=rows, baselines=[], config=config)
    if config["task"]["name"] == "folder":
        made["data"] |= MINI_IMAGENET
    fake.write(tmp_path, made)
    found = table_of(tmp_path, published=True).comparison
    assert set(found["method"]) == methods
    told = found["settings"].replace(r"steps \d+ \(paper .*\)", "other steps", regex=True)
    same = "meta_iterations 20000 (not stated)" if methods == {"protonet"} else "the paper's"
    assert set(told) <= {same, "other steps"} and (told == same).any()


MINI_IMAGENET = {
    "classes": {"train": 64, "validation": 16, "test": 20},
    "images": {"train": 38400, "validation": 9600, "test": 12000},
}


@pytest.mark.parametrize("counts", ["classes", "images"])
def test_images_of_ones_own_are_mini_imagenet_by_their_numbers(tmp_path, counts):
    config = OmegaConf.to_container(
        compose("+experiment=mini_imagenet_1shot", "task.directory=x", "model.filters=16"),
        resolve=True,
    )
    made = fake.record(evaluations=[fake.evaluation(1, False, 0.47)], baselines=[], config=config)
    made["data"] |= MINI_IMAGENET
    fake.write(tmp_path, made)
    (line,) = table_of(tmp_path, published=True).comparison.to_dict("records")
    assert line["settings"] == "filters 16 (paper 32)" and line["published"] == 47.07
    made["data"][counts] = {**MINI_IMAGENET[counts], "train": 60}
    fake.write(tmp_path, made)
    assert table_of(tmp_path, published=True).comparison.empty


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        ({"name": "omniglot", "split": "paper", "within_alphabet": False}, ["the paper's"]),
        (
            {"name": "omniglot", "split": "paper", "within_alphabet": True},
            ["within_alphabet true (paper without)"],
        ),
        ({"name": "glyphs"}, []),
        ({"name": "omniglot", "split": "background"}, []),
    ],
)
def test_what_a_run_was_asked_about_later_counts(tmp_path, tested, expected):
    row = fake.evaluation(1, False, 0.95, tested=tested)
    settings = {"algorithm.meta_iterations": 100_000}
    fake.write(tmp_path, fake.record(settings, evaluations=[row], baselines=[]))
    found = table_of(tmp_path, published=True).comparison
    assert list(found["settings"] if len(found) else []) == expected


def test_first_order_maml_with_the_settings_of_reptile_is_a_result_of_its_own(tmp_path):
    fake.write(tmp_path, fake.record({"algorithm.name": "fomaml"}))
    assert table_of(tmp_path, published=True).comparison.empty


def write_with_classes(directory, seeds, added):
    for seed in range(seeds):
        row = fake.evaluation(1, False, 0.95 + seed / 100, ci95=0.003, ci95_classes=added)
        settings = {"algorithm.meta_iterations": 100_000, "seed": seed}
        fake.write(directory / str(seed), fake.record(settings, evaluations=[row], baselines=[]))


def test_both_intervals_are_shown_and_the_verdict_uses_the_one_for_new_classes(tmp_path):
    write_with_classes(tmp_path, 1, 0.004)
    table = table_of(tmp_path, published=True)
    assert tables.layout(table)["5-way 1-shot"].tolist() == ["95.00 ± 0.30 (0.50)"]
    assert "the half-width in brackets is for new characters" in table.caption[-1]
    line = table.comparison.iloc[0]
    assert line["joint_ci95"] == pytest.approx(np.hypot(0.5, 0.09)) and line["verdict"] == "within"
    assert "95.00 ± 0.30 (0.50), 1 seed" in tables.render([table], "text")


def test_new_classes_widen_an_interval_over_seeds_too(tmp_path):
    write_with_classes(tmp_path, 3, 0.03)
    one = table_of(tmp_path).cells.iloc[0]
    over_seeds = 4.302653 * 0.01 / np.sqrt(3)
    assert one["ci95"] == pytest.approx(over_seeds, rel=1e-6)
    assert one["ci95_new_classes"] == pytest.approx(np.hypot(over_seeds, 0.03), rel=1e-6)


@pytest.mark.parametrize(
    "overrides",
    [
        {"task.name": "glyphs"},
        {"task.split": "background"},
        {"model.name": "mlp"},
        {"task.ways": 7},
        {"algorithm.name": "joint"},
    ],
)
def test_what_the_paper_did_not_measure_has_no_counterpart(tmp_path, overrides):
    fake.write(tmp_path, fake.record(overrides))
    assert table_of(tmp_path, published=True).comparison.empty


# --- formats -------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path):
    fake.sweep(tmp_path)
    return tables.accuracy_tables(records.read_records([tmp_path]), published=True)


def test_csv_holds_numbers_a_line_a_cell(made):
    frame = pd.read_csv(io.StringIO(tables.render(made, "csv")))
    assert len(frame) == 10
    reptile = frame[
        (frame["method"] == "reptile")
        & (frame["shots"] == 1)
        & ~frame["transductive"]
        & (frame["algorithm.meta_iterations"] == 2000)
    ].iloc[0]
    assert reptile["mean"] == pytest.approx(0.75) and reptile["published"] == 0.9539
    assert reptile["interval_over"] == "seeds"
    assert frame.loc[frame["method"] == "scratch", "published"].isna().all()


def test_parquet_holds_the_same_as_csv(made):
    frame = pd.read_parquet(io.BytesIO(tables.render(made, "parquet")))
    pd.testing.assert_frame_equal(frame, tables.cells(made), check_dtype=False)


def test_markdown_escapes_what_a_configuration_holds(tmp_path):
    fake.write(tmp_path, fake.record({"algorithm.name": "a|<b>"}))
    text = tables.render([table_of(tmp_path)], "markdown")
    assert "| a\\|&lt;b&gt; " in text and "<b>" not in text


def test_latex_escapes_and_uses_booktabs(tmp_path):
    fake.write(tmp_path, fake.record({"algorithm.name": "50%_$&#"}))
    text = tables.render([table_of(tmp_path)], "latex")
    assert r"50\%\_\$\&\#" in text and r"80.00 $\pm$ 1.70" in text and r"\toprule" in text
    assert r"task.train\_shots" in text and "±" not in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex to compile the table")
def test_latex_compiles(made, tmp_path):
    text = tables.render(made, "latex")
    page = (
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}"
        f"{text}\\end{{document}}"
    )
    (tmp_path / "page.tex").write_text(page)
    subprocess.run(["pdflatex", "-interaction=batchmode", "page.tex"], cwd=tmp_path, check=True)
    assert "Overfull" not in (tmp_path / "page.log").read_text(errors="replace")


def test_latex_fits_the_line_and_has_real_minus_signs(tmp_path):
    fake.write(tmp_path, fake.record())
    text = tables.render(
        tables.accuracy_tables(records.read_records([tmp_path]), published=True), "latex"
    )
    assert text.count(r"\resizebox") == text.count(r"\begin{tabular}") == 2
    assert "$-$15." in text and "5-way" in text


@pytest.mark.parametrize(
    ("mean", "half_width", "metric", "text"),
    [
        (0.7891, 0.017, "accuracy", "78.91 ± 1.70"),
        (1.0, 0.0, "accuracy", "100.00 ± 0.00"),
        (0.8, np.nan, "accuracy", "80.00 ± -"),
        (4.191, 0.051, "mse", "4.19 ± 0.05"),
        (0.00123, 0.0002, "mse", "0.00123 ± 0.00020"),
        (0.0, 0.0, "mse", "0.000 ± 0.000"),
        (123.4, 5.0, "mse", "123 ± 5"),
    ],
)
def test_numbers_as_shown(mean, half_width, metric, text):
    assert tables.show_number(mean, half_width, metric) == text


def test_cells_that_are_called_the_same_stay_apart(tmp_path):
    """Two methods whose names differ in capitals, and a transduction that is not stated."""
    for method, value in [("reptile", 0.5), ("Reptile", 0.6)]:
        rows = [fake.evaluation(1, None, value + 0.1), fake.evaluation(1, False, value)]
        settings = {"algorithm.name": method}
        fake.write(tmp_path / method, fake.record(settings, evaluations=rows, baselines=[]))
    found = records.read_records([tmp_path])
    shown = tables.layout(tables.accuracy_tables(found)[0])
    assert shown["method"].tolist() == ["Reptile", "reptile"]
    plain, unknown = (
        shown[f"5-way 1-shot (ways 5, shots 1, transductive {stated})"] for stated in ("false", "-")
    )
    assert [text[:5] for text in [*plain, *unknown]] == ["60.00", "50.00", "70.00", "60.00"]
    assert grouping.select(found.completed, ["method=Reptile"])["method"].unique() == ["Reptile"]


def test_a_column_is_no_row_as_well(tmp_path):
    found = records.read_records([fake.sweep(tmp_path)])
    table = tables.accuracy_tables(found, columns=["method"])[0]
    assert "method" not in table.rows and table.columns == ["method"]
    assert len(tables.layout(table).columns) == len(table.rows) + 3
    with pytest.raises(grouping.BadOption, match="'seed' cannot be in --rows and --columns"):
        tables.accuracy_tables(found, ["seed"], ["seed"])
    keys = ["method", "shots", "transductive", "meta_iterations", "seed"]
    with pytest.raises(grouping.BadOption, match="nothing is left for the rows"):
        tables.accuracy_tables(found, columns=keys)
    with pytest.raises(grouping.BadOption, match="no two methods to rank"):  # not of the keys
        ranking.rankings(found, ["shots", "method"])


def test_a_truth_is_spelled_as_in_csv_too(tmp_path):
    found = records.read_records([fake.sweep(tmp_path)])
    chosen = grouping.select(found.completed, ["transductive=False"])
    assert set(chosen["transductive"]) == {False}


# --- paired comparison ---------------------------------------------------------------------------


def write_pair(directory, seed, gain, **second):
    """Reptile and FOMAML on the same episodes; FOMAML is better by `gain` on each."""
    scores = np.random.default_rng(seed).uniform(0, 0.9, 400)
    for method, values in [("reptile", scores), ("fomaml", scores + gain)]:
        extra = second if method == "fomaml" else {}
        row = fake.evaluation(1, False, float(values.mean()))
        fake.write(
            directory / f"{method}{seed}",
            fake.record(
                {"algorithm.name": method, "seed": seed} | extra, evaluations=[row], baselines=[]
            ),
            {row["scores"]: values},
        )


def test_paired_difference_of_one_seed_is_over_episodes(tmp_path):
    write_pair(tmp_path, 0, 0.05)
    table, problems = paired.paired_table(records.read_records([tmp_path]), "fomaml", "reptile")
    line = table.iloc[0]
    assert problems == [] and len(table) == 1
    assert line["difference"] == pytest.approx(0.05, abs=1e-6) and line["ci95"] < 1e-6
    assert (line["interval_over"], line["episodes"], line["seeds"]) == ("episodes", 400, 1)


def test_paired_difference_of_several_seeds_is_over_seeds(tmp_path):
    for seed, gain in enumerate([0.01, 0.02, 0.03]):
        write_pair(tmp_path, seed, gain)
    table, _ = paired.paired_table(records.read_records([tmp_path]), "fomaml", "reptile")
    line = table.iloc[0]
    assert line["difference"] == pytest.approx(0.02, abs=1e-6)
    assert line["ci95"] == pytest.approx(4.302653 * 0.01 / np.sqrt(3), rel=1e-3)
    assert (line["interval_over"], line["seeds"]) == ("seeds", 3)


def test_a_sweep_of_both_methods_pairs_like_with_like(tmp_path):
    for budget, gain in [(1000, 0.01), (2000, 0.03)]:
        scores = np.random.default_rng(budget).uniform(0, 0.9, 400)
        for method, values in [("reptile", scores), ("fomaml", scores + gain)]:
            row = fake.evaluation(1, False, float(values.mean()))
            fake.write(
                tmp_path / f"{method}{budget}",
                fake.record(
                    {"algorithm.name": method, "algorithm.meta_iterations": budget},
                    evaluations=[row],
                    baselines=[],
                ),
                {row["scores"]: values},
            )
    table, _ = paired.paired_table(records.read_records([tmp_path]), "fomaml", "reptile")
    by_budget = table.set_index("algorithm.meta_iterations")["difference"]
    assert by_budget.to_dict() == pytest.approx({1000: 0.01, 2000: 0.03}, abs=1e-6)


def test_a_baseline_pairs_with_every_budget(tmp_path):
    scores = np.random.default_rng(0).uniform(0, 0.9, 400)
    for budget, gain in [(1000, 0.01), (2000, 0.03)]:
        row = fake.evaluation(1, False, 0.5)
        base = row | {"method": "scratch", "scores": "base"}
        fake.write(
            tmp_path / str(budget),
            fake.record({"algorithm.meta_iterations": budget}, evaluations=[row], baselines=[base]),
            {row["scores"]: scores + gain, "base": scores},
        )
    table, _ = paired.paired_table(records.read_records([tmp_path]), "reptile", "scratch")
    by_budget = table.set_index("algorithm.meta_iterations")["difference"]
    assert by_budget.to_dict() == pytest.approx({1000: 0.01, 2000: 0.03}, abs=1e-6)


def test_a_baseline_of_fewer_episodes_pairs_with_the_first_of_them(tmp_path):
    scores = np.random.default_rng(0).uniform(0, 0.9, 400)
    row = fake.evaluation(1, False, 0.5)
    base = row | {"method": "scratch", "scores": "base", "episodes": 200}
    fake.write(
        tmp_path,
        fake.record(evaluations=[row], baselines=[base]),
        {row["scores"]: scores, "base": scores[:200] - 0.1},
    )
    found = records.read_records([tmp_path])
    line = paired.paired_table(found, "reptile", "scratch")[0].iloc[0]
    assert line["difference"] == pytest.approx(0.1, abs=1e-6)
    assert line["episodes"] == 200
    assert line["first"] == pytest.approx(scores[:200].mean(), abs=1e-6)
    other_way = paired.paired_table(found, "scratch", "reptile")[0].iloc[0]
    assert other_way["difference"] == pytest.approx(-0.1, abs=1e-6)
    table = tables.accuracy_tables(found)[0]
    assert "400 episodes (baselines 200) for each number" in table.header[-1]
    assert table.rows == ["method"] and len(table.caption) == 2  # what ± is, and what is marked


def test_conditions_can_be_compared(tmp_path):
    for budget, value in [(1000, 0.4), (2000, 0.6)]:
        row = fake.evaluation(1, False, value)
        fake.write(
            tmp_path / str(budget),
            fake.record({"algorithm.meta_iterations": budget}, evaluations=[row], baselines=[]),
            {row["scores"]: np.full(400, value)},
        )
    table, _ = paired.paired_table(
        records.read_records([tmp_path]), "meta_iterations=2000", "meta_iterations=1000"
    )
    assert table["difference"].tolist() == pytest.approx([0.2])


def write_scored(directory, method, value, *, steps=50, classes=None, metric="accuracy", **config):
    """A run of one evaluation whose episodes all score `value`."""
    row = fake.evaluation(1, False, value, steps=steps, metric=metric, classes="classes")
    scores = {row["scores"]: np.full(400, value), **({"classes": classes} if classes else {})}
    settings = {"algorithm.name": method, **config}
    fake.write(directory, fake.record(settings, evaluations=[row], baselines=[]), scores)


@pytest.mark.parametrize("first", ["fomaml", "others", "meta_iterations=500"])
def test_what_only_the_second_side_varies_tells_lines_apart(tmp_path, first):
    """No seed counts twice, and no two budgets are averaged."""
    for seed in (0, 1):
        for budget, value in [(1000, 0.4), (2000, 0.6)]:
            config = {"algorithm.meta_iterations": budget, "seed": seed}
            write_scored(tmp_path / f"r{budget}{seed}", "reptile", value, **config)
        config = {"algorithm.meta_iterations": 500, "seed": seed}
        write_scored(tmp_path / f"f{seed}", "fomaml", 0.3, **config)
    table, problems = paired.paired_table(records.read_records([tmp_path]), first, "reptile")
    budgets = dict(zip(table["algorithm.meta_iterations of reptile"], table["second"], strict=True))
    assert budgets == pytest.approx({1000: 0.4, 2000: 0.6}) and problems == []
    assert table["seeds"].tolist() == [2, 2]
    shown = paired.paired_layout(table, [first, "reptile"])
    assert shown["meta_iterations of reptile"].tolist() == ["1000", "2000"]


def test_an_evaluation_is_not_paired_with_itself(tmp_path):
    for budget, value in [(1000, 0.4), (2000, 0.6)]:
        config = {"algorithm.meta_iterations": budget}
        write_scored(tmp_path / str(budget), "reptile", value, **config)
    found = records.read_records([tmp_path])
    table, problems = paired.paired_table(found, "meta_iterations=2000", "reptile")
    assert table["difference"].tolist() == pytest.approx([0.2]) and problems == []
    assert table["algorithm.meta_iterations of reptile"].tolist() == [1000]
    with pytest.raises(grouping.BadOption, match="'reptile' and 'reptile' are the same"):
        paired.paired_table(found, "reptile", "reptile")


def test_a_seed_that_is_there_twice_is_refused(tmp_path):
    for budget in (1000, 2000):
        write_scored(tmp_path / f"r{budget}", "reptile", 0.5, **{"task.train_shots": budget})
    write_scored(tmp_path / "f", "fomaml", 0.5)
    pairs, _, _ = paired.pairs_of(records.read_records([tmp_path]), "fomaml", "reptile")
    table, problems = paired.differences_of(pairs, ["shots"])
    assert table.empty and problems[0].startswith("not compared: seed 0 is there more than once")


def test_what_one_method_lacks_keeps_no_other_from_its_counterpart(tmp_path):
    """Two budgets of both methods, and one that states none; what stays alone is named."""
    for budget, gain in [(1000, 0.1), (2000, 0.2)]:
        config = {"algorithm.meta_iterations": budget}
        write_scored(tmp_path / f"r{budget}", "reptile", 0.5, **config)
        write_scored(tmp_path / f"f{budget}", "fomaml", 0.5 + gain, **config)
    write_scored(tmp_path / "n", "none", 0.3, **{"algorithm.meta_iterations": None})
    write_scored(tmp_path / "late", "maml", 0.5, seed=7)
    write_scored(tmp_path / "r mse", "reptile", 0.5, metric="mse")
    write_scored(tmp_path / "f mse", "fomaml", 0.4, metric="mse")
    table, problems = paired.paired_table(records.read_records([tmp_path]), "others", "reptile")
    lines = table[["metric", "method", "algorithm.meta_iterations", "difference"]]
    assert [tuple(line) for line in lines.round(3).itertuples(index=False)] == [
        ("accuracy", "fomaml", 1000, 0.1),
        ("accuracy", "none", 1000, -0.2),
        ("accuracy", "fomaml", 2000, 0.2),
        ("accuracy", "none", 2000, -0.2),
        ("mse", "fomaml", 2000, -0.1),
    ]
    assert problems == ["not (or not each seed) compared with 'reptile': MAML, 5-way 1-shot"]


def test_episodes_of_other_classes_are_compared_unpaired(tmp_path):
    for seed in (0, 1):
        for method, first in [("reptile", 0), ("fomaml", 0), ("maml", 5)]:
            classes = [range(first, first + 5)] * 400
            value = 0.5 + 0.05 * first + 0.1 * seed
            write_scored(tmp_path / f"{method}{seed}", method, value, classes=classes, seed=seed)
    found = records.read_records([tmp_path])
    table, _ = paired.paired_table(found, "others", "reptile")
    assert dict(zip(table["method"], table["paired"], strict=True)) == {
        "fomaml": True,
        "maml": False,
    }
    assert table["ci95"].iloc[0] == pytest.approx(0) and table["ci95"].iloc[1] > 0.1
    text = str(paired.render_paired(table, ["others", "reptile"], "text"))
    assert text.count(", unpaired") == 1 and "Unpaired: the episodes differ" in text
    made, problems = planning.plans(found, "others", "reptile", 1)
    assert [plan.keys["method"] for plan in made] == ["fomaml"]
    assert problems[0].startswith("not planned, since the episodes differ: MAML, 5-way 1-shot")


def test_a_paired_squared_error_keeps_its_digits(tmp_path):
    write_pair(tmp_path, 0, 0.0123)
    table, _ = paired.paired_table(records.read_records([tmp_path]), "fomaml", "reptile")
    shown = paired.paired_layout(table.assign(metric="mse"), ["fomaml", "reptile"])
    assert shown["difference"].item().startswith("+0.0123 ± ")
    small = paired.paired_layout(table.assign(metric="mse", difference=2e-5, ci95=9e-7), "ab")
    assert small["difference"].tolist() == ["+2e-05 ± 9e-07"]
    text = paired.render_paired(table.assign(metric="mse"), ["fomaml", "reptile"], "text")
    assert "(squared error as it is)" in text and "percent" not in text


def test_other_episodes_are_not_paired(tmp_path):
    write_pair(tmp_path, 0, 0.05)
    other = fake.record({"algorithm.name": "maml", "seed": 1})
    fake.write(tmp_path / "maml", other)
    with pytest.raises(grouping.BadOption, match="no evaluation of 'maml' shares seed, data and"):
        paired.paired_table(records.read_records([tmp_path]), "maml", "reptile")


def test_a_pair_without_scores_is_named(tmp_path):
    write_pair(tmp_path, 0, 0.05)
    (tmp_path / "fomaml0" / "scores.npz").unlink()
    table, problems = paired.paired_table(records.read_records([tmp_path]), "fomaml", "reptile")
    assert table.empty
    assert problems[0].startswith(f"{tmp_path / 'fomaml0' / 'scores.npz'}: cannot be read")


def test_a_column_is_called_by_its_task():
    assert labels.column_label({"task.name": "fonts", "shots": 5}) == "fonts 5-shot"
