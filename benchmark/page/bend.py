"""What the page to bend a curve on has of its own: curves of test tasks, and the plane's frame."""

from itertools import islice
from typing import Any

import numpy as np

from benchmark.adaptation import Trained
from benchmark.episode_arrays import stream
from benchmark.page.contents import contents
from tasks.checks import require
from tasks.episode import Episode

POINTS = 10  # that a reader drags; those of the paper (section 4)
CURVES = 60  # of the test tasks, for readers who do not want to drag
MARGIN = 0.1  # of the height of all curves, above and below them


def bending_page(run: str, trained: Trained) -> dict[str, Any]:
    """What the page knows, as JSON has it.

    Raises ConfigError for a regression whose examples are no points of a plane.
    """
    task = trained.task
    shape, outputs = task.input_shape, task.outputs(task.ways)
    of = f"on {outputs} outputs of inputs {shape}"
    rule = f"a run that learns curves, one number from one, not {of}"
    require(shape == (1,) and outputs == 1, "run", run, rule)
    queries, seed = trained.evaluation.queries, trained.config["seed"]
    points = min(POINTS, task.most_shots or POINTS)
    evaluated = stream(task, "test", points, queries, seed)  # the first of those of the run
    curves = [as_curve(episode) for episode in islice(evaluated, CURVES)]
    x, y = np.concatenate([part for curve in curves for part in curve.values()]).T
    room = MARGIN * np.ptp(y)
    return contents(run, trained, [points]) | {
        "domain": [float(x.min()), float(x.max())],
        "range": [float(y.min() - room), float(y.max() + room)],
        "curves": [{name: part.tolist() for name, part in curve.items()} for curve in curves],
    }


def as_curve(episode: Episode) -> dict[str, np.ndarray]:
    """points: the support set; line: the query set from left to right; [n, (x, y)] each."""
    points, line = (
        np.round(np.concatenate(part, axis=1).astype(float), 4)
        for part in (episode[:2], episode[2:4])
    )
    return {"points": points, "line": line[line[:, 0].argsort()]}
