"""MLflow: https://mlflow.org"""

import contextlib
import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmark.tracking.base import Tracker, Tracking
from tasks.checks import require

ARTIFACTS = "mlflow-artifacts"  # `results` does not look for records in folders of this name
# MLflow's authors are told nothing, and a server that is gone is given up soon, not after minutes.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


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

    def start(self, record: dict[str, Any], directory: Path) -> Tracker:
        return MLflowRun(self, record, directory)

    def how_to_look(self, directory: Path) -> str:
        return shlex.join(["mlflow", "ui", "--backend-store-uri", self.uri])


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


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found
