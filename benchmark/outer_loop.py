"""The outer loop: how what single tasks have learnt moves the initialisation.

Reptile as the paper has it (section 3, algorithms 1 and 2) where a task proposes its adapted
weights less the initialisation, W - phi; the other algorithms of `benchmark.algorithms` differ in
what a task proposes, not here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from benchmark.algorithms import Algorithm
from benchmark.inner_loop import InnerLoop, Learner
from benchmark.outer_optimizer import Interpolation, KerasStep
from tasks.base import Distribution, Task
from tasks.checks import ConfigError
from tasks.sampling import fold_in

# (number of a training task, learner before it) -> (displacement [P], learner after it)
Learn = Callable[[tf.Tensor, Learner], tuple[tf.Tensor, Learner]]
# Of a meta-batch: mean displacement [P], the optimiser's second moment [P] and count behind it
Totals = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


class MetaState(NamedTuple):
    """All that a meta-iteration changes: the learner and the outer optimiser's variables."""

    learner: Learner
    outer: tuple[tf.Tensor, ...] = ()


def meta_iteration(
    algorithm: Algorithm,
    learn: Learn,
    outer: Interpolation | KerasStep,
    iteration: tf.Tensor,
    state: MetaState,
) -> MetaState:
    """Learn `meta_batch` tasks from the same initialisation phi, then move it by their mean.

    iteration: int64 scalar from 0; with it the numbers of the tasks and the outer step go on.
    """
    phi, size = state.learner.params, algorithm.meta_batch
    numbers = iteration * size + tf.range(size, dtype=tf.int64)
    over_tasks = one_after_another if algorithm.serial else side_by_side
    displacement, moment, count = over_tasks(learn, numbers, state.learner)
    phi, outer_state = outer.update(phi, displacement, algorithm.step_size(iteration), state.outer)
    return MetaState(Learner(phi, moment, count), outer_state)


def side_by_side(learn: Learn, numbers: tf.Tensor, learner: Learner) -> Totals:
    """Means over tasks that learn in parallel, each from `learner`; numbers: [meta_batch] int64."""

    def one(number: tf.Tensor) -> Totals:
        displacement, after = learn(number, learner)
        return displacement, after.moment, after.count

    displacements, moments, counts = tf.map_fn(
        one,
        numbers,
        fn_output_signature=(tf.float32, tf.float32, tf.int64),
        parallel_iterations=numbers.shape[0],
    )
    return tf.reduce_mean(displacements, 0), tf.reduce_mean(moments, 0), counts[0]


def one_after_another(learn: Learn, numbers: tf.Tensor, learner: Learner) -> Totals:
    """The same of tasks that hand the optimiser's state on, as in the authors' code."""
    total, now = tf.zeros_like(learner.params), learner
    for number in tf.unstack(numbers):
        displacement, after = learn(number, now)
        total += displacement
        now = after._replace(params=learner.params)
    return total / numbers.shape[0], now.moment, now.count


def training_tasks(
    algorithm: Algorithm, inner: InnerLoop, distribution: Distribution, task: Task, key: tf.Tensor
) -> Learn:
    """The tasks that training meets: number i is a function of (key, i) alone. key: [2] seed."""

    def learn(number: tf.Tensor, learner: Learner) -> tuple[tf.Tensor, Learner]:
        learnt = algorithm.learn_task(inner, learner, distribution, task, fold_in(key, number))
        check_learnt(algorithm, learnt, learner)
        return learnt

    return learn


def check_learnt(algorithm: Algorithm, learnt: Any, learner: Learner) -> None:
    """Raise ConfigError where an algorithm proposes no displacement of each parameter."""
    shape, kind = learner.params.shape, learner.params.dtype.name
    found = type(learnt).__name__
    if isinstance(learnt, tuple) and len(learnt) == 2:
        displacement = tf.convert_to_tensor(learnt[0])
        found = f"{displacement.shape} of {displacement.dtype.name}, {type(learnt[1]).__name__}"
    if found != f"{shape} of {kind}, {Learner.__name__}":
        raise ConfigError(
            f"algorithm={algorithm.name}: learn_task must return a {kind} displacement of shape "
            f"{shape}, one number per parameter, and a Learner, not {found}"
        )
