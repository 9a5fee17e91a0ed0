"""Photograph-like images for tests: coloured, textured, of different sizes, as JPEG and PNG."""

from pathlib import Path

import numpy as np
from PIL import Image


def photograph(kind: int, number: int) -> Image.Image:
    """A gradient of a class's colours under its waves, with light, crop and grain of its own."""
    of_class, own = np.random.default_rng(kind), np.random.default_rng([kind, number])
    height, width = own.integers(60, 120, 2)
    y, x = np.mgrid[:height, :width] / 100 + own.random(2)[:, None, None]
    first, second, waves = of_class.random(3), of_class.random(3), of_class.normal(0, 25, (3, 2))
    image = first + (second - first) * (x + y)[..., None] / 3
    image += 0.25 * np.sin(y[..., None] * waves[:, 0] + x[..., None] * waves[:, 1])
    image = image * own.uniform(0.7, 1.2) + own.normal(0, 0.04, image.shape)
    return Image.fromarray((255 * np.clip(image, 0, 1)).astype(np.uint8))


def write_folder(root: Path, classes: dict[str, int]) -> Path:
    """Class folders under `root`, with so many images each; every other one a PNG."""
    for kind, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            ending = ".png" if number % 2 else ".jpg"
            photograph(kind, number).save(root / name / f"{number:03d}{ending}")
    return root
