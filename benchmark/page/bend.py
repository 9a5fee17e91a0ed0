"""What the page to bend a curve on has of its own: curves of test tasks, and the plane's frame."""

from typing import Any

import numpy as np
import tensorflow as tf

from benchmark.adaptation import Trained
from benchmark.evaluation import Evaluator, Protocol
from benchmark.page.contents import contents
from tasks.checks import require
from tasks.episode import Episode
from tasks.sampling import fold_in, split_seed

POINTS = 10  # that a reader drags; those of the paper (section 4)
CURVES = 60  # of the test tasks, for readers who do not want to drag
MARGIN = 0.1  # of the height of all curves, above and below them


def bending_page(run: str, trained: Trained) -> dict[str, Any]:
    """What the page knows, as JSON has it.

    Raises ConfigError for a regression whose examples are no points of a plane.
    """
    shape, outputs = trained.task.input_shape, trained.task.outputs(trained.task.ways)
    of = f"on {outputs} outputs of inputs {shape}"
    rule = f"a run that learns curves, one number from one, not {of}"
    require(shape == (1,) and outputs == 1, "run", run, rule)
    curves = list(map(as_curve, test_episodes(trained)))
    x, y = np.concatenate([points for curve in curves for points in curve.values()]).T
    room = MARGIN * np.ptp(y)
    return contents(run, trained, [len(curves[0]["points"])]) | {
        "domain": [float(x.min()), float(x.max())],
        "range": [float(y.min() - room), float(y.max() + room)],
        "curves": [{name: part.tolist() for name, part in curve.items()} for curve in curves],
    }


def test_episodes(trained: Trained) -> list[Episode]:
    """The first of those on which the run is evaluated, with as many points as a reader drags."""
    task, config = trained.task, trained.config
    protocol = Protocol("test", min(POINTS, task.most_shots or POINTS))
    settings = trained.evaluation, trained.replacement, config["seed"]
    evaluator = Evaluator(trained.inner, task.load(), task, *settings)
    seeds = [fold_in(evaluator.key(protocol), tf.constant(i, tf.int64)) for i in range(CURVES)]
    return [evaluator.sample(protocol, split_seed(seed, 2)[0]) for seed in seeds]


def as_curve(episode: Episode) -> dict[str, np.ndarray]:
    """points: the support set; line: the query set from left to right; [n, (x, y)] each."""
    points, line = (
        np.round(np.concatenate(part, axis=1).astype(float), 4)
        for part in (episode[:2], episode[2:4])
    )
    return {"points": points, "line": line[line[:, 0].argsort()]}
