"""What is answered to a mistake on the command line: one line, and exit code 2."""

import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from benchmark.command import resolvers
from benchmark.command.compose import CONF, compose
from tasks.checks import ConfigError, one_line

BAD_INPUT = 2  # exit code
MULTIRUN = ("--multirun", "-m")


def run_program(program: Callable[[], Any], root: str = "config") -> None:
    """Run a program of Hydra's on conf/ROOT.yaml; what is wrong with the input becomes one line."""
    resolvers.register()
    make_importable()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra passes errors on instead of printing them
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in MULTIRUN)  # it wants it first
    try:
        program()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of --help has seen enough
        os._exit(0)
    except (ConfigError, HydraException, OmegaConfBaseException, OSError) as error:
        if wants_traceback:
            traceback.print_exc()
        print(f"error: {explained(error, root)}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def make_importable() -> None:
    """Have this package and classes in the working directory found, here and in other processes.

    A script's own folder comes first for Python, and the working directory nowhere.
    """
    if (ours := str(Path(CONF).parent)) not in sys.path:
        sys.path.insert(0, ours)
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)


def explained(error: Exception, root: str) -> str:
    """One line that names the key, the value and what is allowed."""
    text = one_line(error)
    ours = re.match(r"ConfigError raised while resolving interpolation: (.*?)( full_key: |$)", text)
    if ours:
        return ours[1]
    unknown = re.match(r"Could not override '([\w.]+)'", text)
    if unknown:
        key = unknown[1]
        return f"{key}{typed_value(key)}: must be a known key: {', '.join(siblings(key, root))}"
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


def siblings(key: str, root: str) -> list[str]:
    """The known keys beside `key`, or its group, for the choices made on the command line."""
    chosen = r"(\+experiment|task|model|algorithm|evaluation|tracking)=\w+$"
    node = compose(*(word for word in sys.argv[1:] if re.match(chosen, word)), root=root)
    for part in key.split(".")[:-1]:
        if not isinstance(node.get(part), DictConfig):
            break  # the group itself is not there
        node = node[part]
    return [str(k) for k in node if k != "_target_"]
