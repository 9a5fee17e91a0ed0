"""The tasks of a run, loaded; what a task of the user's own draws is looked at before it is used.

A target of another shape, a label of a class that is not there or a support set of another size
would be computed with as it is, and numbers would come out.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from benchmark.config import Settings
from results.schema import OWN_PACKAGES
from tasks.base import Distribution, Task
from tasks.checks import ConfigError
from tasks.episode import Episode
from tasks.seeding import stateless_key


def load_tasks(settings: Settings) -> tuple[Distribution, Distribution]:
    """What is trained on and what is tested on. Raises ConfigError where they cannot be used."""
    task, tested, evaluation = settings.task, settings.tested, settings.evaluation
    for_training = task.load()
    check_draw(task, for_training, "train", task.train_shots, settings.algorithm.train_queries)
    for_test = for_training if tested == task else tested.load()
    for split in evaluation.splits:
        for shots in evaluation.shots:
            check_draw(tested, for_test, split, shots, evaluation.queries)
    return for_training, for_test


def check_draw(
    task: Task, distribution: Distribution, split: str, shots: int, queries: int
) -> None:
    """Draw an episode of a task that is not the project's own; ConfigError says what is wrong."""
    if type(task).__module__.startswith(OWN_PACKAGES):
        return
    where = f"task={task.name}: sample({split!r}, seed, {task.ways}, {shots}, {queries}) must draw"

    @tf.function(autograph=False)
    def twice(seed: tf.Tensor) -> list[dict[str, tf.Tensor]]:
        args = split, seed, task.ways, shots, queries
        return [checked_parts(task, distribution.sample(*args), *args[3:]) for _ in range(2)]

    try:
        # Numbers drawn while the graph is made differ inside it, those of an operation between runs
        seed = tf.constant(stateless_key(0, "check of a task"))
        draws = [draw for _ in range(2) for draw in twice(seed)]
    except WrongEpisode as wrong:
        raise ConfigError(f"{where} {wrong}") from wrong
    labelled = {"support_y": shots, "query_y": queries} if task.metric == "accuracy" else {}
    for name, part in draws[0].items():
        if len({draw[name].numpy().tobytes() for draw in draws}) > 1:
            raise ConfigError(
                f"{where} the same {name} whenever the seed is the same: use tf.random's stateless "
                "functions"
            )
        of = labelled.get(name)
        if of and (np.sort(part) != np.repeat(np.arange(task.ways), of)).any():
            rule = f"each of the labels 0 to {task.ways - 1} as {name} {of} times"
            raise ConfigError(f"{where} {rule}")


class WrongEpisode(Exception):
    """What an episode must hold, and what it holds instead."""


def checked_parts(task: Task, episode: Any, shots: int, queries: int) -> dict[str, tf.Tensor]:
    """The parts of an episode that are used, each of the shape and type of `tasks.episode`."""
    if not isinstance(episode, Episode):
        raise WrongEpisode(f"a tasks.episode.Episode, not {type(episode).__name__}")
    parts = {}
    for name, (shape, dtype) in wanted_parts(task, episode, shots, queries).items():
        try:
            part = parts[name] = tf.convert_to_tensor(getattr(episode, name))
        except (TypeError, ValueError) as error:
            found = type(getattr(episode, name)).__name__
            raise WrongEpisode(f"a tensor as {name}, not {found}") from error
        if part.shape.rank is None or part.shape.as_list() != shape or part.dtype != dtype:
            found = "of unknown rank" if part.shape.rank is None else part.shape.as_list()
            raise WrongEpisode(
                f"{name} of shape {shape} {dtype.name}, not {found} {part.dtype.name}"
            )
    return parts


def wanted_parts(
    task: Task, episode: Episode, shots: int, queries: int
) -> dict[str, tuple[list[int], tf.DType]]:
    """The shape and type of each part; how many queries a regression has is its own affair."""
    classifies = task.metric == "accuracy"
    numbers = {"support": task.ways * shots}
    if queries:
        given = getattr(episode.query_x, "shape", None) or [0]
        numbers["query"] = task.ways * queries if classifies else given[0]
    wanted = {}
    for part, n in numbers.items():
        wanted[f"{part}_x"] = [n, *task.input_shape], tf.float32
        y = ([n], tf.int32) if classifies else ([n, task.outputs(task.ways)], tf.float32)
        wanted[f"{part}_y"] = y
    return wanted | ({} if episode.classes is None else {"classes": ([task.ways], tf.int32)})
