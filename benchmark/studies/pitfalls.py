"""The classic mistakes of re-implementations, each a class of its own; see +experiment=pitfalls.

They go in through the extension points that every user has: a model, an algorithm or a task named
by `_target_`. Nothing else in the suite knows them. conf/pitfall/ has a file for each.
"""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from benchmark.algorithms import FirstOrder
from benchmark.inner_loop import InnerLoop, Learner
from benchmark.layers import EPSILON
from benchmark.models import Conv
from benchmark.network import Network
from benchmark.optimizers import BETA_2
from benchmark.optimizers import EPSILON as EPSILON_HAT
from tasks.base import Distribution, Task
from tasks.episode import Episode
from tasks.omniglot import Omniglot
from tasks.sampling import split_seed

BETA_1 = 0.9


# --- Networks ---


@keras.saving.register_keras_serializable("reptile_benchmark")
class UnmovedAverages(keras.layers.Layer):
    """Batch normalisation by running averages that nobody updates: mean 0 and variance 1.

    What Keras's layer does in a training loop of one's own that calls the model without
    `training=True`: scale and shift are learnt, but nothing is normalised.
    """

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight(shape=input_shape[-1:], initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="beta")

    def call(self, inputs: Any) -> Any:
        """[batch, height, width, channels] float32."""
        return inputs * (self.gamma * (1 + EPSILON) ** -0.5) + self.beta


@dataclass(frozen=True, kw_only=True)
class ConvOnUnmovedAverages(Conv):
    """The paper's network, its normalisation by averages that never move."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> keras.Model:
        stack: list[Any] = [keras.Input(input_shape)]
        for _ in range(self.layers):
            stack += [
                keras.layers.Conv2D(self.filters, 3, strides=2, padding="same", use_bias=False),
                UnmovedAverages(),
                keras.layers.ReLU(),
            ]
        return keras.Sequential([*stack, keras.layers.Flatten(), keras.layers.Dense(outputs)])


@dataclass(frozen=True, kw_only=True)
class ConvOnInk(Conv):
    """The paper's network, shown ink 1 on paper 0 where the authors have paper 1."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> keras.Model:
        invert = keras.layers.Rescaling(-1.0, offset=1.0)
        layers = super().build(input_shape, outputs).layers
        return keras.Sequential([keras.Input(input_shape), invert, *layers])


# --- Algorithms ---


@dataclass(frozen=True, kw_only=True)
class AdamZeroed(FirstOrder):
    """A new Adam for each task, in training and so in the test: no second moment lives on."""

    def learn_task(
        self,
        inner: InnerLoop,
        learner: Learner,
        distribution: Distribution,
        task: Task,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, Learner]:
        zeros, none = tf.zeros_like(learner.moment), tf.zeros_like(learner.count)
        fresh = learner._replace(moment=zeros, count=none)
        displacement, _ = super().learn_task(inner, fresh, distribution, task, seed)
        return displacement, fresh


class MomentumLoop(InnerLoop):
    """Adam with momentum, as every library has it by default; each task's begins at zero."""

    def adapt(self, learner: Learner, x: tf.Tensor, y: tf.Tensor, order: tf.Tensor) -> Learner:
        steps = order.shape[0]

        def body(i: tf.Tensor, now: Learner, mean: tf.Tensor) -> tuple[tf.Tensor, Learner, Any]:
            slope = self.gradient(now.params, tf.gather(x, order[i]), tf.gather(y, order[i]))
            mean = BETA_1 * mean + (1 - BETA_1) * slope
            moment = BETA_2 * now.moment + (1 - BETA_2) * slope * slope
            count = now.count + 1
            behind, done = (tf.cast(number, tf.float32) for number in (count, i + 1))
            rate = self.learning_rate * tf.sqrt(1 - BETA_2**behind) / (1 - BETA_1**done)
            params = now.params - rate * mean / (tf.sqrt(moment) + EPSILON_HAT)
            return i + 1, Learner(params, moment, count), mean

        start = tf.constant(0), learner, tf.zeros_like(learner.params)
        _, after, _ = tf.while_loop(lambda i, *_: i < steps, body, start)
        return after


@dataclass(frozen=True, kw_only=True)
class MomentumOn(FirstOrder):
    """An inner Adam with beta1 = 0.9: each mini-batch acts on the steps after it."""

    def inner_loop(self, network: Network, metric: str, engine: str = "tensorflow") -> InnerLoop:
        rate, reduction = self.inner_learning_rate, self.loss_reduction
        return MomentumLoop(network, metric, self.inner_optimizer, rate, reduction)


# --- Tasks ---


@dataclass
class Changed:
    """A distribution whose episodes a mistake changes."""

    right: Distribution

    def sample(self, split: str, seed: Any, ways: int, shots: int, queries: int) -> Episode:
        return self.right.sample(split, seed, ways, shots, queries)


class ClassesRepeated(Changed):
    """Each class of an episode is drawn for itself: two labels may stand for one character."""

    def sample(self, split: str, seed: Any, ways: int, shots: int, queries: int) -> Episode:
        alone = [
            self.right.sample(split, each, 1, shots, queries) for each in split_seed(seed, ways)
        ]
        support, query = (
            tf.concat([getattr(episode, part) for episode in alone], 0)
            for part in ("support_x", "query_x")
        )
        labels = tf.range(ways)
        classes = tf.concat([episode.classes for episode in alone], 0)
        return Episode(
            support, tf.repeat(labels, shots), query, tf.repeat(labels, queries), classes
        )


class QueriesSeen(Changed):
    """The first support examples of each class are asked again as its queries."""

    def sample(self, split: str, seed: Any, ways: int, shots: int, queries: int) -> Episode:
        episode = super().sample(split, seed, ways, shots, queries)
        asked = tf.range(queries) % shots
        rows = tf.reshape(tf.range(ways)[:, None] * shots + asked, [-1])
        return episode._replace(query_x=tf.gather(episode.support_x, rows))


class TestTrainedOn(Changed):
    """Training draws its tasks from the test classes."""

    def sample(self, split: str, seed: Any, ways: int, shots: int, queries: int) -> Episode:
        return super().sample("test", seed, ways, shots, queries)


@dataclass(frozen=True, kw_only=True)
class OmniglotWithClassesRepeated(Omniglot):
    """Classes of a task drawn with repetition, in training and in the test."""

    def load(self) -> Distribution:
        return ClassesRepeated(super().load())


@dataclass(frozen=True, kw_only=True)
class OmniglotWithQueriesSeen(Omniglot):
    """Test queries that stand in the support set."""

    def load(self) -> Distribution:
        return QueriesSeen(super().load())


@dataclass(frozen=True, kw_only=True)
class OmniglotTrainedOnTest(Omniglot):
    """Test classes met in training."""

    def load(self) -> Distribution:
        return TestTrainedOn(super().load())
