"""Directory names: the same configuration always gets the same one."""

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmark.config import fingerprint

NAMED = {
    "task.name": "{}",
    "task.ways": "{}way",
    "algorithm.name": "{}",
    "algorithm.meta_iterations": "{}it",
    "seed": "seed{}",
}


def run_name(*, _root_: DictConfig) -> str:
    """E.g. omniglot-5way-reptile-2000it-seed0-1a2b3c4d; equal only for equal configurations."""
    groups = [key for key in _root_ if key != "hydra"]
    plain: dict[str, Any] = {
        str(key): OmegaConf.to_container(_root_[key], resolve=True)
        if OmegaConf.is_config(_root_[key])
        else _root_[key]
        for key in groups
    }
    values = {key: OmegaConf.select(_root_, key) for key in NAMED}
    parts = [NAMED[key].format(value) for key, value in values.items() if value is not None]
    name = "-".join([*parts, fingerprint(plain)[:8]])
    return re.sub(r"[^\w.+-]", "_", name)


def sweep_name(*, _root_: DictConfig) -> str:
    """The experiment's name, or "sweep"."""
    return str(OmegaConf.select(_root_, "hydra.runtime.choices.experiment") or "sweep")
