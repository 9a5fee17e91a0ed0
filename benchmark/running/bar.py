"""What a user sees of a long run: a bar on a terminal, a plain line a minute elsewhere."""

import logging
import sys
import time
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
