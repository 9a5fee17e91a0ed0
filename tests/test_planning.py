"""`--plan`: what it takes is what simulated experiments really need."""

import numpy as np
import pytest
from scipy import stats

from results import records
from results.__main__ import main
from results.compare import planning, power
from results.compare.planning import Cost
from results.compare.power import Spread
from tests import fake_records as fake


@pytest.mark.parametrize(("bound", "shift", "degrees"), [(4.3, 3, 2), (2.1, 2.8, 19), (2, 0, 400)])
def test_the_noncentral_t_is_scipys(bound, shift, degrees):
    theirs = stats.nct.sf(bound, degrees, shift)
    assert power.exceeds(bound, shift, degrees) == pytest.approx(theirs, abs=1e-5)


def decided(rng, margin, spread, seeds, episodes, repetitions=4000):
    """How often simulated experiments decide: the t test of the seeds' mean differences."""
    deviation = np.sqrt(spread.between + spread.within / episodes)
    means = margin + deviation * rng.standard_normal((repetitions, seeds))
    return np.mean(stats.ttest_1samp(means, 0, axis=1).confidence_interval(0.95).low > 0)


@pytest.mark.parametrize(
    ("margin", "spread", "episodes"),
    [
        (0.01, Spread(0.01**2, 0.2**2), 400),
        (0.005, Spread(0.0, 0.15**2), 1000),
        (0.02, Spread(0.05**2, 0.3**2), 100),
    ],
)
def test_the_plan_is_within_20_percent_of_what_is_needed(margin, spread, episodes):
    """Planned from the scores of 150 simulated seeds, which show the spreads well."""
    rng = np.random.default_rng(0)
    trainings = np.sqrt(spread.between) * rng.standard_normal((150, 1))
    noise = np.sqrt(spread.within) * rng.standard_normal((150, episodes))
    planned = power.seeds_needed(margin, power.spread_of(list(trainings + noise)), episodes)
    seeds = range(2, 3 * planned)
    needed = next(
        n for n in seeds if decided(rng, margin, spread, n, episodes) >= power.POWER - 0.005
    )
    assert planned == pytest.approx(needed, rel=0.2, abs=1)


def test_spreads_are_those_that_the_scores_have():
    rng = np.random.default_rng(1)
    scores = 0.03 * rng.standard_normal((4000, 1)) + 0.2 * rng.standard_normal((4000, 50))
    found = power.spread_of(list(scores))
    assert np.sqrt(found) == pytest.approx([0.03, 0.2, np.sqrt(0.03**2 + 0.2**2 / 50)], rel=0.1)
    assert np.isnan(power.spread_of([scores[0]]).between)


def test_a_sample_of_small_spread_is_seen_through_in_9_of_10():
    rng = np.random.default_rng(2)
    true = Spread(0.02**2, 0.0)
    needed = power.seeds_needed(0.01, true, 1)
    covered = []
    for _ in range(200):
        seen = power.spread_of([np.array([m, m]) for m in 0.02 * rng.standard_normal(4)])
        covered.append(power.seeds_at_worst(0.01, seen, 2, 4, 2) >= needed)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(("known", "planned"), [(2, 400), (3, 50), (3, 1600), (5, 1600)])
def test_also_where_the_plan_has_other_episodes_than_the_sample(known, planned):
    """Their noise is in the variance that was seen, and is taken off once that is enlarged."""
    rng = np.random.default_rng(3)
    true, now = Spread(0.001, 0.15), 50
    needed = power.seeds_needed(0.04, true, planned)
    over_seeds = np.sqrt(true.between + true.within / now)
    covered = []
    for _ in range(400):
        seen = np.var(over_seeds * rng.standard_normal(known), ddof=1)
        shown = Spread(max(0, seen - true.within / now), true.within, seen)
        worst = power.seeds_at_worst(0.04, shown, planned, known, now)
        covered.append(worst is None or worst >= needed)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.05)


def test_what_is_beyond_reach_is_said():
    assert power.seeds_needed(0.0001, Spread(0.1**2, 0.1), 100) is None
    assert power.seeds_needed(0.1, Spread(0.0, 0.0), 100) == 2


def test_cost_by_hand():
    """Of 6 seeds of 800 episodes, 3 of 400 being there: three trained, all six evaluated."""
    now = planning.Contrast(0.0, planning.contrasts.Part(1, 2), None, "seeds", 3, 400)
    assert planning.seconds_of(6, 800, now, Cost(100, 0.1)) == 3 * 100 + 6 * 80
    assert planning.seconds_of(6, 400, now, Cost(100, 0.1)) == 3 * (100 + 40)
    assert planning.seconds_of(3, 400, now, Cost(100, 0.1)) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    means = {"reptile": 0.71, "maml": 0.70}
    return fake.scored(tmp_path_factory.mktemp("plan"), means, cells=[(1, False)], spread=0.02)


def test_the_command(runs, capsys):
    assert main([str(runs), "--plan", "reptile", "maml", "--margin", "1"]) == 0
    out = capsys.readouterr().out
    asked = "How many seeds and episodes tell a difference of 1 between reptile and maml from none."
    assert out.startswith(asked)
    (made,), problems = planning.plans(records.read_records([runs]), "reptile", "maml", 1)
    assert problems == [] and made.more == made.needed - 3 > 0
    # a seed of both takes 2 * 104 s of training, 2 * 40 s of evaluation of 60 episodes
    again = made.needed if made.of_episodes > 60 else made.more
    cost = made.more * 208 + again * 80 * made.of_episodes / 60
    assert made.seconds == pytest.approx(cost)
    assert f"{made.more} more seeds" in out and "as these runs took on a CPU" in out
    assert main([str(runs), "--plan", "reptile", "maml", "--margin", "90"]) == 0
    assert "nothing: less than that" in capsys.readouterr().out
    one = ["--where", "seed=0", "--format", "csv"]
    assert main([str(runs), "--plan", "reptile", "maml", "--margin", "1", *one]) == 0
    assert capsys.readouterr().out.splitlines()[1].count(",1,60,,60,,,unknown") == 1


def test_a_difference_that_is_told_needs_nothing_more(tmp_path, capsys):
    """+5 against a margin of 4.9: by how much is another question."""
    fake.scored(tmp_path, {"reptile": 0.85, "maml": 0.80}, cells=[(1, False)], spread=0.004)
    assert main([str(tmp_path), "--plan", "reptile", "maml", "--margin", "4.9"]) == 0
    assert "nothing: the first is better" in capsys.readouterr().out


def test_single_episodes_show_no_spread(tmp_path, capsys):
    fake.scored(tmp_path, {"reptile": 0.8, "maml": 0.7}, cells=[(1, False)], episodes=1)
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--plan", "reptile", "maml", "--margin", "1"])
    assert "a single episode shows no spread: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plan", "reptile", "maml"], "argument --plan: needs --margin POINTS"),
        (["--margin", "1"], "argument --plan: needs --margin POINTS"),
        (["--margin", "-1"], "argument --margin: '-1' is no number above 0"),
        (["--plan", "reptile", "nobody", "--margin", "1"], "argument --plan: no record has method"),
    ],
)
def test_wrong_options_are_one_line(runs, capsys, words, message):
    with pytest.raises(SystemExit):
        main([str(runs), *words])
    assert message in capsys.readouterr().err
