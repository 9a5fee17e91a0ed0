"""Image classification tasks: labelled images of any shape, split by class."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tasks.base import Distribution, Size, Task
from tasks.checks import require
from tasks.image_set import ImageSet, digest, held_out, rotated

SIDE = 28  # pixels a side of a drawn character, as in the paper


@dataclass(frozen=True, kw_only=True)
class ImageTask(Task):
    """What the image tasks share; subclasses give `split_sizes` and `image_sets`."""

    rotations: bool  # training classes x 4: each rotation by 90 degrees is a class of its own

    def split_sizes(self) -> dict[str, Size]:
        """Size of each split before rotations; "train" and "test" are always there."""
        raise NotImplementedError(f"{type(self).__name__}.split_sizes")

    def image_sets(self) -> dict[str, ImageSet]:
        """The splits of `split_sizes`, nothing rotated. Raises ConfigError."""
        raise NotImplementedError(f"{type(self).__name__}.image_sets")

    def sizes(self) -> dict[str, Size]:
        sizes = self.split_sizes()
        return sizes | {"train": sizes["train"].times(4 if self.rotations else 1)}

    def check(self) -> None:
        super().check()
        require(
            self.ways >= 2, "task.ways", self.ways, "at least 2: one class cannot be told apart"
        )

    @cached_property
    def loaded(self) -> dict[str, ImageSet]:
        """The splits a run uses. The training classes alone are rotated. Raises ConfigError."""
        sets = dict(self.image_sets())
        if self.rotations:
            sets["train"] = rotated(sets["train"])
        return sets

    def load(self) -> Distribution:
        from tasks.sampling import ImageDistribution

        return ImageDistribution(self.loaded)

    def describe(self) -> dict[str, Any]:
        return {
            "classes": {split: chosen.classes for split, chosen in self.loaded.items()},
            "sha256": {split: digest(chosen) for split, chosen in self.loaded.items()},
        }


@dataclass(frozen=True, kw_only=True)
class CharacterTask(ImageTask):
    """Characters of several alphabets, 28x28, ink 0 on paper 255; validation is carved out.

    Subclasses give `base_sizes` and `drawings`.
    """

    split_seed: int  # which classes go to which split; 0 is a seed like any other
    validation_classes: int  # carved from the training classes
    within_alphabet: bool  # all classes of an episode from one alphabet

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (SIDE, SIDE, 1)

    def base_sizes(self) -> dict[str, Size]:
        """Size of the splits "train" and "test" before validation classes and rotations."""
        raise NotImplementedError(f"{type(self).__name__}.base_sizes")

    def drawings(self) -> dict[str, ImageSet]:
        """The splits "train" and "test" of `base_sizes`: nothing carved out, nothing rotated."""
        raise NotImplementedError(f"{type(self).__name__}.drawings")

    def split_sizes(self) -> dict[str, Size]:
        sizes = self.base_sizes()
        train, carved = sizes["train"], self.validation_classes
        sizes["train"] = Size(train.classes - carved, train.examples)
        return sizes | ({"validation": Size(carved, train.examples)} if carved else {})

    def image_sets(self) -> dict[str, ImageSet]:
        """The test split is the same whatever `validation_classes` is.

        Raises ConfigError where no episode of one alphabet could be drawn.
        """
        sets = dict(self.drawings())
        if self.validation_classes:
            sets["train"], sets["validation"] = held_out(
                sets["train"], self.validation_classes, self.split_seed
            )
        if self.within_alphabet:
            self.check_alphabets(sets)
        return sets

    def check(self) -> None:
        super().check()
        require(self.split_seed >= 0, "task.split_seed", self.split_seed, "at least 0")
        classes = self.base_sizes()["train"].classes
        require(
            0 <= self.validation_classes < classes,
            "task.validation_classes",
            self.validation_classes,
            f"between 0 and {classes - 1}, since the training split has {classes} classes",
        )

    def check_alphabets(self, sets: dict[str, ImageSet]) -> None:
        """An alphabet of each split must have as many classes as an episode."""
        for split, chosen in sets.items():
            copies = 4 if self.rotations and split == "train" else 1
            largest = copies * int(np.unique(chosen.alphabet, return_counts=True)[1].max())
            require(
                self.ways <= largest,
                "task.ways",
                self.ways,
                f"at most {largest} with task.within_alphabet=true, the classes of the largest "
                f"alphabet of the {split} split",
            )

    def load(self) -> Distribution:
        from tasks.sampling import ImageDistribution

        return ImageDistribution(self.loaded, self.within_alphabet)
