"""Being stopped: the signals that ask a run to save itself, and what became of it."""

import contextlib
import os
import signal
import threading
import time
from types import FrameType
from typing import Any, Self

from benchmark.running import sweep


class Interrupted(Exception):
    """A signal asked the run to stop; its progress is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.args[0]).name}"


class Interruption:
    """Notes signals that ask a run to stop, so that it can save itself before it ends.

    SIGTERM, Ctrl-C and the end of the terminal (SIGHUP); a second one ends it at once. Where a
    scheduler has set a handler for SIGUSR1 or SIGUSR2 (submitit: the time is nearly up), that is
    called once the run is saved, to queue it again. Outside the main thread signals are left alone.
    A job of a sweep is also asked to stop where another process of the sweep was.
    """

    def __init__(self) -> None:
        self.noted: int | None = None
        self.before: dict[int, Any] = {}
        self.looked = time.monotonic()

    @property
    def signal(self) -> int | None:
        """The signal that asks to stop, or None."""
        due = time.monotonic() - self.looked >= sweep.SECONDS_BETWEEN_LOOKS
        if self.noted is None and due and (mine := sweep.current()):
            self.looked, self.noted = time.monotonic(), mine.stopped()
        return self.noted

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            minded = {signal.SIGTERM, signal.SIGINT, *sweep.stopping_signals(), *schedulers()}
            for number in minded:
                self.before[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, _: FrameType | None) -> None:
        if self.noted is not None:
            raise KeyboardInterrupt
        self.noted = number
        with contextlib.suppress(OSError):  # the terminal may be what is gone
            os.write(2, b"stopping: the run is saved first\n")  # logging is not safe in here

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if error is not None and self.noted in schedulers():
            signal.raise_signal(self.noted)


def ignore_signals() -> None:
    """Mind none of the signals that ask to stop: another process does, and passes them on."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def schedulers() -> list[int]:
    """The signals by which a scheduler's library, where there is one, asks for a checkpoint."""
    names = [name for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
    return [n for n in (getattr(signal, name) for name in names) if callable(signal.getsignal(n))]


def how_it_ended(error: BaseException) -> str:
    """The status of a run that ended with `error`: interrupted or failed."""
    stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit)
    return "interrupted" if stopped else "failed"
