"""Sine waves: the values, ranges and grid of the paper's section 4."""

import numpy as np
import pytest
import tensorflow as tf

from tasks.checks import ConfigError
from tasks.sampling import fold_in
from tasks.seeding import stateless_key
from tests.toy import settings

KEY = stateless_key(0, "sinusoid")


@pytest.fixture(scope="module")
def task():
    return settings("task=sinusoid").task


@pytest.fixture(scope="module")
def episodes(task):
    draw = tf.function(lambda s: task.load().sample("test", s, 1, 10, 1))
    return [draw(fold_in(KEY, tf.constant(i, tf.int64))) for i in range(500)]


def wave(x, y):
    """Amplitude and phase from values: a sin(x + b) = a cos b sin x + a sin b cos x."""
    x, y = np.ravel(x).astype(np.float64), np.ravel(y)
    (sine, cosine), *_ = np.linalg.lstsq(np.stack([np.sin(x), np.cos(x)], 1), y, rcond=None)
    return np.hypot(sine, cosine), np.arctan2(cosine, sine) % (2 * np.pi)


def test_support_and_query_are_points_of_one_sine_wave(episodes):
    for episode in episodes[:50]:
        a, b = wave(episode.query_x, episode.query_y)
        for x, y in ((episode.query_x, episode.query_y), (episode.support_x, episode.support_y)):
            np.testing.assert_allclose(y, a * np.sin(x.numpy() + b), atol=1e-5)


def test_queries_are_the_grid_and_support_points_scatter_over_the_domain(episodes):
    grid = np.linspace(-5, 5, 50)
    support = np.concatenate([episode.support_x for episode in episodes])
    for episode in episodes[:5]:
        assert episode.support_x.shape == (10, 1) and episode.query_y.shape == (50, 1)
        np.testing.assert_allclose(episode.query_x.numpy().ravel(), grid, atol=1e-6)
    assert -5 <= support.min() < -4.95 and 4.95 < support.max() < 5
    assert abs(support.mean()) < 0.17  # four standard errors


def test_amplitudes_and_phases_are_uniform_over_their_ranges(episodes):
    a, b = np.array([wave(episode.query_x, episode.query_y) for episode in episodes]).T
    for values, low, high in ((a, 0.1, 5.0), (b, 0.0, 2 * np.pi)):
        assert low - 1e-4 <= values.min() and values.max() <= high + 1e-4
        counts, _ = np.histogram(values, 10, (low, high))
        assert np.sum((counts - 50) ** 2 / 50) < 27.9  # chi-square, 9 degrees, p = 0.001
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.18


def test_other_ranges_are_kept_to():
    ranges = ("amplitude=[2.0,3.0]", "phase=[0.5,1.0]", "domain=[0.0,6.0]", "grid=7")
    task = settings("task=sinusoid", *(f"task.{key}" for key in ranges)).task
    for index in range(20):
        seed = fold_in(KEY, tf.constant(index, tf.int64))
        episode = task.load().sample("test", seed, 1, 30, 1)
        a, b = wave(episode.query_x, episode.query_y)
        assert 2 <= a <= 3 and 0.5 <= b <= 1
        assert episode.query_x.numpy().ravel().tolist() == [0, 1, 2, 3, 4, 5, 6]
        assert 0 <= episode.support_x.numpy().min() < 1 and 5 < episode.support_x.numpy().max() <= 6


def test_the_average_task_is_zero(episodes):
    """By symmetry; this is why joint training must fail (paper, section 4)."""
    average = np.mean([episode.query_y for episode in episodes], axis=0)
    assert np.abs(average).max() < 4 * np.sqrt(4.25 / 500)  # E[a^2 sin^2] = 4.25


def test_an_episode_is_a_function_of_its_seed(task, episodes):
    again = task.load().sample("train", fold_in(KEY, tf.constant(3, tf.int64)), 1, 10, 1)
    for first, second in zip(episodes[3][:4], again[:4], strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
    assert (episodes[3].support_x != episodes[4].support_x).numpy().all()


def test_support_points_can_come_from_the_grid():
    task = settings("task=sinusoid", "task.support=grid", "task.train_shots=20").task
    episode = task.load().sample("train", fold_in(KEY, tf.constant(0, tf.int64)), 1, 20, 1)
    chosen = set(episode.support_x.numpy().ravel().tolist())
    assert len(chosen) == 20 and chosen < set(episode.query_x.numpy().ravel().tolist())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.ways=2", r"task\.ways=2: must be 1"),
        ("task.amplitude=[5.0,0.1]", r"task\.amplitude=\[5\.0, 0\.1\]: must be \[low, high\]"),
        ("task.domain=[1.0]", r"task\.domain=\[1\.0\]: must be \[low, high\]"),
        ("task.grid=1", r"task\.grid=1: must be at least 2 points"),
        ("task.support=edge", r"task\.support=edge: must be uniform or grid"),
    ],
)
def test_impossible_waves_are_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        settings("task=sinusoid", override)
