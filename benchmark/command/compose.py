"""conf/ composed as the command line composes it, for the programs and tests of our own."""

from contextlib import nullcontext
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from benchmark.command import resolvers

CONF = str(Path(__file__).parents[2] / "conf")  # ours, whatever else is called conf


def compose(*overrides: str, root: str = "config", with_hydra: bool = False) -> DictConfig:
    """conf/ROOT.yaml as a command with these overrides would see it.

    with_hydra: also what Hydra itself is told, under `hydra`.
    """
    resolvers.register()
    inside = GlobalHydra.instance().is_initialized()  # a program that Hydra runs
    here = nullcontext() if inside else hydra.initialize_config_dir(CONF, version_base="1.3")
    with here:
        return hydra.compose(root, list(overrides), return_hydra_config=with_hydra)
