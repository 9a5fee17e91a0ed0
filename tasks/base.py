"""What the benchmark asks of a task distribution; inherit from it to add one.

A task is a frozen dataclass whose fields are the keys of its yaml under `conf/task/`. It is
checked (`check`) before TensorFlow is imported and loaded (`load`) after.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from tasks.checks import require
from tasks.episode import Episode


class Size(NamedTuple):
    """How many classes a split has, and how many examples each class has.

    classes:  the number of classes
    examples: of each class; where they differ, of the smallest
    by_class: where they differ, the name and the examples of each
    """

    classes: int
    examples: int
    by_class: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, by_class: dict[str, int]) -> "Size":
        """The size of named classes; they may differ."""
        counts = set(by_class.values())
        return cls(len(by_class), min(counts), tuple(by_class.items()) if len(counts) > 1 else ())

    def times(self, copies: int) -> "Size":
        """Each class as several of equally many examples."""
        return Size(self.classes * copies, self.examples, self.by_class * copies)

    def examples_of(self, ways: int) -> int:
        """How many examples at least `ways` of the classes have."""
        counts = sorted((count for _, count in self.by_class), reverse=True)
        return counts[ways - 1] if counts else self.examples

    def with_examples(self, examples: int) -> int:
        """How many classes have so many examples."""
        if self.by_class:
            return sum(count >= examples for _, count in self.by_class)
        return self.classes if self.examples >= examples else 0

    def explained(self, ways: int) -> str:
        """Why there are no more than `examples_of(ways)`, naming the classes that have fewer."""
        enough = self.examples_of(ways)
        small = {name: count for name, count in self.by_class if count < enough}
        if not small:
            return f"{enough} examples a class"
        return f"{ways} classes with {enough} examples, fewer in {listed(small)}"


def listed(counts: dict[str, int], most: int = 8) -> str:
    """Names and numbers for a message, the first few of many: "cat (3), dog (2) and 4 more"."""
    shown = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:most])
    return shown + (f" and {len(counts) - most} more" if len(counts) > most else "")


class Asked(NamedTuple):
    """A setting that asks for examples of each class: its key, its value, and how many they are."""

    key: str
    value: Any
    number: int


def check_examples(split: str, size: Size, ways: int, shots: Asked, queries: Asked) -> None:
    """Raise ConfigError where `ways` classes of a split have too few for shots and queries.

    The setting that asks for more is named, with what the other leaves.
    """
    examples = size.examples_of(ways)
    named, other = (shots, queries) if shots.number >= queries.number else (queries, shots)
    few, needed = ("", other.number) if other.number < examples else ("at least ", 1)
    rule = f"at most {examples - needed}: the {split} split has {size.explained(ways)}"
    if other.number:
        rule += f", of which {other.key}={other.value} needs {few}{needed}"
    require(shots.number + queries.number <= examples, named.key, named.value, rule)


class Distribution(Protocol):
    """A loaded task distribution: episodes as a pure function of (split, seed)."""

    def sample(self, split: str, seed: Any, ways: int, shots: int, queries: int) -> Episode:
        """Draw one episode inside the TensorFlow graph.

        seed: [2] int32 stateless seed; the same seed always gives the same episode.
        shots, queries: support and query examples a class, disjoint.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """Settings every task distribution has."""

    metric: ClassVar[str] = "accuracy"  # or "mse"; decides the loss and the name of the score

    name: str
    ways: int
    train_shots: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        raise NotImplementedError(f"{type(self).__name__}.input_shape")

    def outputs(self, ways: int) -> int:
        """Width of the network's last layer for an episode of `ways` classes."""
        return ways

    @property
    def most_shots(self) -> int | None:
        """The most support examples an episode can have, or None where `sizes` tells."""
        return None

    def sizes(self) -> dict[str, Size] | None:
        """Size of each split by name, or None where examples are unlimited."""
        return None

    def check(self) -> None:
        """Raise ConfigError for settings that cannot work; must not import TensorFlow."""
        require(self.ways >= 1, "task.ways", self.ways, "at least 1")
        require(self.train_shots >= 1, "task.train_shots", self.train_shots, "at least 1")

    def load(self) -> Distribution:
        """Read or make the data; may import TensorFlow. Raises ConfigError where it can't."""
        raise NotImplementedError(f"{type(self).__name__}.load")

    def describe(self) -> dict[str, Any]:
        """Facts about the data for the record (classes a split, hash of the split)."""
        return {}
