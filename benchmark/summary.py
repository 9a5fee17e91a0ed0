"""The end of a sweep: its table on the screen and on disk, and an exit code that tells failures."""

import logging
import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class Summary(Callback):
    """Hydra calls it in the launching process once all jobs of a sweep have ended."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        from results.summary import write_summary

        failed = write_summary(config.hydra.sweep.dir)
        if failed:
            sys.exit(1)
