"""The tracking of one run: what is sent to a tracker, and when; see benchmark.tracking.base."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.running import record as records
from benchmark.running.summary import draw_figures
from benchmark.tracking.base import Tracker, Tracking
from tasks.checks import ConfigError, one_line

log = logging.getLogger(__name__)


class Session:
    """The tracking of one run. Once it has started, a failure ends the tracking, never the run."""

    def __init__(self, settings: Tracking, directory: Path, curve: list[dict[str, Any]]) -> None:
        """Start with the record in `directory` and the learning curve so far.

        Raises ConfigError where the tracker cannot start.
        """
        self.name, self.directory = settings.name, directory
        record = records.read(directory) or {}
        try:
            self.tracker = settings.start(record, directory)
        except Exception as error:
            rule = f"must be able to start ({type(error).__name__}: {one_line(error)})"
            raise ConfigError(f"tracking={settings.name}: {rule}") from error
        for iteration in dict.fromkeys(point["iteration"] for point in curve):
            self.points([point for point in curve if point["iteration"] == iteration])

    def points(self, points: list[dict[str, Any]]) -> None:
        """Add points of the learning curve that belong to one iteration."""
        with self.failure_is_a_warning():
            self.tracker.scalars(points[0]["iteration"], of_curve(points))

    def finish(self, record: dict[str, Any]) -> None:
        """Add what came out, where the run is completed, and close."""
        with self.failure_is_a_warning():
            if records.is_completed(record) and type(self.tracker) is not Tracker:
                iterations = record["config"]["algorithm"]["meta_iterations"]
                self.tracker.scalars(iterations, of_outcome(record))
                files = [self.directory / name for name in records.OUTPUTS]
                with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                    figures = draw_figures(self.directory, Path(folder))
                    self.tracker.artifacts([file for file in files if file.exists()], figures)
            self.tracker.end(record["status"])

    @contextlib.contextmanager
    def failure_is_a_warning(self) -> Iterator[None]:
        """Go on without the tracker where it fails."""
        try:
            yield
        except Exception as error:
            reason = f"{type(error).__name__}: {one_line(error)}"
            log.warning("tracking=%s failed, the run goes on without it (%s)", self.name, reason)
            self.tracker = Tracker()


def of_curve(points: list[dict[str, Any]]) -> dict[str, float]:
    """Learning-curve points by name, e.g. curve/train/5shot/transductive/accuracy."""
    values: dict[str, Any] = {}
    for point in points:
        kind = "transductive" if point["transductive"] else "plain"
        name = f"curve/{point['split']}/{point['shots']}shot/{kind}"
        values |= {f"{name}/{key}": point[key] for key in (point["metric"], "ci95")}
    return known(values)


def of_outcome(record: dict[str, Any]) -> dict[str, float]:
    """Evaluations and reference lines, e.g. test/5shot/plain/50steps/accuracy; and the timing."""
    values = {
        f"{row['scores']}/{key}": row[key]
        for row in (*record["evaluations"], *record["baselines"])
        for key in (row["metric"], "ci95")
    }
    timing = {f"timing/{key}": value for key, value in record["timing"].items()}
    return known(values | timing)


def known(values: dict[str, Any]) -> dict[str, float]:
    """Less what is missing, as the interval of a single episode is."""
    return {name: value for name, value in values.items() if value is not None}
