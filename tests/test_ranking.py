"""`--rank` and the marks of tables: the order of methods, and what cannot be told from the best."""

import shutil

import numpy as np
import pandas as pd
import pytest

from results import formats, records, tables
from results.__main__ import main
from results.compare import ranking
from tests import fake_records as fake

MEANS = {"reptile": 0.80, "fomaml": 0.60, "maml": 0.801}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return fake.scored(tmp_path_factory.mktemp("ranked"), MEANS)


def table_of(directory, **options):
    return tables.accuracy_tables(records.read_records([directory]), **options)[0]


def marks_of(table):
    """{method: [whether each of its cells is marked]}."""
    shown = tables.layout(table).set_index("method")
    return {
        name: [formats.unmarked(cell)[1] for cell in line] for name, *line in shown.itertuples()
    }


def test_the_best_of_a_column_and_what_cannot_be_told_from_it_are_marked(runs):
    table = table_of(runs)
    assert marks_of(table) == {
        "Reptile": [True, True],
        "MAML": [True, True],
        "FOMAML": [False, False],
    }
    assert tables.MARKED in table.caption
    assert tables.cells([table])["best"].sum() == 4


@pytest.mark.parametrize(
    ("style", "told", "other"),
    [
        ("text", r" ± \d.\d\d \*$", "* "),
        ("markdown", r"\| \*\*\d\d.\d\d ± \d.\d\d\*\* \|", " *"),
        ("latex", r"\\textbf\{\d\d.\d\d \$\\pm\$ \d.\d\d\}", " *"),
    ],
)
def test_marks_in_every_format(runs, style, told, other):
    text = str(tables.render([table_of(runs)], style))
    table = [line for line in text.splitlines() if " few " not in line]  # not the caption
    lines = [line for line in table if "MAML" in line or "Reptile" in line]
    assert [bool(pd.Series(line.rstrip()).str.contains(told)[0]) for line in lines] == [
        False,
        True,
        True,
    ]
    assert style == "text" or not any(other in line.replace("**", "") for line in lines)


def test_no_mark_without_scores_and_none_across_other_episodes(runs, tmp_path):
    copy = shutil.copytree(runs, tmp_path / "copy")
    (copy / "fomaml_1" / "scores.npz").unlink()
    table = table_of(copy)
    assert not any(map(any, marks_of(table).values()))
    assert tables.MARKED not in table.caption and table.cells["best"].isna().all()

    elsewhere = {"task.name": "glyphs", "data.sha256": {}}
    fake.scored(tmp_path / "two" / "a", {"reptile": 0.8})
    fake.scored(tmp_path / "two" / "b", {"reptile": 0.6}, **elsewhere)
    assert table_of(tmp_path / "two").cells["best"].isna().all()


def test_other_seeds_share_no_episode(tmp_path):
    fake.scored(tmp_path, {"reptile": 0.8}, seeds=(0, 1))
    fake.scored(tmp_path, {"fomaml": 0.6}, seeds=(2, 3))
    assert table_of(tmp_path).cells["best"].isna().all()


def test_ranking_by_hand(runs):
    (made,) = ranking.rankings(records.read_records([runs]))
    assert made.problems == [] and made.rows == ["method"]
    overall = made.lines[made.lines["protocol"] == ranking.OVERALL].set_index("method")
    assert overall["tier"].to_dict() == {"reptile": 1, "maml": 1, "fomaml": 2}
    one = made.lines[made.lines["protocol"] == "5-way 1-shot"].set_index("method")
    means = {m: [np.load(runs / f"{m}_{s}" / "scores.npz") for s in range(3)] for m in MEANS}
    by_seed = {
        m: np.array([f["test/5way/1shot/plain/50steps"].mean() for f in files])
        for m, files in means.items()
    }
    best = max(by_seed, key=lambda m: by_seed[m].mean())
    gap = by_seed["fomaml"] - by_seed[best]
    line = one.loc["fomaml"]
    assert line["difference"] == pytest.approx(gap.mean(), abs=1e-6)
    # two comparisons: the clearer is tested at 5 % / 2, t(2) = 6.2053
    assert line["half_width"] == pytest.approx(6.205347 * gap.std(ddof=1) / 3**0.5, rel=1e-4)
    assert line["level"] == 0.975 and one.loc[best, "rank"] == 1
    both = [f["test/5way/5shot/plain/50steps"].mean() for f in means["fomaml"]]
    average = np.mean([by_seed["fomaml"], both], axis=0)
    assert overall.loc["fomaml", "mean"] == pytest.approx(average.mean(), abs=1e-6)


def test_what_is_printed(runs, capsys, tmp_path):
    assert main([str(runs), "--rank"]) == 0
    text = capsys.readouterr().out
    head = next(line for line in text.splitlines() if line.startswith("method"))
    assert head.split()[:5] == ["method", "tier", "mean", "rank", "all"]
    last = next(line for line in text.splitlines() if line.startswith("FOMAML"))
    assert last.split()[:3] == ["FOMAML", "2", "3"]
    assert -25 < float(last.split()[3]) < -15
    assert main([str(runs), "--rank", "--where", "seed=0"]) == 0
    assert "With one seed a difference is about this run" in capsys.readouterr().out
    file = tmp_path / "rank.csv"
    assert main([str(runs), "--rank", "--format", "csv", "--output", str(file)]) == 0
    assert len(pd.read_csv(file)) == 9


def test_one_method_is_no_ranking(tmp_path, capsys):
    fake.scored(tmp_path, {"reptile": 0.8})
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--rank"])
    assert "argument --rank: no two methods to rank: 5-way 1-shot: one" in capsys.readouterr().err


def test_why_methods_are_not_ranked_is_said(tmp_path, capsys):
    def refused(directory):
        with pytest.raises(SystemExit):
            main([str(directory), "--rank"])
        return capsys.readouterr().err

    one = ((1, False),)
    fake.scored(tmp_path / "seeds", {"reptile": 0.8}, seeds=(0, 1), cells=one)
    fake.scored(tmp_path / "seeds", {"maml": 0.8}, seeds=(2,), cells=one)
    assert "5-way 1-shot: the methods share no seed" in refused(tmp_path / "seeds")
    fake.scored(tmp_path / "tasks", {"reptile": 0.8}, cells=one)
    fake.scored(tmp_path / "tasks", {"maml": 0.8}, cells=one, **{"task.split_seed": 1})
    assert "5-way 1-shot: the methods met other episodes" in refused(tmp_path / "tasks")
    fake.scored(tmp_path / "scores", {"reptile": 0.8, "maml": 0.8}, cells=one)
    (tmp_path / "scores" / "maml_0" / "scores.npz").unlink()
    said = refused(tmp_path / "scores")
    assert "5-way 1-shot: scores are missing (" in said and "maml_0" in said
    assert said.count("\n") == 1


def test_methods_without_a_common_seed_over_all_protocols_have_no_overall_order(tmp_path, capsys):
    """As where two jobs of a sweep failed."""
    for method, task, seeds in [
        ("reptile", "omniglot", [0]),
        ("reptile", "glyphs", [0, 1]),
        ("fomaml", "omniglot", [0, 1]),
        ("fomaml", "glyphs", [1]),
    ]:
        means = {method: 0.8 if method == "reptile" else 0.6}
        on = {"seeds": seeds, "cells": [(1, False)], "task.name": task}
        fake.scored(tmp_path / task, means, **on)
    assert main([str(tmp_path), "--rank"]) == 0
    shown = capsys.readouterr().out
    assert "omniglot" in shown and "each episode's mean" not in shown


def test_errors_are_better_the_smaller(tmp_path):
    for method, error in [("reptile", 0.2), ("maml", 0.1)]:
        rng = np.random.default_rng(len(method))
        values = error + 0.01 * rng.standard_normal(50)
        row = fake.evaluation(10, False, float(values.mean()), metric="mse", episodes=50)
        document = fake.record({"algorithm.name": method}, evaluations=[row], baselines=[])
        fake.write(tmp_path / method, document, {row["scores"]: values})
    assert marks_of(table_of(tmp_path)) == {"MAML": [True], "Reptile": [False]}
    lines = ranking.rankings(records.read_records([tmp_path]))[0].lines.set_index("method")
    assert lines.loc["reptile", "difference"] == pytest.approx(0.1, abs=0.01)
    assert lines["tier"].to_dict() == {"maml": 1, "reptile": 2}


def test_a_table_says_when_its_seeds_are_too_few(tmp_path):
    fake.scored(tmp_path, {"reptile": 0.82, "maml": 0.80}, cells=[(1, False)], spread=0.03)
    (line,) = [s for s in table_of(tmp_path).caption if "too few" in s]
    assert line.startswith("3 seeds are too few for some differences: to tell a true one of ")
    assert "(5-way 1-shot) takes about " in line and line.endswith(" (--plan).")
    fake.scored(tmp_path / "far", {"reptile": 0.9, "maml": 0.5}, cells=[(1, False)])
    assert not any("too few" in s for s in table_of(tmp_path / "far").caption)
