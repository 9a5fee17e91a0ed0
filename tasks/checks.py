"""How a bad setting is reported: one line with the key, the value and what is allowed."""

from numbers import Integral
from typing import Any


class ConfigError(ValueError):
    """A setting that cannot work; its text is one line meant for the user."""


def require(allowed: bool, key: str, value: object, rule: str) -> None:
    """Raise ConfigError `key=value: must be rule` unless `allowed` is true."""
    if not allowed:
        raise ConfigError(f"{key}={as_typed(value)}: must be {rule}")


def require_whole(key: str, value: Any, least: int, most: int) -> None:
    """Raise ConfigError unless a value is a whole number between two others."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    rule = f"a whole number of at least {least} and at most {most}"
    require(whole and least <= value <= most, key, value, rule)


def one_line(error: BaseException) -> str:
    """The text of an error that may have many lines, as one."""
    return " ".join(str(error).split())


def as_typed(value: object) -> str:
    """A value as it stands in yaml or on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return " ".join(str(value).splitlines())
