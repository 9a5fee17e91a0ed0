"""Which method is best and which cannot be told from it: against scipy, by hand, by simulation."""

import numpy as np
import pytest
from scipy import stats

from results import statistics
from results.compare import contrasts, standing
from results.compare.contrasts import Measured


def side(*seeds):
    return {
        str(seed): Measured(np.asarray(scores, np.float32)) for seed, scores in enumerate(seeds)
    }


def normal(rng, mean, seeds, episodes, *, spread, noise=0.1, hard=0.0):
    """A side whose trainings and episodes vary; `hard` [seeds, episodes] is shared by all sides."""
    own = mean + spread * rng.standard_normal((seeds, 1))
    return side(*(own + hard + noise * rng.standard_normal((seeds, episodes))))


@pytest.mark.parametrize("degrees", [1, 2, 3, 10, 399])
@pytest.mark.parametrize("t", [0.0, 0.7, -2.5, 5.0])
def test_p_values_and_quantiles_are_scipys(degrees, t):
    p = 2 * stats.t.sf(abs(t), degrees)
    assert statistics.p_value(t, degrees) == pytest.approx(p, rel=1e-6, abs=1e-13)
    if t:
        assert statistics.t_quantile(degrees, 1 - p) == pytest.approx(abs(t), rel=1e-5)


def test_holm_by_hand():
    # 4 tests: 0.01 * 4, then max(0.04, 0.02 * 3), max(0.06, 0.03 * 2) and 0.2 * 1
    adjusted, levels = statistics.holm([0.03, 0.01, 0.2, 0.02])
    assert adjusted == pytest.approx([0.06, 0.04, 0.2, 0.06])
    # 0.02 > 0.05 / 3 does not reject, so that the two above it share its level
    assert levels == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 4, 1 - 0.05 / 3, 1 - 0.05 / 3])
    assert statistics.holm([]) == ([], [])


def test_an_interval_at_its_level_excludes_zero_exactly_where_holm_rejects():
    rng = np.random.default_rng(0)
    for _ in range(200):
        t = 3 * rng.standard_normal(5)
        adjusted, levels = statistics.holm([statistics.p_value(v, 7) for v in t])
        excluded = [abs(v) > statistics.t_quantile(7, lv) for v, lv in zip(t, levels, strict=True)]
        assert excluded == [p <= 0.05 for p in adjusted]


def test_pairs_of_one_seed_are_scipys_paired_t_test():
    rng = np.random.default_rng(1)
    first, second = rng.random(50), rng.random(60)
    found = contrasts.paired(side(first), side(second))
    theirs = stats.ttest_rel(first, second[:50])
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-4)
    low, high = theirs.confidence_interval(0.99)
    assert found.half_width(0.99) == pytest.approx((high - low) / 2, rel=1e-4)
    assert (found.over, found.seeds, found.episodes) == ("episodes", 1, 50)


def test_pairs_of_several_seeds_are_the_t_test_of_their_mean_differences():
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 4, 30))
    found = contrasts.paired(side(*first), side(*second))
    theirs = stats.ttest_rel(first.mean(axis=1), second.mean(axis=1))
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-4)
    assert (found.over, found.seeds) == ("seeds", 4)


def test_other_episodes_are_welchs_t_test():
    rng = np.random.default_rng(3)
    first, second = rng.random(40), 1.5 * rng.random(25)
    found = contrasts.unpaired(side(first), side(second))
    theirs = stats.ttest_ind(first, second, equal_var=False)
    assert found.mean / np.sqrt(found.own.variance) == pytest.approx(theirs.statistic, rel=1e-4)
    assert found.own.degrees == int(theirs.df) and not found.paired
    assert found.p_value == pytest.approx(theirs.pvalue, rel=0.1)


def test_equal_scores_are_never_told_apart_and_exact_differences_always():
    same = contrasts.paired(side([0.2, 0.4]), side([0.2, 0.4]))
    assert (same.mean, same.half_width(), same.p_value) == (0, 0, 1)
    shifted = contrasts.paired(side([0.75, 0.5]), side([0.5, 0.25]))
    assert (shifted.mean, shifted.p_value) == (0.25, 0)
    assert contrasts.paired(side([0.3]), side([0.1])).p_value == 1


def test_other_classes_widen_a_difference_that_hangs_on_a_few():
    """One method is better on ten of 40 classes alone: many episodes, yet few classes."""
    rng = np.random.default_rng(4)
    classes = np.stack([rng.choice(40, 5, replace=False) for _ in range(3_000)])
    gain = (classes < 10).mean(axis=1) * 0.1
    noise = 0.05 * rng.standard_normal((2, 3_000))
    sides = [{"0": Measured(noise[i] + gain * (i == 0), classes, 40)} for i in range(2)]
    found = contrasts.paired(*sides)
    wider = statistics.new_classes(noise[0] + gain - noise[1], classes, 40)
    assert found.half_width_new_classes() == pytest.approx(np.hypot(found.half_width(), wider))
    assert found.half_width_new_classes() > 3 * found.half_width()
    other = {"0": Measured(noise[1], classes[::-1], 40)}
    assert contrasts.same_episodes(*sides) and not contrasts.same_episodes(sides[0], other)


@pytest.mark.parametrize(
    ("own", "of_classes"), [((2, 1), (0.5, 60)), ((1, 2), (3, 4)), ((1, 5), 0)]
)
def test_the_p_value_is_where_the_interval_for_new_classes_touches_zero(own, of_classes):
    parts = contrasts.Part(*own), contrasts.Part(*of_classes) if of_classes else None
    found = contrasts.Contrast(3.0, *parts, over="seeds", seeds=2, episodes=9)
    width = found.half_width_new_classes if of_classes else found.half_width
    assert width(1 - found.p_value) == pytest.approx(3.0)
    assert 0.01 < found.p_value < 0.5


def test_two_seeds_that_agree_by_chance_do_not_pass_for_many():
    """No true difference over classes and trainings: an error in 5 of 100, whatever the classes."""
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(400):
        of_class = 0.05 * rng.standard_normal(60)
        classes = np.argsort(rng.random((2, 200, 60)))[..., :5]
        scores = of_class[classes].mean(axis=2) + 0.05 * rng.standard_normal((2, 200))
        scores += 0.02 * rng.standard_normal((2, 1))
        first, second = (
            {str(i): Measured(values[i], classes[i], 60) for i in range(2)}
            for values in (scores, np.zeros_like(scores))
        )
        found = contrasts.paired(first, second)
        assert found.half_width_new_classes() >= found.half_width()
        errors += found.p_value <= 0.05
    assert errors / 400 < 0.07


def test_tiers_by_hand():
    rng = np.random.default_rng(6)
    hard = 0.2 * rng.standard_normal((1, 400))
    means = [0.70, 0.90, 0.50, 0.699, 0.899]
    sides = [normal(rng, m, 1, 400, spread=0, noise=0.03, hard=hard) for m in means]
    found = standing.places(sides, [1, 4, 0, 3, 2], 1)
    assert [place.tier for place in found] == [2, 1, 3, 2, 1]
    assert found[1].to_best is None and found[0].to_best.mean == pytest.approx(0.2, abs=0.01)


def test_the_truly_best_is_marked_in_95_of_100_experiments():
    """However many are nearly as good, and with few seeds."""
    rng = np.random.default_rng(6)
    for seeds, means in [(3, [0.80] * 6), (5, [0.81, 0.80, 0.80, 0.79]), (1, [0.8, 0.8, 0.79])]:
        kept = 0
        for _ in range(300):
            spread = 0.02 if seeds > 1 else 0
            sides = [normal(rng, m, seeds, 40, spread=spread) for m in means]
            scored = [np.mean([one.scores.mean() for one in s.values()]) for s in sides]
            found = standing.first_tier(sides, np.argsort(scored)[::-1].tolist(), 1)
            kept += found[0].tier == 1
        assert kept / 300 > 0.93, (seeds, kept / 300)
