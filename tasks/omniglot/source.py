"""Where the drawings come from: a data set prepared by TFDS, or downloaded through it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tasks.checks import ConfigError, require
from tasks.images import SIDE
from tasks.network import unreachable
from tasks.omniglot.characters import Characters, ordered

VERSION = "3.0.0"  # of the TFDS data set
SOURCE_SIDE = 105  # pixels a side in the data set
PREPARED = f"a directory in which TFDS has prepared the whole of Omniglot {VERSION}"


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
