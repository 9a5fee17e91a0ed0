"""The paper's findings over invented records: held, not held, undecided, and without records."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from results import findings, paper, records
from results.labels import combination, tail_names
from tests import fake_records as fake

EPISODES = 200
NOISE = np.tile([-0.05, 0.05], EPISODES // 2)  # the same episodes for all methods
COMBINATIONS = {
    "g1": 0.4,
    "g2": 0.7,
    "g1+g2": 0.65,
    "mean(g1+g2)": 0.6,
    "g3": 0.75,
    "g1+g2+g3": 0.8,
    "mean(g1+g2+g3)": 0.7,
    "g4": 0.8,
    "g1+g2+g3+g4": 0.9,
    "mean(g1+g2+g3+g4)": 0.75,
}
SHARED = {"algorithm.name": "fomaml", "algorithm.tail_shots": 0}
SEPARATE = {"algorithm.name": "fomaml", "algorithm.tail_shots": 5}
REPTILE = {"algorithm.name": "reptile", "algorithm.tail_shots": 0}


def write(
    directory,
    accuracy,
    overrides,
    *,
    scores=True,
    scratch=None,
    own_noise=0.0,
    curve=(),
    episodes=EPISODES,
):
    """A run of the kind that sections 6.2 and 6.3 evaluate: 5-way 5-shot, plain SGD."""
    number = len(list(directory.iterdir())) if directory.exists() else 0
    private = np.random.default_rng(number + 1).normal(0, own_noise, EPISODES)
    values = {"": accuracy + NOISE + private - private.mean()}
    rows = [fake.evaluation(5, False, accuracy, ci95=0.01, steps=5, episodes=episodes)]
    baselines = []
    if scratch is not None:
        baselines = [{**rows[0], "method": "scratch", "accuracy": scratch, "scores": "scratch"}]
        values["scratch"] = scratch + NOISE
    keys = {"": rows[0]["scores"], "scratch": "scratch"}
    points = [
        {**rows[0], "iteration": 100 * n, "accuracy": value, "scores": None}
        for n, value in enumerate(curve, 1)
    ]
    settings = {
        "algorithm.inner_optimizer": "sgd",
        "algorithm.inner_batch": 25,
        "algorithm.outer_step": 0.25,
        "algorithm.replacement": False,
        **overrides,
    }
    document = fake.record(settings, evaluations=rows, baselines=baselines, learning_curve=points)
    arrays = {keys[name]: array[:episodes] for name, array in values.items()} if scores else None
    fake.write(directory / str(number), document, arrays)


def combine(directory, seeds=(0,), **more):
    """The runs of figure 3; `more` changes accuracies (None leaves a run out)."""
    changed = {name.replace("_", "+"): value for name, value in more.items()}
    for name, accuracy in {**COMBINATIONS, **changed}.items():
        for seed in seeds if accuracy is not None else ():
            write(
                directory,
                accuracy + seed / 100,
                {
                    "algorithm.name": name,
                    "algorithm.inner_steps": combination(name).steps,
                    "seed": seed,
                },
                curve=(accuracy - 0.3, accuracy - 0.1),
                scratch=0.395,
            )


def sweep(directory, kind, key, accuracies, **overrides):
    """Runs of one kind over a setting: {value: accuracy}."""
    for value, accuracy in accuracies.items():
        write(
            directory,
            accuracy,
            {"algorithm.inner_steps": 4, **kind, f"algorithm.{key}": value, **overrides},
        )


def judged(directory, name):
    """The only outcome of a finding."""
    (finding,) = [finding for finding in paper.STATEMENTS if finding.name == name]
    (outcome,) = findings.check(records.read_records([directory]), [finding])
    return outcome


def verdict(directory, name):
    return judged(directory, name).verdict


# --- section 6.2 ----------------------------------------------------------------------------------


def test_figure_3_as_the_paper_has_it(tmp_path):
    combine(tmp_path)
    outcomes = findings.check(records.read_records([tmp_path]), paper.STATEMENTS)
    told = {outcome.finding.name: outcome.verdict for outcome in outcomes}
    assert [name for name, value in told.items() if value == "held"] == [
        "g1 makes no progress",
        "later gradients beat g1",
        "g2 beats g1+g2",
        "more mini-batches are better",
        "sums gain more than the last gradient",
        "sums beat the last gradient",
        "longer sums learn faster",
    ]
    assert set(told.values()) == {"held", "no records"}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("g1 makes no progress", {"g1": 0.5}),
        ("later gradients beat g1", {"g3": 0.3}),
        ("g2 beats g1+g2", {"g2": 0.6}),
        ("sums beat the last gradient", {"g4": 0.95}),
        ("more mini-batches are better", {"g1_g2_g3": 0.5}),
        ("more mini-batches are better", {"g4": 0.7}),
        ("sums gain more than the last gradient", {"g2": 0.3}),
        ("longer sums learn faster", {"g1_g2_g3": 0.5}),
    ],
)
def test_one_claim_that_is_refuted_refutes_the_finding(tmp_path, name, changed):
    combine(tmp_path, **changed)
    assert verdict(tmp_path, name) == "not held"


@pytest.mark.parametrize("scores", [True, False])
def test_a_difference_whose_interval_covers_zero_is_undecided(tmp_path, scores):
    for name, accuracy in [("g2", 0.702), ("g1+g2", 0.7)]:
        write(tmp_path, accuracy, {"algorithm.name": name}, scores=scores, own_noise=0.05)
    assert verdict(tmp_path, "g2 beats g1+g2") == "undecided"


def test_pairing_by_episode_decides_what_independent_intervals_leave_open(tmp_path):
    for scores in (True, False):
        for name, accuracy in [("g2", 0.702), ("g1+g2", 0.7)]:
            write(tmp_path / str(scores), accuracy, {"algorithm.name": name}, scores=scores)
    assert verdict(tmp_path / "True", "g2 beats g1+g2") == "held"
    open_one = judged(tmp_path / "False", "g2 beats g1+g2")
    assert open_one.verdict == "undecided"
    assert open_one.evidence == "g2 70.20 against g1+g2 70.00: +0.20 ± 1.41"


def test_several_seeds_give_the_interval_over_their_differences(tmp_path):
    for scores in (True, False):
        for seed, second in [(0, 0.69), (1, 0.67), (2, 0.68)]:
            for name, accuracy in [("g2", 0.7), ("g1+g2", second)]:
                overrides = {"algorithm.name": name, "seed": seed}
                write(tmp_path / str(scores), accuracy, overrides, scores=scores)
        outcome = judged(tmp_path / str(scores), "g2 beats g1+g2")
        (difference,) = outcome.differences
        assert difference.estimate.over == "seeds" and difference.estimate.seeds == 3
        assert difference.estimate.half_width == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-4)
        assert outcome.verdict == "undecided"


def test_several_trainings_decide_without_reserve(tmp_path):
    for seed in range(3):
        for name, accuracy in [("g2", 0.7), ("g1+g2", 0.6 + seed / 1000)]:
            write(tmp_path, accuracy, {"algorithm.name": name, "seed": seed})
    assert judged(tmp_path, "g2 beats g1+g2").word == "held"


def test_seeds_that_only_one_side_has_are_not_compared(tmp_path):
    write(tmp_path, 0.7, {"algorithm.name": "g2", "seed": 0})
    write(tmp_path, 0.5, {"algorithm.name": "g1+g2", "seed": 1})
    assert verdict(tmp_path, "g2 beats g1+g2") == "no records"


def test_the_same_run_with_more_episodes_counts_once(tmp_path):
    """A longer evaluation of the same networks begins with the episodes of a shorter one."""
    for episodes in (EPISODES, EPISODES // 2):
        for name, accuracy in [("g2", 0.7), ("g1+g2", 0.6)]:
            write(tmp_path, accuracy, {"algorithm.name": name}, episodes=episodes)
    (difference,) = judged(tmp_path, "g2 beats g1+g2").differences
    assert difference.estimate.seeds == 1 and difference.estimate.episodes == EPISODES


def test_missing_runs_leave_a_finding_undecided_and_are_named(tmp_path):
    combine(tmp_path, g4=None)
    outcome = judged(tmp_path, "sums beat the last gradient")
    assert outcome.verdict == "undecided"
    assert outcome.evidence.endswith("; not recorded: g1+g2+g3+g4 against g4")
    combine(tmp_path / "refuted", g4=None, g3=0.9)
    assert verdict(tmp_path / "refuted", "sums beat the last gradient") == "not held"


def test_of_many_differences_the_weakest_are_shown(tmp_path):
    combine(tmp_path)
    evidence = judged(tmp_path, "later gradients beat g1").evidence
    assert evidence.startswith("mean(g1+g2) 60.00 against g1 40.00: +20.00 ± 0.00; ")
    assert evidence.count("against g1 ") == 3 and evidence.endswith("; 6 larger differences")


def test_budgets_are_judged_apart(tmp_path):
    for budget, gain in [(1000, -0.1), (2000, 0.1)]:
        for name, accuracy in [("g2", 0.6 + gain), ("g1+g2", 0.6)]:
            overrides = {"algorithm.name": name, "algorithm.meta_iterations": budget}
            write(tmp_path, accuracy, overrides)
    outcomes = [
        o
        for o in findings.check(records.read_records([tmp_path]), paper.STATEMENTS)
        if o.differences
    ]
    shown = findings.layout([o for o in outcomes if o.finding.name == "g2 beats g1+g2"])
    assert dict(zip(shown["setting"], shown["verdict"], strict=True)) == {
        "omniglot, 1000 meta-iterations": "not held in this run",
        "omniglot, 2000 meta-iterations": "held in this run",
    }


def test_settings_not_asked_about_pair_like_with_like(tmp_path):
    for filters, gain in [(32, 0.1), (64, 0.2)]:
        for name, accuracy in [("g2", 0.6 + gain), ("g1+g2", 0.6)]:
            write(
                tmp_path,
                accuracy,
                {"algorithm.name": name, "model.filters": filters},
            )
    outcome = judged(tmp_path, "g2 beats g1+g2")
    assert [(d.among, round(d.estimate.mean, 3)) for d in outcome.differences] == [
        ("32 filters", 0.1),
        ("64 filters", 0.2),
    ]


# --- section 6.3 ----------------------------------------------------------------------------------

FLAT = {2: 0.79, 4: 0.8, 5: 0.8, 8: 0.795}
FALLING = {2: 0.79, 4: 0.8, 5: 0.7, 8: 0.6}
FALLING_BEFORE = {1: 0.2, 3: 0.9, 4: 0.8, 5: 0.7, 8: 0.6}  # one step is no measure of what is fine
FLAT_BATCHES = {10: 0.79, 25: 0.8, 30: 0.8, 50: 0.795}
FALLING_BATCHES = {10: 0.79, 25: 0.8, 30: 0.81, 35: 0.7, 50: 0.6}  # at 30 some are new
WITH = {"algorithm.replacement": True}


@pytest.mark.parametrize(
    ("name", "kind", "key", "held", "refuted"),
    [
        ("shared tail falls from 5 iterations", SHARED, "inner_steps", FALLING, {4: 0.7, 8: 0.8}),
        ("shared tail falls from 5 iterations", SHARED, "inner_steps", FALLING, FALLING_BEFORE),
        (
            "replacement falls with iterations",
            {**SHARED, **WITH},
            "inner_steps",
            FALLING,
            {4: 0.7, 8: 0.8},
        ),
        ("separate tail keeps with iterations", SEPARATE, "inner_steps", FLAT, FALLING),
        ("Reptile keeps with iterations", REPTILE, "inner_steps", FLAT, FALLING),
        (
            "shared tail falls above batch 25",
            SHARED,
            "inner_batch",
            FALLING_BATCHES,
            {25: 0.7, 50: 0.8},
        ),
        (
            "separate tail keeps above batch 25",
            SEPARATE,
            "inner_batch",
            FLAT_BATCHES,
            FALLING_BATCHES,
        ),
        ("Reptile keeps above batch 25", REPTILE, "inner_batch", FLAT_BATCHES, FALLING_BATCHES),
    ],
)
def test_figure_4_held_and_refuted(tmp_path, name, kind, key, held, refuted):
    sweep(tmp_path / "held", kind, key, held)
    sweep(tmp_path / "refuted", kind, key, refuted)
    sweep(tmp_path / "one", kind, key, dict(list(held.items())[:1]))
    assert verdict(tmp_path / "held", name) == "held"
    assert verdict(tmp_path / "refuted", name) == "not held"
    assert verdict(tmp_path / "one", name) == "no records"


@pytest.mark.parametrize(
    ("name", "key", "pivot"),
    [
        ("replacement falls more gradually with iterations", "inner_steps", 4),
        ("replacement falls more gradually above batch 25", "inner_batch", 25),
    ],
)
def test_falling_more_gradually_is_a_difference_of_losses(tmp_path, name, key, pivot):
    for case, lost in [("held", 0.1), ("refuted", 0.4)]:
        sweep(tmp_path / case, SHARED, key, {pivot: 0.8, 2 * pivot: 0.6, 100: 0.5})
        sweep(tmp_path / case, SHARED, key, {pivot: 0.7, 2 * pivot: 0.7 - lost, 100: 0.5}, **WITH)
    outcome = judged(tmp_path / "held", name)
    (difference,) = outcome.differences
    assert outcome.verdict == "held"
    assert difference.estimate.mean == pytest.approx(0.1, abs=1e-6)
    assert outcome.evidence == (
        f"cycling at {pivot} over cycling at {2 * pivot} 20.00 against "
        f"replacement at {pivot} over replacement at {2 * pivot} 10.00: +10.00 ± 0.00"
    )
    assert verdict(tmp_path / "refuted", name) == "not held"


def test_batches_of_all_examples_or_with_new_ones_do_not_tell_how_gradually_it_falls(tmp_path):
    for kind in ({}, WITH):
        sweep(tmp_path, SHARED, "inner_batch", {25: 0.8, 30: 0.7, 100: 0.5}, **kind)
    assert verdict(tmp_path, "replacement falls more gradually above batch 25") == "no records"


@pytest.mark.parametrize("scores", [True, False])
def test_a_gain_against_a_gain_by_hand(tmp_path, scores):
    """Sums gain .25, the last gradient .1; without scores the four intervals add up."""
    for name in ("g2", "g1+g2", "g4", "g1+g2+g3+g4"):
        write(tmp_path, COMBINATIONS[name], {"algorithm.name": name}, scores=scores)
    (difference,) = judged(tmp_path, "sums gain more than the last gradient").differences
    assert (difference.first, difference.second) == pytest.approx((0.25, 0.1), abs=1e-6)
    assert difference.estimate.mean == pytest.approx(0.15, abs=1e-6)
    assert difference.estimate.half_width == pytest.approx(0.0 if scores else 0.02, abs=1e-6)


def test_a_drop_before_the_paper_has_one_refutes_it(tmp_path):
    sweep(tmp_path, SHARED, "inner_steps", {2: 0.9, 4: 0.8, 5: 0.7})
    outcome = judged(tmp_path, "shared tail falls from 5 iterations")
    assert [difference.verdict for difference in outcome.differences] == ["not held", "held"]
    assert outcome.verdict == "not held"


def test_a_loss_about_as_large_as_the_margin_is_undecided(tmp_path):
    for steps, accuracy in {4: 0.8, 8: 0.78}.items():
        write(tmp_path, accuracy, {**REPTILE, "algorithm.inner_steps": steps}, own_noise=0.05)
    assert verdict(tmp_path, "Reptile keeps with iterations") == "undecided"


def test_both_ways_to_draw_batches_must_keep(tmp_path):
    sweep(tmp_path, REPTILE, "inner_steps", FLAT)
    sweep(tmp_path, REPTILE, "inner_steps", FALLING, **WITH)
    outcome = judged(tmp_path, "Reptile keeps with iterations")
    assert outcome.verdict == "not held"
    assert outcome.evidence == (
        "cycling: 8 iterations 79.50 against 4 iterations 80.00: -0.50 ± 0.00; "
        "replacement: 8 iterations 60.00 against 4 iterations 80.00: -20.00 ± 0.00"
    )


@pytest.mark.parametrize(
    ("shared", "expected"),
    [(0.5, "held"), (0.9, "not held")],
)
def test_full_batches_against_reptile_at_each_outer_step(tmp_path, shared, expected):
    for step, second in [(0.1, 0.5), (0.5, shared)]:
        for kind, accuracy in [(REPTILE, 0.8), (SHARED, second)]:
            sweep(tmp_path, kind, "inner_batch", {100: accuracy}, **{"algorithm.outer_step": step})
    outcome = judged(tmp_path, "full batches are poor at every outer step")
    assert outcome.verdict == expected and len(outcome.differences) == 2
    assert outcome.evidence.startswith("outer step 0.1: Reptile 80.00 against shared tail 50.00")


def test_full_batches_without_rivals_are_compared_with_disjoint_ones(tmp_path):
    sweep(tmp_path, SHARED, "inner_batch", {25: 0.8})
    for step in (0.1, 0.5):
        sweep(tmp_path, SHARED, "inner_batch", {100: 0.6}, **{"algorithm.outer_step": step})
    outcome = judged(tmp_path, "full batches are poor at every outer step")
    assert outcome.verdict == "held" and len(outcome.differences) == 2


def test_every_outer_step_with_full_batches_counts_whether_it_has_rivals_or_not(tmp_path):
    sweep(tmp_path, SHARED, "inner_batch", {25: 0.8})
    sweep(tmp_path, REPTILE, "inner_batch", {100: 0.9}, **{"algorithm.outer_step": 0.1})
    for step, accuracy in [(0.1, 0.5), (0.5, 0.9)]:
        sweep(tmp_path, SHARED, "inner_batch", {100: accuracy}, **{"algorithm.outer_step": step})
    outcome = judged(tmp_path, "full batches are poor at every outer step")
    assert outcome.verdict == "not held"
    assert outcome.evidence == (
        "outer step 0.1: Reptile 90.00 against shared tail 50.00: +40.00 ± 0.00; "
        "outer step 0.5: batches of 25 80.00 against of 100 90.00: -10.00 ± 0.00"
    )


def test_batches_are_compared_at_the_same_outer_step(tmp_path):
    sweep(tmp_path, REPTILE, "inner_batch", {25: 0.8, 50: 0.8})
    sweep(tmp_path, REPTILE, "inner_batch", {100: 0.1}, **{"algorithm.outer_step": 1.0})
    outcome = judged(tmp_path, "Reptile keeps above batch 25")
    assert outcome.verdict == "no records" and not outcome.differences


# --- table 2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "expected"), [(0.05, "held"), (-0.05, "not held"), (0.001, "undecided")]
)
def test_transduction(tmp_path, gain, expected):
    rows = [fake.evaluation(1, False, 0.8), fake.evaluation(1, True, 0.8 + gain)]
    fake.write(tmp_path, fake.record(evaluations=rows))
    assert verdict(tmp_path, "transduction helps Reptile") == expected


def test_glyphs_say_nothing_about_table_2(tmp_path):
    fake.write(tmp_path, fake.record({"task.name": "glyphs"}))
    assert verdict(tmp_path, "transduction helps Reptile") == "no records"


# --- names and output -----------------------------------------------------------------------------


def test_tests_on_other_tasks_say_nothing_about_omniglot(tmp_path):
    rows = [fake.evaluation(1, kind, 0.8 + kind / 10) for kind in (False, True)]
    elsewhere = [row | {"tested": {"name": "glyphs"}} for row in rows]
    fake.write(tmp_path / "a", fake.record(evaluations=elsewhere))
    assert verdict(tmp_path, "transduction helps Reptile") == "no records"
    fake.write(tmp_path / "b", fake.record(evaluations=rows))
    assert verdict(tmp_path, "transduction helps Reptile") == "held"


def test_failed_runs_do_not_count(tmp_path):
    combine(tmp_path)
    found = records.read_records([tmp_path])
    found.evaluations["status"] = "failed"
    found.curves["status"] = "failed"
    assert {outcome.verdict for outcome in findings.check(found, paper.STATEMENTS)} == {
        "no records"
    }


def test_every_finding_has_a_name_a_sentence_and_a_source():
    names = [finding.name for finding in paper.STATEMENTS]
    assert len(set(names)) == len(names)
    for finding in paper.STATEMENTS:
        assert finding.statement.endswith(".")
        assert "section" in finding.source or "table" in finding.source


def test_no_record_at_all(tmp_path):
    outcomes = findings.check(records.read_records([tmp_path]), paper.STATEMENTS)
    assert [outcome.verdict for outcome in outcomes] == ["no records"] * len(paper.STATEMENTS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("g1", (1, "last")),
        ("g3", (3, "last")),
        ("g1+g3", (3, "sum")),
        ("mean(g1+g2)", (2, "mean")),
        ("reptile", None),
        ("mean(g1", None),
    ],
)
def test_combinations_by_name(name, expected):
    assert combination(name) == expected


def test_tails_by_name():
    frame = pd.DataFrame(
        {
            "method": ["fomaml", "fomaml", "reptile", "reptile", "scratch"],
            "algorithm.tail_shots": pd.array([0, 5, 0, 5, pd.NA], "Int64"),
        }
    )
    assert list(tail_names(frame)) == [
        "FOMAML, shared tail",
        "FOMAML, separate tail",
        "reptile",
        "Reptile, separate tail",
        "scratch",
    ]


def test_numbers_hold_one_line_a_difference(tmp_path):
    combine(tmp_path)
    lines = findings.numbers(findings.check(records.read_records([tmp_path]), paper.STATEMENTS))
    assert len(lines) == 1 + 9 + 1 + 7 + 1 + 2 + 3
    line = lines[lines["finding"] == "g2 beats g1+g2"].iloc[0]
    assert line["difference"] == pytest.approx(0.05)
    assert line["difference"] == pytest.approx(line["first_mean"] - line["second_mean"])
    assert (line["claim"], line["bound"], line["episodes"]) == ("held", 0, EPISODES)


def test_reading_findings_needs_no_tensorflow():
    code = "import sys, results.findings; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
