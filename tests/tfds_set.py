"""A small data set that TFDS itself prepares: classes of photographs in two splits."""

import shutil
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from tests.photographs import photograph

CLASSES = ("ant", "bee", "cat", "dog of prey", "elk", "fox", "gnu")
COUNTS = {"train": 6, "test": 2}  # images a class; a third split repeats some of them


class Snapshots(tfds.core.GeneratorBasedBuilder):
    """Seven classes of eight photographs, and an eighth class of none."""

    VERSION = tfds.core.Version("1.2.0")
    pkg_dir_path = Path(__file__).parent

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=[*CLASSES, "yeti"]),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        rows = {
            "train": range(COUNTS["train"]),
            "test": range(COUNTS["train"], sum(COUNTS.values())),
            "few": range(2),
        }
        return {split: self._generate_examples(numbers) for split, numbers in rows.items()}

    def _generate_examples(self, numbers):
        for kind in range(len(CLASSES)):
            for number in numbers:
                yield f"{kind}-{number}", {"image": pixels(kind, number), "label": kind}


def pixels(kind: int, number: int) -> np.ndarray:
    """One of the photographs: [height, width, 3] uint8."""
    return np.asarray(photograph(kind, number))


def prepare(folder: Path) -> Path:
    """Let TFDS prepare the data set under a data directory."""
    tfds.disable_progress_bar()
    Snapshots(data_dir=str(folder)).download_and_prepare()
    return folder


def copied(data_dir: Path, to: Path) -> Path:
    """A copy of a data directory, without the caches beside."""
    shutil.copytree(data_dir / "snapshots", to / "snapshots")
    return to
