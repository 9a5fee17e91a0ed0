"""`python -m benchmark`: one run, or with --multirun a sweep. See --help."""

import logging
import os
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from benchmark import naming
from benchmark.job import Interrupted, run_job
from tasks.checks import ConfigError

log = logging.getLogger("benchmark")


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def job(cfg: DictConfig) -> None:
    """One job of Hydra's. A failure is recorded; in a sweep the other jobs go on."""
    hydra_cfg = HydraConfig.get()
    directory = Path(hydra_cfg.runtime.output_dir)
    sweep = hydra_cfg.mode == RunMode.MULTIRUN
    try:
        run_job(cfg, directory, list(hydra_cfg.overrides.task))
    except Interrupted as stop:
        log.error("%s: the same command goes on from here", stop)
        sys.exit(stop.exit_code)
    except ConfigError as error:
        if not sweep:
            raise
        log.error("error: %s", error)
    except Exception as error:
        log.error("failed: %s: %s", type(error).__name__, error)
        log.debug("", exc_info=True)
        if not sweep:
            raise


def main() -> None:
    """Run Hydra, and turn what is wrong with the user's input into one line and exit code 2."""
    naming.register()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra passes errors on instead of printing them
    try:
        job()
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        if wants_traceback:
            traceback.print_exc()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
