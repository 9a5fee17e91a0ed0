"""Labelled images: the classes of a split, their rotations, and classes held out of them."""

import hashlib
import math
from typing import NamedTuple

import numpy as np

from tasks.seeding import numpy_generator

ALIGNED = 64  # bytes; TensorFlow computes with nothing that starts elsewhere


class ImageSet(NamedTuple):
    """The classes of one split. Several splits may share one array of images.

    images:   [image, height, width, channels] uint8; of drawings: ink 0, paper 255
    starts:   [class] int32, the row of each class's first image; its others follow
    counts:   [class] int32, how many images each class has
    alphabet: [class] int32, which alphabet the class belongs to
    names:    [class] what each class is called, or nothing where they have no names
    """

    images: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    alphabet: np.ndarray
    names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.starts)

    def of(self, number: int) -> np.ndarray:
        """The images of one class: [count, height, width, channels]."""
        start = self.starts[number]
        return self.images[start : start + self.counts[number]]

    def select(self, classes: np.ndarray) -> "ImageSet":
        """Some of the classes, in the order given; the images are shared, not copied."""
        return self._replace(
            starts=self.starts[classes],
            counts=self.counts[classes],
            alphabet=self.alphabet[classes],
            names=tuple(self.names[c] for c in classes) if self.names else (),
        )


def stacked(images: np.ndarray, alphabet: np.ndarray) -> ImageSet:
    """Classes of equally many images: [class, example, height, width] or [..., channels]."""
    classes, examples, height, width = images.shape[:4]
    starts = np.arange(classes, dtype=np.int32) * np.int32(examples)
    flat = images.reshape(classes * examples, height, width, -1)
    return ImageSet(flat, starts, np.full(classes, examples, np.int32), alphabet)


def held_out(train: ImageSet, classes: int, split_seed: int) -> tuple[ImageSet, ImageSet]:
    """Divide the training classes at random into those kept and `classes` held out.

    More classes hold out a superset: a larger validation split contains the smaller.
    """
    order = numpy_generator(split_seed, "validation classes").permutation(train.classes)
    return train.select(np.sort(order[classes:])), train.select(np.sort(order[:classes]))


def rotated(chosen: ImageSet) -> ImageSet:
    """Four classes for each: turned by 0, 90, 180 and 270 degrees (the authors' code).

    The images must be square. A turned class stays in its alphabet.
    """
    upright = np.concatenate([chosen.of(c) for c in range(chosen.classes)])
    images = aligned((4 * len(upright), *upright.shape[1:]))
    for turns, part in enumerate(np.split(images, 4)):
        part[:] = np.rot90(upright, turns, axes=(1, 2))
    counts = np.tile(chosen.counts, 4)
    starts = np.cumsum(counts, dtype=np.int32) - counts
    return ImageSet(images, starts, counts, np.tile(chosen.alphabet, 4), chosen.names * 4)


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """uint8 array that starts where TensorFlow can share it; NumPy's own start anywhere."""
    size = math.prod(shape)
    room = np.empty(size + ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED
    return room[start : start + size].reshape(shape)


def digest(chosen: ImageSet) -> str:
    """Sixteen hexadecimal digits that change when the classes or pixels of a split change."""
    sha256 = hashlib.sha256()
    for c in range(chosen.classes):
        sha256.update(np.ascontiguousarray(chosen.of(c)).data)
    return sha256.hexdigest()[:16]
