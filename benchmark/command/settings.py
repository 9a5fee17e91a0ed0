"""`benchmark.compose`: the checked settings of a command line, without the command."""

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from benchmark.command import arguments
from benchmark.command.compose import compose
from benchmark.command.evaluating import with_training_of_run
from benchmark.command.messages import explained, with_hint
from benchmark.config import Settings, load
from tasks.checks import ConfigError, require


def settings_of(cfg: DictConfig, overrides: list[str]) -> Settings:
    """What a composed command line asks for, checked. Raises ConfigError."""
    return load(with_training_of_run(cfg, overrides), overrides)


def settings(*overrides: str) -> Settings:
    """The checked settings of `python -m benchmark OVERRIDES`.

    Raises ConfigError, a ValueError: one line that names the key, the value and what is allowed.
    """
    for override in overrides:
        require(isinstance(override, str), "overrides", override, 'texts such as "seed=1"')
    try:
        arguments.check(overrides)
        return settings_of(compose(*overrides), list(overrides))
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        raise ConfigError(with_hint(explained(error, "config", overrides))) from error
