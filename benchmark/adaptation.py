"""`benchmark.adapt`: a trained initialisation learns a user's own few images."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from omegaconf import OmegaConf

from benchmark import config
from benchmark.algorithms import Algorithm
from benchmark.engine import recorded_engine
from benchmark.inner_loop import InnerLoop, Learner
from benchmark.network import build_network
from benchmark.running import initialisation
from benchmark.running.named import record_of
from results.schema import ARRAYS
from tasks.base import Task
from tasks.checks import ConfigError, require, require_whole
from tasks.episode import Episode
from tasks.pictures import decode
from tasks.sampling import batch_order
from tasks.seeding import stateless_key

log = logging.getLogger(__name__)
GROUPS = {"task": Task, "model": object, "algorithm": Algorithm}


class Prediction(NamedTuple):
    """What an adapted network says about m images, c classes being known to it.

    labels: [m] the most probable class of each, as the user named it
    probabilities: [m, c] float32, columns in the order of `Classifier.classes`
    """

    labels: np.ndarray
    probabilities: np.ndarray


class Trained(NamedTuple):
    """A completed run's initialisation, and how the run adapted it.

    inner: its network has the weights from which the run set out
    adapt, predict: those of `inner`, compiled
    model: the settings of that network
    config: all that the run was asked, as its record has it
    """

    inner: InnerLoop
    adapt: tf.types.experimental.PolymorphicFunction
    predict: tf.types.experimental.PolymorphicFunction
    learner: Learner
    task: Task
    model: Any
    evaluation: config.Evaluation
    replacement: bool
    config: dict[str, Any]


class Classifier:
    """A network adapted to a support set.

    classes: [c] the labels it can give, in ascending order
    """

    def __init__(
        self,
        trained: Trained,
        support: tuple[np.ndarray, np.ndarray],
        order: tf.Tensor,
        classes: np.ndarray,
    ) -> None:
        """Adapt to `support`, images [n, ...] and class numbers [n], in mini-batches `order`."""
        self.classes = classes
        self._trained = trained
        self._x, self._y = map(tf.constant, support)
        self._params = trained.adapt(trained.learner, self._x, self._y, order).params

    def predict(self, images: Any, transductive: bool = False) -> Prediction:
        """Classify images of the same kind as the support images, as arrays or files.

        transductive: False: each image alone, beside the support set | True: all in one batch, so
            that each sees the others through batch normalisation; often more accurate, where the
            batch holds several images of each class.

        Raises ConfigError (a ValueError) for images of another shape or range.
        """
        x = as_inputs("images", images, self._trained.task)
        known = isinstance(transductive, bool | np.bool_)
        require(known, "transductive", transductive, "true or false")
        episode = Episode(self._x, self._y, tf.constant(x), None)
        outputs = self._trained.predict(self._params, episode, transductive)
        probabilities = tf.nn.softmax(outputs[:, : len(self.classes)]).numpy()
        return Prediction(self.classes[probabilities.argmax(1)], probabilities)


def adapt(
    run: str | os.PathLike[str],
    images: Any,
    labels: Any,
    *,
    steps: int | None = None,
    batch: int | None = None,
    seed: int = 0,
) -> Classifier:
    """Adapt the initialisation of a completed classification run to a few labelled images.

    The optimiser is the run's inner one and goes on from the state that training left it in,
    exactly as in the run's own evaluations (paper, section 6.1).

    Args:
        run: the run's directory, its record.json, or the name of a run published with the suite,
            such as omniglot_5way_2000/seed0.
        images: [n, height, width, channels] as the run was trained on (the one channel of grey
            may be left out): floats from 0 to 1, or uint8; drawings as dark ink on light paper. Or
            a list of n image files, which are brought to that shape.
        labels: [n] anything that can be sorted; as many different ones as the run has ways, or
            fewer.
        steps: optimiser steps; None: the most that the run was evaluated with.
        batch: images a step; None: as the run was evaluated with.
        seed: decides the order of the mini-batches.

    Raises:
        ConfigError (a ValueError): one line that names what is wrong and what is allowed.
    """
    trained = load(run)
    rule = "a run that classifies, not one of regression"
    require(trained.task.metric == "accuracy", "run", run, rule)
    x = as_inputs("images", images, trained.task)
    classes, y = as_classes(labels, len(x), trained.task.ways)
    steps = max(trained.evaluation.steps) if steps is None else steps
    batch = trained.evaluation.batch if batch is None else batch
    require_whole("batch", batch, 1, config.LARGE)
    require_whole("steps", steps, 0, config.LONGEST // batch)
    require_whole("seed", seed, 0, config.READABLE)
    order = mini_batches(len(x), steps, batch, trained.replacement, seed)
    return Classifier(trained, (x, y.astype(np.int32)), order, classes)


def mini_batches(size: int, steps: int, batch: int, replacement: bool, seed: int = 0) -> tf.Tensor:
    """[steps, batch] int32: which of `size` support images each step learns from.

    With replacement a batch is no larger than the support set.
    """
    if replacement:
        batch = min(batch, size)
    key = tf.constant(stateless_key(seed, "adaptation"))
    return batch_order(key, size, max(steps, 1), batch, replacement)[:steps]


def load(run: str | os.PathLike[str]) -> Trained:
    """What a completed run left. Raises ConfigError where it is not there."""
    plain = record_of("run", run, [ARRAYS])["config"]
    state = initialisation.of_run("run", run)
    nodes = OmegaConf.create({group: plain[group] for group in (*GROUPS, "evaluation")})
    parts = {
        group: config.strict(group, config.target(group, nodes[group], kind), nodes[group])
        for group, kind in GROUPS.items()
    }
    task, algorithm = parts["task"], parts["algorithm"]
    network = build_network(parts["model"], task, plain["seed"])
    held, needed = state[0].size, network.initial.size
    rule = f"a run whose model has the {held} parameters of its {ARRAYS}, not {needed}"
    require(held == needed, "run", run, rule)
    inner = algorithm.inner_loop(network, task.metric, recorded_engine(plain))
    evaluation = config.strict("evaluation", config.Evaluation, nodes["evaluation"])
    learner = Learner(*map(tf.constant, state))
    adapt = tf.function(inner.adapt, autograph=False)
    predict = tf.function(inner.predict, autograph=False, reduce_retracing=True)
    settings = task, parts["model"], evaluation, algorithm.replacement, plain
    return Trained(inner, adapt, predict, learner, *settings)


def as_classes(labels: Any, images: int, ways: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes of a user's labels, in ascending order, and the number of each label's class.

    Raises ConfigError for labels that do not fit as many `images` or `ways`.
    """
    names = as_array("labels", labels)
    rule = f"one for each support image, of shape ({images},)"
    require(names.shape == (images,), "labels", f"array of shape {names.shape}", rule)
    try:
        classes, numbers = np.unique(names, return_inverse=True)
    except TypeError as error:
        raise ConfigError(f"labels: must be of one kind ({config.first_line(error)})") from error
    gaps = names != names  # not a number, or not a time
    require(not gaps.any(), "labels", f"array with {names[gaps][:1]}", "without gaps")
    rule = f"of 2 to {ways} classes, the ways of the run"
    require(2 <= len(classes) <= ways, "labels", f"{len(classes)} classes", rule)
    return classes, numbers


def as_array(name: str, values: Any) -> np.ndarray:
    """A user's values as an array. Raises ConfigError."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{name}: must be an array ({config.first_line(error)})") from error


def as_inputs(name: str, images: Any, task: Task) -> np.ndarray:
    """Images [n, *input_shape] float32, from files or from arrays of a user's floats or bytes.

    Raises ConfigError for another shape, no image at all, or values outside 0 to 1.
    """
    shape = task.input_shape
    pictures = len(shape) == 3
    x = from_files(name, images, task) if pictures and are_files(images) else as_array(name, images)
    numbers = np.issubdtype(x.dtype, np.number) or x.dtype == bool
    rule = "of real numbers" + (", or a list of image files" if pictures else "")
    real = numbers and not np.iscomplexobj(x)
    require(real, name, f"array of {x.dtype}", rule)
    if pictures and shape[-1] == 1 and x.ndim == 3:
        x = x[..., None]
    wanted = ", ".join(map(str, shape[:-1] if pictures and shape[-1] == 1 else shape))
    fits = x.size > 0 and x.ndim == 1 + len(shape) and x.shape[1:] == shape
    require(
        fits, name, f"array of shape {np.shape(images)}", f"of shape [n, {wanted}], n at least 1"
    )
    if x.dtype == np.uint8:
        x = x / np.float32(255)
    x = x.astype(np.float32)
    require(bool(np.isfinite(x).all()), name, "values that are no finite numbers", "finite")
    if pictures:
        low, high = x.min(), x.max()
        rule = "uint8, or floats from 0 (ink) to 1 (paper)"
        require(low >= 0 and high <= 1, name, f"values from {low:g} to {high:g}", rule)
        if shape[-1] == 1 and x.mean() < 0.5:
            log.warning("%s are mostly dark; the networks know dark ink on light paper", name)
    return x


def are_files(images: Any) -> bool:
    """Whether `images` are names of files."""
    return isinstance(images, list | tuple) and any(isinstance(i, str | Path) for i in images)


def from_files(name: str, files: Sequence[Any], task: Task) -> np.ndarray:
    """[n, *input_shape] uint8, decoded as the run's own images. Raises ConfigError."""
    invert, decoded = getattr(task, "invert", False), []
    for file in files:
        is_file = isinstance(file, str | Path)
        require(is_file, name, f"list with {type(file).__name__}", "files alone, or arrays alone")
        try:
            decoded.append(decode(file, task.input_shape, invert))
        except Exception as error:  # there is no end to what a damaged file can raise
            rule = f"a whole image file ({config.first_line(error)})"
            raise ConfigError(f"{name}: {file}: must be {rule}") from error
    return np.stack(decoded)
