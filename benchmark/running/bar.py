"""What a user sees of a long run: a bar on a terminal, a plain line a minute elsewhere."""

import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Self

from tqdm import tqdm

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 60.0


class Bar:
    """Counts `total` steps of `what`, with rate, expected end and a running note.

    mode: auto (a bar on a terminal, else lines) | lines | off
    """

    def __init__(self, what: str, total: int, done: int, mode: str) -> None:
        self.what, self.total, self.done, self.note = what, total, done, ""
        self.first, self.start, self.spoke = done, time.monotonic(), time.monotonic()
        self.quiet = mode == "off"
        self.bar: Any = None
        if mode == "auto" and sys.stderr.isatty():
            self.bar = tqdm(total=total, initial=done, desc=what, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, done: int, note: str | None = None) -> None:
        """Say that `done` steps are done; `note` (a running accuracy) stays until the next one."""
        self.note = self.note if note is None else note
        if self.bar is not None:
            self.bar.set_postfix_str(self.note, refresh=False)
            self.bar.update(done - self.done)
        self.done = done
        due = time.monotonic() - self.spoke >= SECONDS_BETWEEN_LINES
        if due and self.bar is None and not self.quiet:
            self.say()

    def say(self) -> None:
        """One plain line: how far, how fast, how long still."""
        self.spoke = time.monotonic()
        rate = (self.done - self.first) / max(self.spoke - self.start, 1e-9)
        left = (self.total - self.done) / rate if rate else float("inf")
        text = f"{self.what}: {self.done} of {self.total}, {rate:.1f}/s, {left / 60:.1f} min left"
        log.info("%s%s", text, f", {self.note}" if self.note else "")


class Interruption:
    """Notes signals that ask a run to stop, so that it can save itself before it ends.

    SIGTERM and Ctrl-C; a second one ends it at once. Where a scheduler has set a handler for
    SIGUSR1 or SIGUSR2 (submitit: the time is nearly up), that is called once the run is saved, to
    queue it again. Outside the main thread signals are left alone.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, *schedulers()):
                self.before[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        os.write(2, b"stopping: the run is saved first\n")  # logging is not safe in here

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if error is not None and self.signal in schedulers():
            signal.raise_signal(self.signal)


def schedulers() -> list[int]:
    """The signals by which a scheduler's library, where there is one, asks for a checkpoint."""
    names = [name for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
    return [n for n in (getattr(signal, name) for name in names) if callable(signal.getsignal(n))]
