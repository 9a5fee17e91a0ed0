"""What the page to draw on has of its own: the hand of the training data, and test drawings."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.adaptation import Trained
from benchmark.page.contents import contents
from benchmark.page.hand import INK, hand
from tasks.base import Task
from tasks.checks import ConfigError
from tasks.image_set import ImageSet
from tasks.images import SIDE, ImageTask
from tasks.omniglot import Omniglot

WAYS, SHOTS = 5, 5  # at most; what fits on a screen
CLASSES, DRAWINGS = 60, 10  # at most, of the test split, for readers who do not want to draw

LICENCE = Path(__file__).parent / "LICENSE.omniglot"


def drawing_page(run: str, trained: Trained) -> dict[str, Any]:
    """What the page knows, as JSON has it.

    Raises ConfigError for a run on something else than images of 28 x 28 pixels.
    """
    task = drawn(run, trained.task)
    ways = min(task.ways, WAYS)
    return contents(run, trained, range(2, ways * SHOTS + 1)) | {
        "ways": ways,
        "shots": SHOTS,
        "side": SIDE,
        "hand": hand(task.loaded["train"].images)._asdict(),
        "drawings": drawings(task.loaded["test"]),
        "licence": LICENCE.read_text() if isinstance(task, Omniglot) else None,  # of the drawings
    }


def drawn(run: str, task: Task) -> ImageTask:
    """The run's task, whose images a reader can draw."""
    if isinstance(task, ImageTask) and task.input_shape == (SIDE, SIDE, 1):
        return task
    shape = " x ".join(map(str, task.input_shape))
    raise ConfigError(f"run={run}: must be a run on {SIDE} x {SIDE} x 1 drawings, not on {shape}")


def drawings(split: ImageSet) -> dict[str, Any]:
    """As many drawings of each of a few classes, spread over the whole split; a bit a pixel."""
    classes = np.linspace(0, split.classes - 1, min(CLASSES, split.classes)).astype(int)
    each = min(DRAWINGS, split.counts[classes].min())
    rows = split.starts[classes, None] + np.arange(each)  # [class, drawing]
    ink = np.packbits(split.images[rows].reshape(*rows.shape, -1) < INK, axis=-1)
    return {"shape": ink.shape, "ink": base64.b64encode(ink.tobytes()).decode()}
