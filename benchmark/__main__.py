"""`python -m benchmark`: one run, or with --multirun a sweep. See --help."""

import logging
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from benchmark.command import tuning
from benchmark.command.compose import CONF
from benchmark.command.messages import with_hint
from benchmark.command.program import BAD_INPUT, run_program
from benchmark.command.settings import settings_of
from benchmark.running import record, sweep
from benchmark.running.directory import remove_if_empty
from benchmark.running.interruption import Interrupted
from benchmark.running.job import run, run_job
from benchmark.running.summary import show_run
from tasks.checks import ConfigError, one_line

log = logging.getLogger("benchmark")


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def job(cfg: DictConfig) -> float | None:
    """One job of Hydra's; returns what a tuning sweeper looks at, nothing after a failure."""
    hydra_cfg = HydraConfig.get()
    directory, overrides = Path(hydra_cfg.runtime.output_dir), list(hydra_cfg.overrides.task)
    if hydra_cfg.mode == RunMode.MULTIRUN:
        tuning.refuse_test_classes(cfg, hydra_cfg.sweeper)
        return run_in_sweep(cfg, directory, overrides, hydra_cfg.job.num)
    run_alone(cfg, directory, overrides, f"{hydra_cfg.job.name}.log")
    return None


def run_alone(cfg: DictConfig, directory: Path, overrides: list[str], log_file: str) -> None:
    """A job that is all there is: how it ends is how the command ends."""
    try:
        run_job(cfg, directory, overrides)
        show_run(directory)
    except Interrupted as stop:
        log.error("%s: the same command goes on from here", stop)
        sys.exit(stop.exit_code)
    except ConfigError as error:
        print(f"error: {with_hint(str(error))}", file=sys.stderr)  # the log would be all there is
        remove_if_empty(directory, log_file)
        sys.exit(BAD_INPUT)
    except Exception as error:
        log.error("failed: %s", in_short(error, directory))
        raise


def run_in_sweep(
    cfg: DictConfig, directory: Path, overrides: list[str], number: int
) -> float | None:
    """A job among others: a failure is recorded, and the others go on; a stop is for all."""
    if not sweep.join(number, directory):
        return None
    try:
        with sweep.BUSY:
            settings = settings_of(cfg, overrides)
            return tuning.objective(run(settings, directory), settings)
    except Interrupted as stop:
        log.error("%s: the same command goes on from here", stop)
        sweep.leave(stop.args[0])
    except ConfigError as error:
        log.error("error: %s", with_hint(str(error)))
        record.write_refused(cfg, directory, overrides, error)
        if mine := sweep.current():
            mine.note(number, directory, str(error))
    except Exception as error:
        log.error("failed: %s", in_short(error, directory))
    return None


def in_short(error: Exception, directory: Path) -> str:
    """One line; TensorFlow's errors have many, and the record has them all."""
    return f"{type(error).__name__}: {one_line(error)[:300]} ({directory})"


def main() -> None:
    """Run the command line."""
    run_program(job)


if __name__ == "__main__":
    main()
