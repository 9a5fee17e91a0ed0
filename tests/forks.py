"""Jobs as forks of one process that has imported TensorFlow: killed and limited at will.

A process of its own for each job, as for a user, but without the seconds of the import. A job runs
`benchmark.__main__.main` on a command line; `Fault` says what happens to it on the way.
"""

import functools
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.command import FEW_GLYPHS

ROOT = Path(__file__).parent.parent
SINE = [  # a run of two seconds through every part; two graphs, an Adam state on both levels
    "task=sinusoid",
    "runtime.jit=false",  # compiling takes longer than all the rest; tests/faults.py has it
    "model.hidden=[4]",
    "algorithm.meta_iterations=12",
    "algorithm.inner_steps=2",
    "algorithm.inner_optimizer=adam",
    "algorithm.outer_optimizer=adam",
    "algorithm.outer_step=0.01",
    "training.checkpoint_every=4",
    "training.curve_points=2",
    "training.curve_episodes=4",
    "evaluation.steps=[2]",
    "evaluation.episodes=12",
    "evaluation.baseline_episodes=8",
]
GLYPHS = [  # the same with images, classes and a second reference line
    "task=glyphs",
    *FEW_GLYPHS,
    "task.drawers=8",
    "task.ways=2",
    "task.train_shots=3",
    "model=mlp",
    "model.hidden=[8]",
    "algorithm.meta_iterations=12",
    "algorithm.meta_batch=2",
    "algorithm.inner_steps=2",
    "algorithm.inner_batch=4",
    "training.checkpoint_every=4",
    "training.curve_points=2",
    "training.curve_episodes=4",
    "evaluation.shots=[1]",
    "evaluation.transductive=[false]",
    "evaluation.steps=[2]",
    "evaluation.batch=2",
    "evaluation.episodes=12",
    "evaluation.baseline_episodes=8",
]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a job.

    phase, nth, fraction: SIGKILL at this fraction of the nth (0: first) training | checkpointing |
        evaluation | recording | decoding, which takes about `seconds`
    operation: SIGKILL instead of this file operation in the run directory (0: the first)
    file_size: largest file in bytes that the job can write; errors are as on a full disk
    stop: SIGTERM in place of SIGKILL
    """

    phase: str = ""
    nth: int = 0
    fraction: float = 0.0
    seconds: float = 0.0
    operation: int = -1
    file_size: int = 0
    stop: bool = False


@dataclass(frozen=True)
class Ended:
    """A job that has ended: exit code (negative: the signal), what it printed, its events."""

    code: int
    output: str
    events: list[dict[str, Any]]

    @property
    def last_phase(self) -> str:
        """What was going on at the end: a phase, or "elsewhere", between two of them."""
        open_phases = []
        for event in self.events:
            if event["what"] == "start":
                open_phases.append(event["phase"])
            elif event["what"] == "end":
                open_phases.pop()
        return open_phases[-1] if open_phases else "elsewhere"


class Forks:
    """The process that forks; used as a context manager."""

    def __enter__(self) -> "Forks":
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def ask(self, **request: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(
        self, log: Path, argv: list[str], fault: Fault | None = None, cwd: Path = ROOT
    ) -> tuple[int, Path]:
        """Start a job that writes what it prints to `log`; for `wait`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        fate = asdict(fault or Fault())
        return self.ask(argv=argv, log=str(log), fault=fate, cwd=str(cwd)), log

    def wait(self, job: tuple[int, Path]) -> Ended:
        pid, log = job
        code = self.ask(wait=pid)
        events = log.with_suffix(".events")
        lines = events.read_text().splitlines() if events.exists() else []
        return Ended(code, log.read_text(), [json.loads(line) for line in lines])

    def run(
        self, log: Path, argv: list[str], fault: Fault | None = None, cwd: Path = ROOT
    ) -> Ended:
        """Run a job to its end."""
        return self.wait(self.start(log, argv, fault, cwd))


def serve() -> None:
    """Answer requests, one JSON object a line, until standard input closes."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"
    preload()

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                become_job(request)
        print(json.dumps(answer), file=answers, flush=True)


def preload() -> None:
    """Import once what every job needs; TensorFlow starts no threads before its first use."""
    import benchmark.running.run  # noqa: F401
    import results.summary  # noqa: F401
    from benchmark.command.settings import settings

    settings()  # Hydra looks for its plugins
    gc.collect()
    gc.freeze()  # no job's collector need look at any of it


def become_job(request: dict[str, Any]) -> None:
    """In the forked process: run the command line and leave."""
    log = Path(request["log"])
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    code: Any = 1
    os.chdir(request["cwd"])
    sys.path.insert(0, request["cwd"])  # as `python -m` does
    try:
        from benchmark.__main__ import main

        prepare(Fault(**request["fault"]), log.with_suffix(".events"))
        sys.argv = ["benchmark", *request["argv"]]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def prepare(fault: Fault, events: Path) -> None:
    """Make an evaluation save often, note the phases, and let `fault` happen."""
    import benchmark.running.run
    import benchmark.running.scoring

    benchmark.running.scoring.EPISODES_A_CALL = 4
    benchmark.running.run.SECONDS_BETWEEN_SAVES = 0.0
    notes = os.open(events, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    note_phases(fault, lambda **event: os.write(notes, json.dumps(event).encode() + b"\n"))
    if fault.operation >= 0:
        die_at_operation(fault.operation)
    if fault.file_size:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.file_size, resource.RLIM_INFINITY))


def note_phases(fault: Fault, note: Callable[..., Any]) -> None:
    """Wrap what a run consists of."""
    from benchmark import training
    from benchmark.running import checkpoint, record, scoring
    from tasks.omniglot import cache as omniglot

    counts: dict[str, int] = {}
    for phase, owner, name in (
        ("training", training.Trainer, "advance"),
        ("checkpointing", checkpoint, "save"),
        ("evaluation", scoring.Scoring, "score_more"),
        ("decoding", omniglot, "decode"),
        ("recording", record, "write"),
        ("recording", record, "write_scores"),
        ("recording", record, "write_curve"),
    ):
        setattr(owner, name, noted(getattr(owner, name), phase, fault, counts, note))


def noted(
    function: Any, phase: str, fault: Fault, counts: dict[str, int], note: Callable[..., Any]
) -> Any:
    """`function` with a note at its start and its end, and perhaps a kill in between."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nth = counts.get(phase, 0)
        counts[phase] = nth + 1
        began = time.perf_counter()
        note(what="start", phase=phase)
        if (phase, nth) == (fault.phase, fault.nth):
            number = signal.SIGTERM if fault.stop else signal.SIGKILL
            kill = functools.partial(os.kill, os.getpid(), number)
            threading.Timer(fault.fraction * fault.seconds, kill).start()
        try:
            return function(*args, **kwargs)
        finally:
            note(what="end", phase=phase, seconds=time.perf_counter() - began)

    return wrapper


def die_at_operation(last: int) -> None:
    """SIGKILL in place of the file operation number `last` on a run's own files."""
    seen = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)
        if not (writes or event in ("os.rename", "os.remove")):
            return
        if is_run_file(str(args[0])):
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(hook)


def is_run_file(path: str) -> bool:
    """Whether a path is a record, a checkpoint or another output of a run."""
    names = ("record", "checkpoint", "scores", "learning_curve", "initialisation")
    return Path(path).name.lstrip(".").startswith(names)


def phases(ended: Ended) -> dict[str, list[float]]:
    """The seconds of each occurrence of each phase of an uninterrupted run."""
    found: dict[str, list[float]] = {}
    for event in ended.events:
        if event["what"] == "end":
            found.setdefault(event["phase"], []).append(event["seconds"])
    return found


def random_fault(rng: random.Random, phase: str, measured: dict[str, list[float]]) -> Fault:
    """A kill at a random moment of a random occurrence of `phase`."""
    nth = rng.randrange(len(measured[phase]))
    return Fault(phase=phase, nth=nth, fraction=rng.random(), seconds=measured[phase][nth])


def numbers(directory: Path) -> dict[str, Any]:
    """Everything that a run measured, to the last bit: the record's numbers and scores.npz."""
    record = json.loads((directory / "record.json").read_text())
    parts = ("status", "evaluations", "baselines", "learning_curve", "predictions", "data")
    with np.load(directory / "scores.npz") as scores:
        arrays = {name: (scores[name].dtype.str, scores[name].tobytes()) for name in scores.files}
    curve = (directory / "learning_curve.csv").read_text()
    return {part: record[part] for part in parts} | {"scores": arrays, "curve": curve}


if __name__ == "__main__":
    serve()
