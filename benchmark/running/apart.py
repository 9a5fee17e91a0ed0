"""A job's computation in a process of its own: what kills it leaves the sweep alive.

The job itself, with its lock and its record, stays in the sweep's process. The processes are forks
of one that has imported TensorFlow, so that a job waits for no import; they share no memory that
one of them writes, no threads and no settings.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from benchmark.config import Settings
from benchmark.running import child
from benchmark.running.interruption import Interrupted, Interruption
from benchmark.running.sweep import FROM_TERMINALS

SECONDS_BETWEEN_LOOKS = 0.1
SERVED: dict[str, str] = {}  # the environment in which this process has started its fork server


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
    context = chosen_context()
    ours, theirs = context.Pipe()
    job = (theirs, settings, directory, began, job_logging())
    process = context.Process(target=child.main, args=job)
    with ours:
        try:
            with theirs, searching_as_here(), out_of_terminals_reach():
                process.start()
            answer = answer_of(process, ours, interruption)
        except (EOFError, ConnectionError):
            if interruption.signal is not None:
                raise Interrupted(interruption.signal) from None
            raise Killed(meaning_of(ended(process))) from None
        except BaseException:
            ended(process, kill=True)
            raise
    ended(process)
    if answer is not None:
        error, text = answer
        raise received(error) from TracebackOfChild(f"\n{text}")


def chosen_context() -> Any:
    """A server that forks; or new processes, where forks are not safe or the environment differs.

    Libraries read variables when they are loaded, which in the server they are already.
    """
    if not SERVED:
        SERVED.update(os.environ)
    method = "forkserver" if sys.platform == "linux" and os.environ == SERVED else "spawn"
    inherited = multiprocessing.get_start_method(allow_none=True)
    if inherited not in (None, *multiprocessing.get_all_start_methods()):
        multiprocessing.set_start_method(method, force=True)  # children do not know joblib's own
    context = multiprocessing.get_context(method)
    context.set_forkserver_preload(["benchmark.running.preloaded"])
    return context


@contextlib.contextmanager
def searching_as_here() -> Iterator[None]:
    """Have new interpreters find modules where this one does: the server is not told otherwise."""
    wanted = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ[name] for name in wanted if name in os.environ}
    os.environ |= wanted
    try:
        yield
    finally:
        for name in wanted:
            del os.environ[name]
        os.environ |= before


@contextlib.contextmanager
def out_of_terminals_reach() -> Iterator[None]:
    """Processes that are started meanwhile get no Ctrl-C: it comes to them as a stop of the sweep.

    Even before they have said so themselves; multiprocessing's tracker unblocks what it blocks.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, before.union(FROM_TERMINALS))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def answer_of(process: BaseProcess, line: Connection, interruption: Interruption) -> Any:
    """What `child.main` sends. Raises EOFError or ConnectionError where it ends before."""
    told = False
    while not line.poll(SECONDS_BETWEEN_LOOKS) and process.is_alive():
        if interruption.signal is not None and not told:
            told = True
            with contextlib.suppress(ConnectionError):
                line.send(interruption.signal)
    if not line.poll():  # what it has started itself may hold the line
        raise EOFError
    return line.recv()


def received(error: BaseException | tuple[str, str]) -> BaseException:
    """What `child.sendable` made: an error of ours, or a RuntimeError of another's name."""
    if isinstance(error, BaseException):
        return error
    name, text = error
    return type(name, (RuntimeError,), {})(text)


def ended(process: BaseProcess, kill: bool = False) -> int | None:
    """The exit code of a process, once it has ended; None where it was never started."""
    if process.pid is None:
        return None
    if kill:
        process.kill()
    process.join()
    return process.exitcode


def meaning_of(code: int | None) -> str:
    """Words for an exit code."""
    if code is None:
        return "the job's process could not be started: the one that forks it has ended"
    if code >= 0:
        return f"the job's process ended with exit code {code}"
    text = f"the job's process was killed by {signal.Signals(-code).name}"
    return f"{text}: the system may have run out of memory" if code == -signal.SIGKILL else text


def job_logging() -> Any:
    """Hydra's configuration of the logging of this job, as plain dicts."""
    if not HydraConfig.initialized():
        return None
    return OmegaConf.to_container(HydraConfig.get().job_logging, resolve=True)
