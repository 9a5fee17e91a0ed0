"""A job's computation in a process of its own: what kills it leaves the sweep alive.

The job itself, with its lock and its record, stays in the sweep's process. Costs the seconds of
TensorFlow's import a job; in return jobs share no memory, threads or settings.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from benchmark.config import Settings
from benchmark.running.child import ANSWER, REQUEST
from benchmark.running.interruption import Interrupted, Interruption
from benchmark.running.record import CannotWrite
from tasks.checks import ConfigError

SECONDS_BETWEEN_LOOKS = 0.1


class Killed(RuntimeError):
    """The process ended without an answer."""


class TracebackOfChild(Exception):
    """The traceback of an error in the other process."""


def compute_apart(
    interruption: Interruption, settings: Settings, directory: Path, began: float
) -> None:
    """`benchmark.running.computation.compute` in another process; raises what it raises.

    A signal that `interruption` notes is passed on. Raises Killed where the process was killed.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        request: dict[str, Any] = {"directory": str(directory), "began": began}
        request |= {"plain": settings.plain, "runtime": dataclasses.asdict(settings.runtime)}
        Path(folder, REQUEST).write_text(json.dumps(request | {"logging": job_logging()}))
        code = run_child(interruption, folder)
        if not Path(folder, ANSWER).exists():
            raise Killed(meaning_of(code))
        answer = json.loads(Path(folder, ANSWER).read_text())
    if error := answer.get("error"):
        raise received(error) from TracebackOfChild(f"\n{error['traceback']}")


def run_child(interruption: Interruption, folder: str) -> int:
    """Start `benchmark.running.child` on a request and wait; returns the exit code."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "benchmark.running.child", folder],
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


def meaning_of(code: int) -> str:
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


def received(error: dict[str, Any]) -> BaseException:
    """What `child.sendable` sent: an error of ours, or a RuntimeError with its name and text."""
    ours = {cls.__name__: cls for cls in (ConfigError, CannotWrite, Interrupted)}
    if error["name"] in ours:
        return ours[error["name"]](*error["arguments"])
    return type(error["name"], (RuntimeError,), {})(error["text"])
