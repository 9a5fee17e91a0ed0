"""A job's computation in a process of its own: what kills it leaves the sweep alive.

The job itself, with its lock and its record, stays in the sweep's process. Costs the seconds of
TensorFlow's import a job; in return jobs share no memory, threads or settings.
"""

import contextlib
import logging.config
import os
import pickle
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

from benchmark.config import Settings
from benchmark.progress import Interruption
from tasks.checks import ConfigError

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_SAVE = 60.0  # for a process that its parent has left behind


class Killed(RuntimeError):
    """The process ended without an answer."""


class Elsewhere(Exception):
    """The traceback of an error in the other process."""


def compute_apart(
    interruption: Interruption, settings: Settings, identity: str, directory: Path, began: float
) -> dict[str, Any]:
    """`benchmark.job.compute` in another process; returns what it returns, or raises.

    A signal that `interruption` notes is passed on. Raises Killed where the process was killed.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        request, answer = Path(folder, "request"), Path(folder, "answer")
        request.write_bytes(pickle.dumps(((settings, identity, directory, began), job_logging())))
        code = run_child(interruption, folder)
        if not answer.exists():
            raise Killed(how_it_ended(code))
        outcome, error, text = pickle.loads(answer.read_bytes())
    if error is not None:
        raise received(error) from Elsewhere(f"\n{text}")
    return outcome


def run_child(interruption: Interruption, folder: str) -> int:
    """Start this module on a request and wait; returns the exit code."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmark.isolation", folder],
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
    (settings, identity, directory, began), logs = pickle.loads((folder / "request").read_bytes())
    if logs is not None:
        logging.config.dictConfig(logs)
    from benchmark.job import COMPUTING_LOCK, alone, compute

    outcome: Any = None
    error: Any = None
    text = ""
    try:
        with alone(directory, COMPUTING_LOCK):
            outcome = compute(interruption, settings, identity, directory, began)
    except BaseException as raised:
        error, text = sendable(raised), traceback.format_exc()
    (folder / "unfinished").write_bytes(pickle.dumps((outcome, error, text)))
    (folder / "unfinished").replace(folder / "answer")


def listen(interruption: Interruption) -> None:
    """Stop on a signal that the sweep's process passes on, and also where that process has ended."""
    number = os.read(0, 1)
    interruption.signal = number[0] if number else signal.SIGTERM
    if number:
        os.read(0, 1)
    time.sleep(SECONDS_TO_SAVE)
    os._exit(1)


def sendable(error: BaseException) -> BaseException | tuple[str, str]:
    """An error as it is, or where its class would drag TensorFlow along: its class's name, text."""
    from benchmark.job import Interrupted

    if isinstance(error, ConfigError | Interrupted):
        return error
    return type(error).__name__, str(error)


def received(error: BaseException | tuple[str, str]) -> BaseException:
    """What `sendable` sent, as an error with the same name and text."""
    if isinstance(error, BaseException):
        return error
    name, text = error
    return type(name, (RuntimeError,), {})(text)


if __name__ == "__main__":
    main()
