"""What a sweeper that searches for settings gets to see: validation classes, never test ones."""

import logging
import sys
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from benchmark.config import Settings
from benchmark.running.parts import TRAINED, parts_of

log = logging.getLogger(__name__)


def refuse_test_classes(cfg: DictConfig, sweeper: DictConfig) -> None:
    """End the sweep, with exit code 2, where it would choose settings on other classes.

    Hydra's own sweeper does not look at results, so it may evaluate on any split.
    """
    if "BasicSweeper" in str(sweeper.get("_target_")):
        return
    if OmegaConf.select(cfg, "task.validation_classes") == 0:
        log.error(
            "error: task.validation_classes=0: must be at least task.ways=%s with a sweeper that "
            "searches: it chooses settings on classes of their own",
            cfg.task.get("ways"),
        )
        sys.exit(2)
    if (splits := OmegaConf.select(cfg, "evaluation.splits")) != ["validation"]:
        log.error(
            "error: evaluation.splits=%s: must be [validation] with a sweeper that searches, so "
            "that no setting is chosen on test classes",
            f"[{', '.join(map(str, splits))}]" if isinstance(splits, ListConfig) else splits,
        )
        sys.exit(2)


def objective(entry: dict[str, Any], settings: Settings) -> float:
    """One number for a run's record: mean accuracy, or squared error, after the last step.

    Of what these settings ask for: a record may hold other evaluations of the same training.
    """
    asked = {
        part.key(cell)
        for part in parts_of(settings)
        for cell in part.cells
        if part.name == TRAINED and cell.steps == part.cells[-1].steps
    }
    values = [row[row["metric"]] for row in entry["evaluations"] if row["scores"] in asked]
    return sum(values) / len(values)
