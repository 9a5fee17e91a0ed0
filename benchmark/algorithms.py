"""The meta-learning algorithms: their settings, and where one task wants the initialisation to go.

An algorithm is a frozen dataclass whose fields are the keys of its yaml under `conf/algorithm/`.
To add one, inherit from `Algorithm` and write `propose`. What all of them do with the proposals of
a meta-batch is `benchmark.outer_loop`. TensorFlow is imported where tensors are made: settings are
checked before it starts.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.optimizers import sgd_update
from tasks.base import Asked, Distribution, Task
from tasks.checks import require
from tasks.episode import Episode

if TYPE_CHECKING:
    import tensorflow as tf

    from benchmark.inner_loop import InnerLoop, Learner
    from benchmark.network import Network


# Keras's optimisers but for those that wrap others: settings are checked before it is imported.
OUTER_OPTIMIZERS = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "schedulefreeadamw",
    "sgd",
)


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """The settings that all meta-learning algorithms share."""

    adapts: ClassVar[bool] = True  # whether there is an inner loop

    name: str
    meta_iterations: int
    meta_batch: int
    serial: bool
    inner_steps: int
    inner_batch: int
    inner_optimizer: str
    inner_learning_rate: float
    loss_reduction: str
    replacement: bool
    outer_step: float
    outer_step_final: float
    outer_optimizer: Any

    def check(self, task: Task) -> None:
        """Raise ConfigError for settings that cannot work on `task`."""
        for key in ("meta_batch", "inner_steps", "inner_batch"):
            require(getattr(self, key) >= 1, f"algorithm.{key}", getattr(self, key), "at least 1")
        require(
            self.meta_iterations >= 0,
            "algorithm.meta_iterations",
            self.meta_iterations,
            "at least 0",
        )
        rate = self.inner_learning_rate
        finite = "above 0 and finite"
        require(0 < rate < math.inf, "algorithm.inner_learning_rate", rate, finite)
        if self.outer_optimizer is not None:
            self.check_outer_optimizer()
        for key in ("outer_step", "outer_step_final"):
            step = getattr(self, key)
            require(0 <= step < math.inf, f"algorithm.{key}", step, "at least 0 and finite")
        optimizers, reductions = ("adam", "sgd"), ("sum", "mean")
        require(
            self.inner_optimizer in optimizers,
            "algorithm.inner_optimizer",
            self.inner_optimizer,
            f"one of {', '.join(optimizers)}",
        )
        require(
            self.loss_reduction in reductions,
            "algorithm.loss_reduction",
            self.loss_reduction,
            f"one of {', '.join(reductions)}",
        )
        if self.replacement:
            support = task.ways * task.train_shots
            require(
                self.inner_batch <= support,
                "algorithm.inner_batch",
                self.inner_batch,
                f"at most {support} with algorithm.replacement=true, the size of the support set "
                "(task.ways x task.train_shots)",
            )

    def check_outer_optimizer(self) -> None:
        """It must be one of Keras's; its learning rate is the outer step and nothing else."""
        key, given = "algorithm.outer_optimizer", self.outer_optimizer
        whole = given if isinstance(given, dict) else {"class_name": given}
        name, own = whole.get("class_name"), whole.get("config", {})
        known = isinstance(name, str) and name.lower() in OUTER_OPTIMIZERS
        fits = known and isinstance(own, dict) and whole.keys() <= {"class_name", "config"}
        rule = f"one of {', '.join(OUTER_OPTIMIZERS)} (or null, or {{class_name:, config: {{}}}})"
        require(fits, key, given, rule)
        rule = "without learning_rate, which is algorithm.outer_step"
        require("learning_rate" not in own, key, given, rule)
        rule = "above 0 with an outer optimizer, whose learning rate it is"
        require(self.outer_step > 0, "algorithm.outer_step", self.outer_step, rule)

    def inner_loop(
        self, network: "Network", metric: str, engine: str = "tensorflow"
    ) -> "InnerLoop":
        """How this algorithm adapts `network`.

        metric: of the task, it decides the loss; engine: "native" or "tensorflow".
        """
        from benchmark.inner_loop import InnerLoop
        from benchmark.native.inner_loop import NativeInnerLoop

        loop = NativeInnerLoop if engine == "native" else InnerLoop
        return loop(
            network, metric, self.inner_optimizer, self.inner_learning_rate, self.loss_reduction
        )

    @property
    def train_queries(self) -> int:
        """Query examples a class that training needs beside the support set."""
        return 0

    def train_examples(self, task: Task) -> tuple[Asked, Asked]:
        """The settings that say how many examples a class training needs: shots and queries."""
        shots, queries = task.train_shots, self.train_queries
        return (
            Asked("task.train_shots", shots, shots),
            Asked("algorithm.train_queries_per_class", queries, queries),
        )

    def step_size(self, iteration: "tf.Tensor") -> "tf.Tensor":
        """Outer step of meta-iteration 0, 1, ..., falling linearly to the final one."""
        import tensorflow as tf

        done = tf.cast(iteration, tf.float32) / max(self.meta_iterations, 1)
        return self.outer_step + (self.outer_step_final - self.outer_step) * done

    def learn_task(
        self,
        inner: "InnerLoop",
        learner: "Learner",
        distribution: Distribution,
        task: Task,
        seed: "tf.Tensor",
    ) -> tuple["tf.Tensor", "Learner"]:
        """Sample one task and learn from it.

        Returns the displacement [P] that this task proposes for the initialisation, and the
        learner whose optimiser state lives on (its params are not used).
        """
        from tasks.sampling import split_seed

        for_episode, for_batches = split_seed(seed, 2)
        episode = self.draw(distribution, task, for_episode)
        return self.propose(inner, learner, episode, self.order(task, for_batches))

    def draw(self, distribution: Distribution, task: Task, seed: "tf.Tensor") -> Episode:
        """One training task."""
        return distribution.sample("train", seed, task.ways, task.train_shots, self.train_queries)

    def order(self, task: Task, seed: "tf.Tensor") -> "tf.Tensor":
        """[inner_steps, inner_batch] int32 rows of the support set (sorted class by class)."""
        from tasks.sampling import batch_order

        size = task.ways * task.train_shots
        return batch_order(seed, size, self.inner_steps, self.inner_batch, self.replacement)

    def propose(
        self, inner: "InnerLoop", learner: "Learner", episode: Episode, order: "tf.Tensor"
    ) -> tuple["tf.Tensor", "Learner"]:
        """What `learn_task` returns, from the mini-batches `order` of the support set."""
        raise NotImplementedError(f"{type(self).__name__}.propose")


@dataclass(frozen=True, kw_only=True)
class FirstOrder(Algorithm):
    """Reptile, first-order MAML, joint training and the gradient combinations between them.

    Each inner step moves the parameters by a displacement D_i; a task proposes the weighted sum
    of them. Weights of one give Reptile (the sum is W - phi; paper, section 3), weight on the last
    step only gives first-order MAML (section 2), a single inner step gives joint training (section
    3); other weights are the gradient combinations of section 6.2.

    step_weights: "all" (ones), "average" (1 / inner_steps), "last", or a list of weights.
    tail_shots: 0 = the last mini-batch comes from the same examples as the others ("shared
    tail"); s = s examples a class are held back as the last one, whatever the size of the others
    ("separate tail", paper section 6.3). They are then the queries of the episode, as in MAML.
    """

    step_weights: Any
    tail_shots: int

    def check(self, task: Task) -> None:
        super().check(task)
        weights = self.step_weights
        named = weights in ("all", "average", "last")
        listed = (
            isinstance(weights, list)
            and len(weights) == self.inner_steps
            and all(type(w) in (int, float) and math.isfinite(w) for w in weights)
        )
        require(
            named or listed,
            "algorithm.step_weights",
            weights,
            f"all, average, last or a list of algorithm.inner_steps={self.inner_steps} numbers",
        )
        rest = task.train_shots - self.tail_shots
        rule = f"0, or below task.train_shots={task.train_shots}"
        require(self.tail_shots >= 0 and rest > 0, "algorithm.tail_shots", self.tail_shots, rule)
        require(
            not self.replacement or self.inner_batch <= task.ways * rest,
            "algorithm.inner_batch",
            self.inner_batch,
            f"at most {task.ways * rest} with algorithm.replacement=true, the examples beside the "
            f"tail of algorithm.tail_shots={self.tail_shots} a class",
        )

    def inner_loop(
        self, network: "Network", metric: str, engine: str = "tensorflow"
    ) -> "InnerLoop":
        """As `Algorithm.inner_loop`. Raises ConfigError for a network that it could not learn."""
        rule = "adapted as a whole by the inner loop: nothing else moves its parameters"
        require(network.adapted is None, "model", network.model.name, rule)
        return super().inner_loop(network, metric, engine)

    def weights(self) -> list[float]:
        """One weight an inner step."""
        k = self.inner_steps
        if isinstance(self.step_weights, list):
            return self.step_weights
        named = {"all": [1.0] * k, "average": [1 / k] * k, "last": [0.0] * (k - 1) + [1.0]}
        return named[self.step_weights]

    def draw(self, distribution: Distribution, task: Task, seed: "tf.Tensor") -> Episode:
        """As `Algorithm.draw`, the tail as its queries."""
        episode = super().draw(distribution, task, seed)
        if not self.tail_shots:
            return episode
        from tasks.sampling import hold_back

        return hold_back(episode, task.ways, self.tail_shots)

    def order(self, task: Task, seed: "tf.Tensor") -> "tf.Tensor":
        """As `Algorithm.order`; a step on the tail that follows is not in it."""
        if not self.tail_shots:
            return super().order(task, seed)
        from tasks.sampling import batch_order

        size = task.ways * (task.train_shots - self.tail_shots)
        return batch_order(seed, size, self.inner_steps - 1, self.inner_batch, self.replacement)

    def propose(
        self, inner: "InnerLoop", learner: "Learner", episode: Episode, order: "tf.Tensor"
    ) -> tuple["tf.Tensor", "Learner"]:
        """The weighted sum of the inner steps' displacements."""
        import tensorflow as tf

        displacement, start, weights = tf.zeros_like(learner.params), learner, self.weights()
        for first, last, weight in runs_of_equal(weights[: order.shape[0]]):
            after = inner.adapt(start, episode.support_x, episode.support_y, order[first:last])
            if weight:
                displacement += weight * (after.params - start.params)
            start = after
        if self.tail_shots:
            whole = tf.range(episode.query_y.shape[0])[None]
            after = inner.adapt(start, episode.query_x, episode.query_y, whole)
            displacement += weights[-1] * (after.params - start.params)
            start = after
        return displacement, start


def runs_of_equal(weights: list[float]) -> list[tuple[int, int, float]]:
    """(first, last, weight) of each run of equal weights, so that its steps share one loop.

    >>> runs_of_equal([0, 0, 1])
    [(0, 2, 0), (2, 3, 1)]
    """
    starts = [i for i, w in enumerate(weights) if i == 0 or w != weights[i - 1]]
    ends = [*starts, len(weights)][1:]
    return [(first, last, weights[first]) for first, last in zip(starts, ends, strict=True)]


@dataclass(frozen=True, kw_only=True)
class MAML(Algorithm):
    """MAML: the gradient of the query loss through the unrolled inner loop.

    Finn, Abbeel and Levine 2017, algorithm 1; `train_queries_per_class` examples a class, disjoint
    from the support set, measure the adapted parameters. `first_order` treats the inner steps'
    gradients as constants: the outer gradient is the query loss's own, at the adapted parameters.
    """

    train_queries_per_class: int
    first_order: bool = False

    @property
    def train_queries(self) -> int:
        return self.train_queries_per_class

    def check(self, task: Task) -> None:
        super().check(task)
        require(
            self.inner_optimizer == "sgd",
            "algorithm.inner_optimizer",
            self.inner_optimizer,
            "sgd: MAML differentiates through plain gradient steps",
        )
        count = self.train_queries_per_class
        require(count >= 1, "algorithm.train_queries_per_class", count, "at least 1")

    def propose(
        self, inner: "InnerLoop", learner: "Learner", episode: Episode, order: "tf.Tensor"
    ) -> tuple["tf.Tensor", "Learner"]:
        """Minus the gradient of the loss on the query set."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(learner.params)
            params = learner.params
            for rows in tf.unstack(order):
                x, y = (tf.gather(part, rows) for part in (episode.support_x, episode.support_y))
                slope = inner.gradient(params, x, y)
                slope = tf.stop_gradient(slope) if self.first_order else slope
                params = sgd_update(params, slope, self.inner_learning_rate)
            loss = inner.loss(params, episode.query_x, episode.query_y)
        return -tape.gradient(loss, learner.params), learner
