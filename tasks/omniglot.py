"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people.

tensorflow-datasets (TFDS) provides the drawings. They are decoded once, to 28x28 pixels, and kept
in the user's cache, from where a run loads them without TFDS.
"""

import hashlib
import http.client
import io
import logging
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from tasks.base import Size
from tasks.checks import ConfigError, require
from tasks.images import SIDE, ImageSet, ImageTask
from tasks.seeding import numpy_generator

logger = logging.getLogger(__name__)

VERSION = "3.0.0"  # of the TFDS data set
CACHE_FORMAT = 1  # raise it when `Characters` or the resizing changes
SOURCE_SIDE = 105  # pixels a side in the data set
CLASSES, DRAWERS = 1623, 20
SIZES = {"paper": (1200, 423), "background": (964, 659), "small1": (136, 659), "small2": (156, 659)}
PROBE_SECONDS = 8
PREPARED = f"a directory in which TFDS has prepared the whole of Omniglot {VERSION}"


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
        """Unpack the drawings of some classes: [len(classes), 20, 28, 28], ink 0, paper 255."""
        ink = np.unpackbits(self.ink[classes], axis=-1).reshape(-1, DRAWERS, SIDE, SIDE)
        return ImageSet((1 - ink) * np.uint8(255), self.alphabet[classes])


@dataclass(frozen=True, kw_only=True)
class Omniglot(ImageTask):
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
            holds = (dataset_dir(self.data_dir) / "dataset_info.json").is_file()
            require(holds, "task.data_dir", self.data_dir, f"{PREPARED}, or null")

    def image_sets(self) -> dict[str, ImageSet]:
        characters = load(self.data_dir, self.cache_dir)
        train, test = split_classes(self.split, self.split_seed, characters)
        return {"train": characters.select(train), "test": characters.select(test)}


def split_classes(
    split: str, split_seed: int, characters: Characters
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the training and of the test classes, ascending.

    "paper" draws 1,200 of all classes at random by `split_seed` (section 6.1); the other splits
    are the data set's own, where no alphabet has classes in both training and test.
    """
    if split == "paper":
        order = numpy_generator(split_seed, "class split").permutation(CLASSES)
        train_count = SIZES["paper"][0]
        return np.sort(order[:train_count]), np.sort(order[train_count:])
    return np.flatnonzero(getattr(characters, split)), np.flatnonzero(~characters.background)


def load(data_dir: str | None, cache_dir: str | None) -> Characters:
    """The data set from the cache, decoded into it first where that has not been done yet.

    Of several jobs that find no cache one decodes and the others wait. A cache that cannot be
    written costs a warning. Raises ConfigError where the data set is out of reach.
    """
    path = cache_path(cache_dir)
    cached = read_cache(path)
    if cached is not None:
        return cached
    with building(path) as writable:
        if writable:
            cached = read_cache(path)  # another job may have built it while this one waited
            if cached is not None:
                return cached
            if path.exists():
                logger.warning("The Omniglot cache %s is damaged; rebuilding it", path)
            logger.info("Decoding Omniglot once, into %s", path)
        characters = decode(data_dir)
        if writable:
            write_cache(path, characters)
        return characters


# --- The cache: the SHA-256 of an npz archive, then the archive. ---


def cache_path(cache_dir: str | None) -> Path:
    """Where the decoded drawings are kept; the name tells the data set and the format."""
    if cache_dir is None:
        from platformdirs import user_cache_path

        folder = user_cache_path("reptile-benchmark")
    else:
        folder = Path(cache_dir).expanduser()
    return folder / f"omniglot-{VERSION}-{SIDE}x{SIDE}-v{CACHE_FORMAT}.cache"


def read_cache(path: Path) -> Characters | None:
    """The cached data set, or None where there is none or its checksum does not match."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    checksum, archive = stored[:32], stored[32:]
    if hashlib.sha256(archive).digest() != checksum:
        return None
    with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
        return Characters(**arrays)


def write_cache(path: Path, characters: Characters) -> None:
    """Replace the cache in one step: a reader sees the old file or the new one, never a part."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **characters._asdict())
    archive = buffer.getvalue()
    temporary = path.with_suffix(".partial")  # under the lock, so no one else writes it
    try:
        with temporary.open("wb") as file:
            file.write(hashlib.sha256(archive).digest() + archive)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        warn_uncached(path, error)
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def building(path: Path) -> Iterator[bool]:
    """Hold the lock under which the cache is built; gives False where it cannot be written."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        warn_uncached(path, error)
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def warn_uncached(path: Path, error: Exception) -> None:
    logger.warning("Cannot keep Omniglot in %s (%s); going on without a cache", path.parent, error)


# --- The source: a data set prepared by TFDS, or downloaded through it. ---


def dataset_dir(data_dir: str) -> Path:
    """Where TFDS keeps a prepared Omniglot under its data directory."""
    return Path(data_dir).expanduser() / "omniglot" / VERSION


def decode(data_dir: str | None) -> Characters:
    """Read every drawing through TFDS and check that the data set is whole.

    A few hundred drawings are in memory at a time, and packed ones. Raises ConfigError.
    """
    try:
        return ordered(*read_drawings(prepared_builder(data_dir)))
    except (ConfigError, ImportError):
        raise
    except Exception as error:  # a missing or cut file surfaces as any of TensorFlow's errors
        key, folder = "task.data_dir", data_dir
        if folder is None:
            key, folder = "TFDS_DATA_DIR", os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{key}={folder}: must be {PREPARED} ({reason})") from error


def prepared_builder(data_dir: str | None) -> Any:
    """The TFDS builder of Omniglot with its files in place, downloaded if need be."""
    import tensorflow_datasets as tfds

    # TFDS reads the variable when it is imported, which may have been long ago.
    folder = data_dir if data_dir is not None else os.environ.get("TFDS_DATA_DIR")
    builder = tfds.builder(f"omniglot:{VERSION}", data_dir=folder and os.path.expanduser(folder))
    if builder.is_prepared():
        return builder
    require(data_dir is None, "task.data_dir", data_dir, f"{PREPARED}, or null")
    problem = unreachable(builder.info.homepage)
    if problem is not None:
        raise out_of_reach(builder, problem)
    try:
        builder.download_and_prepare()
    except Exception as error:  # whatever ends a download, the ways out are the same
        raise out_of_reach(builder, f"{type(error).__name__}: {error}") from error
    return builder


def out_of_reach(builder: Any, problem: str) -> ConfigError:
    return ConfigError(
        f"Omniglot is not prepared in {builder.data_path.parents[1]} and cannot be downloaded "
        f"({' '.join(problem.split())}): set task.data_dir or TFDS_DATA_DIR to {PREPARED}, "
        "connect this machine to the network, or use task=glyphs, which needs no data"
    )


def unreachable(url: str) -> str | None:
    """Why no answer comes from `url`, directly or through the configured proxy; None if one does.

    TFDS itself would try for minutes. The thread bounds what a time-out does not: a name server
    that never answers.
    """
    outcome: list[str | None] = []
    probe = threading.Thread(target=lambda: outcome.append(connection_error(url)), daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    return outcome[0] if outcome else f"no answer from {url} in {PROBE_SECONDS} s"


def connection_error(url: str) -> str | None:
    """Ask for the head of `url`; any answer of the server counts, even an error or a certificate
    Python does not trust, since TFDS may know better ones."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS / 2
        ):
            return None
    except urllib.error.HTTPError:
        return None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            return None
        return f"{url}: {error}"


def read_drawings(
    builder: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Decode the data set in the graph, batch by batch.

    Returns ink [drawing, 98] (packed bits), label [drawing], alphabet [drawing], and for each of
    "train", "small1" and "small2" the labels it has.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    # Nearest neighbour by pixel centres, the paper's resizing.
    nearest = np.floor((np.arange(SIDE) + 0.5) * SOURCE_SIDE / SIDE).astype(np.int32)

    def shrink(example: dict[str, Any]) -> tuple[Any, Any, Any]:
        gray = tf.io.decode_png(example["image"], channels=1)[..., 0]
        small = tf.gather(tf.gather(gray, nearest, axis=0), nearest, axis=1)
        return small, example["label"], example["alphabet"]

    def read(split: str, transform: Any) -> Iterator[Any]:
        raw = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
        examples = raw.map(transform, num_parallel_calls=tf.data.AUTOTUNE)
        return examples.batch(256).prefetch(2).as_numpy_iterator()

    batches = [
        (np.packbits(small.reshape(len(small), -1) < 128, axis=-1), label, alphabet)
        for small, label, alphabet in read("train+test", shrink)
    ]
    ink, label, alphabet = (np.concatenate(column) for column in zip(*batches, strict=True))
    members = {
        split: np.concatenate(list(read(split, lambda example: example["label"])))
        for split in ("train", "small1", "small2")
    }
    return ink, label, alphabet, members


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
