"""Evaluation: what is predicted from what, and after which step."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from benchmark.evaluation import Evaluator, Protocol, score_row
from tasks.image_set import stacked
from tasks.sampling import ImageDistribution, batch_order, fold_in, split_seed
from tasks.seeding import stateless_key
from tests import reference
from tests.toy import learner, network_of, noise_images, settings

SETTINGS = settings(
    "task.ways=3",
    "task.train_shots=2",
    "model.layers=2",
    "model.filters=3",
    "algorithm.inner_learning_rate=0.01",
    "evaluation.splits=[test,train]",
    "evaluation.shots=[1,2]",
    "evaluation.queries=2",
    "evaluation.steps=[5,0,2]",
    "evaluation.batch=2",
)
ONE_SHOT, TWO_SHOT = Protocol("test", 1), Protocol("test", 2)
KEY = stateless_key(0, "evaluation test")


@pytest.fixture(scope="module")
def network():
    return network_of(SETTINGS)


@pytest.fixture(scope="module")
def distribution():
    return ImageDistribution({"test": noise_images(seed=0), "train": noise_images(seed=1)})


@pytest.fixture(scope="module")
def evaluator(network, distribution):
    return evaluate_at(network, distribution)


@pytest.fixture(scope="module")
def start(network):
    """A learner whose optimiser has a past, as after a training."""
    moment = np.full_like(network.initial, 0.01)
    return learner(network.initial, moment, 40)


def evaluate_at(network, distribution, seed=0, **changes):
    chosen = replace(SETTINGS.evaluation, **changes)
    inner = SETTINGS.algorithm.inner_loop(network, SETTINGS.task.metric)
    return Evaluator(inner, distribution, SETTINGS.task, chosen, False, seed)


def seed(index):
    return fold_in(KEY, tf.constant(index, tf.int64))


def adapted(evaluator, start, protocol, index, steps):
    """One episode and the learner after `steps`, step by step outside the evaluator."""
    for_episode, for_batches = split_seed(seed(index), 2)
    episode = evaluator.distribution.sample(protocol.split, for_episode, 3, protocol.shots, 2)
    order = batch_order(for_batches, 3 * protocol.shots, 5, 2, False)
    now = start
    for rows in order[:steps]:
        x, y = tf.gather(episode.support_x, rows), tf.gather(episode.support_y, rows)
        now = evaluator.inner.step(now, x, y)
    return episode, now


def by_hand(network, params, x):
    return reference.conv_network([v.numpy() for v in network.unflatten(params)], np.asarray(x))


@pytest.mark.parametrize("steps", [0, 2, 5])
def test_each_query_stands_alone_behind_the_support_set_or_all_in_one_batch(
    network, evaluator, start, steps
):
    episode, outputs = evaluator.outputs(start, TWO_SHOT, seed(0))
    again, after = adapted(evaluator, start, TWO_SHOT, 0, steps)
    np.testing.assert_array_equal(episode.query_x, again.query_x)
    plain, transductive = outputs[[0, 2, 5].index(steps)]
    alone = [
        by_hand(network, after.params, np.concatenate([again.support_x, query[None]]))[-1]
        for query in again.query_x.numpy()
    ]
    np.testing.assert_allclose(plain, alone, atol=1e-3)
    together = by_hand(network, after.params, again.query_x)
    np.testing.assert_allclose(transductive, together, atol=1e-3)
    assert np.abs(together - alone).max() > 0.05


def test_scores_after_some_steps_are_those_of_a_run_with_only_these(
    network, distribution, evaluator, start
):
    shared = evaluator.scores(start, TWO_SHOT, 0, 6).values
    assert shared.shape == (6, 3, 2)
    for i, steps in enumerate([0, 2, 5]):
        alone = evaluate_at(network, distribution, steps=[steps]).scores(start, TWO_SHOT, 0, 6)
        np.testing.assert_array_equal(shared[:, i], alone.values[:, 0])


def test_a_score_is_the_fraction_of_queries_given_their_label(evaluator, start):
    scores, correct, classes = evaluator.scores(start, ONE_SHOT, 0, 8)
    for index in range(8):
        episode, outputs = evaluator.outputs(start, ONE_SHOT, seed(index))
        np.testing.assert_array_equal(classes[index], episode.classes)
        for i, row in enumerate(outputs):
            for j, found in enumerate(row):
                right = np.argmax(found, 1) == episode.query_y.numpy()
                np.testing.assert_allclose(scores[index, i, j], right.mean(), atol=1e-6)
                np.testing.assert_array_equal(correct[index, i, j], right)
    assert len(np.unique(scores)) > 2


def test_adaptation_learns_its_own_support_set(evaluator, start):
    """Noise has nothing to generalise, but fifty steps must fit it."""
    many = evaluate_at(evaluator.inner.network, evaluator.distribution, steps=[50])
    episode, _ = many.outputs(start, TWO_SHOT, seed(1))
    order = batch_order(split_seed(seed(1), 2)[1], 6, 50, 2, False)
    after = many.inner.adapt(start, episode.support_x, episode.support_y, order)
    fitted = many.inner.network(after.params, episode.support_x)
    np.testing.assert_array_equal(np.argmax(fitted, 1), episode.support_y)


def test_an_episode_is_a_function_of_its_index_wherever_the_counting_starts(evaluator, start):
    whole = evaluator.scores(start, ONE_SHOT, 0, 7)
    pieces = [evaluator.scores(start, ONE_SHOT, *ends) for ends in ((0, 3), (3, 4), (4, 7))]
    for part, parts in zip(whole, zip(*pieces, strict=True), strict=True):
        np.testing.assert_array_equal(part, np.concatenate(parts))


def test_shots_share_their_queries_and_splits_and_seeds_do_not(network, distribution):
    def query(protocol, run_seed=0):
        evaluator = evaluate_at(network, distribution, seed=run_seed)
        key = stateless_key(run_seed, f"evaluation {protocol.split}")
        first = split_seed(fold_in(key, tf.constant(0, tf.int64)), 2)[0]
        return evaluator.sample(protocol, first).query_x.numpy()

    np.testing.assert_array_equal(query(ONE_SHOT), query(TWO_SHOT))
    assert (query(ONE_SHOT) != query(Protocol("train", 1))).any()
    assert (query(ONE_SHOT) != query(ONE_SHOT, run_seed=1)).any()


def test_evaluating_changes_nothing(evaluator, start):
    before = [np.array(part) for part in start]
    first, again = (evaluator.scores(start, ONE_SHOT, 0, 4).values for _ in range(2))
    np.testing.assert_array_equal(first, again)
    for part, was in zip(start, before, strict=True):
        np.testing.assert_array_equal(part, was)


def test_evaluation_goes_on_from_the_optimisers_training_state(evaluator, network, start):
    fresh = learner(network.initial)
    _, kept = evaluator.outputs(start, TWO_SHOT, seed(0))
    _, zeroed = evaluator.outputs(fresh, TWO_SHOT, seed(0))
    np.testing.assert_array_equal(kept[0][0], zeroed[0][0])  # before the first step
    assert np.abs(kept[1][0] - zeroed[1][0]).max() > 1e-3


def test_the_protocols_are_every_split_with_every_number_of_shots(evaluator):
    pairs = [("test", 1), ("test", 2), ("train", 1), ("train", 2)]
    assert list(evaluator.protocols()) == [Protocol(*pair) for pair in pairs]


@pytest.mark.parametrize("protocol", [ONE_SHOT, TWO_SHOT])
def test_nearest_neighbour_agrees_with_plain_numpy(network, protocol):
    """Drawings of a class are one pattern under noise, so that the scores are neither 0 nor 1."""
    random = np.random.default_rng(3)
    pattern = random.integers(0, 256, (6, 1, 28, 28))
    noisy = 0.1 * pattern + random.integers(0, 200, (6, 6, 28, 28))
    drawn = stacked(noisy.astype(np.uint8), np.zeros(6, np.int32))
    evaluator = evaluate_at(network, ImageDistribution({"test": drawn}))
    expected = []
    for index in range(20):
        first = split_seed(seed(index), 2)[0]
        episode = [np.asarray(part) for part in evaluator.sample(protocol, first)]
        nearest = reference.nearest_neighbour(*episode[:3])
        expected.append(np.mean(np.array(nearest) == episode[3]))
    found = evaluator.nearest_neighbour(protocol, 0, 20)
    np.testing.assert_allclose(found.values[:, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(found.correct[:, 0, 0].mean(1), expected, atol=1e-6)
    assert 0.4 < np.mean(expected) < 0.99


def test_the_score_of_a_regression_is_the_mean_squared_error_over_the_grid():
    chosen = settings("task=sinusoid", "model.hidden=[4]", "evaluation.steps=[0,3]")
    network = network_of(chosen)
    task = chosen.task
    inner = chosen.algorithm.inner_loop(network, task.metric)
    evaluator = Evaluator(inner, task.load(), task, chosen.evaluation, False, 0)
    start, sizes = learner(network.initial), reference.Sizes(1, 4, 1)
    scores = evaluator.scores(start, Protocol("test", 10), 0, 5).values
    assert scores.shape == (5, 2, 1)
    for index in range(5):
        for_episode, for_batches = split_seed(seed(index), 2)
        episode = [np.asarray(part) for part in task.sample("test", for_episode, 1, 10, 1)[:4]]
        x, y, query_x, query_y = episode
        order = batch_order(for_batches, 10, 3, 10, False).numpy()
        state = reference.State(network.initial, np.zeros_like(network.initial), 0)
        states = reference.adapt(state, x, y, order, sizes, "sgd", 0.02, "mse", "mean")
        for column, steps in enumerate((0, 3)):
            outputs = reference.mlp(states[steps].params.astype(np.float64), query_x, sizes)
            error = np.mean((outputs - query_y) ** 2)
            np.testing.assert_allclose(scores[index, column, 0], error, rtol=1e-4)


def test_a_row_by_hand():
    """Mean 3/4; squared deviations 9/16 + 3/16 = 3/4, over n - 1 = 3: s = 1/2; t = 3.1824."""
    protocol = Protocol("test", 5)
    row = score_row(settings().task, protocol, True, np.array([0, 1, 1, 1], np.float32))
    assert row.pop("ci95") == pytest.approx(3.1824 / 4, rel=1e-4)
    said = {"split": "test", "shots": 5, "transductive": True, "episodes": 4}
    assert row == said | {"metric": "accuracy", "accuracy": 0.75}
    (one,) = (score_row(settings().task, protocol, True, np.array([0.25], np.float32)),)
    assert (one["accuracy"], one["ci95"]) == (0.25, None)
