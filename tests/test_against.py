"""`--against`: two sets of records cell by cell, and the exit status that a CI goes by."""

import io
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from results import records, statistics
from results.__main__ import main
from results.compare import against, contrasts
from results.compare.contrasts import Measured
from tests import fake_records as fake

ONE = ((1, False),)
KEY = "test/5way/1shot/plain/50steps"


def compared(new, old):
    return against.against(records.read_records([new]), records.read_records([old]))


def scores(directory, method, seeds=range(3)):
    return [np.load(directory / f"{method}_{seed}" / "scores.npz")[KEY] for seed in seeds]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    means = {"reptile": 0.7, "maml": 0.6}
    return fake.scored(tmp_path_factory.mktemp("old"), means, cells=ONE)


def test_the_same_records_differ_in_nothing(old):
    made = compared(old, old)
    assert made.settings == [] and not made.worse
    assert made.lines["verdict"].tolist() == ["noise", "noise"]
    assert made.lines["difference"].tolist() == [0, 0] and made.lines["paired"].all()


def test_pairs_by_hand_and_the_settings_that_differ(old, tmp_path):
    new = fake.scored(
        tmp_path, {"reptile": 0.5, "fomaml": 0.9}, cells=ONE, **{"algorithm.inner_steps": 8}
    )
    made = compared(new, old)
    lines = made.lines.set_index("method")
    assert lines["verdict"].to_dict() == {
        "reptile": "worse",
        "maml": "only old",
        "fomaml": "only new",
    }
    pairs = zip(scores(new, "reptile"), scores(old, "reptile"), strict=True)
    gaps = np.array([(a - b).mean() for a, b in pairs])
    line = lines.loc["reptile"]
    assert line["difference"] == pytest.approx(gaps.mean(), abs=1e-6)
    assert line["half_width"] == pytest.approx(4.302653 * gaps.std(ddof=1) / 3**0.5, rel=1e-3)
    assert line["paired"] and line["seeds"] == 3 and made.worse
    assert made.settings == ["algorithm.inner_steps: 5 -> 8"]


def test_other_data_are_compared_unpaired(old, tmp_path):
    new = fake.scored(tmp_path, {"reptile": 0.5}, cells=ONE, **{"task.split_seed": 3})
    line = compared(new, old).lines.iloc[0]
    first, second = ([s.mean() for s in scores(d, "reptile")] for d in (new, old))
    theirs = stats.ttest_ind(first, second, equal_var=False)
    assert not line["paired"] and line["difference"] == pytest.approx(
        np.mean(first) - np.mean(second)
    )
    assert line["p_value"] == pytest.approx(theirs.pvalue, rel=0.9)  # degrees are rounded down


def test_both_numbers_are_of_the_seeds_that_the_difference_is_of(tmp_path):
    new = fake.scored(tmp_path / "new", {"reptile": 0.7}, cells=ONE, seeds=(0, 1, 2))
    old = fake.scored(tmp_path / "old", {"reptile": 0.6}, cells=ONE, seeds=(1, 2, 3))
    line = compared(new, old).lines.iloc[0]
    means = [part.mean(dtype=float) for part in scores(new, "reptile", (1, 2))]
    assert line["paired"] and line["seeds"] == 2
    assert line["new"] == pytest.approx(np.mean(means))
    assert line["new_ci95"] == pytest.approx(statistics.seed_interval(means, 60).half_width)
    assert line["new"] - line["old"] == pytest.approx(line["difference"])


def test_a_setting_that_only_one_row_has_tells_it_from_the_other(tmp_path):
    fake.scored(tmp_path / "plain", {"reptile": 0.7}, cells=ONE)
    fake.scored(tmp_path / "set", {"reptile": 0.6}, cells=ONE, **{"algorithm.clip": 2})
    made = compared(tmp_path, tmp_path)
    assert against.layout(made)["clip"].tolist() == ["2", "-"]
    fake.scored(tmp_path / "other", {"maml": 0.6}, cells=ONE, **{"algorithm.rate": 2})
    table = against.layout(compared(tmp_path, tmp_path))
    assert "clip" in table and "rate" not in table  # the method tells that one apart


@pytest.mark.parametrize("scored", [True, False])
def test_of_two_evaluations_of_a_seed_the_longer_counts(tmp_path, scored):
    for episodes in (30, 60):
        for side, mean in (("old", 0.8), ("new", 0.82)):
            directory = tmp_path / side / str(episodes)
            fake.scored(directory, {"reptile": mean}, cells=ONE, episodes=episodes)
    for file in [] if scored else tmp_path.rglob("scores.npz"):
        file.unlink()
    whole, longer = (compared(tmp_path / f"new{at}", tmp_path / f"old{at}") for at in ("", "/60"))
    pd.testing.assert_frame_equal(whole.lines[longer.lines.columns], longer.lines)
    assert whole.lines["seeds"].tolist() == [3]


def test_a_side_without_a_completed_evaluation_is_refused(old, tmp_path, capsys):
    failed = {"status": "failed", "reason": "boom", "evaluations": [], "baselines": []}
    fake.write(tmp_path / "bad", fake.record(**failed))
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--against", str(old), "--report", str(tmp_path / "r.html")])
    assert "no completed evaluation on one side" in capsys.readouterr().err


def test_without_scores_the_stated_intervals_decide(old, tmp_path):
    new = shutil.copytree(old, tmp_path / "new")
    for run in new.iterdir():
        (run / "scores.npz").unlink()
    one = compared(new, old).lines.iloc[0]
    assert one["difference"] == pytest.approx(0) and not one["paired"] and one["seeds"] == 3


def test_noise_fails_in_5_of_100_tables_at_most():
    """Ten cells without any difference, of three seeds on each side."""
    rng, failed = np.random.default_rng(0), 0
    for table in 0.8 + 0.01 * rng.standard_normal((300, 10, 2, 3, 1)):
        sides = [[dict(zip("012", map(Measured, side), strict=True)) for side in c] for c in table]
        p = [contrasts.unpaired(*cell).p_value for cell in sides]
        failed += min(statistics.holm(p)[0]) <= 0.05
    assert failed / 300 < 0.07


def test_the_command_and_its_exit_status(old, tmp_path, capsys):
    new = fake.scored(tmp_path / "new", {"reptile": 0.5, "maml": 0.6}, cells=ONE)
    assert main([str(new), "--against", str(old)]) == 0
    text = capsys.readouterr().out
    assert "(new) against" in text and "Settings, code and machine are the same." in text
    row = next(line for line in text.splitlines() if line.startswith("Reptile"))
    assert " * " in row and row.split()[-4:] == ["worse", "3", "seeds,", "paired"]
    assert main([str(new), "--against", str(old), "--fail-on-worse"]) == 1
    assert main([str(old), "--against", str(new), "--fail-on-worse"]) == 0
    assert "better" in capsys.readouterr().out
    seed = ["--where", "seed=0"]
    assert main([str(new), "--against", str(old), *seed, "--format", "html"]) == 0
    page = capsys.readouterr().out
    assert "<td>worse in this run</td>" in page.replace("  ", "") and "<b>-" in page


@pytest.mark.parametrize("style", ["markdown", "latex", "csv"])
def test_every_format(old, style, capsys):
    assert main([str(old), "--against", str(old), "--format", style]) == 0
    out = capsys.readouterr().out
    if style == "csv":
        assert pd.read_csv(io.StringIO(out))["difference"].tolist() == [0, 0]
    else:
        assert "+0.00" in out


def test_wrong_options_are_one_line(old, tmp_path, capsys):
    for words, message in [
        (["--fail-on-worse"], "argument --fail-on-worse: needs --against"),
        (["--against", str(tmp_path)], "argument --against: no completed evaluation in"),
    ]:
        with pytest.raises(SystemExit):
            main([str(old), *words])
        assert message in capsys.readouterr().err
    other = fake.scored(tmp_path / "other", {"protonet": 0.5}, cells=ONE)
    with pytest.raises(SystemExit):
        main([str(old), "--against", str(other)])
    assert "no cell is in both; they differ in method" in capsys.readouterr().err
