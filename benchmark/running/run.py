"""A run in progress: the network, its training and its evaluation, saved as it goes."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark import predictions
from benchmark.command.identity import digest_of_task
from benchmark.config import Settings
from benchmark.network import build_network
from benchmark.own_task import load_tasks
from benchmark.predictions import predict_episodes
from benchmark.progress import Progress
from benchmark.running import checkpoint, finished, initialisation, record
from benchmark.running.bar import Bar
from benchmark.running.environment import environment
from benchmark.running.interruption import Interrupted, Interruption
from benchmark.running.parts import predicted_key
from benchmark.running.scoring import Scoring, must_be_finite
from benchmark.running.unchanged import AGAIN, APART, check_images, check_network, note_sources
from benchmark.training import Trainer, as_learner

log = logging.getLogger(__name__)
SECONDS_BETWEEN_SAVES = 30.0  # of an evaluation


class Run:
    """Training and evaluation of one configuration in one directory."""

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        interruption: Interruption,
        begun: dict[str, Any],
    ) -> None:
        """begun: the record of this run so far; a completed one is evaluated further."""
        self.settings, self.directory, self.interruption = settings, directory, interruption
        self.begun, task = begun, settings.task
        distribution, tested = load_tasks(settings)
        self.network = build_network(settings.model, task, settings.seed)
        inner = settings.algorithm.inner_loop(self.network, task.metric, settings.runtime.engine)
        self.trainer = Trainer(settings, inner, distribution)
        fresh = Progress.fresh(self.network.initial, self.trainer.initial_outer_state)
        self.progress = checkpoint.load(directory, settings.identity) or fresh
        if record.is_completed(begun):
            self.progress = finished.take_up(begun, directory, self.progress)
        self.data = self.checked_data()
        check_network(settings, self.progress, self.network.initial)
        note_sources(settings, self.progress)
        if not record.is_completed(begun):
            self.progress.sessions.append(session(begun))
        self.scoring = Scoring(inner, tested, self.progress, settings)
        self.saved = time.monotonic()
        done, scored = self.progress.iteration, self.scoring.done
        if done or scored:
            log.info("continuing after %d meta-iterations, %d scored episodes", done, scored)

    def checked_data(self) -> dict[str, Any]:
        """The record's facts about the data. Raises ConfigError where images have changed."""
        task, tested, progress = self.settings.task, self.settings.tested, self.progress
        data, other = self.begun.get("data", {}), digest_of_task(self.settings.plain)
        completed = record.is_completed(self.begun)
        if not other or not completed:  # those of training count
            facts = task.describe()
            now = facts.get("sha256")
            check_images(task, now, (data.get("sha256"), progress.images), "trained", AGAIN)
            progress.images = now
            data = data if completed else facts
        if other:
            facts, before = tested.describe(), data.get("tested", {})
            now, known = facts.get("sha256"), before.get(other, {}).get("sha256")
            check_images(tested, now, (known, progress.tested.get(other)), "tested", APART)
            progress.tested[other] = now
            data = {**data, "tested": {**before, other: facts}}
        return data

    def train(self, tell: Callable[[list[dict[str, Any]]], None]) -> None:
        """Meta-train to the end, from wherever the last checkpoint stood.

        tell(points) is called with the points of the learning curve as they come.
        """
        total = self.settings.algorithm.meta_iterations
        bar = self.bar("training", total, self.progress.iteration)

        def report(progress: Progress, due: bool) -> None:
            newest = [p for p in progress.curve if p["iteration"] == progress.iteration]
            if newest:
                must_be_finite("the learning curve", [p[p["metric"]] for p in newest])
                record.write_curve(self.directory, progress.curve)
                tell(newest)
            bar.update(progress.iteration, note(newest) if newest else None)
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
        with self.bar("evaluation", self.scoring.total, self.scoring.done) as bar:
            for _ in self.scoring.evaluate():
                bar.update(self.scoring.done)
                if time.monotonic() - self.saved > SECONDS_BETWEEN_SAVES:
                    self.save()
                self.stop_if_asked()

    def bar(self, part: str, total: int, done: int) -> Bar:
        """What is going on, and where other jobs print lines too, in which run."""
        mode = self.settings.runtime.progress
        return Bar(f"{self.directory.name} {part}" if mode == "lines" else part, total, done, mode)

    def save(self) -> None:
        checkpoint.save(self.directory, self.progress, self.settings.identity)
        self.saved = time.monotonic()

    def stop_if_asked(self) -> None:
        """Save and raise Interrupted once a signal has come."""
        if self.interruption.signal is not None:
            self.save()
            raise Interrupted(self.interruption.signal)

    def outcome(self) -> dict[str, Any]:
        """The record's parts that hold what came out; writes the files beside it."""
        evaluations, baselines = self.scoring.rows()
        record.write_scores(self.directory, self.progress.scores)
        predicted = self.predict()
        if not record.is_completed(self.begun):
            learner = as_learner(self.progress.learner)
            initialisation.write(self.directory, self.network, learner)
        sources, sessions = self.progress.sources, self.progress.sessions
        return {
            "evaluations": finished.merged(self.begun.get("evaluations", []), evaluations),
            "baselines": finished.merged(self.begun.get("baselines", []), baselines),
            "learning_curve": self.progress.curve,
            "predictions": predicted or self.begun.get("predictions", []),
            "files": record.files_beside(self.directory),
            "timing": timing(self.progress.seconds, self.begun.get("timing", {})),
            **({"sources": sources} if sources else {}),
            **({"sessions": sessions} if len(sessions) > 1 else {}),
        }

    def predict(self) -> list[dict[str, Any]]:
        """Print and keep what the adapted network says about single episodes, if asked to."""
        cells = self.scoring.parts[0].cells
        learner, count = as_learner(self.progress.learner), self.settings.evaluation.predictions
        episodes = predict_episodes(self.scoring.evaluator(cells), learner, count)
        if episodes:
            log.info("%s", predictions.as_text(episodes))
            record.write_predictions(self.directory, episodes)
        return predictions.for_record(episodes, predicted_key(self.settings))


def session(begun: dict[str, Any]) -> dict[str, Any]:
    """What the record says of itself so far, and on what it is being computed."""
    here = environment()
    where = {key: here[key] for key in ("commit", "dirty", "device", "cores")}
    return {key: begun.get(key) for key in ("command", "started")} | where


def timing(seconds: dict[str, float], earlier: dict[str, float | None]) -> dict[str, float | None]:
    """The record's timing from the seconds of each phase, beside that of a completed training."""
    steady = seconds.get("steady_iterations", 0)
    if earlier:
        before = earlier.get("evaluation_seconds") or 0.0
        return {**earlier, "evaluation_seconds": before + seconds.get("evaluation", 0.0)}
    return {
        "train_seconds": seconds.get("tracing", 0.0) + seconds.get("steady", 0.0),
        "seconds_per_meta_iteration": seconds["steady"] / steady if steady else None,
        "curve_seconds": seconds.get("curve", 0.0),
        "evaluation_seconds": seconds.get("evaluation", 0.0),
    }


def note(points: list[dict[str, Any]]) -> str:
    """Points of the learning curve that belong to one iteration, in a few words."""
    texts = [
        f"{p['shots']}-shot{' transductive' if p['transductive'] else ''} "
        + (f"{100 * p['accuracy']:.1f} %" if p["metric"] == "accuracy" else f"mse {p['mse']:.3f}")
        for p in points
    ]
    return f"{points[0]['split']} {', '.join(texts)}"
