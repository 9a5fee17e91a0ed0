"""What an evaluation asks for, and the keys under which its scores are kept. No TensorFlow."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmark.command.identity import digest_of_task
from benchmark.config import Settings
from results.schema import classes_key

TRAINED = ""  # beside the names of evaluation.baselines


class Cell(NamedTuple):
    """One number of a part: classified after `steps`, in one batch or each query alone."""

    steps: int
    transductive: bool


class Part(NamedTuple):
    """Episodes of one kind and a learner that adapts to them; its cells share the adaptation.

    name: TRAINED or a reference line; tested: "" or which other tasks it is tested on
    unequal: classes have different numbers of examples, so that shots decide which are drawn
    """

    name: str
    tested: str
    split: str
    ways: int
    shots: int
    queries: int
    batch: int
    cells: tuple[Cell, ...]
    episodes: int
    unequal: bool = False

    @property
    def label(self) -> str:
        """Key of what all cells share, e.g. "scratch/test/5way-1shot-1query/batch5"."""
        words = [f"{self.ways}way-{self.shots}shot-{self.queries}query", f"batch{self.batch}"]
        return "/".join(filter(None, (self.tested, self.name, self.split, *words)))

    @property
    def classes(self) -> str:
        """Key of the classes of the split's episodes."""
        split = f"{self.tested}/{self.split}" if self.tested else self.split
        key = classes_key(split, self.ways)
        return f"{key}/{self.shots}shot-{self.queries}query" if self.unequal else key

    def key(self, cell: Cell) -> str:
        """Key of a cell's scores."""
        kind = "transductive" if cell.transductive else "plain"
        return f"{self.label}/{kind}/{cell.steps}steps"

    def scored(self, scores: Mapping[str, Any], cell: Cell) -> int:
        """How many episodes of a cell have been scored."""
        return len(scores.get(self.key(cell), ()))


def parts_of(settings: Settings) -> list[Part]:
    """All that `settings.evaluation` asks for: the trained initialisation first."""
    asked, tested = settings.evaluation, settings.tested
    fewer = min(asked.episodes, asked.baseline_episodes)
    sizes = tested.sizes() or {}
    steps = sorted(asked.steps) if settings.algorithm.adapts else [0]
    cells = tuple(Cell(count, together) for count in steps for together in asked.transductive)
    return [
        Part(
            name,
            digest_of_task(settings.plain),
            split,
            tested.ways,
            shots,
            asked.queries,
            asked.batch,
            (Cell(0, False),) if name == "nearest_neighbour" else cells,
            asked.episodes if name == TRAINED else fewer,
            split in sizes and bool(sizes[split].by_class),
        )
        for name in (TRAINED, *asked.baselines)
        for split in asked.splits
        for shots in asked.shots
    ]


def is_scored(settings: Settings, record: Mapping[str, Any], scores: Mapping[str, Any]) -> bool:
    """Whether a completed record has all that `settings.evaluation` asks for."""
    rows = {row["scores"]: row for row in (*record["evaluations"], *record["baselines"])}
    of = predicted_key(settings)
    predicted = [one for one in record.get("predictions") or () if one.get("scores", of) == of]
    return settings.evaluation.predictions <= len(predicted) and all(
        part.key(cell) in rows
        and min(part.scored(scores, cell), rows[part.key(cell)]["episodes"]) >= part.episodes
        for part in parts_of(settings)
        for cell in part.cells
    )


def predicted_key(settings: Settings) -> str:
    """Key of the scores of those episodes that are predicted: see `benchmark.predictions`."""
    asked = settings.evaluation
    part = next(p for p in parts_of(settings) if p.shots == asked.shots[-1])
    return part.key(Cell(part.cells[-1].steps, asked.transductive[0]))


def of_record(row: Mapping[str, Any], batch: int) -> str:
    """The key that a row of an earlier format would have today."""
    part = Part(
        row.get("method", TRAINED),
        "",
        row["split"],
        row["ways"],
        row["shots"],
        row["queries"],
        batch,
        (),
        row["episodes"],
    )
    return part.key(Cell(row["steps"], row["transductive"]))


def longest(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores from two places: of each key the one with more episodes."""
    return {**first, **{k: v for k, v in second.items() if len(v) > len(first.get(k, ()))}}
