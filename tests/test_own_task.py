"""A task of one's own: an episode that is none is refused before anything is computed with it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import tensorflow as tf

from benchmark import own_task
from tasks.checks import ConfigError
from tasks.episode import Episode
from tests.toy import SIZES, Clouds, settings

CLOUDS = Clouds()  # 3 ways, 4 shots
SHOTS, QUERIES = 4, 2


@dataclass(frozen=True, kw_only=True)
class Line(Clouds):
    name: str = "line"
    metric = "mse"
    ways: int = 1

    def outputs(self, ways):
        return 1

    def sample(self, split, seed, ways, shots, queries):
        x = tf.random.stateless_uniform([shots, SIZES.inputs], seed)
        y = tf.reduce_sum(x, axis=1, keepdims=True)
        return Episode(x, y, x[:1], y[:1])


def changed(task, **parts):
    """`task` whose episodes have these parts, each a function of the right one."""

    @dataclass(frozen=True, kw_only=True)
    class Changed(type(task)):
        def sample(self, *args):
            episode = super().sample(*args)
            return episode._replace(**{k: f(getattr(episode, k)) for k, f in parts.items()})

    return Changed()


class NoEpisode(Clouds):
    def sample(self, *args):
        return None


def check(task):
    own_task.check_draw(task, task, "test", SHOTS, QUERIES)


@pytest.mark.parametrize("task", [CLOUDS, Line(), changed(CLOUDS, classes=lambda _: tf.range(3))])
def test_an_episode_as_it_should_be_passes(task):
    check(task)


def unlike(x):
    return x + tf.random.uniform([])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (changed(Line(), support_y=lambda y: y[:, 0]), "support_y of shape [4, 1] float32, not [4"),
        (changed(Line(), query_y=lambda y: y[:, 0]), "query_y of shape [1, 1] float32, not [1] fl"),
        (changed(CLOUDS, support_x=lambda x: x[:9]), "support_x of shape [12, 3] float32, not [9"),
        (changed(CLOUDS, support_y=lambda y: y[:9]), "support_y of shape [12] int32, not [9] int"),
        (changed(CLOUDS, query_y=lambda y: y[:5]), "query_y of shape [6] int32, not [5] int32"),
        (changed(CLOUDS, support_y=lambda y: y[:, None]), "support_y of shape [12] int32, not [1"),
        (changed(CLOUDS, support_y=lambda y: tf.one_hot(y, 3)), "support_y of shape [12] int32, "),
        (changed(CLOUDS, query_y=lambda y: tf.cast(y, tf.int64)), "query_y of shape [6] int32, n"),
        (changed(CLOUDS, support_x=lambda x: x[x[:, 0] > 0]), "support_x of shape [12, 3] float3"),
        (changed(CLOUDS, support_y=lambda y: y + 1), "each of the labels 0 to 2 as support_y 4 t"),
        (changed(CLOUDS, query_y=tf.zeros_like), "each of the labels 0 to 2 as query_y 2 times"),
        (changed(CLOUDS, support_x=lambda _: None), "a tensor as support_x, not NoneType"),
        (changed(CLOUDS, support_x=unlike), "the same support_x whenever the seed is the same: u"),
        (changed(CLOUDS, query_x=lambda x: x + np.random.rand()), "the same query_x whenever the"),
        (NoEpisode(), "a tasks.episode.Episode, not NoneType"),
    ],
)
def test_an_episode_that_is_none_is_refused_in_one_line(task, message):
    with pytest.raises(ConfigError) as caught:
        check(task)
    shown = f"task={task.name}: sample('test', seed, {task.ways}, 4, 2) must draw {message}"
    assert str(caught.value).startswith(shown) and "\n" not in str(caught.value)


def test_every_kind_of_episode_of_a_run_is_looked_at(monkeypatch):
    seen = []
    monkeypatch.setattr(own_task, "check_draw", lambda task, _, *kind: seen.append((task, *kind)))
    chosen = settings("evaluation.shots=[1,2]", "evaluation.splits=[test,train]")
    other = replace(CLOUDS, train_shots=7)
    chosen = replace(chosen, task=CLOUDS, tested=other)
    assert own_task.load_tasks(chosen) == (CLOUDS, other)
    queries = chosen.evaluation.queries
    of_test = [(other, split, shots, queries) for split in ("test", "train") for shots in (1, 2)]
    assert seen == [(CLOUDS, "train", 4, 0), *of_test]


def test_the_suites_own_tasks_are_not_drawn_from():
    own_task.check_draw(settings().task, None, "test", 1, 1)
