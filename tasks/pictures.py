"""Image files of any kind and size as arrays of one shape, decoded once into the user's cache."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from tasks import cache
from tasks.base import Size, listed
from tasks.checks import ConfigError, one_line, require
from tasks.files import read_sealed, replacing, write_sealed
from tasks.image_set import ImageSet
from tasks.images import ImageTask
from tasks.seeding import numpy_generator

log = logging.getLogger(__name__)
OF_16_BITS = ("PNG", "PPM")  # formats whose pixels Pillow may hold in 32 bits
CACHE_FORMAT = 2  # raise it when `Pictures` or `decode` changes


class Pictures(NamedTuple):
    """Decoded images, class by class; the names of those that could not be decoded.

    images: [image, height, width, channels] uint8, mapped from the cache's file
    counts: [class] int32
    broken: names of files that were left out
    """

    images: np.ndarray
    counts: np.ndarray
    broken: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PictureTask(ImageTask):
    """What tasks of image files share; subclasses say which classes there are, and their images."""

    size: Any  # pixels a side, or [height, width]
    channels: int
    invert: bool
    train_classes: int | None
    validation_classes: int
    split_seed: int
    cache_dir: str | None

    @property
    def input_shape(self) -> tuple[int, ...]:
        height, width = self.size if isinstance(self.size, list) else (self.size, self.size)
        return (height, width, self.channels)

    def counted(self) -> dict[str, int]:
        """How many images each class has, in the order of `pictures`. Raises ConfigError."""
        raise NotImplementedError(f"{type(self).__name__}.counted")

    def given(self) -> dict[str, list[str]] | None:
        """The classes of each split; None where `split_seed` decides. Raises ConfigError."""
        raise NotImplementedError(f"{type(self).__name__}.given")

    def pictures(self) -> Pictures:
        """All images, decoded. Raises ConfigError."""
        raise NotImplementedError(f"{type(self).__name__}.pictures")

    def check(self) -> None:
        sides = self.size if isinstance(self.size, list) else [self.size, self.size]
        fits = len(sides) == 2 and all(type(side) is int and side >= 1 for side in sides)
        require(fits, "task.size", self.size, "pixels a side, or [height, width], at least 1 each")
        square = not self.rotations or sides[0] == sides[1]
        require(square, "task.size", self.size, "square with task.rotations=true")
        require(self.channels in (1, 3), "task.channels", self.channels, "1 (grey) or 3 (colour)")
        require(self.split_seed >= 0, "task.split_seed", self.split_seed, "at least 0")
        least = self.validation_classes >= 0
        require(least, "task.validation_classes", self.validation_classes, "at least 0")
        self.check_splits()
        super().check()

    def check_splits(self) -> None:
        """The numbers of classes must leave some for each split."""
        classes, carved = sum(map(bool, self.counted().values())), self.validation_classes
        if self.given() is not None:
            rule = "null: the splits are given"
            require(self.train_classes is None, "task.train_classes", self.train_classes, rule)
            rule = "0: the splits are given"
            require(carved == 0, "task.validation_classes", carved, rule)
            return
        most = classes - 4
        rule = f"at most {most}, since of {classes} classes training and test need 2 each"
        require(carved <= max(most, 0), "task.validation_classes", carved, rule)
        if self.train_classes is not None:
            most = classes - carved - 2
            rule = f"between 2 and {most}: of {classes} classes the test needs 2"
            fits = 2 <= self.train_classes <= most
            require(fits, "task.train_classes", self.train_classes, rule)

    def members(self) -> dict[str, np.ndarray]:
        """The numbers of each split's classes, ascending."""
        counted = self.counted()
        if (given := self.given()) is not None:
            numbers = {name: number for number, name in enumerate(counted)}
            return {split: np.sort([numbers[n] for n in names]) for split, names in given.items()}
        usable = np.flatnonzero([*counted.values()])
        order = usable[numpy_generator(self.split_seed, "class split").permutation(len(usable))]
        carved = self.validation_classes
        left = len(usable) - carved
        train = self.train_classes or min((2 * left + 1) // 3, left - 2)
        parts = np.split(order, [train, train + carved])
        chosen = dict(zip(("train", "validation", "test"), map(np.sort, parts), strict=True))
        return {split: classes for split, classes in chosen.items() if len(classes)}

    def split_sizes(self) -> dict[str, Size]:
        counted = list(self.counted().items())
        return {
            split: Size.of(dict(counted[c] for c in classes))
            for split, classes in self.members().items()
        }

    def image_sets(self) -> dict[str, ImageSet]:
        images, counts, broken = self.pictures()
        if broken:
            log.warning("%d images cannot be read and are left out: %s", *shortened(broken))
        starts = np.cumsum(counts, dtype=np.int64) - counts
        names = tuple(self.counted())
        every = ImageSet(images, starts.astype(np.int32), counts, np.zeros_like(counts), names)
        return {split: every.select(classes) for split, classes in self.members().items()}

    def describe(self) -> dict[str, Any]:
        images = {split: int(chosen.counts.sum()) for split, chosen in self.loaded.items()}
        return super().describe() | {"images": images}

    def cache_path(self, title: str, listing: str) -> Path:
        """Where the decoded images of a listing are kept."""
        made = f"v{CACHE_FORMAT} {self.input_shape} {self.invert}\n{listing}"
        digest = hashlib.sha256(made.encode(errors="surrogateescape")).hexdigest()[:16]
        return cache.folder(self.cache_dir) / f"{title}-{digest}.cache"


def shortened(names: Sequence[str], most: int = 3) -> tuple[int, str]:
    """How many names there are, and the first of them."""
    return len(names), ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def decode(file: str | Path | IO[bytes], shape: tuple[int, ...], invert: bool) -> np.ndarray:
    """One image file as an array of `shape` (height, width, channels), uint8.

    Turned upright as its camera says, transparent parts white, and shrunk or stretched to the
    whole of the shape. Raises what Pillow raises for files that are no whole image.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    with Image.open(file) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened)
        sixteen = image.mode.startswith("I;16") or opened.format in OF_16_BITS
        if image.mode == "F" or (image.mode == "I" and not sixteen):
            raise ValueError("its pixels, floats or of 32 bits, do not say what is white")
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image).reshape(shape)
    return 255 - pixels if invert else pixels


def decode_files(
    classes: Sequence[Sequence[Path]], shape: tuple[int, ...], invert: bool, skip_broken: bool
) -> Pictures:
    """Decode the files of each class. Raises ConfigError that names a broken one."""
    paths = [path for files in classes for path in files]
    images = np.empty((len(paths), *shape), np.uint8)

    def one(row: int) -> str | None:
        try:
            images[row] = decode(paths[row], shape, invert)
        except Exception as error:  # there is no end to what a damaged file can raise
            return one_line(error) or type(error).__name__
        return None

    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding Python's lock
        problems = list(pool.map(one, range(len(paths))))
    broken = [row for row, problem in enumerate(problems) if problem is not None]
    if broken and not skip_broken:
        raise ConfigError(
            f"{in_one_line(paths[broken[0]])}: must be a whole image ({problems[broken[0]]}): "
            f"replace or remove it, or set task.skip_broken=true ({len(broken)} such files)"
        )
    owner = np.repeat(np.arange(len(classes)), [len(files) for files in classes])
    lost = np.bincount(owner[broken], minlength=len(classes))
    counts = np.array([len(files) for files in classes], np.int32) - lost.astype(np.int32)
    whole = [row for row, problem in enumerate(problems) if problem is None]
    for place, row in enumerate(whole if broken else ()):
        images[place] = images[row]  # closes the gaps without a second copy of everything
    return Pictures(images[: len(whole)], counts, tuple(in_one_line(paths[row]) for row in broken))


def in_one_line(path: Path) -> str:
    """A path as text; the name of a file may have any character."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(path))


def through_cache(path: Path, title: str, build: Callable[[], Pictures]) -> Pictures:
    """The decoded images from the cache, built first where they are not there."""
    return cache.load(path, title, read, build, write)


def write(path: Path, pictures: Pictures) -> None:
    """The pixels in a file that can be mapped, then a sealed one with their checksum."""
    pixels = path.with_suffix(".npy")
    with replacing(pixels) as file:
        np.save(file, pictures.images)
    written = {"counts": pictures.counts, "broken": np.array(pictures.broken, np.str_)}
    write_sealed(path, written | {"sha256": np.array(sha256_of(pixels))})


def read(path: Path) -> Pictures:
    """What `write` wrote, the pixels mapped: jobs of one machine share them in memory."""
    sealed, pixels = read_sealed(path), path.with_suffix(".npy")
    if sha256_of(pixels) != sealed["sha256"]:
        raise ValueError("its checksum does not fit")
    images = np.load(pixels, mmap_mode="c")  # TensorFlow takes over only what may be written
    return Pictures(images, sealed["counts"], tuple(map(str, sealed["broken"])))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_left(pictures: Pictures, names: Sequence[str]) -> None:
    """Every class must have kept an image. Raises ConfigError."""
    empty = {name: 0 for name, count in zip(names, pictures.counts, strict=True) if not count}
    require(not empty, "task.skip_broken", True, f"false: nothing is left of {listed(empty)}")
