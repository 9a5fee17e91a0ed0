"""What a run will cost: from records of runs like it, and how fast this machine is.

Time grows in proportion to the images that pass through the network (`benchmark.studies.speed`
measures it), so that a record of a like run tells the seconds of another number of steps, batch or
episodes. Records come from other machines; a short run of two settings that have records tells by
which factor this one is slower.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.running import checkpoint
from benchmark.running.startup import usable_cores
from benchmark.studies.reproduce.parts import Run
from results import schema
from tasks.checks import ConfigError

THEORY_SECONDS = 90.0
STARTUP_SECONDS = 10.0
UNKNOWN_SECONDS_AN_IMAGE = 1e-4  # where there is no record at all

MOST = 5  # records that are asked about a run
NEARLY = 1.5  # by how much more their work may differ from the run's than the nearest one's does
SECONDS = "seconds_per_meta_iteration"

SHORT = (
    "task=glyphs",  # nothing to download; the same images as far as time is concerned
    "evaluation.episodes=2",
    "evaluation.shots=[1]",
    "evaluation.steps=[1]",
    "evaluation.transductive=[true]",
    "evaluation.baselines=[]",
    "training.curve_points=0",
    "runtime.progress=off",
    "runtime.engine=tensorflow",  # of which there are records on every machine
)
MEASURED = {
    True: ("+experiment=omniglot_5way", "algorithm.meta_iterations=100"),
    False: (
        "+experiment=combinations",
        "algorithm.name=g1+g2",
        "algorithm.meta_iterations=300",
        "runtime.cores=1",
    ),
}
"""Overrides of the short run, by whether it has tasks to learn side by side."""


@dataclass(frozen=True)
class Known:
    """What one record tells: settings and seconds, as in record.json."""

    plain: dict[str, Any]
    timing: dict[str, Any]


def known_costs(directories: Iterable[Path]) -> list[Known]:
    """What the completed records at or below these directories tell.

    Of runs with an inner loop, and whose seconds are those of what their configuration asks for:
    an evaluation that was asked for later adds its own. Of runs that differ in their seed alone,
    the quickest: the others shared their machine.
    """
    found: dict[str, Known] = {}
    for document in (document for directory in directories for document in completed(directory)):
        config, timing = document["config"], document["timing"]
        if not timing.get(SECONDS) or document.get("evaluated_again"):
            continue
        if not config["algorithm"].keys() >= {"meta_batch", "inner_steps", "inner_batch"}:
            continue
        settings = json.dumps(config | {"seed": None}, sort_keys=True)
        if settings not in found or timing[SECONDS] < found[settings].timing[SECONDS]:
            found[settings] = Known(config, timing)
    return list(found.values())


def completed(directory: Path) -> list[dict[str, Any]]:
    """Every whole, completed record at or below a directory."""
    found = []
    for file in sorted(directory.rglob(schema.RECORD)):
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            schema.check(document)
        except (OSError, ValueError):
            continue
        if document["status"] == "completed":
            found.append(document)
    return found


def side_by_side(plain: dict[str, Any]) -> bool:
    """Whether a meta-iteration has several tasks, which fill several cores."""
    return plain["algorithm"]["meta_batch"] > 1


def cores_of(run: Run) -> int:
    """Cores that a run can fill: one a task of a meta-iteration."""
    if run.plain is None:
        return usable_cores()
    return max(1, min(usable_cores(), run.plain["algorithm"]["meta_batch"]))


def training_images(plain: dict[str, Any]) -> float:
    """Images through the network in one meta-iteration."""
    task, algorithm = plain["task"], plain["algorithm"]
    ways = task.get("ways", 1)
    batch = min(algorithm["inner_batch"], ways * task["train_shots"])
    queries = ways * (algorithm.get("train_queries_per_class") or 0)
    return algorithm["meta_batch"] * (algorithm["inner_steps"] * batch + queries)


def evaluation_images(plain: dict[str, Any]) -> float:
    """Images through the network in the whole evaluation."""
    evaluation = plain["evaluation"]
    episodes = evaluation["episodes"] + min(
        evaluation["episodes"], evaluation["baseline_episodes"]
    ) * len(evaluation["baselines"])
    return episodes * sum(episode_images(plain, shots) for shots in evaluation["shots"])


def episode_images(plain: dict[str, Any], shots: int) -> float:
    """Images of one test episode: adaptation, and queries with either transduction."""
    evaluation, ways = plain["evaluation"], plain["task"].get("ways", 1)
    support, queries = ways * shots, ways * evaluation["queries"]
    adapting = 3 * max(evaluation["steps"]) * min(evaluation["batch"], support)
    apart = queries * (support + 1) * (False in evaluation["transductive"])
    return adapting + len(evaluation["steps"]) * (apart + queries)


def kind(plain: dict[str, Any], other: dict[str, Any]) -> tuple[bool, ...]:
    """In what two settings differ that makes time incomparable, the gravest first."""

    def differs(group: str, key: str) -> bool:
        return bool(plain[group].get(key) != other[group].get(key))

    second_order = is_maml(plain) != is_maml(other)
    several = side_by_side(plain) != side_by_side(other)
    engine = engine_of(plain) != engine_of(other)
    what = (differs("model", "name"), second_order, several, engine)
    return (*what, differs("task", "name"), differs("task", "ways"))


def engine_of(plain: dict[str, Any]) -> str:
    """What computes the inner loop; older records do not say, since there was one engine."""
    return str(plain.get("runtime", {}).get("engine", "tensorflow"))


def is_maml(plain: dict[str, Any]) -> bool:
    """Whether the gradient is taken through the inner steps."""
    return bool(plain["algorithm"]["name"] == "maml")


def most_alike(plain: dict[str, Any], known: Sequence[Known]) -> list[Known]:
    """The records that tell most about these settings, at most MOST of the same kind.

    Several, since a record may come from a machine that was busy with something else; but all about
    as near in work, since a small meta-iteration spends more time on each image than a large one.
    """

    def distance(one: Known) -> float:
        return abs(math.log(work(plain, one)))

    nearest = min(kind(plain, one.plain) for one in known)
    same = sorted((one for one in known if kind(plain, one.plain) == nearest), key=distance)
    furthest = distance(same[0]) + math.log(NEARLY)
    return [one for one in same[:MOST] if distance(one) <= furthest]


def work(plain: dict[str, Any], like: Known) -> float:
    """How many times the images of a record's meta-iteration these settings have."""
    return training_images(plain) / training_images(like.plain)


def iteration_seconds(plain: dict[str, Any], known: Sequence[Known]) -> float:
    """Seconds of a meta-iteration on the machine of the records."""
    return median(one.timing[SECONDS] * work(plain, one) for one in most_alike(plain, known))


def seconds(plain: dict[str, Any], known: Sequence[Known]) -> float:
    """Seconds of a whole run on the machine of the records."""
    iterations = plain["algorithm"]["meta_iterations"]
    if not known:
        images = iterations * training_images(plain) + evaluation_images(plain)
        return STARTUP_SECONDS + UNKNOWN_SECONDS_AN_IMAGE * images
    alike = most_alike(plain, known)
    watched = median(curve_seconds(one) for one in alike) * curve_episodes(plain)
    scored = median(
        one.timing.get("evaluation_seconds", 0.0)
        * (evaluation_images(plain) / evaluation_images(one.plain))
        for one in alike
    )
    return STARTUP_SECONDS + iterations * iteration_seconds(plain, known) + watched + scored


def curve_seconds(one: Known) -> float:
    """Seconds of an episode of a record's learning curve."""
    return one.timing.get("curve_seconds", 0.0) / max(curve_episodes(one.plain), 1)


def curve_episodes(plain: dict[str, Any]) -> int:
    """Episodes behind the whole learning curve."""
    return int(plain["training"]["curve_points"] * plain["training"]["curve_episodes"])


@dataclass(frozen=True)
class Costs:
    """Seconds of runs on this machine.

    known: what the records tell; slower: this machine's factor, by whether a run has tasks to
    learn side by side.
    """

    known: list[Known]
    slower: dict[bool, float]

    def whole(self, run: Run) -> float:
        """Seconds of a run from its beginning."""
        if run.plain is None:
            return THEORY_SECONDS
        return seconds(run.plain, self.known) * self.slower[side_by_side(run.plain)]

    def left(self, run: Run) -> float:
        """Seconds until a run is completed, from its last checkpoint on."""
        return self.whole(run) * (1 - trained_share(run))


def trained_share(run: Run) -> float:
    """The share of its meta-iterations that a run's checkpoint holds."""
    path = run.directory / checkpoint.CURRENT
    if run.plain is None or not path.exists():
        return 0.0
    try:
        _, progress = checkpoint.read(path)
    except Exception:  # there is no end to what damaged bytes can raise; the run itself says so
        return 0.0
    return progress.iteration / run.plain["algorithm"]["meta_iterations"]


def slowness(known: Sequence[Known], measure: Callable[[bool], Known]) -> dict[bool, float]:
    """By which factor this machine is slower than that of the records.

    measure(several) makes a short run here, with or without tasks to learn side by side.
    """
    if not known:
        return {True: 1.0, False: 1.0}
    return {several: factor(measure(several), known) for several in (True, False)}


def factor(here: Known, known: Sequence[Known]) -> float:
    """Seconds of a meta-iteration here, in those that the records make one expect."""
    measured = here.timing[SECONDS]
    return float(measured / iteration_seconds(here.plain, known))


def short_run(several: bool) -> Known:
    """Some seconds of the real command. Raises ConfigError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*MEASURED[several], *SHORT, f"hydra.run.dir={folder}"]
        done = subprocess.run(
            [sys.executable, "-m", "benchmark", *words], capture_output=True, text=True
        )
        found = completed(Path(folder))
    if not found:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise ConfigError(f"the short measurement of this machine failed: {said[-1]}")
    return Known(found[0]["config"], found[0]["timing"])
