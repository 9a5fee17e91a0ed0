"""A run's identity: the fingerprint of its training, and the directory name that it gives.

The fingerprint is of version 2: all that changes the learned parameters, and nothing else, so that
one training can be evaluated again and again. Version 1 also hashed the evaluation's settings and
the Python paths of the project's own classes. Runs are compared by the fingerprint of their
records' settings, never by the one a record states: a record of version 1 counts.
"""

import hashlib
import json
import re
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from benchmark.engine import settled
from benchmark.running.named import record_of
from results.schema import OWN_PACKAGES

# What can change without changing what is learned is not part of its identity. (Threads inside an
# operation and XLA may change the order of a sum.)
NEUTRAL = (
    "evaluation",
    "tested",
    "training",
    "evaluate",
    "runtime.cores",
    "runtime.isolate",
    "runtime.progress",
    "resume",
    "budget",
    "tracking",
    "task.data_dir",
    "task.cache_dir",
)
MOVED = {  # as records of version 1 name a class: where it is now
    "benchmark.outer_loop.FirstOrder": "benchmark.algorithms.FirstOrder",
    "benchmark.outer_loop.MAML": "benchmark.algorithms.MAML",
}
NAMED = {
    "task.name": "{}",
    "task.ways": "{}way",
    "algorithm.name": "{}",
    "algorithm.meta_iterations": "{}it",
    "seed": "seed{}",
}
HASH = 8  # characters of the fingerprint that end a directory's name


def fingerprint(plain: dict[str, Any]) -> str:
    """sha256 of the settings less what does not change the training: NEUTRAL and own paths."""
    # json.loads makes 1 of 1.0, which is the same setting however it was typed.
    kept = json.loads(json.dumps(plain), parse_float=whole_number)
    if kept.get("runtime", {}).get("engine") == "tensorflow":
        del kept["runtime"]["engine"]  # the only one that there was when older records were written
    for key in NEUTRAL:
        *path, last = key.split(".")
        node = kept
        for part in path:
            node = node.get(part, {})
        node.pop(last, None)
    kept = {key: without_own_path(node) for key, node in kept.items()}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def without_own_path(group: Any) -> Any:
    """A group's settings without the path of its class, where that is one of the project's own."""
    if not isinstance(group, dict) or not str(group.get("_target_")).startswith(OWN_PACKAGES):
        return group
    return {key: value for key, value in group.items() if key != "_target_"}


def digest_of_task(plain: dict[str, Any]) -> str:
    """Which other tasks than those of its training a run is tested on, e.g. "glyphs-1a2b3c4d"."""
    tested = plain.get("tested")
    if not tested or fingerprint({"task": tested}) == fingerprint({"task": plain["task"]}):
        return ""
    return f"{tested['name']}-{fingerprint({'task': tested})[:HASH]}"


def whole_number(text: str) -> float | int:
    """The number a text stands for, as an integer where it is one."""
    number = float(text)
    return int(number) if number.is_integer() else number


def run_name(*, _root_: DictConfig) -> str:
    """E.g. omniglot-5way-reptile-2000it-seed0-1a2b3c4d; equal only for equal trainings."""
    if list(_root_) == ["hydra"]:  # all that `--cfg hydra` shows: the rest is where it was
        whole: Any = HydraConfig.get()
        _root_ = whole._get_root()
    groups = [key for key in _root_ if key != "hydra"]
    plain: dict[str, Any] = {
        str(key): OmegaConf.to_container(_root_[key], resolve=True)
        if OmegaConf.is_config(_root_[key])
        else _root_[key]
        for key in groups
    }
    if plain.get("evaluate") is not None:
        plain = record_of("evaluate", plain["evaluate"])["config"]
    values = {key: OmegaConf.select(OmegaConf.create(plain), key) for key in NAMED}
    parts = [NAMED[key].format(value) for key, value in values.items() if value is not None]
    name = "-".join([*parts, fingerprint(settled(plain))[:HASH]])
    return re.sub(r"[^\w.+-]", "_", name)


def sweep_name(*, _root_: DictConfig) -> str:
    """The experiment's name, or "sweep"."""
    return str(OmegaConf.select(_root_, "hydra.runtime.choices.experiment") or "sweep")
