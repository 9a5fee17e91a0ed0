"""What the processes of one sweep know of each other: its jobs, and that they are to stop.

They share a folder in the sweep's directory, so that any launcher will do whose jobs see that
directory. The environment, which launchers hand on, says where it is.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

VARIABLE = "REPTILE_BENCHMARK_SWEEP"
STOP = "stop"  # the file that holds the signal by which the sweep was stopped
SECONDS_BETWEEN_LOOKS = 0.5
FROM_TERMINALS = [signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
BEFORE: dict[int, Any] = {}  # signal handlers of the launching process, to be put back
OVER = threading.Event()  # ends the thread that gets a terminal's signals in their place
BUSY = threading.Lock()  # held while a job runs
WATCHED: list["Sweep"] = []  # the sweep with whose launcher this process ends


@dataclass(frozen=True)
class Sweep:
    """One command with --multirun.

    folder: what its processes share; launcher: the process that the user started;
    together: whether a stop is for all of them; jobs that a cluster has queued go on by themselves
    """

    folder: Path
    launcher: int
    together: bool

    def note(self, number: int, directory: Path, refused: str = "") -> None:
        """Say that this command has a job in `directory`, and why it was refused, if it was."""
        text = json.dumps({"directory": str(directory), "refused": refused})
        with contextlib.suppress(OSError):
            (self.folder / f"job{number}").write_text(text)

    def jobs(self) -> dict[str, str]:
        """The directories of this command's jobs, and why they were refused, if they were."""
        found = [json.loads(path.read_text()) for path in self.folder.glob("job*")]
        last = sorted(found, key=lambda job: job["refused"])  # several may share a directory
        return {job["directory"]: job["refused"] for job in last}

    def stop(self, number: int) -> None:
        """Tell all jobs to save themselves and end, and those to come not to start."""
        with contextlib.suppress(OSError):
            (self.folder / STOP).write_text(str(number))

    def stopped(self) -> int | None:
        """The signal that stopped the sweep."""
        try:
            return int((self.folder / STOP).read_text() or signal.SIGTERM)
        except (OSError, ValueError):
            return None


def current() -> Sweep | None:
    """The sweep that this process belongs to."""
    if VARIABLE not in os.environ:
        return None
    known = json.loads(os.environ[VARIABLE])
    return Sweep(Path(known["folder"]), known["launcher"], known["together"])


# --- the process that launches --------------------------------------------------------------------


def begin(directory: Path, together: bool) -> None:
    """Make the folder, and pass on to the jobs what stops this process."""
    folder = directory.resolve() / f".sweep-{os.getpid()}-{time.time_ns()}"
    try:
        folder.mkdir(parents=True)
    except OSError:
        return  # the first job says so
    known = {"folder": str(folder), "launcher": os.getpid(), "together": together}
    os.environ[VARIABLE] = json.dumps(known)
    if together and threading.current_thread() is threading.main_thread():
        for number in stopping_signals():
            BEFORE[number] = signal.signal(number, pass_on)
        keep_from_launched()


def keep_from_launched() -> None:
    """Have Ctrl-C at the terminal reach this process alone, which passes it on.

    What a launcher starts between this process and its jobs may kill them at it, as submitit's
    does. A blocked signal stays blocked in the processes that this thread starts; another thread
    gets it here.
    """
    if hasattr(signal, "pthread_sigmask"):
        OVER.clear()
        threading.Thread(target=OVER.wait, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, FROM_TERMINALS)


def end() -> None:
    """The sweep is over."""
    sweep = current()
    if sweep is None or sweep.launcher != os.getpid():
        return
    del os.environ[VARIABLE]
    if BEFORE and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_TERMINALS)
        OVER.set()
    while BEFORE:
        signal.signal(*BEFORE.popitem())
    shutil.rmtree(sweep.folder, ignore_errors=True)


def pass_on(number: int, _: FrameType | None) -> None:
    """The first stop is for the jobs; a second one ends this process at once."""
    sweep = current()
    if sweep is None or sweep.stopped() is not None:
        raise KeyboardInterrupt
    sweep.stop(number)
    with contextlib.suppress(OSError):
        os.write(2, b"stopping: every run is saved first\n")


def stopping_signals() -> list[int]:
    """Ctrl-C, kill, and a terminal that closes (unless nohup said not to mind)."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


# --- the process that runs a job: the same one, or one that works for it --------------------------


def join(number: int, directory: Path) -> bool:
    """Before a job: say that it belongs to the sweep; whether it may start."""
    sweep = current()
    if sweep is None:
        return True
    sweep.note(number, directory)
    if os.getppid() == sweep.launcher and not WATCHED:
        WATCHED.append(sweep)
        threading.Thread(target=end_with_launcher, args=[sweep], daemon=True).start()
        for each in stopping_signals():  # Ctrl-C reaches every process; the launcher passes it on
            signal.signal(each, signal.SIG_IGN)
    stopped = sweep.stopped()
    if stopped is not None:
        leave(stopped)
    return stopped is None


def leave(number: int) -> None:
    """After a job was stopped by a signal: stop the others, and end this process where it may.

    To a launcher the end of a process that works for it is a crash, at which it kills the others.
    """
    sweep = current()
    if sweep is None or not sweep.together or sweep.launcher == os.getpid():
        sys.exit(128 + number)
    sweep.stop(number)


def end_with_launcher(sweep: Sweep) -> None:
    """End this process, once its job is saved, when the one that started it is gone."""
    while os.getppid() == sweep.launcher:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    sweep.stop(signal.SIGTERM)
    with BUSY:
        os._exit(128 + signal.SIGTERM)
