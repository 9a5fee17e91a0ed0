"""A run's evaluation in parts: episodes are scored a few at a time, so that it can be saved."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from benchmark.config import Settings
from benchmark.evaluation import Evaluator, Protocol, Scores, score_row
from benchmark.inner_loop import InnerLoop
from benchmark.progress import Progress
from benchmark.running import references
from benchmark.running.parts import TRAINED, Cell, Part, parts_of
from benchmark.training import Diverged, add, as_learner
from results.schema import queries_key
from results.statistics import new_classes
from tasks.base import Distribution

EPISODES_A_CALL = 50


class Scoring:
    """Scores the initialisation and the reference lines; what it has done stands in `progress`."""

    def __init__(
        self, inner: InnerLoop, tested: Distribution, progress: Progress, settings: Settings
    ) -> None:
        """tested: what test episodes are drawn from."""
        self.progress, self.settings, self.parts = progress, settings, parts_of(settings)
        self.inner = inner
        self.scratch = Progress.fresh(inner.network.initial).learner

        @cache
        def evaluator(cells: tuple[Cell, ...]) -> Evaluator:
            """One for each set of steps and transductions, which keeps its graphs."""
            wanted = replace(
                settings.evaluation,
                steps=sorted({cell.steps for cell in cells}),
                transductive=list(dict.fromkeys(cell.transductive for cell in cells)),
            )
            replacement = settings.algorithm.replacement
            return Evaluator(inner, tested, settings.tested, wanted, replacement, settings.seed)

        self.evaluator = evaluator

    @property
    def total(self) -> int:
        """Episodes to score, under all protocols."""
        return sum(part.episodes for part in self.parts)

    @property
    def done(self) -> int:
        """Episodes scored so far of those."""
        return sum(min(part.episodes, self.done_of(part)) for part in self.parts)

    def done_of(self, part: Part) -> int:
        """Episodes that are scored in all cells of a part."""
        return min(part.scored(self.progress.scores, cell) for cell in part.cells)

    def evaluate(self) -> Iterator[None]:
        """Score what is left; comes back after at most EPISODES_A_CALL each time.

        Raises Diverged where a score is not finite.
        """
        for part in self.parts:
            place = references.place_of(part, self.settings, self.inner)
            if place is not None:
                references.take(place, part, self.progress.scores)
            if self.done_of(part) >= part.episodes:
                continue
            while self.done_of(part) < part.episodes:
                began = time.perf_counter()
                self.score_more(part)
                add(self.progress.seconds, "evaluation", time.perf_counter() - began)
                yield
            if place is not None:
                references.leave(place, part, self.progress.scores)

    def score_more(self, part: Part) -> None:
        """Score the next episodes of those cells of a part that lag behind most."""
        start = self.done_of(part)
        lagging = tuple(c for c in part.cells if part.scored(self.progress.scores, c) == start)
        stop = min(start + EPISODES_A_CALL, part.episodes)
        evaluator, protocol = self.evaluator(lagging), Protocol(part.split, part.shots)
        if part.name == "nearest_neighbour":
            found = evaluator.nearest_neighbour(protocol, start, stop)
        else:
            arrays = self.scratch if part.name == "scratch" else self.progress.learner
            found = evaluator.scores(as_learner(arrays), protocol, start, stop)
        must_be_finite(f"the evaluation of {part.label}", found.values)
        for cell in lagging:
            self.keep(part, cell, evaluator, found)
        if found.classes.size and start == len(self.progress.scores.get(part.classes, ())):
            self.append(part.classes, found.classes)

    def keep(self, part: Part, cell: Cell, evaluator: Evaluator, found: Scores) -> None:
        """Append what was found to what is known of a cell."""
        i = 0 if part.name == "nearest_neighbour" else evaluator.steps.index(cell.steps)
        j = evaluator.settings.transductive.index(cell.transductive)
        self.append(part.key(cell), found.values[:, i, j])
        if found.correct.size:
            self.append(queries_key(part.key(cell)), found.correct[:, i, j])

    def append(self, key: str, more: np.ndarray) -> None:
        kept = self.progress.scores.get(key)
        self.progress.scores[key] = more if kept is None else np.concatenate([kept, more])

    def rows(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Evaluations and baselines, as the record has them."""
        evaluations, baselines = [], []
        for part in self.parts:
            for cell in part.cells:
                row = self.row(part, cell)
                if part.name == TRAINED:
                    evaluations.append(row)
                else:
                    baselines.append({"method": part.name, **row})
        return evaluations, baselines

    def row(self, part: Part, cell: Cell) -> dict[str, Any]:
        """The row of one cell: how it was measured, and what came out."""
        key, scores = part.key(cell), self.progress.scores
        protocol = Protocol(part.split, part.shots)
        row = score_row(self.settings.tested, protocol, cell.transductive, scores[key])
        row |= {"ways": part.ways, "steps": cell.steps, "queries": part.queries}
        row |= {"batch": part.batch, "scores": key}
        row |= self.of_classes(part, scores[key])
        return row | ({"tested": self.settings.plain["tested"]} if part.tested else {})

    def of_classes(self, part: Part, values: np.ndarray) -> dict[str, Any]:
        """Where the classes of the episodes behind `values` stand, and what others would add.

        That is not known where an episode's classes are drawn from one alphabet: not all alike.
        """
        classes, sizes = self.progress.scores.get(part.classes, ()), self.settings.tested.sizes()
        if sizes is None or len(classes) < len(values):
            return {}
        drawn = sizes[part.split].with_examples(part.shots + part.queries)
        width = new_classes(values, classes[: len(values)], drawn)
        known = np.isfinite(width) and not getattr(self.settings.tested, "within_alphabet", False)
        found = {"classes": part.classes, "ci95_classes": width if known else None}
        return found | ({"drawn_classes": drawn} if part.unequal else {})


def must_be_finite(what: str, scores: Any) -> None:
    """Raise Diverged where a score is infinite or not a number."""
    if not np.isfinite(scores).all():
        raise Diverged(
            f"{what} gave a score that is not finite: a learning rate or step may be too large"
        )
