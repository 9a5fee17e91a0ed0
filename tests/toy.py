"""Small things that many tests share: composed settings, tiny tasks and networks."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from benchmark.command.settings import settings as uncached
from benchmark.config import Settings
from tasks.base import Task
from tasks.episode import Episode
from tasks.image_set import ImageSet, stacked
from tests.reference import Sizes

SIZES = Sizes(inputs=3, hidden=4, outputs=3)

# A run of seconds that goes through everything; one step on the whole support set at a time.
TRAINED = (
    "task.ways=3",
    "task.train_shots=4",
    "model.layers=2",
    "model.filters=8",
    "algorithm.meta_iterations=20",
    "evaluation.shots=[2]",
    "evaluation.queries=3",
    "evaluation.steps=[0,4]",
    "evaluation.batch=6",
    "evaluation.episodes=3",
    "evaluation.baseline_episodes=2",
    "evaluation.predictions=2",
    "training.curve_points=2",
    "training.curve_episodes=2",
    "runtime.progress=off",
)


settings = cache(uncached)


def algorithm(name: str, **changes: Any) -> Any:
    """The algorithm of conf/algorithm/NAME.yaml, changed."""
    return replace(settings(f"algorithm={name}").algorithm, **changes)


@dataclass(frozen=True, kw_only=True)
class Clouds(Task):
    """Classes are points in three dimensions, examples scatter around them: made in memory."""

    name: str = "clouds"
    ways: int = 3
    train_shots: int = 4

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (SIZES.inputs,)

    def load(self) -> "Clouds":
        return self

    def sample(self, split: str, seed: Any, ways: int, shots: int, queries: int) -> Episode:
        import tensorflow as tf

        from tasks.sampling import split_seed

        for_centres, for_support, for_query = split_seed(seed, 3)
        centres = tf.random.stateless_normal([ways, 1, SIZES.inputs], for_centres)
        support = centres + 0.7 * tf.random.stateless_normal([ways, shots, 3], for_support)
        query = centres + 0.7 * tf.random.stateless_normal([ways, queries, 3], for_query)
        labels = tf.range(ways)
        return Episode(
            tf.reshape(support, [ways * shots, SIZES.inputs]),
            tf.repeat(labels, shots),
            tf.reshape(query, [ways * queries, SIZES.inputs]),
            tf.repeat(labels, queries),
        )


def cloud_network(seed: int = 0) -> Any:
    """A network of `SIZES` with one tanh layer."""
    from benchmark.models import MLP
    from benchmark.network import build_network

    tiny = MLP(name="tiny", hidden=[4], activation="tanh", invert=False)
    return build_network(tiny, Clouds(), seed)


def network_of(chosen: Settings) -> Any:
    """The network of a job's settings."""
    from benchmark.network import build_network

    return build_network(chosen.model, chosen.task, chosen.seed)


def learner(params: np.ndarray, moment: np.ndarray | None = None, count: int = 0) -> Any:
    """A learner from arrays, by default with a fresh optimiser."""
    import tensorflow as tf

    from benchmark.inner_loop import Learner

    moment = np.zeros_like(params) if moment is None else moment
    return Learner(tf.constant(params), tf.constant(moment), tf.constant(count, tf.int64))


def noise_images(classes: int = 6, examples: int = 6, seed: int = 0) -> ImageSet:
    """Random pixels: no two alike, so that nearest neighbours and activations are distinct."""
    pixels = np.random.default_rng(seed).integers(0, 256, (classes, examples, 28, 28), np.uint8)
    return stacked(pixels, np.zeros(classes, np.int32))


def coded_images(classes: int, examples: int, alphabets: int = 1) -> ImageSet:
    """The first pixel of an image is its class and the second its drawer (both below 256)."""
    images = np.zeros((classes, examples, 28, 28), np.uint8)
    images[:, :, 0, 0] = np.arange(classes)[:, None]
    images[:, :, 0, 1] = np.arange(examples)
    return stacked(images, np.arange(classes, dtype=np.int32) % alphabets)


def decode(images: Any) -> list[tuple[int, int]]:
    """(class, drawer) of each image [n, 28, 28, 1] that a distribution of `coded_images` gave."""
    pixels = np.rint(np.asarray(images)[:, 0, :2, 0] * 255).astype(int)
    return [tuple(pair) for pair in pixels.tolist()]
