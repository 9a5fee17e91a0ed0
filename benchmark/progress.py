"""What a user sees of a long run: a bar on a terminal, a plain line a minute elsewhere."""

import logging
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
    """Counts `total` steps of `what`, with rate, expected end and a running note."""

    def __init__(self, what: str, total: int, done: int, mode: str) -> None:
        self.what, self.total, self.done, self.note = what, total, done, ""
        self.first, self.start, self.spoke = done, time.monotonic(), time.monotonic()
        self.quiet = mode == "off"
        terminal = sys.stderr.isatty() and not self.quiet
        self.bar: Any = None
        if terminal:
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
        if self.bar is None and not self.quiet:
            if time.monotonic() - self.spoke >= SECONDS_BETWEEN_LINES:
                self.say()

    def say(self) -> None:
        """One plain line: how far, how fast, how long still."""
        self.spoke = time.monotonic()
        rate = (self.done - self.first) / max(self.spoke - self.start, 1e-9)
        left = (self.total - self.done) / rate if rate else float("inf")
        text = f"{self.what}: {self.done} of {self.total}, {rate:.1f}/s, {left / 60:.1f} min left"
        log.info("%s%s", text, f", {self.note}" if self.note else "")


class Interruption:
    """Notes SIGTERM and Ctrl-C, so that a run can save itself before it ends.

    A second Ctrl-C ends it at once. Outside the main thread signals are left alone.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self.before[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
