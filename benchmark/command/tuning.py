"""What a sweeper that searches for settings gets to see: validation classes, never test ones."""

import logging
import sys
from typing import Any

from omegaconf import DictConfig

log = logging.getLogger(__name__)


def refuse_test_classes(cfg: DictConfig, sweeper: DictConfig) -> None:
    """End the sweep, with exit code 2, where it would choose settings on other classes.

    Hydra's own sweeper does not look at results, so it may evaluate on any split.
    """
    splits = list(cfg.evaluation.splits)
    searches = "BasicSweeper" not in str(sweeper.get("_target_"))
    if searches and cfg.task.get("validation_classes") == 0:
        log.error(
            "error: task.validation_classes=0: must be at least task.ways=%s with a sweeper that "
            "searches: it chooses settings on classes of their own",
            cfg.task.get("ways"),
        )
        sys.exit(2)
    if searches and splits != ["validation"]:
        log.error(
            "error: evaluation.splits=%s: must be [validation] with a sweeper that searches, so "
            "that no setting is chosen on test classes",
            f"[{', '.join(splits)}]",
        )
        sys.exit(2)


def objective(entry: dict[str, Any]) -> float:
    """One number for a run's record: mean accuracy, or squared error, after the last step."""
    last = max(row["steps"] for row in entry["evaluations"])
    values = [row[row["metric"]] for row in entry["evaluations"] if row["steps"] == last]
    return sum(values) / len(values)
