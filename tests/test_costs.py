"""`--cost`, and the pictures of ranks and of costs: what they show, against the records."""

import pandas as pd
import pytest

from results import records, tables
from results.__main__ import main
from results.compare import costs, ranking
from results.pictures import gallery, plotting, rank_picture
from results.pictures.panels import CannotShow
from tests import fake_records as fake

EACH = 0.052  # seconds of a meta-iteration, of every record of fake_records


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    means = {"reptile": 0.8, "maml": 0.801, "fomaml": 0.6}
    directory = fake.scored(tmp_path_factory.mktemp("costs"), means)
    fake.write(directory / "extra", fake.record({"algorithm.name": "protonet", "seed": 0}))
    return directory


def table_of(directory, target):
    found = records.read_records([directory])
    return costs.priced(found, tables.accuracy_tables(found)[0], target)


def test_costs_by_hand(runs):
    """The curves reach 0.8 - 30 / (i + 50) at i = 100, 200, 400: 60, 68 and 73.3 %."""
    cells = table_of(runs, 65).cells.drop_duplicates("method").set_index("method")
    line = cells.loc["reptile"]
    assert line["train_seconds"] == 104.0 and line["meta_iterations"] == "2000"
    assert line["seconds_to_target"] == pytest.approx(200 * EACH)
    assert (line["reached"], line["curves"]) == (3, 3)
    assert pd.isna(cells.loc["scratch", "train_seconds"]) and cells.loc["scratch", "curves"] == 0


def test_a_row_of_several_trainings_has_no_one_cost(tmp_path):
    for budget in (1000, 2000):
        for seed in range(3):
            config = {"algorithm.meta_iterations": budget, "seed": seed}
            fake.write(tmp_path / f"{budget}_{seed}", fake.record(config))
    found = records.read_records([tmp_path])
    (table,) = tables.accuracy_tables(found, ["method"], ["meta_iterations"])
    line = costs.priced(found, table, 60).cells.iloc[0]
    assert pd.isna(line["train_seconds"]) and line["curves"] == 0
    assert line["meta_iterations"] == "1000, 2000"


def test_a_seed_that_was_evaluated_twice_counts_once(tmp_path):
    for seed in range(3):
        fake.write(tmp_path / f"{seed}", fake.record({"seed": seed}))
        again = [fake.evaluation(20, False, 0.9)]
        fake.write(tmp_path / f"again{seed}", fake.record({"seed": seed}, evaluations=again))
    line = table_of(tmp_path, 99).cells.drop_duplicates("method").set_index("method").loc["reptile"]
    assert (line["reached"], line["curves"]) == (0, 3)


def test_a_score_that_is_not_reached_is_said(runs):
    shown = tables.layout(table_of(runs, 75)).set_index("method")
    assert shown.loc["Reptile", "s to 75 %"] == "not reached (0 of 3 seeds)"
    assert shown.loc["Reptile", "training s"] == "104"
    assert shown.loc["from scratch (no meta-learning)", "s to 75 %"] == "-"
    assert list(tables.layout(table_of(runs, None)).columns)[-2:] == [
        "meta-iterations",
        "training s",
    ]


def test_the_command(runs, capsys):
    assert main([str(runs), "--cost", "65", "--where", "method=reptile"]) == 0
    out = capsys.readouterr().out
    assert "s to 65 %" in out and "10.4" in out
    assert "(1-shot, test classes)" in " ".join(out.split())
    assert main([str(runs), "--cost", "--format", "csv"]) == 0
    assert "train_seconds" in capsys.readouterr().out.splitlines()[0]


def lines_of(figure):
    """The lines of a figure of one panel, by their colour."""
    return {line.get_color(): line for line in figure.axes[0].lines if len(line.get_xdata()) > 1}


def test_the_frontier_draws_scores_over_seconds(runs):
    found = records.read_records([runs])
    with plotting.style():
        _, figure = gallery.all_figures(found)["frontier"]
    (drawn,) = {tuple(line.get_xdata()) for line in lines_of(figure).values()} - {(0.0, 1.0)}
    assert list(drawn) == pytest.approx([100 * EACH, 200 * EACH, 400 * EACH], abs=1e-3)


def test_the_picture_of_ranks_joins_what_shares_a_tier(runs):
    (made,) = ranking.rankings(
        records.read_records([path for path in runs.iterdir() if path.name != "extra"])
    )
    with plotting.style():
        axes = rank_picture.critical_difference(made).axes[0]
    whole = made.lines[made.lines["protocol"] == made.overall].set_index("method")
    assert whole["tier"].to_dict() == {"reptile": 1, "maml": 1, "fomaml": 2}
    (bar,) = [line for line in axes.lines if line.get_linewidth() > 3]
    ranks = sorted(whole.loc[["reptile", "maml"], "rank"])
    assert [min(bar.get_xdata()) < rank < max(bar.get_xdata()) for rank in ranks] == [True, True]
    assert max(bar.get_xdata()) < whole.loc["fomaml", "rank"]
    assert {text.get_text() for text in axes.texts} == {"Reptile", "MAML", "FOMAML"}
    starts = sorted(line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 3)
    assert starts == sorted(whole["rank"])


def test_two_methods_need_no_picture(runs):
    found = records.read_records([runs / f"{m}_0" for m in ("reptile", "maml")])
    with pytest.raises(CannotShow, match="2 methods to rank, not 3 to 24"):
        rank_picture.critical_difference(ranking.rankings(found)[0])


def test_a_learning_curve_that_does_not_state_its_protocol_counts_too(tmp_path, capsys):
    document = fake.record()
    for point in document["learning_curve"]:
        point["transductive"] = None
    fake.write(tmp_path, document)
    assert main([str(tmp_path), "--cost", "50"]) == 0
    assert "s to 50 %" in capsys.readouterr().out
