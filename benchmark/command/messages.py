"""What is answered to a mistake on the command line: one line, and exit code 2."""

import difflib
import itertools
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmark.command import arguments, resolvers
from benchmark.command.compose import CONF, compose
from benchmark.running import sweep
from tasks.checks import ConfigError, one_line

BAD_INPUT = 2  # exit code
CHOSEN = re.compile(rf"(\+experiment|{'|'.join(arguments.GROUPS)})=[\w,]+$")


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
    except (ConfigError, HydraException, OmegaConfBaseException, OSError, YAMLError) as error:
        if wants_traceback:
            traceback.print_exc()
        print(f"error: {with_hint(explained(error, root))}", file=sys.stderr)
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


def explained(error: Exception, root: str) -> str:
    """One line that names the key, the value and what is allowed."""
    text = one_line(error)
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        rule = (
            "KEY=VALUE as Hydra reads it; a text with other signs than usual has quotes of its own"
        )
        return f"{error.override}: must be {rule}, \"{key}='{value}'\""
    ours = re.match(r"ConfigError raised while resolving interpolation: (.*?)( full_key: |$)", text)
    if ours:
        return ours[1]
    unknown = re.match(r"Could not override '([\w./]+)'", text)
    if unknown:
        return about_unknown(unknown[1], root)
    missing = r"Could not find '([\w/]+)/([^/']+)' Available options in '.*?': (.*)"
    if no_choice := re.search(missing, text):
        group, choice, known = no_choice.groups()
        known = known.split(" Config search path:")[0]
        return f"{group}={choice}: must be one of {', '.join(known.split())}"
    if isinstance(error, YAMLError):
        return f"a configuration file must be YAML: {text}"
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        for key in ("hydra.run.dir", "hydra.sweep.dir"):
            if value := typed_value(key):
                return f"{key}{value}: must be a directory that can be written ({text})"
    return text


def with_hint(text: str) -> str:
    """A line about a value that must be one of several, with the one that is most like it."""
    rule = r"([\w./+]+)=(.*?): must be (a known key: |one of (?:the task's splits: )?)(.*)$"
    if (match := re.match(rule, text)) is None:
        return text
    key, value, kind, listed = match.groups()
    wrong = key.rpartition(".")[2] if kind == "a known key: " else value
    close = difflib.get_close_matches(wrong, re.split(r", | \(", listed), n=1)
    return f"{text}; did you mean {close[0]}?" if close else text


def typed_value(key: str) -> str:
    """What follows a key on the command line, with its equals sign; empty where it is not given."""
    given = [word.lstrip("+~") for word in sys.argv[1:] if "=" in word]
    values = [word.split("=", 1)[1] for word in given if word.split("=", 1)[0] == key]
    return f"={values[-1]}" if values else ""


def about_unknown(key: str, root: str) -> str:
    """What a key that is not there could be instead, in the choices made on the command line.

    Where a sweep goes over several choices, in the first that does not have it.
    """
    sweeps = [arguments.split_sweep(word) for word in sys.argv[1:] if CHOSEN.match(word)]
    for chosen in itertools.product(*sweeps):
        known = siblings(compose(*chosen, root=root), key)
        if key.rpartition(".")[2] not in known:
            break
    swept = [choice for choice, sweep in zip(chosen, sweeps, strict=True) if len(sweep) > 1]
    of = f" of {' '.join(swept)}" if swept else ""
    return f"{key}{typed_value(key)}: must be a known key{of}: {', '.join(known)}"


def siblings(node: DictConfig, key: str) -> list[str]:
    """The known keys beside `key`, or beside its group where that is unknown."""
    for part in key.split(".")[:-1]:
        if not isinstance(node.get(part), DictConfig):
            break
        node = node[part]
    return [str(k) for k in node if k != "_target_"]
