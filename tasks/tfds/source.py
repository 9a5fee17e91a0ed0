"""Where the images come from: a data set prepared by TFDS, or downloaded through it.

TFDS downloads and reads with TensorFlow, which the job has yet to start with settings of its own,
so both happen in a process apart.
"""

import difflib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tasks import pictures
from tasks.checks import ConfigError, one_line, require
from tasks.network import unreachable

KEY = "task.dataset"
DISJOINT = ("train", "validation", "test")  # other splits may be parts of these, or unlabelled
BATCH = 256  # encoded images in memory at a time


def found(dataset: str, data_dir: str | None) -> Any:
    """TFDS's builder of a data set whose examples have an image and a label. Raises ConfigError."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import visibility

    logging.getLogger("absl").setLevel(logging.ERROR)  # it warns of what is not prepared yet
    folder = data_dir if data_dir is not None else os.environ.get("TFDS_DATA_DIR")
    try:  # of the public ones alone: to look for others it would go to the network
        with visibility.set_availables_tmp([visibility.DatasetType.TFDS_PUBLIC]):
            builder = tfds.builder(dataset, data_dir=folder and os.path.expanduser(folder))
    except Exception as error:  # TFDS has many ways not to know a name
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        close = difflib.get_close_matches(
            dataset, tfds.list_builders(with_community_datasets=False)
        )
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        rule = (
            f"NAME, NAME/CONFIG or NAME:VERSION of a data set of TFDS ({reason.rstrip('.')}){hint}"
        )
        raise ConfigError(f"{KEY}={dataset}: must be {rule}") from error
    features = builder.info.features
    features = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = features.get("image"), features.get("label")
    fits = isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel)
    has = f"this one has {', '.join(features) or 'others'}"
    require(fits, KEY, dataset, f"a data set with a feature image and a class label: {has}")
    return builder


def prepared(dataset: str, data_dir: str | None) -> Any:
    """`found`, downloaded first if need be. Raises ConfigError."""
    builder = found(dataset, data_dir)
    if builder.is_prepared():
        return builder
    rule = f"a directory in which TFDS has prepared {builder.info.full_name}, or null"
    require(data_dir is None, "task.data_dir", data_dir, rule)
    page = builder.info.homepage
    problem = unreachable(page) if page else None
    if problem is None:
        apart("download", dataset)
        return found(dataset, data_dir)
    raise out_of_reach(builder, problem)


def out_of_reach(builder: Any, problem: str) -> ConfigError:
    """What to do about a data set that is neither here nor to be had."""
    return ConfigError(
        f"{builder.info.full_name} is not prepared in {builder.data_dir_root} and cannot be "
        f"downloaded ({problem}): set task.data_dir or TFDS_DATA_DIR to a directory in which TFDS "
        "has prepared it, or connect this machine to the network"
    )


def listing(builder: Any) -> str:
    """Text that changes when the prepared files of a data set do."""
    files = sorted(Path(builder.data_path).iterdir())
    facts = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return "\n".join([builder.info.full_name, *facts])


# --- in the process apart -------------------------------------------------------------------------


def apart(function: str, *arguments: Any) -> None:
    """Call `download` or `decode` in another process; raises the ConfigError that it raises."""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tasks.tfds", function, json.dumps(arguments)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=None if function == "download" else subprocess.PIPE,  # its progress is to be seen
        text=True,
    )
    if done.returncode:
        said = (done.stdout or done.stderr or "").strip().splitlines()
        raise ConfigError(said[-1] if said else f"{function} ended with {done.returncode}")


def download(dataset: str) -> None:
    """Let TFDS download a data set and prepare it in its own directory."""
    builder = found(dataset, None)
    try:
        builder.download_and_prepare()
    except Exception as error:  # whatever ends a download, the ways out are the same
        problem = f"{type(error).__name__}: {one_line(error)[:300]}"
        raise out_of_reach(builder, problem) from error


def decode(dataset: str, data_dir: str | None, shape: list[int], invert: bool, to: str) -> None:
    """Write all labelled images of a data set, class by class, as `pictures.write` does."""
    builder = found(dataset, data_dir)
    try:
        decoded = decode_all(builder, tuple(shape), invert)
    except Exception as error:  # a missing or cut file surfaces as any of TensorFlow's errors
        rule = f"a data set that TFDS can read ({type(error).__name__}: {one_line(error)[:300]})"
        raise ConfigError(f"{KEY}={dataset}: must be {rule}") from error
    pictures.write(Path(to), decoded)


def decode_all(builder: Any, shape: tuple[int, ...], invert: bool) -> pictures.Pictures:
    """Read the labels first, so that each image is decoded into its place."""
    labels = np.concatenate([np.zeros(0, np.int64), *(batch["label"] for batch in read(builder))])
    counts = np.bincount(
        labels[labels >= 0], minlength=builder.info.features["label"].num_classes
    ).astype(np.int32)
    next_row = np.cumsum(counts, dtype=np.int64) - counts
    images = np.empty((int(counts.sum()), *shape), np.uint8)

    def one(row: int, encoded: bytes) -> None:
        images[row] = pictures.decode(io.BytesIO(encoded), shape, invert)

    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding Python's lock
        for batch in read(builder, "image"):
            rows, chosen = [], batch["label"] >= 0
            for label in batch["label"][chosen]:
                rows.append(int(next_row[label]))
                next_row[label] += 1
            list(pool.map(one, rows, batch["image"][chosen]))
    return pictures.Pictures(images, counts, ())


def read(builder: Any, *also: str) -> Iterator[dict[str, np.ndarray]]:
    """Batches of the labels, and of the encoded images if asked for, always in the same order."""
    import tensorflow_datasets as tfds

    splits = [split for split in DISJOINT if split in builder.info.splits] or ["all"]
    chosen = tfds.decode.PartialDecoding(
        {"label": True, **dict.fromkeys(also, True)},
        decoders={key: tfds.decode.SkipDecoding() for key in also},
    )
    examples = builder.as_dataset(split="+".join(splits), decoders=chosen, shuffle_files=False)
    return examples.batch(BATCH).prefetch(1).as_numpy_iterator()
