"""`evaluate=RUN`: a completed run's training, and what the command line asks of it now."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmark.command.identity import NEUTRAL
from benchmark.engine import settled
from benchmark.running.named import record_of
from results.schema import FILES
from tasks.checks import ConfigError

TRAINED = ("seed", "model", "algorithm")  # what a training is, beside its tasks
DONE = (*TRAINED, "training", "runtime", "resume")  # of no use once it is done, but for ANEW
ANEW = [key for key in NEUTRAL if key.startswith("runtime.")]  # how to compute what is new


def with_training_of_run(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """The configuration with the training that `evaluate` names in place of its own.

    Evaluation settings are those of that run, but for what `overrides` change; tasks of another
    distribution, or of another split of it, stand under `tested`. Without `evaluate` nothing
    changes. Raises ConfigError.
    """
    run = cfg.get("evaluate")
    if run is None:
        return cfg
    plain = {str(key): cfg[key] for key in cfg}
    kept = OmegaConf.create(settled(record_of("evaluate", run, FILES)["config"]))
    typed = [override.lstrip("+~").split("=")[0] for override in overrides]
    for key in typed:
        if key.split(".")[0] in DONE and key not in ANEW:
            raise ConfigError(
                f"{key}: must not be given with evaluate={run}, whose training is done"
            )
    plain |= {key: kept[key] for key in (*TRAINED, "task")}
    tested = asked(cfg, kept, "task", typed)
    if tested != kept.task:
        plain["tested"] = tested
    if "experiment" not in typed:
        plain["evaluation"] = asked(cfg, kept, "evaluation", typed)
    of_training = {k: v for k, v in kept.runtime.items() if f"runtime.{k}" not in ANEW}
    plain["runtime"] = OmegaConf.merge(cfg.runtime, of_training)
    return OmegaConf.create(plain)


def asked(cfg: DictConfig, kept: DictConfig, group: str, typed: list[str]) -> Any:
    """A group as the run had it, changed by what is typed; or the one that is chosen anew."""
    if group in typed:
        return cfg[group]
    node = kept[group].copy()
    for key in typed:
        if key.startswith(f"{group}."):
            OmegaConf.update(node, key.removeprefix(f"{group}."), OmegaConf.select(cfg, key))
    return node
