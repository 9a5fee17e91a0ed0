"""What is typed, looked at before Hydra sees it: order of flags, choices, what can be swept."""

import importlib.util
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException

from benchmark.command.compose import CONF
from tasks.checks import ConfigError, require

GROUPS = ("task", "model", "algorithm", "evaluation", "training", "runtime", "tracking")
DIRECTORIES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
# The package and the extra that a choice of launcher or sweeper needs.
NEEDS = {
    "hydra/launcher=processes": ("hydra_plugins.hydra_joblib_launcher", "joblib"),
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=slurm_local": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=ray_cluster": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "hydra/sweeper=tune": ("hydra_plugins.hydra_optuna_sweeper", "tune"),
}


def below_one(value: Any) -> bool:
    """Whether a value is a number that cannot count anything."""
    return isinstance(value, int) and value < 1


def unlike(pattern: str) -> Callable[[Any], bool]:
    """Whether a value as it is typed is not the whole of a pattern."""
    return lambda value: not re.fullmatch(pattern, "null" if value is None else str(value))


# On which values Hydra or a plugin of it fails, or waits for ever, and what is allowed instead.
FATAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "hydra.launcher.n_jobs": (lambda n: n == 0, "other than 0; -1 is as many as cores"),
    "hydra.launcher.batch_size": (unlike(r"auto|[1-9]\d*"), "at least 1, or auto"),
    "hydra.launcher.prefer": (unlike("processes|threads"), "processes or threads"),
    "hydra.launcher.require": (unlike("null"), "null: jobs share no memory"),
    "hydra.launcher.timeout": (lambda n: isinstance(n, int | float) and n <= 0, "above 0, or null"),
    "hydra.launcher.pre_dispatch": (
        unlike(r"all|[1-9]\d*|([1-9]\d* *\* *)?n_jobs"),
        "all, at least 1, or a multiple of n_jobs, such as 2*n_jobs",
    ),
    "hydra.launcher.max_nbytes": (
        unlike(r"\d+[KMG]?|null"),
        "a number of bytes, such as 50M, or null",
    ),
    "hydra.sweeper.n_jobs": (below_one, "at least 1"),
    "hydra.sweeper.n_trials": (below_one, "at least 1"),
    "hydra.sweeper.max_batch_size": (below_one, "at least 1, or null"),
    "hydra.sweeper.direction": (
        lambda word: isinstance(word, str) and word not in ("minimize", "maximize"),
        "minimize or maximize",
    ),
    "hydra.verbose": (
        lambda names: not isinstance(names, bool | str | list),
        "true, false, the name of a logger or a list of names",
    ),
}


def checked(words: list[str]) -> list[str]:
    """The command line in the order that Hydra reads. Raises ConfigError for what cannot work."""
    given = get_args_parser().parse_intermixed_args(words)
    overrides = list(given.overrides)
    flags = without(words, overrides)
    if given.help or given.hydra_help or given.shell_completion or given.info:
        return flags + overrides
    if given.resolve and not given.cfg:
        raise ConfigError("--resolve: must be given with --cfg job, hydra or all")
    check(overrides, given.config_dir)
    if given.cfg and given.multirun:  # what the first job of the sweep gets
        flags = [word for word in flags if word not in ("--multirun", "-m")]
        overrides = [split_sweep(override)[0] for override in overrides]
    return flags + overrides


def without(words: list[str], some: list[str]) -> list[str]:
    """`words` less each of `some` once."""
    left = list(words)
    for word in some:
        left.remove(word)
    return left


def parsed(overrides: Sequence[str]) -> list[Override]:
    """As Hydra understands them; nothing where it does not, since it says so itself."""
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException:
        return []


def check(overrides: Sequence[str], config_dir: str | None = None) -> None:
    """Raise ConfigError for an override that cannot work, whatever the others are."""
    for override in parsed(overrides):
        check_one(override, config_dir)


def check_one(override: Override, config_dir: str | None) -> None:
    """`check` of one override."""
    key, typed = override.key_or_group, str(override.input_line).partition("=")[2]
    if key in DIRECTORIES and not override.is_delete():
        named = all(
            str(v or "").strip() and not isinstance(v, list | dict) for v in values(override)
        )
        require(named, key, typed, "the path of a directory")
    if key in FATAL and not override.is_delete():
        fails, rule = FATAL[key]
        require(not any(map(fails, values(override))), key, typed, rule)
    if not key.strip("@"):
        raise ConfigError(f"{override.input_line}: must be KEY=VALUE, with a key")
    is_group = key in GROUPS or "/" in key
    if is_group and not override.is_delete():
        known = choices(key, config_dir)
        for value in values(override):
            named = isinstance(value, str) and bool(value.strip())
            require(named, key, typed, f"one of {', '.join(known)}")
    if key in GROUPS and (override.is_add() or override.is_force_add()):
        raise ConfigError(f"{override.input_line}: must be typed {key}={typed}")
    if key == "experiment" and not override.is_add():
        raise ConfigError(f"experiment={typed}: must be typed +experiment={typed}")
    if key in ("experiment", "budget") and override.is_sweep_override():
        plus = "+" if key == "experiment" else ""
        raise ConfigError(
            f"{plus}{key}={typed}: must be one at a time, since it decides what is swept over: "
            "give a command for each, with the same hydra.sweep.dir for one table"
        )
    check_library(f"{key}={typed}")


def check_library(choice: str) -> None:
    """Raise ConfigError where a launcher or sweeper is chosen that cannot run here."""
    package, extra = NEEDS.get(choice, (None, None))
    if package is not None and not is_there(package):
        key, _, name = choice.partition("=")
        rule = f"must have its library installed: python -m pip install -e '.[{extra}]'"
        raise ConfigError(f"{key}={name}: {rule}")
    if choice == "hydra/launcher=slurm" and shutil.which("srun") is None:
        raise ConfigError(
            f"{choice}: must run where SLURM's srun is found (hydra/launcher=slurm_local tries a "
            "sweep out on this machine)"
        )


def is_there(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def choices(group: str, config_dir: str | None = None) -> list[str]:
    """The names that a group's yaml files give, in conf/ and in the user's own directory."""
    folders = searched(config_dir)
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def searched(config_dir: str | None = None) -> list[Path]:
    """Where yaml files are looked for: conf/ and the user's own directory."""
    return [Path(CONF), *([Path(config_dir)] if config_dir else [])]


def values(override: Override) -> list[Any]:
    """The values of an override, one unless it sweeps over several."""
    if override.is_choice_sweep():
        return list(override.sweep_iterator())
    return [override.value()]


def split_sweep(text: str) -> list[str]:
    """["a=1", "a=2"] of "a=1,2", as Hydra's own sweeper splits it."""
    for override in parsed([text]):
        if override.is_sweep_override() and override.is_discrete_sweep():
            key = override.get_key_element()
            return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [text]
