"""A run in progress: the network, its training and its evaluation, saved as it goes."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import predictions
from benchmark.config import Settings
from benchmark.evaluation import Evaluator, Protocol
from benchmark.network import build_network
from benchmark.predictions import predict_episodes
from benchmark.progress import Progress
from benchmark.running import checkpoint, initialisation, record
from benchmark.running.bar import Bar, Interruption
from benchmark.running.job import Interrupted
from benchmark.training import Diverged, Trainer, add, as_learner
from results.statistics import mean_and_ci95

log = logging.getLogger(__name__)
EPISODES_A_CALL = 50
SECONDS_BETWEEN_SAVES = 30.0  # of an evaluation


class Run:
    """Training and evaluation of one configuration in one directory."""

    def __init__(self, settings: Settings, directory: Path, interruption: Interruption) -> None:
        self.settings, self.directory, self.interruption = settings, directory, interruption
        task, algorithm = settings.task, settings.algorithm
        distribution = task.load()
        network = build_network(settings.model, task, settings.seed)
        inner = algorithm.inner_loop(network, task.metric)
        self.trainer = Trainer(settings, inner, distribution)
        self.evaluator = Evaluator(
            inner, distribution, task, settings.evaluation, algorithm.replacement, settings.seed
        )
        fresh = Progress.fresh(network.initial, self.trainer.initial_outer_state)
        self.scratch = fresh.learner
        self.progress = checkpoint.load(directory, settings.identity) or fresh
        self.saved = time.monotonic()
        done, scored = self.progress.iteration, self.scored()
        if done or scored:
            log.info("continuing after %d meta-iterations, %d scored episodes", done, scored)

    def title(self, part: str) -> str:
        """What is going on, and where other jobs print lines too, in which run."""
        return (
            f"{self.directory.name} {part}" if self.settings.runtime.progress == "lines" else part
        )

    def save(self) -> None:
        checkpoint.save(self.directory, self.progress, self.settings.identity)
        self.saved = time.monotonic()

    def stop_if_asked(self) -> None:
        """Save and raise Interrupted once a signal has come."""
        if self.interruption.signal is not None:
            self.save()
            raise Interrupted(self.interruption.signal)

    def train(self, tell: Callable[[list[dict[str, Any]]], None]) -> None:
        """Meta-train to the end, from wherever the last checkpoint stood.

        tell(points) is called with the points of the learning curve as they come.
        """
        total = self.settings.algorithm.meta_iterations
        bar = Bar(
            self.title("training"), total, self.progress.iteration, self.settings.runtime.progress
        )

        def report(progress: Progress, due: bool) -> None:
            fresh = progress.curve and progress.curve[-1]["iteration"] == progress.iteration
            if fresh:
                newest = [p for p in progress.curve if p["iteration"] == progress.iteration]
                must_be_finite("the learning curve", [p[p["metric"]] for p in newest])
                record.write_curve(self.directory, progress.curve)
                tell(newest)
            bar.update(progress.iteration, note(progress.curve) if fresh else None)
            if due:
                self.save()
            self.stop_if_asked()

        unfinished = self.progress.iteration < total
        self.stop_if_asked()
        with bar:
            self.trainer.train(self.progress, report)
        if unfinished:
            self.save()

    def evaluate(self) -> None:
        """Score the initialisation and the reference lines under every protocol."""
        jobs = [
            (name, protocol, self.episodes(name))
            for name in ("", *self.settings.evaluation.baselines)
            for protocol in self.evaluator.protocols()
        ]
        scores, total = self.progress.scores, sum(episodes for *_, episodes in jobs)
        with Bar(
            self.title("evaluation"), total, self.scored(), self.settings.runtime.progress
        ) as bar:
            for name, protocol, episodes in jobs:
                while len(scores.get(label_of(name, protocol), ())) < episodes:
                    self.score_more(name, protocol, episodes)
                    bar.update(self.scored())
                    if time.monotonic() - self.saved > SECONDS_BETWEEN_SAVES:
                        self.save()
                    self.stop_if_asked()

    def scored(self) -> int:
        """Episodes scored so far, under all protocols."""
        return sum(map(len, self.progress.scores.values()))

    def score_more(self, name: str, protocol: Protocol, episodes: int) -> None:
        """Score the next of `episodes` episodes, at most EPISODES_A_CALL. Raises Diverged."""
        began = time.perf_counter()
        label = label_of(name, protocol)
        kept = self.progress.scores.get(label)
        start = 0 if kept is None else len(kept)
        stop = min(start + EPISODES_A_CALL, episodes)
        if name == "nearest_neighbour":
            scores = self.evaluator.nearest_neighbour(protocol, start, stop)[:, None, None]
        else:
            learner = as_learner(self.scratch if name == "scratch" else self.progress.learner)
            scores = self.evaluator.scores(learner, protocol, start, stop)
        must_be_finite(f"the evaluation of {label}", scores)
        self.progress.scores[label] = scores if kept is None else np.concatenate([kept, scores])
        add(self.progress.seconds, "evaluation", time.perf_counter() - began)

    def episodes(self, name: str) -> int:
        """Episodes of the trained initialisation (name "") or of a reference line."""
        evaluation = self.settings.evaluation
        return (
            min(evaluation.episodes, evaluation.baseline_episodes) if name else evaluation.episodes
        )

    def outcome(self) -> dict[str, Any]:
        """The record's parts that hold what came out; writes the per-episode scores."""
        evaluation, seconds = self.settings.evaluation, self.progress.seconds
        files: dict[str, np.ndarray] = {}
        protocols = list(self.evaluator.protocols())
        rows = {
            name: [row for protocol in protocols for row in self.rows(name, protocol, files)]
            for name in ("", *evaluation.baselines)
        }
        record.write_scores(self.directory, files)
        learner, count = as_learner(self.progress.learner), evaluation.predictions
        episodes = predict_episodes(self.evaluator, learner, count)
        if episodes:
            log.info("%s", predictions.as_text(episodes))
            record.write_predictions(self.directory, episodes)
        initialisation.write(self.directory, self.evaluator.inner.network, learner)
        steady = seconds.get("steady_iterations", 0)
        return {
            "evaluations": rows.pop(""),
            "baselines": [{"method": name, **row} for name, found in rows.items() for row in found],
            "learning_curve": self.progress.curve,
            "predictions": predictions.for_record(episodes),
            "files": record.files_beside(self.directory),
            "timing": {
                "train_seconds": seconds.get("tracing", 0.0) + seconds.get("steady", 0.0),
                "seconds_per_meta_iteration": seconds["steady"] / steady if steady else None,
                "curve_seconds": seconds.get("curve", 0.0),
                "evaluation_seconds": seconds.get("evaluation", 0.0),
            },
        }

    def rows(
        self, name: str, protocol: Protocol, files: dict[str, np.ndarray]
    ) -> list[dict[str, Any]]:
        """One row of the record for each steps x transduction; adds the scores to `files`."""
        evaluation, task = self.settings.evaluation, self.settings.task
        scores = self.progress.scores[label_of(name, protocol)]
        adapts = name != "nearest_neighbour"
        steps = self.evaluator.steps if adapts else [0]
        transductive = evaluation.transductive if adapts else [False]
        found = []
        for i, count in enumerate(steps):
            for j, shared in enumerate(transductive):
                kind = "transductive" if shared else "plain"
                key = f"{label_of(name, protocol)}/{kind}/{count}steps"
                files[key] = scores[:, i, j]
                mean, interval = mean_and_ci95(scores[:, i, j])
                found.append(
                    {
                        "split": protocol.split,
                        "ways": task.ways,
                        "shots": protocol.shots,
                        "transductive": shared,
                        "steps": count,
                        "queries": evaluation.queries,
                        "episodes": len(scores),
                        "metric": task.metric,
                        task.metric: mean,
                        "ci95": interval,
                        "scores": key,
                    }
                )
        return found


def must_be_finite(what: str, scores: Any) -> None:
    """Raise Diverged where a score is infinite or not a number."""
    if not np.isfinite(scores).all():
        raise Diverged(
            f"{what} gave a score that is not finite: a learning rate or step may be too large"
        )


def label_of(name: str, protocol: Protocol) -> str:
    """Key of a protocol's scores, e.g. "test/5shot" or "scratch/test/5shot"."""
    return "/".join([*([name] if name else []), protocol.split, f"{protocol.shots}shot"])


def note(curve: list[dict[str, Any]]) -> str:
    """The newest points of the learning curve in a few words."""
    newest = [p for p in curve if p["iteration"] == curve[-1]["iteration"]]
    texts = [
        f"{p['shots']}-shot{' transductive' if p['transductive'] else ''} "
        + (f"{100 * p['accuracy']:.1f} %" if p["metric"] == "accuracy" else f"mse {p['mse']:.3f}")
        for p in newest
    ]
    return f"{newest[0]['split']} {', '.join(texts)}"
