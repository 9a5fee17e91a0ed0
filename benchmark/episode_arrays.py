"""`benchmark.episodes`: the very episodes that a run's evaluation draws, as arrays."""

import itertools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from benchmark.config import CURVE_SPLITS, LARGE, Settings
from benchmark.own_task import check_draw
from tasks.base import Task
from tasks.checks import require, require_whole
from tasks.episode import Episode
from tasks.sampling import fold_in, split_seed
from tasks.seeding import stateless_key


def episodes(
    settings: Settings, split: str = "test", shots: int | None = None
) -> Iterator[Episode]:
    """Episode 0, 1, 2 ... of a split, without end (itertools.islice takes the first few).

    They are those on which `python -m benchmark` scores: a function of settings.seed, the split and
    their number. Fewer shots are a subset of more, with the same queries.

    Args:
        split: one of the task's splits.
        shots: support examples a class; None: the most of settings.evaluation.shots.

    Yields:
        Episode of NumPy arrays, for N ways, K shots and Q queries a class, class by class:
        support_x [N * K, *input_shape] float32, support_y [N * K] int32 in [0, N),
        query_x [N * Q, *input_shape], query_y [N * Q], classes [N] int32; of a regression the
        targets are [n, outputs] float32, and there are no classes.

    Raises:
        ConfigError (a ValueError): no such split, or too few examples a class.
    """
    task, evaluation = settings.tested, settings.evaluation
    shots = max(evaluation.shots) if shots is None else shots
    require_whole("shots", shots, 1, task.most_shots or LARGE)
    known = task.sizes() or dict.fromkeys(CURVE_SPLITS[1:])
    require(isinstance(split, str) and split in known, "split", split, f"one of {', '.join(known)}")
    if (size := known[split]) is not None:
        room = size.examples_of(task.ways) - evaluation.queries
        require(shots <= room, "shots", shots, f"at most {room}, what the queries leave of a class")
    return stream(task, split, shots, evaluation.queries, settings.seed)


def stream(task: Task, split: str, shots: int, queries: int, seed: int) -> Iterator[Episode]:
    """`episodes` of a task whose splits have so many shots and queries, unchecked."""
    distribution, key = task.load(), stateless_key(seed, f"evaluation {split}")
    check_draw(task, distribution, split, shots, queries)

    @tf.function(autograph=False)
    def draw(index: tf.Tensor) -> Episode:
        seed = split_seed(fold_in(key, index), 2)[0]
        return distribution.sample(split, seed, task.ways, shots, queries)

    return (as_arrays(draw(tf.constant(index, tf.int64))) for index in itertools.count())


def as_arrays(episode: Episode) -> Episode:
    """The same with NumPy arrays."""
    return Episode(*(None if part is None else np.asarray(part) for part in episode))
