"""The trained initialisation as files: a Keras model, and plain arrays with Adam's state."""

import io
import logging
import tempfile
from pathlib import Path

import numpy as np

from benchmark.inner_loop import Learner
from benchmark.network import Network
from benchmark.running.record import write_file
from results.schema import ARRAYS, KERAS_MODEL

log = logging.getLogger(__name__)


def write(directory: Path, network: Network, learner: Learner) -> None:
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

    Raises FileNotFoundError, and ValueError for a file that is none of ours.
    """
    with np.load(directory / ARRAYS, allow_pickle=False) as file:
        names = sorted(name for name in file.files if name.startswith("params/"))
        if not names or not {"moment", "count"} <= set(file.files):
            raise ValueError(f"{directory / ARRAYS}: holds no params, moment and count")
        return Network.flatten([file[name] for name in names]), file["moment"], file["count"]
