"""Configuration: plain yaml becomes strict, frozen dataclasses before TensorFlow is imported."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from benchmark.outer_loop import Algorithm
from tasks.base import Task
from tasks.checks import ConfigError, require

BASELINES = ("scratch", "nearest_neighbour")
CURVE_SPLITS = ("auto", "train", "validation", "test")
# What can change without changing a run's numbers is not part of its identity.
NEUTRAL = ("runtime", "resume", "training.checkpoint_every", "task.data_dir", "task.cache_dir")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Under which protocols the initialisation is scored; see conf/evaluation/."""

    splits: list[str]
    shots: list[int]
    queries: int
    transductive: list[bool]
    steps: list[int]
    batch: int
    episodes: int
    baselines: list[str]
    baseline_episodes: int
    predictions: int

    def check(self, task: Task, algorithm: Algorithm) -> None:
        for key in ("splits", "shots", "transductive", "steps"):
            values = getattr(self, key)
            distinct = bool(values) and len(set(values)) == len(values)
            require(distinct, f"evaluation.{key}", values, "a list of one or more distinct values")
        for key in ("queries", "batch", "episodes", "baseline_episodes"):
            require(getattr(self, key) >= 1, f"evaluation.{key}", getattr(self, key), "at least 1")
        require(min(self.shots) >= 1, "evaluation.shots", self.shots, "at least 1 each")
        require(min(self.steps) >= 0, "evaluation.steps", self.steps, "at least 0 each")
        in_range = 0 <= self.predictions <= self.episodes
        rule = f"between 0 and evaluation.episodes={self.episodes}"
        require(in_range, "evaluation.predictions", self.predictions, rule)
        known = [b for b in BASELINES if b == "scratch" or task.metric == "accuracy"]
        require(
            set(self.baselines) <= set(known),
            "evaluation.baselines",
            self.baselines,
            f"a list of any of {', '.join(known)}",
        )
        smallest = task.ways * min(self.shots)
        require(
            not algorithm.replacement or self.batch <= smallest,
            "evaluation.batch",
            self.batch,
            f"at most {smallest} with algorithm.replacement=true, the smallest support set "
            "(task.ways x evaluation.shots)",
        )


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a run is watched and saved; see conf/training/."""

    curve_points: int
    curve_episodes: int
    curve_split: str
    checkpoint_every: int

    def check(self) -> None:
        for key, least in (("curve_points", 0), ("curve_episodes", 2), ("checkpoint_every", 0)):
            value = getattr(self, key)
            require(value >= least, f"training.{key}", value, f"at least {least}")
        rule = f"one of {', '.join(CURVE_SPLITS)}"
        require(self.curve_split in CURVE_SPLITS, "training.curve_split", self.curve_split, rule)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """How to compute; see conf/runtime/."""

    cores: int | None
    threads: int
    jit: bool
    progress: str

    def check(self) -> None:
        require(self.cores is None or self.cores >= 1, "runtime.cores", self.cores, "at least 1")
        require(self.threads >= 1, "runtime.threads", self.threads, "at least 1")
        known = ("auto", "off")
        require(self.progress in known, "runtime.progress", self.progress, f"one of {known}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One job, checked. `plain` is the same as nested dicts, for the record."""

    seed: int
    resume: bool
    task: Task
    model: Any
    algorithm: Algorithm
    evaluation: Evaluation
    training: Training
    runtime: Runtime
    plain: dict[str, Any]

    @property
    def curve_split(self) -> str:
        """The split of the learning curve: by default never the test classes."""
        if self.training.curve_split != "auto":
            return self.training.curve_split
        sizes = self.task.sizes()
        return "validation" if sizes and "validation" in sizes else "train"


def load(cfg: DictConfig) -> Settings:
    """Turn Hydra's configuration into checked settings.

    Raises ConfigError, one line naming the key, the value and what is allowed.
    """
    fixed = {"evaluation": Evaluation, "training": Training, "runtime": Runtime}
    chosen = {group: target(group, cfg[group]) for group in ("task", "model", "algorithm")}
    allowed = {"seed", "resume", *fixed, *chosen}
    for key in cfg:
        require(
            str(key) in allowed, str(key), cfg[key], f"a known key: {', '.join(sorted(allowed))}"
        )
    parts = {group: strict(group, cls, cfg[group]) for group, cls in (fixed | chosen).items()}
    top = strict("", Top, DictConfig({"seed": cfg.seed, "resume": cfg.resume}))
    plain = as_dict(cfg)
    settings = Settings(seed=top.seed, resume=top.resume, plain=plain, **parts)
    check(settings)
    return settings


@dataclass(frozen=True, kw_only=True)
class Top:
    """The keys that stand in no group."""

    seed: int
    resume: bool


def target(group: str, node: DictConfig) -> type:
    """The dataclass named by a group's `_target_`."""
    path = node.get("_target_")
    try:
        cls = get_class(path)
    except Exception as error:
        raise ConfigError(
            f"{group}._target_={path}: must be the dotted path of a dataclass that can be imported "
            f"({one_line(error)})"
        ) from error
    require(dataclasses.is_dataclass(cls), f"{group}._target_", path, "a dataclass")
    return cls


def strict(group: str, cls: type, node: DictConfig) -> Any:
    """An instance of dataclass `cls` from yaml: no unknown key, no wrong type, nothing missing."""
    values = {key: value for key, value in as_dict(node).items() if key != "_target_"}
    prefix = f"{group}." if group else ""
    try:
        schema = OmegaConf.structured(cls)
        OmegaConf.set_readonly(schema, False)
        return OmegaConf.to_object(OmegaConf.merge(schema, values))
    except ConfigKeyError as error:
        names = ", ".join(field.name for field in dataclasses.fields(cls))
        key = error.full_key
        raise ConfigError(
            f"{prefix}{key}={values.get(key)}: must be a known key: {names}"
        ) from error
    except MissingMandatoryValue as error:
        raise ConfigError(f"{prefix}{error.full_key}=???: must be given") from error
    except ValidationError as error:
        key = str(error.full_key)
        field = key.split("[")[0].split(".")[0]
        kind = {f.name: f.type for f in dataclasses.fields(cls)}.get(field)
        name = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else kind
        raise ConfigError(f"{prefix}{field}={values.get(field)}: must be of type {name}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{group}: {one_line(error)}") from error


def check(settings: Settings) -> None:
    """Every check that spans fields or groups."""
    task, algorithm, evaluation = settings.task, settings.algorithm, settings.evaluation
    require(settings.seed >= 0, "seed", settings.seed, "at least 0")
    task.check()
    settings.model.check()
    algorithm.check(task)
    evaluation.check(task, algorithm)
    settings.training.check()
    settings.runtime.check()
    sizes = task.sizes()
    if sizes is None:
        return
    known = sorted(sizes)
    for split in (*evaluation.splits, settings.curve_split):
        key = "evaluation.splits" if split in evaluation.splits else "training.curve_split"
        require(split in sizes, key, split, f"one of the task's splits: {', '.join(known)}")
    need = {split: max(evaluation.shots) for split in evaluation.splits}
    for split in {"train", settings.curve_split, *evaluation.splits}:
        classes, examples = sizes[split]
        rule = f"between 2 and {classes}, the classes of the {split} split"
        require(task.ways <= classes, "task.ways", task.ways, rule)
        if split in need or split == settings.curve_split:
            room = examples - evaluation.queries
            rule = f"at most {room}: a class has {examples} drawings, evaluation.queries={evaluation.queries} of them taken"
            require(max(evaluation.shots) <= room, "evaluation.shots", evaluation.shots, rule)
    room = sizes["train"].examples - algorithm.train_queries
    rule = f"at most {room}, the drawings of a class that training may use as support"
    require(task.train_shots <= room, "task.train_shots", task.train_shots, rule)


def fingerprint(plain: dict[str, Any]) -> str:
    """sha256 of the configuration less what does not change the numbers (NEUTRAL)."""
    kept = json.loads(json.dumps(plain))
    for key in NEUTRAL:
        *path, last = key.split(".")
        node = kept
        for part in path:
            node = node.get(part, {})
        node.pop(last, None)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def as_dict(node: DictConfig) -> dict[str, Any]:
    """A configuration node as nested plain dicts, resolved."""
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def one_line(error: BaseException) -> str:
    """The first sentence of an error that may have many lines."""
    return " ".join(str(error).split("\n")[0].split()) or type(error).__name__
