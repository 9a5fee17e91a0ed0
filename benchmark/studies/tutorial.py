"""The introductory Reptile program as it is printed; see +experiment=tutorial."""

from dataclasses import dataclass

import tensorflow as tf

from benchmark.algorithms import FirstOrder
from benchmark.inner_loop import InnerLoop, Learner
from tasks.base import Distribution, Task
from tasks.sampling import batch_order, split_seed


@dataclass(frozen=True, kw_only=True)
class SharedCopy(FirstOrder):
    """One copy of the network takes a single step on each of `inner_steps` tasks, one by one.

    That is joint training: no task is ever learnt beyond its first step.
    """

    def learn_task(
        self,
        inner: InnerLoop,
        learner: Learner,
        distribution: Distribution,
        task: Task,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, Learner]:
        now, size = learner, task.ways * task.train_shots
        for each in split_seed(seed, self.inner_steps):
            for_episode, for_batch = split_seed(each, 2)
            episode = self.draw(distribution, task, for_episode)
            order = batch_order(for_batch, size, 1, self.inner_batch, self.replacement)
            now = inner.adapt(now, episode.support_x, episode.support_y, order)
        return now.params - learner.params, now
