"""Prototypical networks: class means, distances and gradients against plain NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from benchmark import config
from benchmark.command.compose import compose
from benchmark.evaluation import Evaluator, Protocol
from benchmark.network import build_network
from benchmark.outer_loop import training_tasks
from tasks.base import Size
from tasks.checks import ConfigError
from tasks.sampling import ImageDistribution, split_seed
from tasks.seeding import stateless_key
from tests.toy import learner, noise_images, settings

SETTINGS = settings(
    "algorithm=protonet",
    "task.ways=3",
    "task.train_shots=2",
    "model.layers=2",
    "model.filters=3",
    "algorithm.train_ways=4",
    "algorithm.train_queries_per_class=3",
    "evaluation.shots=[1,2]",
    "evaluation.queries=2",
)


@pytest.fixture(scope="module")
def network():
    return build_network(SETTINGS.model, SETTINGS.task, seed=0)


@pytest.fixture(scope="module")
def inner(network):
    return SETTINGS.algorithm.inner_loop(network, "accuracy")


@pytest.fixture(scope="module")
def distribution():
    return ImageDistribution({"test": noise_images(seed=0), "train": noise_images(seed=1)})


def embed(network, params, images):
    """The value before the last layer, found by asking the model's layers one by one."""
    for variable, value in zip(network.model.variables, network.unflatten(params), strict=True):
        variable.assign(value)
    for layer in network.model.layers[:-1]:
        images = layer(images, training=True)
    return np.asarray(images, np.float64)


def logits(network, params, episode, queries):
    """Minus the squared distances of `queries`, embedded in one batch with the support set."""
    embedded = embed(network, params, np.concatenate([episode.support_x, queries]))
    labels, count = np.asarray(episode.support_y), len(episode.support_y)
    means = [embedded[:count][labels == c].mean(0) for c in range(labels.max() + 1)]
    return np.array([[-((q - m) ** 2).sum() for m in means] for q in embedded[count:]])


@pytest.mark.parametrize("shots", [1, 2])
@pytest.mark.parametrize("transductive", [False, True])
def test_a_query_is_as_likely_as_its_embedding_is_near(
    network, inner, distribution, shots, transductive
):
    episode = distribution.sample("test", tf.constant([1, 2]), 3, shots, 2)
    found = inner.predict(tf.constant(network.initial), episode, transductive)
    x = np.asarray(episode.query_x)
    batches = [x] if transductive else [query[None] for query in x]
    expected = [logits(network, network.initial, episode, batch) for batch in batches]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=2e-4, atol=2e-4)


def test_training_goes_down_the_slope_of_the_queries_cross_entropy(network, inner, distribution):
    seed = stateless_key(0, "proto")
    start = learner(network.initial)
    learn = SETTINGS.algorithm.learn_task
    displacement, after = learn(inner, start, distribution, SETTINGS.task, seed)
    assert displacement.shape == network.initial.shape
    assert after.params is start.params
    for_episode = split_seed(tf.constant(seed), 2)[0]
    episode = distribution.sample("train", for_episode, 4, 2, 3)  # of its own ways and queries

    def loss(params):
        scores = logits(network, params.astype(np.float32), episode, np.asarray(episode.query_x))
        scores -= scores.max(1, keepdims=True)
        right = scores[range(12), episode.query_y]
        return np.mean(np.log(np.exp(scores).sum(1)) - right)

    direction = np.random.default_rng(0).standard_normal(len(network.initial))
    step = 1e-3 * direction
    slope = (loss(network.initial + step) - loss(network.initial - step)) / 2e-3
    assert float(tf.tensordot(displacement, tf.constant(direction, tf.float32), 1)) == (
        pytest.approx(-slope, rel=0.02)
    )


def test_the_last_layer_is_not_part_of_the_embedding(network, inner, distribution):
    learn = training_tasks(
        SETTINGS.algorithm, inner, distribution, SETTINGS.task, tf.constant([0, 1])
    )
    displacement, _ = learn(tf.constant(0, tf.int64), learner(network.initial))
    head = sum(network.sizes[-2:])
    assert not np.any(displacement[-head:]) and np.any(displacement[:-head])


def test_an_evaluation_has_no_steps(inner, distribution, network):
    evaluator = Evaluator(inner, distribution, SETTINGS.task, SETTINGS.evaluation, False, 0)
    assert evaluator.steps == [0]
    scores = evaluator.scores(learner(network.initial), Protocol("test", 2), 0, 3)
    assert scores.values.shape == (3, 1, 2)


def test_the_learning_rate_is_cut_in_half_from_time_to_time():
    chosen = replace(SETTINGS.algorithm, halve_every=10, outer_step=0.8)
    steps = [float(chosen.step_size(tf.constant(i, tf.int64))) for i in (0, 9, 10, 19, 20, 35)]
    np.testing.assert_allclose(steps, [0.8, 0.8, 0.4, 0.4, 0.2, 0.1], rtol=1e-6)
    level = replace(chosen, halve_every=0)
    assert float(level.step_size(tf.constant(10**6, tf.int64))) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["algorithm.train_ways=1"],
            "algorithm.train_ways=1: must be between 2 and 1600, the classes",
        ),
        (
            ["algorithm.train_ways=1601"],
            "algorithm.train_ways=1601: must be between 2 and 1600, the",
        ),
        (
            ["algorithm.train_queries_per_class=0"],
            "algorithm.train_queries_per_class=0: must be at",
        ),
        (
            ["algorithm.train_queries_per_class=11"],
            "algorithm.train_queries_per_class=11: must be at most 10: the train split has 20",
        ),
        (["algorithm.halve_every=-1"], "algorithm.halve_every=-1: must be at least 0"),
        (
            ["task=sinusoid", "algorithm=protonet"],
            "algorithm=protonet: must be another one for a reg",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(overrides, message):
    with pytest.raises(ConfigError) as caught:
        config.load(compose("algorithm=protonet", *overrides))
    assert str(caught.value).startswith(message)


def test_training_ways_need_classes_with_enough_images():
    @staticmethod
    def sizes():
        return {"train": Size.of({"cat": 9, "dog": 7, "owl": 5}), "test": Size(3, 9)}

    task = type("Unequal", (type(SETTINGS.task),), {"sizes": sizes})(**vars(SETTINGS.task))
    chosen = replace(SETTINGS.algorithm, train_ways=3)
    chosen.check(replace(task, train_shots=2))
    with pytest.raises(ConfigError, match=r"at most 2: the train split has 5 examples a class, of"):
        chosen.check(replace(task, train_shots=3))


def test_the_native_library_has_nothing_to_compute():
    assert SETTINGS.runtime.engine == "tensorflow"
    with pytest.raises(ConfigError, match="the native library computes inner loops, of which"):
        config.load(compose("algorithm=protonet", "runtime.engine=native"))
