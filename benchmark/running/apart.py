"""A job's computation in a process of its own: what kills it leaves the sweep alive.

The job itself, with its lock and its record, stays in the sweep's process. Costs the seconds of
TensorFlow's import a job; in return jobs share no memory, threads or settings.
"""

import contextlib
import dataclasses
import json
import logging.config
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from benchmark.config import Runtime, Settings, load
from benchmark.running.bar import Interruption
from benchmark.running.record import CannotWrite
from tasks.checks import ConfigError

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_SAVE = 60.0  # for a process that its parent has left behind


class Killed(RuntimeError):
    """The process ended without an answer."""


class Elsewhere(Exception):
    """The traceback of an error in the other process."""


def compute_apart(
    interruption: Interruption, settings: Settings, directory: Path, began: float
) -> dict[str, Any]:
    """`benchmark.running.job.compute` in another process; returns what it returns, or raises.

    A signal that `interruption` notes is passed on. Raises Killed where the process was killed.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        request, answer = Path(folder, "request"), Path(folder, "answer")
        job: dict[str, Any] = {"directory": str(directory), "began": began}
        job |= {"plain": settings.plain, "runtime": dataclasses.asdict(settings.runtime)}
        request.write_text(json.dumps(job | {"logging": job_logging()}))
        code = run_child(interruption, folder)
        if not answer.exists():
            raise Killed(how_it_ended(code))
        found = json.loads(answer.read_text())
    if "error" in found:
        raise received(found["error"]) from Elsewhere(f"\n{found['error']['traceback']}")
    return found["outcome"]


def run_child(interruption: Interruption, folder: str) -> int:
    """Start this module on a request and wait; returns the exit code."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmark.running.apart", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        bufsize=0,
        process_group=0,  # a Ctrl-C reaches it once, from here
    )
    assert child.stdin is not None
    told = False
    try:
        while True:
            try:
                return child.wait(SECONDS_BETWEEN_LOOKS)
            except subprocess.TimeoutExpired:
                if interruption.signal is not None and not told:
                    told = True
                    with contextlib.suppress(BrokenPipeError):
                        child.stdin.write(bytes([interruption.signal]))
    finally:
        child.kill()
        child.wait()
        child.stdin.close()


def how_it_ended(code: int) -> str:
    """Words for an exit code."""
    if code >= 0:
        return f"the job's process ended with exit code {code}"
    text = f"the job's process was killed by {signal.Signals(-code).name}"
    return f"{text}: the system may have run out of memory" if code == -signal.SIGKILL else text


def job_logging() -> Any:
    """Hydra's configuration of the logging of this job, as plain dicts."""
    if not HydraConfig.initialized():
        return None
    return OmegaConf.to_container(HydraConfig.get().job_logging, resolve=True)


def main() -> None:
    """In the other process: compute what is asked and leave the answer."""
    interruption = Interruption()
    threading.Thread(target=listen, args=[interruption], daemon=True).start()
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):  # schedulers signal every process of a job
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    folder = Path(sys.argv[1])
    job = json.loads((folder / "request").read_text())
    logging.raiseExceptions = False  # as in the sweep's process
    if job["logging"] is not None:
        logging.config.dictConfig(job["logging"])
    from benchmark.running.job import COMPUTING_LOCK, alone, compute

    directory = Path(job["directory"])
    try:
        with alone(directory, COMPUTING_LOCK):
            settings = load(OmegaConf.create(job["plain"]))
            settings = dataclasses.replace(settings, runtime=Runtime(**job["runtime"]))
            outcome = compute(interruption, settings, directory, job["began"])
            answer: dict[str, Any] = {"outcome": outcome}
    except BaseException as error:
        answer = {"error": sendable(error)}
    (folder / "unfinished").write_text(json.dumps(answer))
    (folder / "unfinished").replace(folder / "answer")


def listen(interruption: Interruption) -> None:
    """Stop on a signal that the sweep's process passes on, and where that process has ended."""
    number = os.read(0, 1)
    interruption.signal = number[0] if number else signal.SIGTERM
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


def received(error: dict[str, Any]) -> BaseException:
    """What `sendable` sent: an error of ours, or a RuntimeError with the other's name and text."""
    from benchmark.running.job import Interrupted

    ours = {cls.__name__: cls for cls in (ConfigError, CannotWrite, Interrupted)}
    if error["name"] in ours:
        return ours[error["name"]](*error["arguments"])
    return type(error["name"], (RuntimeError,), {})(error["text"])


if __name__ == "__main__":
    main()
