"""The process of its own in which a job computes; `benchmark.running.apart` starts it."""

import dataclasses
import json
import logging.config
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from benchmark.config import Runtime, load
from benchmark.running.computation import compute
from benchmark.running.directory import COMPUTING_LOCK, locked
from benchmark.running.interruption import Interruption

REQUEST, ANSWER = "request", "answer"  # files in the folder that both processes know
SECONDS_TO_SAVE = 60.0  # once the parent has asked it to stop, or is gone


def main() -> None:
    """Compute what is asked and leave the answer: nothing, or an error."""
    interruption = Interruption()
    threading.Thread(target=listen, args=[interruption], daemon=True).start()
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):  # schedulers signal every process of a job
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    folder = Path(sys.argv[1])
    request = json.loads((folder / REQUEST).read_text())
    logging.raiseExceptions = False  # as in the sweep's process
    if request["logging"] is not None:
        logging.config.dictConfig(request["logging"])
    answer: dict[str, Any] = {}
    try:
        serve(request, interruption)
    except BaseException as error:
        answer["error"] = sendable(error)
    (folder / "unfinished").write_text(json.dumps(answer))
    (folder / "unfinished").replace(folder / ANSWER)


def serve(request: dict[str, Any], interruption: Interruption) -> None:
    """Compute a job as `benchmark.running.apart` describes it."""
    directory = Path(request["directory"])
    with locked(directory, COMPUTING_LOCK):
        settings = load(OmegaConf.create(request["plain"]))
        settings = dataclasses.replace(settings, runtime=Runtime(**request["runtime"]))
        compute(interruption, settings, directory, request["began"])


def listen(interruption: Interruption) -> None:
    """Stop on a signal that the sweep's process passes on, and where that process has ended."""
    number = os.read(0, 1)
    interruption.noted = number[0] if number else signal.SIGTERM
    if number:
        os.read(0, 1)
    time.sleep(SECONDS_TO_SAVE)
    os._exit(1)


def sendable(error: BaseException) -> dict[str, Any]:
    """An error as its class's name, its arguments as text or numbers, and its traceback."""
    arguments = [arg if isinstance(arg, int) else str(arg) for arg in error.args]
    return {
        "name": type(error).__name__,
        "arguments": arguments,
        "text": str(error),
        "traceback": traceback.format_exc(),
    }


if __name__ == "__main__":
    main()
