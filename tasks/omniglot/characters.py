"""What Omniglot holds: its drawings as bits, and the authors' divisions of its characters."""

from typing import NamedTuple

import numpy as np

from tasks.image_set import ImageSet, stacked
from tasks.images import SIDE
from tasks.seeding import numpy_generator

CLASSES, DRAWERS = 1623, 20
SIZES = {"paper": (1200, 423), "background": (964, 659), "small1": (136, 659), "small2": (156, 659)}


class Characters(NamedTuple):
    """All classes of Omniglot, ordered by their TFDS label.

    ink:        [class, drawer, 98] uint8, one bit a pixel, 1 where there is ink; the drawings of
                a class are ordered by their pixels, so every copy of the data set gives the same
    alphabet:   [class] int32, one of 50
    background: [class] bool, of the authors' background set; the others are the evaluation set
    small1:     [class] bool, of the first small background set (five alphabets)
    small2:     [class] bool, of the second one
    """

    ink: np.ndarray
    alphabet: np.ndarray
    background: np.ndarray
    small1: np.ndarray
    small2: np.ndarray

    def select(self, classes: np.ndarray) -> ImageSet:
        """Unpack the drawings of some classes: 20 of 28 x 28 each, ink 0, paper 255."""
        ink = np.unpackbits(self.ink[classes], axis=-1).reshape(-1, DRAWERS, SIDE, SIDE)
        return stacked((1 - ink) * np.uint8(255), self.alphabet[classes])


def split_classes(
    split: str, split_seed: int, characters: Characters
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the training and of the test classes, ascending.

    "paper" draws 1,200 of all classes at random by `split_seed`, as the authors' code does; the
    other splits are the data set's own, where no alphabet has classes in both training and test.
    """
    if split == "paper":
        order = numpy_generator(split_seed, "class split").permutation(CLASSES)
        train_count = SIZES["paper"][0]
        return np.sort(order[:train_count]), np.sort(order[train_count:])
    return np.flatnonzero(getattr(characters, split)), np.flatnonzero(~characters.background)


def ordered(
    ink: np.ndarray, label: np.ndarray, alphabet: np.ndarray, members: dict[str, np.ndarray]
) -> Characters:
    """Arrange the drawings of `read_drawings` by class; ValueError unless all are there."""
    count = np.bincount(label, minlength=CLASSES)
    if len(label) != CLASSES * DRAWERS or (count != DRAWERS).any():
        raise ValueError(
            f"it has {len(label):,} drawings of {np.count_nonzero(count):,} characters instead of "
            f"{DRAWERS} of each of {CLASSES:,}"
        )
    empty = np.count_nonzero(~ink.any(axis=-1))
    if empty:
        raise ValueError(f"{empty:,} of its {len(ink):,} drawings have no ink")
    background, small1, small2 = (
        np.isin(np.arange(CLASSES), members[split]) for split in ("train", "small1", "small2")
    )
    for name, chosen in (("background", background), ("small1", small1), ("small2", small2)):
        if np.count_nonzero(chosen) != SIZES[name][0]:
            raise ValueError(
                f"its {name} set has {np.count_nonzero(chosen)} characters instead of "
                f"{SIZES[name][0]}"
            )
    order = sorted(range(len(label)), key=lambda i: (label[i], ink[i].tobytes()))
    return Characters(
        ink[order].reshape(CLASSES, DRAWERS, -1),
        alphabet[order][::DRAWERS].astype(np.int32),
        background,
        small1,
        small2,
    )
