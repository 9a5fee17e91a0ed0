"""The end of a sweep: its table on the screen and on disk, and an exit code that tells failures."""

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from benchmark.running import sweep

log = logging.getLogger(__name__)


class Summary(Callback):
    """Hydra calls it in the launching process before the jobs of a sweep and once they ended.

    rows, columns: keys of the table, as of `python -m results`; None: what tells its runs apart.
    """

    def __init__(
        self, rows: Sequence[str] | None = None, columns: Sequence[str] | None = None
    ) -> None:
        self.rows, self.columns = rows, columns

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """A stop of this process is one of its jobs, unless a cluster has them."""
        sweep.begin(Path(config.hydra.sweep.dir), together="partition" not in config.hydra.launcher)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write the sweep's tables; leave with exit code 1 where a job of it did not complete."""
        from results.summary import write_summary

        directory, mine = config.hydra.sweep.dir, sweep.current()
        stopped = mine.stopped() if mine else None
        try:
            jobs = mine.jobs() if mine else None
            failed = write_summary(directory, self.rows, self.columns, jobs)
        except Exception as error:  # of a callback Hydra would make a warning, and exit code 0
            log.error("error: hydra.sweep.dir=%s: no summary was written (%s)", directory, error)
            sys.exit(1)
        finally:
            sweep.end()
        if stopped is not None:
            sys.exit(128 + stopped)
        if failed:
            sys.exit(1)


def show_run(directory: Path) -> None:
    """What a single run came to, where it lies, and what one may want next."""
    from results import formats
    from results.summary import run_text

    here, run = Path.cwd(), directory
    if run.is_relative_to(here):
        run = run.relative_to(here)
    name, together = (shlex.quote(str(path)) for path in (run, run.parent))
    formats.show(
        f"{run_text(directory)}\nRun: {name}\n"
        f"  python -m results {together}  # one table of all runs there\n"
        f"  python -m results {name} --report report.html  # a page with its figures\n"
        f"  python -m benchmark evaluate={name} 'evaluation.shots=[3]'  # ask it more\n"
    )


def draw_figures(directory: Path, folder: Path) -> list[Path]:
    """Draw every figure that the record in `directory` has data for, as PNG files in `folder`."""
    from results import records
    from results.pictures import figures, gallery, plotting

    found = records.read_records([directory / "record.json"])
    with plotting.style():
        return [
            path
            for name, (_, axes) in gallery.all_figures(found).items()
            for path in figures.save(axes, folder / name, ["png"])
        ]
