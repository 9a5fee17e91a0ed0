"""One-dimensional regression: y = a sin(x + b) (paper, section 4)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tasks.base import Task
from tasks.checks import require
from tasks.episode import Episode

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, kw_only=True)
class Sinusoid(Task):
    """Sine waves of random amplitude and phase; the settings stand in conf/task/sinusoid.yaml.

    A shot is one sampled point. Every split draws from the same distribution: unseen tasks
    are those of another seed.
    """

    metric: ClassVar[str] = "mse"

    amplitude: list[float]
    phase: list[float]
    domain: list[float]
    grid: int
    support: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1,)

    def outputs(self, ways: int) -> int:
        return 1

    @property
    def most_shots(self) -> int | None:
        return self.grid if self.support == "grid" else None

    def check(self) -> None:
        super().check()
        require(self.ways == 1, "task.ways", self.ways, "1: a sine wave is one curve, not classes")
        for name in ("amplitude", "phase", "domain"):
            low_high = getattr(self, name)
            finite = len(low_high) == 2 and all(map(math.isfinite, low_high))
            ordered = finite and low_high[0] < low_high[1]
            require(ordered, f"task.{name}", low_high, "[low, high], finite, with low < high")
        require(self.grid >= 2, "task.grid", self.grid, "at least 2 points")
        known = ("uniform", "grid")
        require(self.support in known, "task.support", self.support, "uniform or grid")
        if self.support == "grid":
            allowed = self.train_shots <= self.grid
            require(allowed, "task.train_shots", self.train_shots, f"at most task.grid={self.grid}")

    def load(self) -> "Sinusoid":
        return self

    def sample(self, split: str, seed: "tf.Tensor", ways: int, shots: int, queries: int) -> Episode:
        """Support: `shots` points [shots, 1]; query: the whole grid [grid, 1]."""
        import tensorflow as tf

        from tasks.sampling import choose, split_seed, uniform

        for_amplitude, for_phase, for_points = split_seed(seed, 3)
        amplitude = uniform(for_amplitude, [], *self.amplitude)
        phase = uniform(for_phase, [], *self.phase)
        query_x = tf.linspace(*map(float, self.domain), self.grid)[:, None]
        if self.support == "grid":
            support_x = tf.gather(query_x, choose(for_points, self.grid, shots)[0])
        else:
            support_x = uniform(for_points, [shots, 1], *self.domain)

        def curve(x: tf.Tensor) -> tf.Tensor:
            return amplitude * tf.sin(x + phase)

        return Episode(support_x, curve(support_x), query_x, curve(query_x))
