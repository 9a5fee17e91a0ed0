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
from benchmark.command.messages import BAD_INPUT, run_program, with_hint
from benchmark.running.directory import remove_if_empty
from benchmark.running.interruption import Interrupted
from benchmark.running.job import run_job
from benchmark.running.summary import show_run
from tasks.checks import ConfigError, one_line

log = logging.getLogger("benchmark")


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def job(cfg: DictConfig) -> float | None:
    """One job of Hydra's; returns what a tuning sweeper looks at, nothing after a failure.

    A failure is recorded; in a sweep the other jobs go on.
    """
    hydra_cfg = HydraConfig.get()
    sweep = hydra_cfg.mode == RunMode.MULTIRUN
    directory = Path(hydra_cfg.runtime.output_dir)
    tuning.refuse_test_classes(cfg, hydra_cfg.sweeper)
    try:
        done = run_job(cfg, directory, list(hydra_cfg.overrides.task))
        if not sweep:
            show_run(directory)
        return tuning.objective(done)
    except Interrupted as stop:
        log.error("%s: the same command goes on from here", stop)
        sys.exit(stop.exit_code)
    except ConfigError as error:
        text = f"error: {with_hint(str(error))}"
        if sweep:
            log.error(text)
        else:
            print(text, file=sys.stderr)  # not into the log, which would be all there is
            remove_if_empty(directory, f"{hydra_cfg.job.name}.log")
            sys.exit(BAD_INPUT)
    except Exception as error:
        text = one_line(error)  # TensorFlow's have many lines; the record has them all
        log.error("failed: %s: %s (%s)", type(error).__name__, text[:300], directory)
        if not sweep:
            raise
    return None


def main() -> None:
    """Run the command line."""
    run_program(job)


if __name__ == "__main__":
    main()
