"""Prototypical networks (Snell, Swersky and Zemel 2017, "... for Few-shot Learning").

A class is the mean of its embedded support images, and a query belongs to the nearest one. Nothing
is adapted to a task, so there is no inner loop: what is learnt is the embedding, which is the
network without its last layer.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from benchmark.algorithms import Algorithm
from tasks.base import Distribution, Task, check_examples
from tasks.checks import require
from tasks.episode import Episode

if TYPE_CHECKING:
    import tensorflow as tf

    from benchmark.inner_loop import InnerLoop, Learner
    from benchmark.network import Network


@dataclass(frozen=True, kw_only=True)
class ProtoNet(Algorithm):
    """Episodes of more ways than those of the tests; the loss is that of their queries.

    train_ways: classes of a training episode; task.ways is that of the evaluation
    train_queries_per_class: query examples of each of them
    halve_every: meta-iterations after which the learning rate is half of what it was; 0: never
    """

    adapts: ClassVar[bool] = False

    train_ways: int
    train_queries_per_class: int
    halve_every: int
    # There is no inner loop to set, and the outer step follows halve_every.
    serial: bool = False
    inner_steps: int = 1
    inner_batch: int = 1
    inner_optimizer: str = "sgd"
    inner_learning_rate: float = 1.0
    loss_reduction: str = "mean"
    replacement: bool = False
    outer_step_final: float = 0.0

    @property
    def train_queries(self) -> int:
        return self.train_queries_per_class

    def check(self, task: Task) -> None:
        super().check(task)
        require(task.metric == "accuracy", "algorithm", self.name, "another one for a regression")
        queries, every = self.train_queries_per_class, self.halve_every
        require(queries >= 1, "algorithm.train_queries_per_class", queries, "at least 1")
        require(every >= 0, "algorithm.halve_every", every, "at least 0")
        train = (task.sizes() or {}).get("train")
        most = train.classes if train else self.train_ways
        rule = f"between 2 and {most}, the classes of the train split" if train else "at least 2"
        require(2 <= self.train_ways <= most, "algorithm.train_ways", self.train_ways, rule)
        if train:
            check_examples("train", train, self.train_ways, *self.train_examples(task))

    def inner_loop(
        self, network: "Network", metric: str, engine: str = "tensorflow"
    ) -> "InnerLoop":
        return cast("InnerLoop", Prototypes(network))  # it adapts and predicts like one

    def step_size(self, iteration: "tf.Tensor") -> "tf.Tensor":
        """The learning rate of meta-iteration 0, 1, ..., cut in half from time to time."""
        import tensorflow as tf

        halvings = iteration // self.halve_every if self.halve_every else tf.zeros_like(iteration)
        return self.outer_step * tf.pow(0.5, tf.cast(halvings, tf.float32))

    def draw(self, distribution: Distribution, task: Task, seed: "tf.Tensor") -> Episode:
        queries = self.train_queries
        return distribution.sample("train", seed, self.train_ways, task.train_shots, queries)

    def propose(
        self, inner: "InnerLoop", learner: "Learner", episode: Episode, order: "tf.Tensor"
    ) -> tuple["tf.Tensor", "Learner"]:
        """Minus the gradient of the mean cross-entropy of an episode's queries (algorithm 1)."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(learner.params)
            outputs = inner.predict(learner.params, episode, transductive=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(episode.query_y, outputs)
            loss = tf.reduce_mean(losses)
        return -tape.gradient(loss, learner.params), learner


class Prototypes:
    """What stands in the place of the inner loop: it moves nothing and predicts by class means."""

    adapts = ProtoNet.adapts
    metric = "accuracy"

    def __init__(self, network: "Network") -> None:
        self.network = network
        self.embedding = network.without_last_layer()

    def adapt(self, learner: "Learner", *support: "tf.Tensor") -> "Learner":
        """The learner as it is."""
        return learner

    def predict(self, params: "tf.Tensor", episode: Episode, transductive: bool) -> "tf.Tensor":
        """[query, class] minus the squared distances, as logits (equation 2).

        All images that are embedded together share the statistics of their batch: the support set
        with all queries (transductive, and in training), or with each query alone.
        """
        import tensorflow as tf

        if transductive:
            return self.classify(params, episode, episode.query_x)
        return tf.map_fn(
            lambda query: self.classify(params, episode, query[None])[0],
            episode.query_x,
            parallel_iterations=8,
        )

    def classify(self, params: "tf.Tensor", episode: Episode, queries: "tf.Tensor") -> "tf.Tensor":
        """Logits of queries embedded in one batch with the support set."""
        import tensorflow as tf

        shots = tf.shape(episode.support_x)[0]
        images = tf.concat([episode.support_x, queries], 0)
        embedded = self.embedding(params[: self.embedding.initial.size], images)
        embedded = tf.reshape(embedded, [tf.shape(embedded)[0], -1])
        labels = tf.convert_to_tensor(episode.support_y)
        means = tf.math.unsorted_segment_mean(embedded[:shots], labels, tf.reduce_max(labels) + 1)
        return -tf.reduce_sum(tf.square(embedded[shots:, None] - means[None]), -1)
