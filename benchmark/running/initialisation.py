"""The trained initialisation as files: a Keras model, and plain arrays with Adam's state."""

import io
import logging
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.running.named import directory_of
from benchmark.running.record import write_file
from results.schema import ARRAYS, KERAS_MODEL
from tasks.checks import ConfigError, one_line

if TYPE_CHECKING:  # what is written needs TensorFlow, what is read does not
    from benchmark.inner_loop import Learner
    from benchmark.network import Network

log = logging.getLogger(__name__)


def write(directory: Path, network: "Network", learner: "Learner") -> None:
    """Write what training arrived at into `directory`; the weights of `network.model` become it.

    initialisation.keras: the Keras model (keras.models.load_model; its layer of batch statistics
        is registered by benchmark.layers). A model that Keras cannot save is named and left out.
    initialisation.npz, readable without pickle: params/INDEX/NAME, one float32 array a variable in
        the model's order; moment [P] float32 and count [] int64, where an inner Adam goes on.

    Raises CannotWrite where the disk is full or the directory cannot be written.
    """
    variables = network.model.trainable_variables
    values = [value.numpy() for value in network.unflatten(learner.params)]
    arrays = {
        f"params/{index:02d}/{variable.path}": value
        for index, (variable, value) in enumerate(zip(variables, values, strict=True))
    }
    arrays |= {"moment": learner.moment.numpy(), "count": learner.count.numpy()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_file(directory / ARRAYS, buffer.getvalue())
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        file = Path(folder, KERAS_MODEL)
        try:
            network.model.save(file)
        except Exception as error:  # a user's layer may raise anything here
            log.warning("%s is not written: Keras cannot save this model (%s)", KERAS_MODEL, error)
        else:
            write_file(directory / KERAS_MODEL, file.read_bytes())


def read(directory: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """params [P], moment [P] and count [] as `write` left them, the start of a `Learner`.

    Raises FileNotFoundError, and ValueError for a file that is none of ours or holds no numbers.
    """
    try:
        with np.load(directory / ARRAYS, allow_pickle=False) as file:
            names = sorted(name for name in file.files if name.startswith("params/"))
            params = np.concatenate([np.ravel(file[name]) for name in names]).astype(np.float32)
            moment, count = file["moment"], file["count"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{ARRAYS} is damaged, or not of a run ({one_line(error)})") from error
    finite = np.isfinite(params).all() and np.isfinite(moment).all()
    if moment.shape != params.shape or not finite:
        raise ValueError(f"{ARRAYS} is damaged: not every parameter has finite numbers")
    return params, moment, count


def of_run(key: str, run: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`read` of a run that is named by `key`. Raises ConfigError."""
    try:
        return read(directory_of(run))
    except (OSError, ValueError) as error:
        rule = f"must be a completed run whose {ARRAYS} can be read"
        raise ConfigError(f"{key}={run}: {rule} ({one_line(error)})") from error


def can_be_read(directory: Path) -> bool:
    """Whether what training arrived at is there."""
    try:
        read(directory)
    except (OSError, ValueError):
        return False
    return True
