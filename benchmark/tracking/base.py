"""Where a run can be watched beside its record: TensorBoard, MLflow, Weights & Biases.

Trackers are fed and never read: results come from records alone. To add one, inherit from
`Tracking` and `Tracker` and name the former as `_target_` in a yaml under conf/tracking/.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock

from tasks.checks import ConfigError, require

ARTIFACTS = "mlflow-artifacts"  # `results` does not look for records in folders of this name
# MLflow's authors are told nothing, and a server that is gone is given up soon, not after minutes.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


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


def is_installed(module: str) -> bool:
    """Whether a top-level module can be imported; a mere folder of that name does not count."""
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


# --- TensorBoard ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TensorBoard(Tracking):
    """Event files in the run's directory; see conf/tracking/tensorboard.yaml."""

    libraries = ("tensorboard",)

    def start(self, record: dict[str, Any], directory: Path) -> Tracker:
        return EventFile(record, directory)


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


# --- MLflow ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MLflow(Tracking):
    """Runs in an MLflow store; see conf/tracking/mlflow.yaml."""

    libraries = ("mlflow", "sqlalchemy", "alembic")

    uri: str
    experiment: str

    def check(self) -> None:
        super().check()
        known = self.uri.startswith(("sqlite:///", "http://", "https://"))
        rule = "sqlite:/// and a file's path, or the http:// or https:// address of a server"
        require(known, "tracking.uri", self.uri, rule)
        require(bool(self.experiment.strip()), "tracking.experiment", self.experiment, "a name")

    def start(self, record: dict[str, Any], directory: Path) -> Tracker:
        return MLflowRun(self, record, directory)


class MLflowRun(Tracker):
    """One run of an experiment; an unfinished one of the same directory is deleted."""

    def __init__(self, settings: MLflow, record: dict[str, Any], directory: Path) -> None:
        for name, value in MLFLOW_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient
        from mlflow.entities import Param

        with store(settings.uri) as artifacts:
            self.client = MlflowClient(tracking_uri=settings.uri)
            found = self.client.get_experiment_by_name(settings.experiment)
            experiment = (
                found.experiment_id
                if found
                else self.client.create_experiment(settings.experiment, artifacts)
            )
        tags = {"fingerprint": record["fingerprint"], "directory": str(directory.resolve())}
        for old in self.client.search_runs(
            [experiment], f"tags.fingerprint = '{tags['fingerprint']}'"
        ):
            if old.data.tags.get("directory") == tags["directory"] and old.info.end_time is None:
                self.client.delete_run(old.info.run_id)
        run = self.client.create_run(
            experiment, tags=tags | {"command": record["command"]}, run_name=directory.name
        )
        self.run = run.info.run_id
        values = flat(record["config"]).items()
        self.client.log_batch(self.run, params=[Param(key, str(value)) for key, value in values])

    def scalars(self, iteration: int, values: dict[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, iteration) for name, value in values.items()]
        self.client.log_batch(self.run, metrics=metrics)

    def artifacts(self, files: list[Path], figures: list[Path]) -> None:
        for path in files:
            self.client.log_artifact(self.run, str(path))
        for path in figures:
            self.client.log_artifact(self.run, str(path), "figures")

    def end(self, status: str) -> None:
        words = {"completed": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
        self.client.set_terminated(self.run, words[status])


@contextlib.contextmanager
def store(uri: str) -> Iterator[str | None]:
    """Where artifacts go (None: the server decides), with a database file to itself.

    Two processes that make its tables at the same time would get into each other's way.
    """
    if not uri.startswith("sqlite:///"):
        yield None
        return
    file = Path(uri.removeprefix("sqlite:///")).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        yield (file.parent / ARTIFACTS).as_uri()


# --- Weights & Biases -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WandB(Tracking):
    """Weights & Biases, offline by default; see conf/tracking/wandb.yaml."""

    libraries = ("wandb",)

    project: str
    mode: str

    def check(self) -> None:
        super().check()
        require(bool(self.project.strip()), "tracking.project", self.project, "a name")
        known = ("offline", "online")
        require(self.mode in known, "tracking.mode", self.mode, "offline or online")

    def start(self, record: dict[str, Any], directory: Path) -> Tracker:
        return WandBRun(self, record, directory)


class WandBRun(Tracker):
    """One run below DIR/wandb; what an unfinished run left there is replaced."""

    def __init__(self, settings: WandB, record: dict[str, Any], directory: Path) -> None:
        if settings.mode == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        shutil.rmtree(directory / "wandb", ignore_errors=True)
        self.image = wandb.Image
        self.run = wandb.init(
            project=settings.project,
            mode="offline" if settings.mode == "offline" else "online",
            dir=directory,
            name=directory.name,
            config=record["config"],
            notes=record["command"],
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def scalars(self, iteration: int, values: dict[str, float]) -> None:
        self.run.log(values, step=iteration)

    def artifacts(self, files: list[Path], figures: list[Path]) -> None:
        for path in files:
            copy = shutil.copy2(path, self.run.dir)
            self.run.save(copy, base_path=self.run.dir, policy="now")
        if figures:
            self.run.log({f"figures/{path.stem}": self.image(path) for path in figures})

    def end(self, status: str) -> None:
        self.run.finish(exit_code=0 if status == "completed" else 1)
