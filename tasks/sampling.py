"""N-way K-shot episodes and inner mini-batches, drawn inside the TensorFlow graph.

Everything here is a pure function of a stateless seed, a [2] int32 tensor.
"""

import logging
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tasks.base import listed
from tasks.checks import require
from tasks.episode import Episode
from tasks.image_set import ALIGNED, ImageSet

log = logging.getLogger(__name__)
PHILOX = tf.random.Algorithm.PHILOX.value  # named, so that every device draws the same numbers
INT32 = tf.int32


def key_and_counter(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What `tf.random` makes of a [2] seed for Philox: a key [1] and a counter [2], uint64.

    There it takes some forty operations a draw, and tracing them a fifth of a short run. The one
    operation that TensorFlow has for it forgets the sign of a seed in XLA.
    """
    mixed = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[2],
        key=tf.constant([0x02461E293EC8F720], tf.uint64),
        counter=tf.cast(seed, tf.uint64),
        alg=PHILOX,
        dtype=tf.uint64,
    )
    return tf.slice(mixed, [0], [1]), mixed * tf.constant([0, 1], tf.uint64)


def integers(seed: tf.Tensor, shape: list[int], dtype: tf.DType = INT32) -> tf.Tensor:
    """Uniform over all integers (the largest k are a random k-subset), as `tf.random` draws."""
    key, counter = key_and_counter(seed)
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=shape, key=key, counter=counter, alg=PHILOX, dtype=dtype
    )


def uniform(seed: tf.Tensor, shape: list[int], low: float, high: float) -> tf.Tensor:
    """float32, uniform from low to high, as `tf.random` draws; with XLA it draws other numbers."""
    key, counter = key_and_counter(seed)
    unit = tf.raw_ops.StatelessRandomUniformV2(
        shape=shape, key=key, counter=counter, alg=PHILOX, dtype=tf.float32
    )
    return unit * (tf.constant(high, tf.float32) - low) + low


def split_seed(seed: tf.Tensor, parts: int) -> list[tf.Tensor]:
    """`parts` independent [2] seeds from one, as `tf.random.split`."""
    return tf.unstack(integers(seed, [parts, 2], seed.dtype))


def fold_in(seed: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """The [2] seed of item `index` of the stream `seed`, as `tf.random.fold_in`."""
    return tf.stack([integers(seed, [], index.dtype), index])


def choose(seed: tf.Tensor, size: int, count: int, rows: int = 1) -> tf.Tensor:
    """[rows, count] int32: in each row, `count` of range(size) in random order, none twice.

    The first `count` of a longer draw with the same seed are this draw.
    """
    return tf.math.top_k(integers(seed, [rows, size]), count).indices


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


def hold_back(episode: Episode, ways: int, shots: int) -> Episode:
    """The last `shots` support examples of each class become the episode's queries."""

    def cut(values: tf.Tensor, part: slice) -> tf.Tensor:
        by_class = tf.reshape(values, [ways, -1, *values.shape[1:]])[:, part]
        return tf.reshape(by_class, [-1, *values.shape[1:]])

    support, queries = slice(None, -shots), slice(-shots, None)
    x, y = episode.support_x, episode.support_y
    return episode._replace(
        support_x=cut(x, support),
        support_y=cut(y, support),
        query_x=cut(x, queries),
        query_y=cut(y, queries),
    )


class ImageDistribution:
    """Episodes over the classes of image splits; see `tasks.base.Distribution`."""

    def __init__(self, sets: Mapping[str, ImageSet], within_alphabet: bool = False) -> None:
        self.within_alphabet = within_alphabet
        self.sets = dict(sets)
        pixels = {id(chosen.images): as_tensor(chosen.images) for chosen in sets.values()}
        self.told: set[tuple[str, int]] = set()
        self.pixels = {split: pixels[id(chosen.images)] for split, chosen in sets.items()}

    def sample(self, split: str, seed: tf.Tensor, ways: int, shots: int, queries: int) -> Episode:
        """One episode: images [n, height, width, channels] float32 from 0 to 1, labels [n] int32.

        Only classes with enough images are drawn. Where all have enough, the queries do not depend
        on the number of shots, and fewer shots are a subset of more.
        """
        for_classes, for_examples = split_seed(seed, 2)
        classes = self.choose_classes(split, for_classes, ways, queries + shots)
        rows = self.choose_images(split, for_examples, classes, queries + shots)
        query_x, query_y = self.images(split, rows[:, :queries])
        support_x, support_y = self.images(split, rows[:, queries:])
        return Episode(support_x, support_y, query_x, query_y, classes)

    def choose_classes(self, split: str, seed: tf.Tensor, ways: int, images: int) -> tf.Tensor:
        """[ways] int32 of the classes with so many images, from all or from one alphabet.

        Alphabets with too few such classes are left out; the others are equally likely.
        """
        chosen = self.sets[split]
        enough = np.flatnonzero(chosen.counts >= images).astype(np.int32)
        rule = f"at most {len(enough)}, the {split} classes with {images} images or more"
        require(ways <= len(enough), "task.ways", ways, rule)
        self.tell(split, images)
        if not self.within_alphabet:
            return tf.gather(enough, choose(seed, len(enough), ways)[0])
        for_alphabet, for_classes = split_seed(seed, 2)
        alphabets = chosen.alphabet[enough]
        names, sizes = np.unique(alphabets, return_counts=True)
        large = names[sizes >= ways]
        most = max(sizes, default=0)
        rule = f"at most {most} with task.within_alphabet=true, the classes of the largest alphabet"
        require(len(large) > 0, "ways", ways, f"{rule} of the {split} split")
        alphabet = tf.gather(large, choose(for_alphabet, len(large), 1)[0, 0])
        ranks = integers(for_classes, [len(enough)])
        inside = tf.where(tf.equal(alphabets, alphabet), ranks, INT32.min)
        return tf.gather(enough, tf.math.top_k(inside, ways).indices)

    def tell(self, split: str, images: int) -> None:
        """Say once which classes episodes of so many images a class leave out."""
        chosen = self.sets[split]
        small = {
            name: int(count)
            for name, count in zip(chosen.names, chosen.counts, strict=False)
            if count < images
        }
        if small and (split, images) not in self.told:
            self.told.add((split, images))
            log.info("%s episodes of %d images a class leave out %s", split, images, listed(small))

    def choose_images(
        self, split: str, seed: tf.Tensor, classes: tf.Tensor, images: int
    ) -> tf.Tensor:
        """[way, images] int32: rows of different images of each of the classes [way]."""
        chosen = self.sets[split]
        most = int(chosen.counts.max())
        if (chosen.counts == most).all():
            drawn = choose(seed, most, images, rows=classes.shape[0])
        else:
            ranks = integers(seed, [classes.shape[0], most])
            there = tf.range(most) < tf.gather(chosen.counts, classes)[:, None]
            drawn = tf.math.top_k(tf.where(there, ranks, INT32.min), images).indices
        return tf.gather(chosen.starts, classes)[:, None] + drawn

    def images(self, split: str, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Pixels and labels of rows [way, count] of the split, class by class."""
        ways, count = rows.shape
        pixels = tf.gather(self.pixels[split], tf.reshape(rows, [-1]))
        images = tf.reshape(
            tf.cast(pixels, tf.float32) / 255.0, [ways * count, *self.sets[split].images.shape[1:]]
        )
        return images, tf.repeat(tf.range(ways), count)


def as_tensor(images: np.ndarray) -> tf.Tensor:
    """[image, height * width * channels] uint8, the memory shared where TensorFlow can do that."""
    flat = images.reshape(len(images), -1)
    shared = flat.flags.writeable and flat.ctypes.data % ALIGNED == 0
    if not shared or tf.config.list_physical_devices("GPU"):
        return tf.constant(flat)
    return tf.experimental.dlpack.from_dlpack(flat.__dlpack__())
