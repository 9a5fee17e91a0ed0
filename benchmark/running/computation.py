"""What a job computes, in whichever process: training, evaluation and the completed record."""

import time
from pathlib import Path

from benchmark.config import Settings
from benchmark.running import record
from benchmark.running.environment import environment
from benchmark.running.interruption import Interruption, how_it_ended
from benchmark.running.startup import start_tensorflow
from benchmark.tracking.base import Reporter


def compute(interruption: Interruption, settings: Settings, directory: Path, began: float) -> None:
    """Train and evaluate, and complete the record that the job has begun in `directory`.

    began: when the job started, in seconds of time.time(), which all processes share.
    """
    start_tensorflow(settings.runtime)
    from benchmark.running.run import Run

    begun = record.read(directory) or {}
    run = Run(settings, directory, interruption, begun)
    startup = time.time() - began
    reporter = Reporter(settings.tracking, begun, directory, run.progress.curve)
    try:
        run.train(reporter.points)
        run.evaluate()
        outcome = run.outcome()
    except BaseException as error:
        reporter.finish({"status": how_it_ended(error)})
        raise
    outcome["timing"].setdefault("startup_seconds", startup)
    done = begun | outcome | {"data": run.data}
    now = {"environment": environment(), "finished": record.now()}
    if record.is_completed(begun):
        done["evaluated_again"][-1] |= now
    else:
        done |= {"status": "completed", **now}
    record.write(directory, done)  # before the end of the tracking, which may fail or hang
    reporter.finish(done)
