"""A run's evaluation in parts: episodes are scored a few at a time, so that it can be saved."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmark.config import Settings
from benchmark.evaluation import Evaluator, Protocol, score_row
from benchmark.progress import Progress
from benchmark.training import Diverged, add, as_learner

EPISODES_A_CALL = 50
TRAINED = ""  # beside the names of evaluation.baselines


class Part(NamedTuple):
    """What is scored under one protocol: the trained initialisation or a reference line."""

    name: str
    protocol: Protocol
    episodes: int

    @property
    def label(self) -> str:
        """Key of the scores, e.g. "test/5shot" or "scratch/test/5shot"."""
        words = [self.protocol.split, f"{self.protocol.shots}shot"]
        return "/".join([self.name, *words] if self.name else words)


class Scoring:
    """Scores the initialisation and the reference lines; what it has done stands in `progress`."""

    def __init__(self, evaluator: Evaluator, progress: Progress, settings: Settings) -> None:
        self.evaluator, self.progress, self.settings = evaluator, progress, settings
        self.scratch = Progress.fresh(evaluator.inner.network.initial).learner
        evaluation = settings.evaluation
        fewer = min(evaluation.episodes, evaluation.baseline_episodes)
        self.parts = [
            Part(name, protocol, evaluation.episodes if name == TRAINED else fewer)
            for name in (TRAINED, *evaluation.baselines)
            for protocol in evaluator.protocols()
        ]

    @property
    def total(self) -> int:
        """Episodes to score, under all protocols."""
        return sum(part.episodes for part in self.parts)

    @property
    def done(self) -> int:
        """Episodes scored so far."""
        return sum(map(len, self.progress.scores.values()))

    def evaluate(self) -> Iterator[None]:
        """Score what is left; comes back after at most EPISODES_A_CALL each time.

        Raises Diverged where a score is not finite.
        """
        for part in self.parts:
            while len(self.progress.scores.get(part.label, ())) < part.episodes:
                began = time.perf_counter()
                self.score_more(part)
                add(self.progress.seconds, "evaluation", time.perf_counter() - began)
                yield

    def score_more(self, part: Part) -> None:
        """Score the next episodes of a part."""
        kept = self.progress.scores.get(part.label)
        start = 0 if kept is None else len(kept)
        stop = min(start + EPISODES_A_CALL, part.episodes)
        if part.name == "nearest_neighbour":
            found = self.evaluator.nearest_neighbour(part.protocol, start, stop)[:, None, None]
        else:
            arrays = self.scratch if part.name == "scratch" else self.progress.learner
            found = self.evaluator.scores(as_learner(arrays), part.protocol, start, stop)
        must_be_finite(f"the evaluation of {part.label}", found)
        scores = found if kept is None else np.concatenate([kept, found])
        self.progress.scores[part.label] = scores

    def rows(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, np.ndarray]]:
        """Evaluations, baselines and the per-episode scores by key, as the record has them."""
        evaluations, baselines, scores = [], [], {}
        for part in self.parts:
            for row, values in self.rows_of(part):
                scores[row["scores"]] = values
                if part.name == TRAINED:
                    evaluations.append(row)
                else:
                    baselines.append({"method": part.name, **row})
        return evaluations, baselines, scores

    def rows_of(self, part: Part) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """A row for each steps x transduction of a part, with its scores [episode]."""
        evaluation, scores = self.settings.evaluation, self.progress.scores[part.label]
        adapts = part.name != "nearest_neighbour"
        for i, steps in enumerate(self.evaluator.steps if adapts else [0]):
            for j, transductive in enumerate(evaluation.transductive if adapts else [False]):
                kind = "transductive" if transductive else "plain"
                row = score_row(self.settings.task, part.protocol, transductive, scores[:, i, j])
                row |= {"ways": self.settings.task.ways, "steps": steps}
                row |= {"queries": evaluation.queries}
                yield row | {"scores": f"{part.label}/{kind}/{steps}steps"}, scores[:, i, j]


def must_be_finite(what: str, scores: Any) -> None:
    """Raise Diverged where a score is infinite or not a number."""
    if not np.isfinite(scores).all():
        raise Diverged(
            f"{what} gave a score that is not finite: a learning rate or step may be too large"
        )
