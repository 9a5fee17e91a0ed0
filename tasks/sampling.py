"""N-way K-shot episodes and inner mini-batches, drawn inside the TensorFlow graph.

Everything here is a pure function of a stateless seed, a [2] int32 tensor.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tasks.episode import Episode
from tasks.images import SIDE, ImageSet

RNG = "philox"  # named, so that every device draws the same numbers
INT32 = tf.int32


def split_seed(seed: tf.Tensor, parts: int) -> list[tf.Tensor]:
    """`parts` independent [2] seeds from one."""
    return tf.unstack(tf.random.split(seed, parts, alg=RNG))


def fold_in(seed: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """The [2] seed of item `index` of the stream `seed`."""
    return tf.random.fold_in(seed, index, alg=RNG)


def random_ranks(seed: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """int32 tensor of `shape`, uniform over all integers: the largest k are a random k-subset."""
    return tf.random.stateless_uniform(shape, seed, None, None, INT32, alg=RNG)


def choose(seed: tf.Tensor, size: int, count: int, rows: int = 1) -> tf.Tensor:
    """[rows, count] int32: in each row, `count` of range(size) in random order, none twice.

    The first `count` of a longer draw with the same seed are this draw.
    """
    return tf.math.top_k(random_ranks(seed, [rows, size]), count).indices


def batch_order(seed: tf.Tensor, size: int, steps: int, batch: int, replacement: bool) -> tf.Tensor:
    """[steps, batch] int32: which of `size` support examples each inner step learns from.

    Without replacement the batches walk through the shuffled support set, reshuffled at each
    pass; a batch may straddle two passes. With replacement each batch is drawn anew (no example
    twice in one batch). Both as in the authors' code.
    """
    if replacement:
        return choose(seed, size, batch, rows=steps)
    passes = -(-steps * batch // size)
    walk = tf.reshape(choose(seed, size, size, rows=passes), [-1])
    return tf.reshape(walk[: steps * batch], [steps, batch])


class ImageDistribution:
    """Episodes over the classes of image splits; see `tasks.base.Distribution`."""

    def __init__(self, sets: Mapping[str, ImageSet], within_alphabet: bool = False) -> None:
        self.within_alphabet = within_alphabet
        self.shape = {split: chosen.images.shape[:2] for split, chosen in sets.items()}
        self.pixels = {
            split: tf.constant(chosen.images.reshape(-1, SIDE * SIDE))
            for split, chosen in sets.items()
        }
        self.alphabet = {split: chosen.alphabet for split, chosen in sets.items()}

    def sample(self, split: str, seed: tf.Tensor, ways: int, shots: int, queries: int) -> Episode:
        """One episode: images [n, 28, 28, 1] float32 with ink 0 and paper 1, labels [n] int32.

        The queries do not depend on the number of shots, and fewer shots are a subset of more.
        """
        _, examples = self.shape[split]
        for_classes, for_examples = split_seed(seed, 2)
        classes = self.choose_classes(split, for_classes, ways)
        drawn = choose(for_examples, examples, queries + shots, rows=ways)
        rows = classes[:, None] * examples + drawn  # [way, queries + shots]
        query_x, query_y = self.images(split, rows[:, :queries])
        support_x, support_y = self.images(split, rows[:, queries:])
        return Episode(support_x, support_y, query_x, query_y)

    def choose_classes(self, split: str, seed: tf.Tensor, ways: int) -> tf.Tensor:
        """[ways] int32 classes, from the whole split or from one alphabet that has as many."""
        classes, _ = self.shape[split]
        if not self.within_alphabet:
            return choose(seed, classes, ways)[0]
        for_alphabet, for_classes = split_seed(seed, 2)
        names, sizes = np.unique(self.alphabet[split], return_counts=True)
        large = names[sizes >= ways]
        alphabet = tf.gather(large, choose(for_alphabet, len(large), 1)[0, 0])
        ranks = random_ranks(for_classes, [classes])
        inside = tf.where(tf.equal(self.alphabet[split], alphabet), ranks, INT32.min)
        return tf.math.top_k(inside, ways).indices

    def images(self, split: str, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Pixels and labels of rows [way, count] of the split, class by class."""
        ways, count = rows.shape
        pixels = tf.gather(self.pixels[split], tf.reshape(rows, [-1]))
        images = tf.reshape(tf.cast(pixels, tf.float32) / 255.0, [ways * count, SIDE, SIDE, 1])
        return images, tf.repeat(tf.range(ways), count)
