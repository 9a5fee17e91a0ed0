"""The classic mistakes: each is exactly what its name says, and nothing else."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmark import config
from benchmark.command.compose import CONF, compose
from benchmark.models import Conv
from benchmark.network import Network
from benchmark.studies import pitfalls
from tasks.sampling import ImageDistribution, fold_in
from tasks.seeding import stateless_key
from tests.toy import SIZES, Clouds, algorithm, cloud_network, coded_images, decode, learner

KEY = stateless_key(0, "pitfalls")
CHANGES = {  # beside the name
    "none": {},
    "unmoved_averages": {"model._target_": "ConvOnUnmovedAverages"},
    "adam_zeroed": {"algorithm._target_": "AdamZeroed"},
    "momentum_on": {"algorithm._target_": "MomentumOn", "runtime.engine": "tensorflow"},
    "summed_loss": {"algorithm.inner_optimizer": "sgd", "algorithm.inner_learning_rate": 0.003},
    "mean_loss": {
        "algorithm.inner_optimizer": "sgd",
        "algorithm.inner_learning_rate": 0.003,
        "algorithm.loss_reduction": "mean",
    },
    "classes_repeated": {"task._target_": "OmniglotWithClassesRepeated"},
    "queries_seen": {"task._target_": "OmniglotWithQueriesSeen"},
    "test_trained_on": {"task._target_": "OmniglotTrainedOnTest"},
    "step_kept": {"algorithm.outer_step_final": 1.0},
    "ink": {"model._target_": "ConvOnInk"},
}


def composed(pitfall):
    return compose("+experiment=pitfalls", f"pitfall={pitfall}", with_hydra=True)


def flat(node, prefix=""):
    """{dotted key: value} of nested dicts."""
    if not isinstance(node, dict):
        return {prefix: node}
    parts = (flat(value, f"{prefix}.{key}".strip(".")) for key, value in node.items())
    return {key: value for part in parts for key, value in part.items()}


def test_every_mistake_is_looked_at_and_swept():
    assert {path.stem for path in Path(CONF, "pitfall").glob("*.yaml")} == set(CHANGES)
    assert set(composed("none").hydra.sweeper.params["pitfall"].split(",")) == set(CHANGES)


@cache
def settings_with(pitfall):
    """All settings of the study with this mistake, flat."""
    return flat(config.as_dict(compose("+experiment=pitfalls", f"pitfall={pitfall}")))


@pytest.mark.parametrize("pitfall", CHANGES)
def test_a_mistake_changes_one_thing(pitfall):
    right, wrong = settings_with("none"), settings_with(pitfall)
    changed = {key: wrong[key] for key in wrong if wrong[key] != right[key]}
    named = changed.pop("algorithm.name", None)
    assert changed.pop("evaluation.baselines", []) == []  # those without a mistake stand for all
    assert bool(named) == (pitfall != "none")
    assert {k: str(v).split(".")[-1] if "_target_" in k else v for k, v in changed.items()} == (
        CHANGES[pitfall]
    )


def network_of(kind):
    keras.utils.set_random_seed(0)
    return Network(kind(name="small", layers=2, filters=3).build((28, 28, 1), 5))


def images(count):
    return np.random.default_rng(1).random((count, 28, 28, 1)).astype(np.float32)


def test_with_unmoved_averages_nothing_is_normalised():
    network, x = network_of(pitfalls.ConvOnUnmovedAverages), images(6)
    assert network.shapes == network_of(Conv).shapes
    alone = network(network.initial, x[:1])
    np.testing.assert_allclose(network(network.initial, x)[:1], alone, atol=1e-6)
    layer = pitfalls.UnmovedAverages()
    layer.build((None, 2, 2, 3))
    layer.gamma.assign([1.0, 2.0, 3.0])
    layer.beta.assign([0.0, 1.0, -1.0])
    maps = np.random.default_rng(2).normal(size=(4, 2, 2, 3)).astype(np.float32)
    theirs = keras.layers.BatchNormalization(epsilon=1e-3)  # its averages are 0 and 1
    theirs.build(maps.shape)
    theirs.gamma.assign(layer.gamma)
    theirs.beta.assign(layer.beta)
    np.testing.assert_allclose(layer(maps), theirs(maps, training=False), atol=1e-5)


def test_ink_is_the_same_network_on_inverted_images():
    right, wrong, x = network_of(Conv), network_of(pitfalls.ConvOnInk), images(6)
    np.testing.assert_array_equal(right.initial, wrong.initial)
    np.testing.assert_allclose(wrong(wrong.initial, x), right(right.initial, 1 - x), atol=1e-5)


def test_a_zeroed_adam_learns_each_task_as_the_first():
    right = algorithm("reptile", inner_steps=3, inner_batch=4)
    wrong = pitfalls.AdamZeroed(**vars(right))
    network, task = cloud_network(), Clouds()
    used = learner(network.initial, np.full_like(network.initial, 0.01), 40)
    inner = right.inner_loop(network, "accuracy")
    fresh, _ = right.learn_task(inner, learner(network.initial), task, task, KEY)
    displacement, after = wrong.learn_task(inner, used, task, task, KEY)
    np.testing.assert_allclose(displacement, fresh, atol=1e-7)
    assert not after.moment.numpy().any() and after.count.numpy() == 0


def test_momentum_is_that_of_kerass_adam():
    chosen = pitfalls.MomentumOn(**vars(algorithm("reptile", inner_learning_rate=0.01)))
    network = cloud_network()
    inner = chosen.inner_loop(network, "accuracy", "native")
    x = tf.constant(np.random.default_rng(0).normal(size=(12, SIZES.inputs)), tf.float32)
    y, order = tf.range(12) % 3, tf.reshape(tf.range(12), [3, 4])
    adam = keras.optimizers.Adam(0.01, beta_1=0.9, epsilon=1e-8)
    phi = keras.Variable(network.initial)
    for rows in order:
        adam.apply([inner.gradient(phi.value, tf.gather(x, rows), tf.gather(y, rows))], [phi])
    after = inner.adapt(learner(network.initial), x, y, order)
    np.testing.assert_allclose(after.params, phi.numpy(), atol=1e-5)
    without = algorithm("reptile", inner_learning_rate=0.01).inner_loop(network, "accuracy")
    plain = without.adapt(learner(network.initial), x, y, order)
    assert np.abs(plain.params - after.params).max() > 1e-3


@pytest.fixture(scope="module")
def distribution():
    """Six characters in training and six others in the test."""
    coded = coded_images(12, 8)
    return ImageDistribution(
        {"train": coded.select(np.arange(6)), "test": coded.select(np.arange(6, 12))}
    )


def test_repeated_classes_share_a_task(distribution):
    wrong, repeats = pitfalls.ClassesRepeated(distribution), 0
    for index in range(20):
        episode = wrong.sample("train", fold_in(KEY, tf.constant(index)), 4, 2, 1)
        support, query = decode(episode.support_x), decode(episode.query_x)
        assert episode.support_y.numpy().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
        assert episode.query_y.numpy().tolist() == [0, 1, 2, 3]
        classes = [c for c, _ in query]
        assert [c for c, _ in support] == np.repeat(classes, 2).tolist()
        repeats += len(set(classes)) < 4
    assert 8 < repeats < 20  # 1 - 6 x 5 x 4 x 3 / 6^4 = 72 %


@pytest.mark.parametrize(("shots", "queries"), [(2, 2), (3, 1), (1, 2)])
def test_seen_queries_stand_in_the_support_set_under_their_label(distribution, shots, queries):
    episode = pitfalls.QueriesSeen(distribution).sample("test", KEY, 4, shots, queries)
    support = dict(zip(decode(episode.support_x), episode.support_y.numpy(), strict=True))
    asked = zip(decode(episode.query_x), episode.query_y.numpy(), strict=True)
    assert [support[image] == label for image, label in asked] == [True] * 4 * queries


def test_training_on_the_test_classes_meets_no_other(distribution):
    wrong = pitfalls.TestTrainedOn(distribution)
    episodes = [wrong.sample("train", fold_in(KEY, tf.constant(i)), 4, 1, 0) for i in range(20)]
    met = {number for episode in episodes for number, _ in decode(episode.support_x)}
    assert met == set(range(6, 12))
