"""TensorBoard: https://www.tensorflow.org/tensorboard"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.tracking.base import Tracker, Tracking


@dataclass(frozen=True, kw_only=True)
class TensorBoard(Tracking):
    """Event files in the run's directory; see conf/tracking/tensorboard.yaml."""

    libraries = ("tensorboard",)

    def start(self, record: dict[str, Any], directory: Path) -> Tracker:
        return EventFile(record, directory)

    def how_to_look(self, directory: Path) -> str:
        return shlex.join(["tensorboard", "--logdir", str(directory)])


class EventFile(Tracker):
    """One event file; those that an unfinished run left behind are replaced."""

    def __init__(self, record: dict[str, Any], directory: Path) -> None:
        import tensorflow as tf

        for old in directory.glob("events.out.tfevents.*"):
            old.unlink()
        self.summary = tf.summary
        self.writer = tf.summary.create_file_writer(str(directory))
        shown = json.dumps(record["config"], indent=2)
        with self.writer.as_default(step=0):
            self.summary.text("configuration", f"```\n{shown}\n```")

    def scalars(self, iteration: int, values: dict[str, float]) -> None:
        with self.writer.as_default(step=iteration):
            for name, value in values.items():
                self.summary.scalar(name, value)
        self.writer.flush()

    def artifacts(self, files: list[Path], figures: list[Path]) -> None:
        """The figures; the files lie beside the event file already."""
        import tensorflow as tf

        with self.writer.as_default(step=0):
            for path in figures:
                pixels = tf.io.decode_png(path.read_bytes(), channels=4)
                self.summary.image(f"figures/{path.stem}", pixels[None])

    def end(self, status: str) -> None:
        self.writer.close()
