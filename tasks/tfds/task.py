"""The task distribution over the images of a TFDS data set."""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks import pictures
from tasks.checks import require
from tasks.pictures import Pictures, PictureTask
from tasks.tfds import class_lists, source


@dataclass(frozen=True, kw_only=True)
class Tfds(PictureTask):
    """Settings of conf/task/tfds.yaml."""

    dataset: str
    data_dir: str | None
    class_lists: str | None

    @cached_property
    def builder(self) -> Any:
        """TFDS's builder of the data set, which is prepared. Raises ConfigError."""
        return source.prepared(self.dataset, self.data_dir)

    @cached_property
    def decoded(self) -> Pictures:
        """The images of all classes, those that no list names too. Raises ConfigError."""
        path = self.cache_path(self.builder.info.name, source.listing(self.builder))
        return pictures.through_cache(path, self.builder.info.full_name, self.decode)

    def decode(self) -> Pictures:
        with tempfile.TemporaryDirectory(prefix="tfds-") as folder:
            path = Path(folder) / "decoded.cache"
            shape = list(self.input_shape)
            source.apart("decode", self.dataset, self.data_dir, shape, self.invert, str(path))
            return pictures.read(path)  # what is mapped stays when its name is gone

    @cached_property
    def lists(self) -> dict[str, list[str]] | None:
        """The classes of `class_lists`, which are those of the data set. Raises ConfigError."""
        if self.class_lists is None:
            return None
        lists, counted = class_lists.read(self.class_lists), self.counted()
        unknown = [name for names in lists.values() for name in names if not counted.get(name)]
        some = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        rule = f"lists of classes of {self.dataset}, which has no image of {some}"
        require(not unknown, class_lists.KEY, self.class_lists, rule)
        return lists

    def counted(self) -> dict[str, int]:
        names = self.builder.info.features["label"].names
        return dict(zip(names, map(int, self.decoded.counts), strict=True))

    def given(self) -> dict[str, list[str]] | None:
        return self.lists

    def pictures(self) -> Pictures:
        return self.decoded

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"dataset": self.builder.info.full_name}
