"""Weights & Biases: https://docs.wandb.ai"""

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.tracking.base import Tracker, Tracking
from tasks.checks import require


@dataclass(frozen=True, kw_only=True)
class WandB(Tracking):
    """Weights & Biases, offline by default; see conf/tracking/wandb.yaml."""

    libraries = ("wandb",)

    project: str
    mode: str

    def check(self) -> None:
        super().check()
        known = ("offline", "online")
        require(self.mode in known, "tracking.mode", self.mode, "offline or online")

    def start(self, record: dict[str, Any], directory: Path) -> Tracker:
        return WandBRun(self, record, directory)

    def how_to_look(self, directory: Path) -> str:
        synced = f"wandb sync {shlex.quote(str(directory))}/wandb/offline-run-*"
        return synced if self.mode == "offline" else "it stands on your W&B server"


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
