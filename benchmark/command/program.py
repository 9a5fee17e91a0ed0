"""A program of Hydra's from its start to its exit code; bad input ends it with one line."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmark.command import arguments, resolvers
from benchmark.command.compose import CONF
from benchmark.command.messages import explained, with_hint
from benchmark.running import sweep
from tasks.checks import ConfigError

BAD_INPUT = 2  # exit code
BAD_FILES = (OSError, UnicodeDecodeError, YAMLError)


def run_program(program: Callable[[], Any], root: str = "config") -> None:
    """Run a program of Hydra's on conf/ROOT.yaml; what is wrong with the input becomes one line."""
    resolvers.register()
    make_importable()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra passes errors on instead of printing them
    try:
        sys.argv[1:] = arguments.checked(sys.argv[1:])
        program()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of --help has seen enough
        os._exit(0)
    except (*BAD_FILES, ConfigError, HydraException, OmegaConfBaseException) as error:
        if wants_traceback:
            traceback.print_exc()
        print(f"error: {with_hint(explained(error, root, sys.argv[1:]))}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    finally:
        sweep.end()


def make_importable() -> None:
    """Have this package and classes in the working directory found, here and in other processes.

    A script's own folder comes first for Python, and the working directory nowhere.
    """
    if (ours := str(Path(CONF).parent)) not in sys.path:
        sys.path.insert(0, ours)
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
