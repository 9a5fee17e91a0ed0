"""What the paper reports, part by part, and the runs that make each.

A part is an experiment of `conf/experiment` at the paper's budget; its runs are those of the
experiment's own sweep, once for each seed.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from benchmark.command.compose import compose
from benchmark.command.identity import HASH, fingerprint
from benchmark.config import load

THEORY = "theory"  # the study that trains nothing and has no seeds


@dataclass(frozen=True)
class Part:
    """Something that the paper reports.

    place, what: "figure 3", "combinations of inner gradients".
    experiment: its file in conf/experiment; chosen: overrides that narrow the experiment's sweep.
    settles: how many cells, curves and statements of the paper it settles.
    """

    place: str
    what: str
    experiment: str
    settles: int
    chosen: tuple[str, ...] = ()


REPTILE = ("algorithm=reptile",)
MAML = ("algorithm=maml",)
FIRST_ORDER = ("algorithm=maml_first_order",)
CYCLING = ("algorithm=fomaml",)
REPLACEMENT = ("algorithm=fomaml_replacement",)
SEPARATE = ("algorithm=fomaml_separate",)
ONE_SHOT, FIVE_SHOT = ("task.train_shots=1",), ("task.train_shots=5",)

ENDS = ("algorithm.inner_steps=1,4,15",)  # of figure 4a, with where its statements begin
ENDS_AND_5 = ("algorithm.inner_steps=1,4,5,15",)
ENDS_AND_DROP = ("algorithm.inner_steps=1,3,4,5,15",)
BATCHES = ("algorithm.inner_batch=5,25,100",)  # the same of figure 4b
BATCHES_AND_35 = ("algorithm.inner_batch=5,25,35,100",)
BATCHES_AND_DROP = ("algorithm.inner_batch=5,25,30,35,100",)
UP_TO_15_SHOTS = ("algorithm.inner_batch=5,25,75",)  # a separate tail holds back 5 of 20
ALL_UP_TO_15_SHOTS = ("algorithm.inner_batch=range(5,80,5)",)
OUTER_ENDS = ("algorithm.outer_step=0.00390625,1.0,64.0",)

PARTS = (
    Part("table 2", "Reptile, 5-way", "omniglot_5way", 5, REPTILE),
    Part("table 2", "Reptile, 20-way", "omniglot_20way", 4, REPTILE),
    Part("table 2", "MAML, 5-way 1-shot", "omniglot_5way_maml", 1, MAML + ONE_SHOT),
    Part("table 2", "MAML, 5-way 5-shot", "omniglot_5way_maml", 1, MAML + FIVE_SHOT),
    Part("table 2", "MAML, 20-way 1-shot", "omniglot_20way_maml", 1, MAML + ONE_SHOT),
    Part("table 2", "MAML, 20-way 5-shot", "omniglot_20way_maml", 1, MAML + FIVE_SHOT),
    Part("table 2", "FOMAML, 5-way 1-shot", "omniglot_5way_maml", 1, FIRST_ORDER + ONE_SHOT),
    Part("table 2", "FOMAML, 5-way 5-shot", "omniglot_5way_maml", 1, FIRST_ORDER + FIVE_SHOT),
    Part("table 2", "FOMAML, 20-way 1-shot", "omniglot_20way_maml", 1, FIRST_ORDER + ONE_SHOT),
    Part("table 2", "FOMAML, 20-way 5-shot", "omniglot_20way_maml", 1, FIRST_ORDER + FIVE_SHOT),
    Part("figure 1", "sine waves", "sine", 3),
    Part("section 5.1", "theory", THEORY, 3),
    Part("figure 3", "combinations of inner gradients", "combinations", 18),
    Part("figure 4a", "Reptile", "overlap_iterations", 2, REPTILE + ENDS),
    Part("figure 4a", "FOMAML, cycling", "overlap_iterations", 2, CYCLING + ENDS_AND_DROP),
    Part("figure 4a", "FOMAML, replacement", "overlap_iterations", 3, REPLACEMENT + ENDS_AND_5),
    Part("figure 4a", "FOMAML, separate tail", "overlap_iterations", 2, SEPARATE + ENDS),
    Part("figure 4b", "Reptile", "overlap_batch", 2, REPTILE + BATCHES),
    Part("figure 4b", "FOMAML, cycling", "overlap_batch", 2, CYCLING + BATCHES_AND_DROP),
    Part("figure 4b", "FOMAML, replacement", "overlap_batch", 2, REPLACEMENT + BATCHES_AND_35),
    Part("figure 4b", "FOMAML, separate tail", "overlap_batch", 2, SEPARATE + UP_TO_15_SHOTS),
    Part("figure 4c", "FOMAML, cycling", "overlap_step", 2, OUTER_ENDS),
    Part("figure 4a", "all its points", "overlap_iterations", 0),
    Part("figure 4b", "all its points", "overlap_batch", 0),
    Part("figure 4b", "all, separate tail", "overlap_batch", 0, SEPARATE + ALL_UP_TO_15_SHOTS),
    Part("figure 4c", "all its points", "overlap_step", 0),
)
"""The points of figure 4 between those that are judged settle nothing: they draw the curves."""

NOT_HERE = (("table 1", "Mini-ImageNet", "needs images that this project does not bring"),)
"""Reported by the paper, but not in the queue: place, what, why."""


@dataclass(frozen=True)
class Run:
    """One run of a real command.

    directory: where it leaves its record; plain: its settings as the record holds them, or None
    where it is the theory.
    """

    part: Part
    seed: int
    overrides: tuple[str, ...]
    directory: Path
    plain: dict[str, Any] | None = field(compare=False)

    @property
    def program(self) -> str:
        """The module that is run with these overrides."""
        return "benchmark" if self.plain else "benchmark.studies.theory"

    @property
    def name(self) -> str:
        """'combinations algorithm.name=g1 seed=0'."""
        return " ".join([self.part.experiment, *self.overrides[1:]]) if self.plain else THEORY


def all_runs(parts: Sequence[Part], seeds: int, given: Sequence[str], directory: Path) -> list[Run]:
    """The runs of all parts; a training that two of them need stands with both."""
    return [run for part in parts for run in runs_of(part, seeds, given, directory)]


def once(runs: Iterable[Run]) -> list[Run]:
    """The runs, each training with the first part that needs it."""
    by_directory: dict[Path, Run] = {}
    for run in runs:
        by_directory.setdefault(run.directory, run)
    return list(by_directory.values())


def runs_of(part: Part, seeds: int, given: Sequence[str], directory: Path) -> list[Run]:
    """The runs of a part for the seeds 0 to `seeds` - 1.

    given: overrides of the user's, for each run.
    """
    if part.experiment == THEORY:
        overrides = tuple(word for word in given if word.startswith("budget="))
        return [Run(part, 0, overrides, directory / THEORY, None)]
    given = tuple(given)
    settings = [(choice, settings_of(part, choice, given)) for choice in choices(part, given)]
    return [
        one_run(part, seed, (*choice, *given), {**plain, "seed": seed}, directory)
        for seed in range(seeds)
        for choice, plain in settings
    ]


def one_run(
    part: Part, seed: int, words: Sequence[str], plain: dict[str, Any], directory: Path
) -> Run:
    """A run in a directory that says what it is; the same one only for the same training."""
    overrides = (f"+experiment={part.experiment}", *words, f"seed={seed}")
    names = [plain[group]["name"] for group in ("task", "algorithm")]
    said = [*names, f"seed{seed}", fingerprint(plain)[:HASH]]
    name = re.sub(r"[^\w.+-]", "_", "-".join(said))
    return Run(part, seed, overrides, directory / name, plain)


@cache
def settings_of(part: Part, choice: tuple[str, ...], given: tuple[str, ...]) -> dict[str, Any]:
    """The checked settings of a choice, as the record holds them, with the seed 0.

    Groups are composed once; single settings are set in a copy.
    """
    words = (f"+experiment={part.experiment}", *choice, *given)
    single = [word for word in words if "." in word.split("=")[0]]
    whole = at_groups(tuple(word for word in words if word not in single))
    cfg = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
    for override in OverridesParser.create().parse_overrides(single):
        OmegaConf.update(cfg, override.get_key_element(), override.value())
    return load(cfg).plain


def choices(part: Part, given: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The overrides of each run of an experiment's sweep, less its seeds."""
    cfg = at_groups((f"+experiment={part.experiment}", *given))
    swept: Any = OmegaConf.to_container(cfg.hydra.sweeper.params or {}, resolve=True)
    sweep = {key: f"{key}={values}" for key, values in swept.items() if key != "seed"}
    sweep |= {word.split("=")[0]: word for word in part.chosen}
    words: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides([*sweep.values()]):
        key = override.get_key_element()
        several = override.is_sweep_override()
        values = override.sweep_string_iterator() if several else [override.value()]
        words[key] = [f"{key}={value}" for value in values]
    yield from itertools.product(*words.values())


@cache
def at_groups(overrides: tuple[str, ...]) -> DictConfig:
    """conf/config.yaml with Hydra's own part, as `python -m benchmark OVERRIDES` sees it."""
    return compose(*overrides, with_hydra=True)
