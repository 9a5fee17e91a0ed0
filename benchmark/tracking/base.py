"""Where a run can be watched beside its record, and what the run tells whoever watches.

Trackers are fed and never read: results come from records alone. To add one, inherit from
`Tracking` and `Tracker` and name the former as `_target_` in a yaml under conf/tracking/.
"""

import contextlib
import importlib.util
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmark.running.summary import draw_figures
from results.schema import FILES
from tasks.checks import ConfigError, one_line

log = logging.getLogger(__name__)


class Tracker:
    """One run in somebody's tracking library. This one does nothing."""

    def scalars(self, iteration: int, values: dict[str, float]) -> None:
        """Add numbers by name, measured after `iteration` meta-iterations."""

    def artifacts(self, files: list[Path], figures: list[Path]) -> None:
        """Add the files that a completed run leaves, and PNG figures of it."""

    def end(self, status: str) -> None:
        """Close the run: completed, interrupted or failed. Nothing is added afterwards."""


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Settings of a tracker: a frozen dataclass whose fields are the keys of its yaml.

    This one tracks nothing.
    """

    libraries: ClassVar[tuple[str, ...]] = ()  # modules that the extra of this name installs

    name: str

    def check(self) -> None:
        """Raise ConfigError for settings that cannot work; imports none of the libraries."""
        missing = ", ".join(name for name in self.libraries if not is_installed(name))
        if missing:
            raise ConfigError(
                f"tracking={self.name}: must have its library installed ({missing} missing): "
                f"python -m pip install -e '.[{self.name}]'"
            )

    def start(self, record: dict[str, Any], directory: Path) -> Tracker:
        """Open a run for the record of `directory`, in place of an unfinished one."""
        return Tracker()

    def how_to_look(self, directory: Path) -> str:
        """The command that shows what was tracked of the run in `directory`; empty for none."""
        return ""


def is_installed(module: str) -> bool:
    """Whether a top-level module can be imported; a mere folder of that name does not count."""
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None


class Reporter:
    """What a run tells its tracker, and when.

    Once it has started, a failure ends the tracking, never the run.
    """

    def __init__(
        self,
        settings: Tracking,
        record: dict[str, Any],
        directory: Path,
        curve: list[dict[str, Any]],
    ) -> None:
        """Start with the record that the run has begun and the learning curve so far.

        Raises ConfigError where the tracker cannot start.
        """
        self.name, self.directory, self.settings = settings.name, directory, settings
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
            if record["status"] == "completed" and type(self.tracker) is not Tracker:
                iterations = record["config"]["algorithm"]["meta_iterations"]
                self.tracker.scalars(iterations, of_outcome(record))
                files = [self.directory / name for name in FILES]
                with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                    figures = draw_figures(self.directory, Path(folder))
                    self.tracker.artifacts([file for file in files if file.exists()], figures)
            self.tracker.end(record["status"])
            how = self.settings.how_to_look(self.directory)
            if how and type(self.tracker) is not Tracker and record["status"] == "completed":
                log.info("tracking=%s: %s", self.name, how)

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
    values: dict[str, float] = {}
    for point in points:
        kind = "transductive" if point["transductive"] else "plain"
        name = f"curve/{point['split']}/{point['shots']}shot/{kind}"
        values |= measured(name, point)
    return values


def of_outcome(record: dict[str, Any]) -> dict[str, float]:
    """Evaluations and reference lines, e.g. test/5shot/plain/50steps/accuracy; and the timing."""
    values: dict[str, float] = {}
    for row in (*record["evaluations"], *record["baselines"]):
        values |= measured(row["scores"], row)
    timing = {f"timing/{key}": value for key, value in record["timing"].items()}
    return values | {key: value for key, value in timing.items() if value is not None}


def measured(name: str, row: dict[str, Any]) -> dict[str, float]:
    """Score and interval of a row by name; one episode has no interval."""
    found = {f"{name}/{key}": row[key] for key in (row["metric"], "ci95")}
    return {key: value for key, value in found.items() if value is not None}
