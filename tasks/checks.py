"""How a bad setting is reported: one line with the key, the value and what is allowed."""


class ConfigError(ValueError):
    """A setting that cannot work; its text is one line meant for the user."""


def require(allowed: bool, key: str, value: object, rule: str) -> None:
    """Raise ConfigError `key=value: must be rule` unless `allowed` is true."""
    if not allowed:
        raise ConfigError(f"{key}={value}: must be {rule}")
