"""`python -m benchmark`: one run, or with --multirun a sweep. See --help."""

import logging
import os
import re
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from benchmark.command import resolvers, tuning
from benchmark.running.interruption import Interrupted
from benchmark.running.job import run_job
from tasks.checks import ConfigError, one_line

log = logging.getLogger("benchmark")
BAD_INPUT = 2  # exit code
MULTIRUN = ("--multirun", "-m")


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def job(cfg: DictConfig) -> float | None:
    """One job of Hydra's; returns what a tuning sweeper looks at, nothing after a failure.

    A failure is recorded; in a sweep the other jobs go on.
    """
    hydra_cfg = HydraConfig.get()
    sweep = hydra_cfg.mode == RunMode.MULTIRUN
    directory = Path(hydra_cfg.runtime.output_dir)
    if "theory" in cfg:  # the experiment that trains nothing
        from benchmark.studies import theory

        theory.run(cfg, directory)
        return None
    tuning.refuse_test_classes(cfg, hydra_cfg.sweeper)
    try:
        return tuning.objective(run_job(cfg, directory, list(hydra_cfg.overrides.task)))
    except Interrupted as stop:
        log.error("%s: the same command goes on from here", stop)
        sys.exit(stop.exit_code)
    except ConfigError as error:
        log.error("error: %s", error)
        if not sweep:
            sys.exit(BAD_INPUT)
    except Exception as error:
        text = one_line(error)  # TensorFlow's have many lines; the record has them all
        log.error("failed: %s: %s (%s)", type(error).__name__, text[:300], directory)
        if not sweep:
            raise
    return None


def main() -> None:
    """Run Hydra, and turn what is wrong with the user's input into one line and exit code 2."""
    resolvers.register()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra passes errors on instead of printing them
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in MULTIRUN)  # it wants it first
    try:
        job()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of --help has seen enough
        os._exit(0)
    except (ConfigError, HydraException, OmegaConfBaseException, OSError) as error:
        if wants_traceback:
            traceback.print_exc()
        print(f"error: {explained(error)}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def explained(error: Exception) -> str:
    """One line that names the key, the value and what is allowed."""
    text = one_line(error)
    ours = re.match(r"ConfigError raised while resolving interpolation: (.*?)( full_key: |$)", text)
    if ours:
        return ours[1]
    unknown = re.match(r"Could not override '([\w.]+)'", text)
    if unknown:
        key = unknown[1]
        return f"{key}{typed_value(key)}: must be a known key: {', '.join(siblings(key))}"
    no_choice = re.search(r"Could not find '(\w+)/([^']+)' Available options in '.*?': (.*)", text)
    if no_choice:
        group, choice, known = no_choice.groups()
        known = known.split(" Config search path:")[0]
        return f"{group}={choice}: must be one of {', '.join(known.split())}"
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        for key in ("hydra.run.dir", "hydra.sweep.dir"):
            if value := typed_value(key):
                return f"{key}{value}: must be a directory that can be written ({text})"
    return text


def typed_value(key: str) -> str:
    """What follows a key on the command line, with its equals sign; empty where it is not given."""
    given = [word.lstrip("+~") for word in sys.argv[1:] if "=" in word]
    values = [word.split("=", 1)[1] for word in given if word.split("=", 1)[0] == key]
    return f"={values[-1]}" if values else ""


def siblings(key: str) -> list[str]:
    """The known keys beside `key`, or its group, for the choices made on the command line."""
    chosen = r"(\+experiment|task|model|algorithm|evaluation|tracking)=\w+$"
    groups = [word for word in sys.argv[1:] if re.match(chosen, word)]
    with hydra.initialize_config_module("conf", version_base="1.3"):
        node: DictConfig = hydra.compose("config", groups)
    for part in key.split(".")[:-1]:
        if not isinstance(node.get(part), DictConfig):
            break  # the group itself is not there
        node = node[part]
    return [str(k) for k in node if k != "_target_"]


if __name__ == "__main__":
    main()
