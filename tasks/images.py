"""Image classification tasks: labelled images, split by class."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tasks.base import Distribution, Size, Task
from tasks.checks import require
from tasks.image_set import ImageSet, digest, held_out, rotated

SIDE = 28  # pixels a side of a drawing, as in the paper


@dataclass(frozen=True, kw_only=True)
class ImageTask(Task):
    """Settings shared by the image tasks; subclasses give `image_sets` and `base_sizes`."""

    split_seed: int  # which classes go to which split; 0 is a seed like any other
    validation_classes: int  # carved from the training classes
    rotations: bool  # training classes x 4: each rotation by 90 degrees is a class of its own
    within_alphabet: bool  # all classes of an episode from one alphabet

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (SIDE, SIDE, 1)

    def base_sizes(self) -> dict[str, Size]:
        """Size of the splits "train" and "test" before validation classes and rotations."""
        raise NotImplementedError

    def image_sets(self) -> dict[str, ImageSet]:
        """The splits "train" and "test" of `base_sizes`: nothing carved out, nothing rotated."""
        raise NotImplementedError

    def sizes(self) -> dict[str, Size]:
        base = self.base_sizes()
        train, test = base["train"], base["test"]
        kept = train.classes - self.validation_classes
        sizes = {"train": Size(kept * (4 if self.rotations else 1), train.examples), "test": test}
        if self.validation_classes:
            sizes["validation"] = Size(self.validation_classes, train.examples)
        return sizes

    def check(self) -> None:
        super().check()
        require(
            self.ways >= 2, "task.ways", self.ways, "at least 2: one class cannot be told apart"
        )
        require(self.split_seed >= 0, "task.split_seed", self.split_seed, "at least 0")
        classes = self.base_sizes()["train"].classes
        require(
            0 <= self.validation_classes < classes,
            "task.validation_classes",
            self.validation_classes,
            f"between 0 and {classes - 1}, since the training split has {classes} classes",
        )

    @cached_property
    def loaded(self) -> dict[str, ImageSet]:
        """The splits a run uses: validation carved from the training classes, the rest rotated.

        The test split is never rotated, and is the same whatever `validation_classes` is.
        Raises ConfigError where no episode of one alphabet could be drawn.
        """
        sets = dict(self.image_sets())
        if self.validation_classes:
            sets["train"], sets["validation"] = held_out(
                sets["train"], self.validation_classes, self.split_seed
            )
        if self.rotations:
            sets["train"] = rotated(sets["train"])
        if self.within_alphabet:
            for split, chosen in sets.items():
                largest = int(np.unique(chosen.alphabet, return_counts=True)[1].max())
                require(
                    self.ways <= largest,
                    "task.ways",
                    self.ways,
                    f"at most {largest} with task.within_alphabet=true, the classes of the largest "
                    f"alphabet of the {split} split",
                )
        return sets

    def load(self) -> Distribution:
        from tasks.sampling import ImageDistribution

        return ImageDistribution(self.loaded, self.within_alphabet)

    def describe(self) -> dict[str, Any]:
        return {
            "classes": {split: chosen.classes for split, chosen in self.loaded.items()},
            "sha256": {split: digest(chosen) for split, chosen in self.loaded.items()},
        }
