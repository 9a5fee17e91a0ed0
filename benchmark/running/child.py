"""The process of its own in which a job computes; `benchmark.running.apart` starts it."""

import contextlib
import logging.config
import os
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmark.config import Settings
from benchmark.running.computation import compute
from benchmark.running.directory import COMPUTING_LOCK, locked
from benchmark.running.interruption import Interrupted, Interruption, ignore_signals
from benchmark.running.record import CannotWrite
from tasks.checks import ConfigError

SECONDS_TO_SAVE = 60.0  # once the parent has asked it to stop, or is gone


def main(
    line: Connection, settings: Settings, directory: Path, began: float, job_logging: Any
) -> None:
    """Compute a job and send the answer: None, or an error and its traceback.

    job_logging: the configuration of the sweep's logging, if it has one
    """
    ignore_signals()  # schedulers signal every process of a job
    interruption = Interruption()
    threading.Thread(target=listen, args=[line, interruption], daemon=True).start()
    logging.raiseExceptions = False  # as in the sweep's process
    if job_logging is not None:
        logging.config.dictConfig(job_logging)
    answer = None
    try:
        with locked(directory, COMPUTING_LOCK):
            compute(interruption, settings, directory, began)
    except BaseException as error:
        answer = sendable(error), traceback.format_exc()
    with contextlib.suppress(ConnectionError):
        line.send(answer)


def listen(line: Connection, interruption: Interruption) -> None:
    """Stop on a signal that the sweep's process passes on, and where that process has ended."""
    try:
        interruption.noted = line.recv()
        line.recv()
    except (EOFError, ConnectionError):
        interruption.noted = interruption.noted or signal.SIGTERM
    time.sleep(SECONDS_TO_SAVE)
    os._exit(1)


def sendable(error: BaseException) -> BaseException | tuple[str, str]:
    """An error of ours; of another, whose class may need TensorFlow, its name and its text."""
    ours = type(error) in (ConfigError, CannotWrite, Interrupted)
    return error if ours else (type(error).__name__, str(error))
