"""conf/ composed as the command line composes it, for the programs and tests of our own."""

from collections.abc import Iterator
from contextlib import contextmanager
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
    with on_conf():
        return hydra.compose(root, list(overrides), return_hydra_config=with_hydra)


@contextmanager
def on_conf() -> Iterator[None]:
    """Hydra as it runs a program of ours, which it may do already; one of the user's waits."""
    now = GlobalHydra.instance()
    sources = now.config_loader().get_sources() if now.is_initialized() else []
    if any(source.path == CONF for source in sources):
        yield
        return
    theirs, now.hydra = now.hydra, None
    try:
        with hydra.initialize_config_dir(CONF, version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = theirs
