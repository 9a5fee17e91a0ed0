"""The end of a sweep: its table on the screen and on disk, and an exit code that tells failures."""

import logging
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class Summary(Callback):
    """Hydra calls it in the launching process once all jobs of a sweep have ended."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write the sweep's tables; leave with exit code 1 where a run did not complete."""
        from results.summary import write_summary

        directory = config.hydra.sweep.dir
        try:
            failed = write_summary(directory)
        except Exception as error:  # of a callback Hydra would make a warning, and exit code 0
            log.error("error: hydra.sweep.dir=%s: no summary was written (%s)", directory, error)
            sys.exit(1)
        if failed:
            sys.exit(1)


def draw_figures(directory: Path, folder: Path) -> list[Path]:
    """Draw every figure that the record in `directory` has data for, as PNG files in `folder`."""
    from results import figures, gallery, plotting, records

    found = records.read_records([directory / "record.json"])
    with plotting.style():
        return [
            path
            for name, (_, axes) in gallery.all_figures(found).items()
            for path in figures.save(axes, folder / name, ["png"])
        ]
