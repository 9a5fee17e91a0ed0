"""Configuration: plain yaml becomes strict, frozen dataclasses before TensorFlow is imported."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from benchmark.algorithms import Algorithm
from benchmark.command.identity import MOVED, fingerprint
from benchmark.engine import (
    ENGINES,
    imported,
    obstacle,
    recorded_engine,
    settled,
    tell_if_not_built,
)
from benchmark.models import Model
from benchmark.tracking.base import Tracking
from results.schema import MOST_DIGITS, OWN_PACKAGES
from tasks.base import Asked, Size, Task, check_examples
from tasks.checks import ConfigError, as_typed, one_line, require

BASELINES = ("scratch", "nearest_neighbour")
RESOLVED = ("budget", "evaluate")  # keys that have served once the configuration is composed
LARGE = 10**6  # the most of anything that stands in memory, but for these:
LARGEST = {
    "algorithm.meta_iterations": 10**9,
    "evaluation.episodes": 10**8,
    "evaluation.baseline_episodes": 10**8,
    "training.checkpoint_every": 10**9,
    "training.curve_points": 10**4,
    "model.filters": 2**13,
    "model.hidden": 2**13,
    "runtime.cores": 2**10,
    "runtime.threads": 2**10,
    "task.size": 2**11,
}
READABLE = 10**MOST_DIGITS - 1  # the largest number of a record, of whatever it may be
LONGEST = 10**8  # examples that one adaptation goes through
DIVIDE = {  # the keys of a task that say how many classes a split has
    "train": ("classes", "train_classes", "validation_classes"),
    "validation": ("validation_classes",),
    "test": ("test_classes",),
}
PROGRESS = ("auto", "off")
CURVE_SPLITS = ("auto", "train", "validation", "test")


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
        for key in ("splits", "shots", "transductive", "steps", "baselines"):
            values = getattr(self, key)
            distinct = len(set(values)) == len(values) and (bool(values) or key == "baselines")
            few = "" if key == "baselines" else "one or more "
            require(distinct, f"evaluation.{key}", values, f"a list of {few}distinct values")
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
    isolate: bool | None
    progress: str
    engine: str

    def check(self) -> None:
        require(self.cores is None or self.cores >= 1, "runtime.cores", self.cores, "at least 1")
        require(self.threads >= 1, "runtime.threads", self.threads, "at least 1")
        require(self.progress in PROGRESS, "runtime.progress", self.progress, "auto or off")
        require(
            self.engine in ENGINES, "runtime.engine", self.engine, f"one of {', '.join(ENGINES)}"
        )


@dataclass(frozen=True, kw_only=True)
class Ungrouped:
    """The keys that stand in no group; see conf/config.yaml."""

    seed: int
    resume: bool


@dataclass(frozen=True, kw_only=True)
class Settings(Ungrouped):
    """One job, checked.

    tested: the tasks of the evaluation: `task`, or others for a run that is trained already
    plain: the same as nested dicts, for the record
    overrides: what was typed to get it, for the record
    source: the completed run whose training this is (evaluate=RUN), or None
    """

    task: Task
    model: Model
    algorithm: Algorithm
    evaluation: Evaluation
    training: Training
    runtime: Runtime
    tracking: Tracking
    tested: Task
    plain: dict[str, Any]
    overrides: list[str] = field(default_factory=list, compare=False)
    source: str | None = None

    @property
    def identity(self) -> str:
        """Equal for two jobs with the same training: see benchmark.command.identity."""
        return fingerprint(self.plain)

    @property
    def curve_split(self) -> str:
        """The split of the learning curve: by default never the test classes."""
        if self.training.curve_split != "auto":
            return self.training.curve_split
        sizes = self.task.sizes()
        return "validation" if sizes and "validation" in sizes else "train"


def load(cfg: DictConfig, overrides: Sequence[str] = ()) -> Settings:
    """Turn Hydra's configuration into checked settings.

    Raises ConfigError, one line naming the key, the value and what is allowed.
    """
    check_text(overrides)
    fixed = {"evaluation": Evaluation, "training": Training, "runtime": Runtime}
    kinds = {"task": Task, "model": Model, "algorithm": Algorithm, "tracking": Tracking}
    allowed = {"seed", "resume", *fixed, *kinds}
    for needed in sorted(allowed):
        require(cfg.get(needed) is not None, needed, None, "given")
    for key in cfg:
        known = str(key) in {*allowed, "tested", *RESOLVED}
        require(known, str(key), cfg[key], f"a known key: {', '.join(sorted(allowed))}")
    for group in (*fixed, *kinds, "tested"):
        node = cfg.get(group)
        require(isinstance(node, DictConfig | None), group, node, "a group of settings")
    chosen = {group: target(group, cfg[group], kind) for group, kind in kinds.items()}
    parts = {group: strict(group, cls, cfg[group]) for group, cls in (fixed | chosen).items()}
    node = cfg.get("tested")
    parts["tested"] = strict("task", target("task", node, Task), node) if node else parts["task"]
    ungrouped = strict("", Ungrouped, DictConfig({"seed": cfg.seed, "resume": cfg.resume}))
    plain = {key: value for key, value in as_dict(cfg).items() if key not in RESOLVED}
    plain |= {g: as_read(plain[g], part) for g, part in parts.items() if plain.get(g) is not None}
    plain |= dataclasses.asdict(ungrouped)
    if parts["runtime"].engine == "auto":
        tell_if_not_built(plain)
    plain, source = settled(plain), cfg.get("evaluate")
    engine = plain["runtime"]["engine"] if source is None else recorded_engine(plain)
    parts["runtime"] = dataclasses.replace(parts["runtime"], engine=engine)
    parts |= dataclasses.asdict(ungrouped)
    settings = Settings(**parts, plain=plain, overrides=list(overrides), source=source)
    check(settings)
    return settings


def as_read(values: dict[str, Any], part: Any) -> dict[str, Any]:
    """A group's settings as its dataclass has read them: true for yes, 3 for '3'."""
    read = dataclasses.asdict(part)
    return {key: read.get(key, value) for key, value in values.items()}


def target(group: str, node: DictConfig, kind: type) -> type:
    """The dataclass named by a group's `_target_`, a subclass of `kind`."""
    path = as_typed(node.get("_target_"))
    try:
        cls = imported(MOVED.get(path, path))
    except Exception as error:  # a module of one's own may raise anything
        raise ConfigError(
            f"{group}._target_={path}: must be the dotted path of a dataclass that can be imported "
            f"({type(error).__name__}: {one_line(error)})"
        ) from error
    fits = isinstance(cls, type) and dataclasses.is_dataclass(cls) and issubclass(cls, kind)
    rule = f"a dataclass that inherits from {kind.__module__}.{kind.__name__}"
    require(fits, f"{group}._target_", path, rule)
    return cls


@cache
def schema_of(cls: type) -> DictConfig:
    """What the fields of a dataclass may hold, for `OmegaConf.merge`, which copies it."""
    schema = OmegaConf.structured(cls)
    OmegaConf.set_readonly(schema, False)
    return schema


def strict(group: str, cls: type, node: DictConfig) -> Any:
    """An instance of dataclass `cls` from yaml: no unknown key, no wrong type, nothing missing."""
    values = {key: value for key, value in as_dict(node).items() if key != "_target_"}
    prefix = f"{group}." if group else ""
    check_kinds(prefix, cls, values)
    try:
        made = OmegaConf.to_object(OmegaConf.merge(schema_of(cls), values))
        check_lists(prefix, made)
        return made
    except ConfigKeyError as error:
        names = ", ".join(field.name for field in dataclasses.fields(cls))
        key = error.full_key
        value = as_typed(values.get(str(key)))
        raise ConfigError(f"{prefix}{key}={value}: must be a known key: {names}") from error
    except MissingMandatoryValue as error:
        raise ConfigError(f"{prefix}{error.full_key}=???: must be given") from error
    except ValidationError as error:
        key = str(error.full_key)
        field = key.split("[")[0].split(".")[0]
        kind = {f.name: f.type for f in dataclasses.fields(cls)}.get(field)
        name = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else kind
        value = as_typed(values.get(field))
        raise ConfigError(f"{prefix}{field}={value}: must be of type {name}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{group}: {first_line(error)}") from error


def check_kinds(prefix: str, cls: type, values: dict[str, Any]) -> None:
    """Raise ConfigError for a mapping in the place of a list: OmegaConf does not say which."""
    for f in dataclasses.fields(cls):
        value, kind = values.get(f.name), get_origin(f.type) or f.type
        swapped = {type(value), kind} == {list, dict}
        require(not swapped, f"{prefix}{f.name}", value, f"of type {f.type}")


def check_lists(prefix: str, made: Any) -> None:
    """Raise ConfigError for a list within a list of numbers or words: OmegaConf lets it pass."""
    for f in dataclasses.fields(made):
        values, kinds = getattr(made, f.name), get_args(f.type)
        if get_origin(f.type) is list and isinstance(kinds[0], type):
            fits = all(isinstance(value, kinds) for value in values)
            require(fits, f"{prefix}{f.name}", values, f"of type {f.type}")


def check_text(overrides: Sequence[str]) -> None:
    """Raise ConfigError for bytes that are no UTF-8: a record could not be read with them."""
    for override in overrides:
        shown = override.encode(errors="backslashreplace").decode()
        key, _, value = shown.partition("=")
        require(shown == override, key, value, "text in UTF-8; rename or link to what it names")


def check_values(plain: dict[str, Any], prefix: str = "") -> None:
    """Raise ConfigError for a number so large that no machine could make what it counts.

    It comes first: nothing is made in proportion to a number that has not been checked. An empty
    text is refused too (as a path it would be the working directory), and a key that is no text.
    """
    own = str(plain.get("_target_", OWN_PACKAGES[0])).startswith(OWN_PACKAGES)
    for name, value in plain.items():
        key = f"{prefix}{'task' if name == 'tested' else name}"  # as it is typed
        if isinstance(value, dict):
            named = all(isinstance(inner, str) for inner in value)
            require(named, key, value, "a mapping whose keys are texts, as those of a record are")
            check_values(value, f"{key}.")
            continue
        empty = own and isinstance(value, str) and not value.strip()
        require(not empty, key, value, "a text that is not empty")
        most = LARGEST.get(key, LARGE) if own and not name.endswith("seed") else READABLE
        numbers = value if isinstance(value, list) else [value]
        whole = [number for number in numbers if type(number) is int]
        require(all(number <= most for number in whole), key, value, f"at most {most}")
        fits = own or all(number >= -READABLE for number in whole)  # own ones have other bounds
        require(fits, key, value, f"at least {-READABLE}")


def check_finite(plain: dict[str, Any], prefix: str = "") -> None:
    """Raise ConfigError for a number that a record cannot hold, where nothing else has."""
    for name, value in plain.items():
        if isinstance(value, dict):
            check_finite(value, f"{prefix}{name}.")
        numbers = value if isinstance(value, list) else [value]
        finite = all(math.isfinite(number) for number in numbers if isinstance(number, float))
        require(finite, f"{prefix}{name}", value, "finite")


def check(settings: Settings) -> None:
    """Every check that spans fields or groups."""
    check_values(settings.plain)
    task, algorithm, evaluation = settings.task, settings.algorithm, settings.evaluation
    for key, steps, batch in (
        ("algorithm.inner_steps", algorithm.inner_steps, algorithm.inner_batch),
        ("evaluation.steps", max(evaluation.steps, default=0), evaluation.batch),
    ):
        rule = f"at most {LONGEST // max(batch, 1)} with mini-batches of {batch}"
        require(steps * batch <= LONGEST, key, steps, rule)
    require(settings.seed >= 0, "seed", settings.seed, "at least 0")
    task.check()
    settings.model.check()
    fits = len(task.input_shape) == 3 or not settings.model.for_images
    rule = f"one such as mlp: it is a network for images, and inputs of {task.name} are "
    require(fits, "model", settings.model.name, f"{rule}of shape {task.input_shape}")
    algorithm.check(task)
    settings.training.check()
    settings.runtime.check()
    if settings.runtime.engine == "native" and (why := obstacle(settings.plain)):
        require(False, "runtime.engine", "native", f"auto or tensorflow: {why}")
    settings.tracking.check()
    check_tested(settings.tested, task)
    evaluation.check(settings.tested, algorithm)
    for split in evaluation.splits:
        check_split("evaluation.splits", split, settings.tested, evaluation)
    check_split("training.curve_split", settings.curve_split, task, evaluation)
    if sizes := task.sizes():
        check_ways("train", sizes["train"], task)
        asked = algorithm.train_examples(task)
        check_examples("train", sizes["train"], task.ways, *asked)
    check_finite(settings.plain)


def check_tested(tested: Task, task: Task) -> None:
    """Raise ConfigError where a network trained on `task` cannot be asked about `tested`."""
    if tested == task:
        return
    tested.check()
    name, score = tested.name, f"one whose score is {task.metric}, as that of the training"
    require(tested.metric == task.metric, "task", name, score)
    same = tested.input_shape == task.input_shape
    require(same, "task", name, f"one with inputs of shape {task.input_shape}, as in the training")
    ways, outputs = tested.ways, task.outputs(task.ways)
    rule = f"at most {outputs}, the outputs of the trained network"
    require(tested.outputs(ways) <= outputs, "task.ways", ways, rule)


def check_split(key: str, split: str, task: Task, evaluation: Evaluation) -> None:
    """Raise ConfigError where episodes of `evaluation` cannot be drawn from a split of `task`."""
    sizes, most = task.sizes(), task.most_shots
    shots = max(evaluation.shots)
    if most is not None:
        rule = f"at most {most}, all that the task has"
        require(shots <= most, "evaluation.shots", evaluation.shots, rule)
    known = sorted(sizes or CURVE_SPLITS[1:])
    require(split in known, key, split, f"one of the task's splits: {', '.join(known)}")
    if sizes is None:
        return
    check_ways(split, sizes[split], task)
    asked_shots = Asked("evaluation.shots", evaluation.shots, shots)
    asked_queries = Asked("evaluation.queries", evaluation.queries, evaluation.queries)
    check_examples(split, sizes[split], task.ways, asked_shots, asked_queries)


def check_ways(split: str, size: Size, task: Task) -> None:
    """Raise ConfigError where a split has too few classes for an episode."""
    named = {key: getattr(task, key, None) for key in DIVIDE.get(split, ())}
    because = ", ".join(f"task.{key}={value}" for key, value in named.items() if value)
    shown = f" ({because})" if because else ""
    asked: tuple[str, Any] = ("task.ways", task.ways)
    rule = f"between 2 and {size.classes}, the classes of the {split} split{shown}"
    if split == "validation" and because:
        asked = ("task.validation_classes", named["validation_classes"])
        rule = f"0 or at least task.ways={task.ways}"
    elif size.classes < 2:
        asked = ("task", task.name)
        rule = f"one with 2 classes or more in its {split} split, which has {size.classes}{shown}"
    require(task.ways <= size.classes, *asked, rule)


def as_dict(node: DictConfig) -> dict[str, Any]:
    """A configuration node as nested plain dicts, resolved."""
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def first_line(error: BaseException) -> str:
    """The first sentence of an error that may have many lines."""
    return " ".join(str(error).split("\n")[0].split()) or type(error).__name__
