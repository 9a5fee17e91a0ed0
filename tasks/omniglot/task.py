"""The task distribution over Omniglot's characters."""

import os
from dataclasses import dataclass

from tasks.base import Size
from tasks.checks import require
from tasks.image_set import ImageSet
from tasks.images import CharacterTask
from tasks.omniglot.cache import load
from tasks.omniglot.characters import DRAWERS, SIZES, split_classes
from tasks.omniglot.source import PREPARED, dataset_dir


@dataclass(frozen=True, kw_only=True)
class Omniglot(CharacterTask):
    """Settings of conf/task/omniglot.yaml."""

    split: str
    data_dir: str | None
    cache_dir: str | None

    def base_sizes(self) -> dict[str, Size]:
        train, test = SIZES[self.split]
        return {"train": Size(train, DRAWERS), "test": Size(test, DRAWERS)}

    def check(self) -> None:
        allowed = ", ".join(SIZES)
        require(self.split in SIZES, "task.split", self.split, f"one of {allowed}")
        super().check()
        if self.data_dir is not None:
            holds = os.path.isfile(dataset_dir(self.data_dir) / "dataset_info.json")
            require(holds, "task.data_dir", self.data_dir, f"{PREPARED}, or null")

    def drawings(self) -> dict[str, ImageSet]:
        characters = load(self.data_dir, self.cache_dir)
        train, test = split_classes(self.split, self.split_seed, characters)
        return {"train": characters.select(train), "test": characters.select(test)}
