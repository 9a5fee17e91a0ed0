"""A real browser without a window, driven over WebDriver BiDi: what a reader's browser does."""

import json
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
CHROMEDRIVER = shutil.which("chromedriver")
FIREFOX = shutil.which("firefox")
MISSING = {
    "chromium": None if CHROMIUM and CHROMEDRIVER else "no chromium with its chromedriver here",
    "firefox": None if FIREFOX else "no firefox here",
}
SECONDS = 120  # an answer may take that long on a busy machine


class Browser:
    """One tab. `problems` are the errors that pages logged, refusals of their policy included."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.number, self.problems, self.silent = socket, 0, list[str](), False
        self.send("session.subscribe", events=["log.entryAdded"])
        # The first tab may still be loading what browsers begin with, and lose where it is sent to.
        self.tab = self.send("browsingContext.create", type="tab")["context"]

    def send(self, method: str, /, **params: Any) -> Any:
        """The result of a command; RuntimeError with what the browser says is wrong, TimeoutError
        where it says nothing: then no other command waits for it again."""
        if self.silent:
            raise TimeoutError(f"{method}: the browser has left a command unanswered")
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        try:
            answer = self.answer()
        except TimeoutError:
            self.silent = True
            raise
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]

    def answer(self) -> dict[str, Any]:
        """The answer to the command just sent; events before it are noted."""
        while True:
            message = json.loads(self.socket.recv(timeout=SECONDS))
            if message["type"] == "event":
                self.note(message["params"])
            elif message["id"] == self.number:
                return message

    def note(self, entry: dict[str, Any]) -> None:
        if entry.get("level") == "error":
            self.problems.append(entry.get("text") or "error")

    def open(self, url: str) -> None:
        """Load a page afresh, also one that is open already but for its #fragment."""
        self.problems.clear()
        for page in ("about:blank", url):
            self.send("browsingContext.navigate", context=self.tab, url=page, wait="complete")

    def emulate(self, command: str, **params: Any) -> None:
        """A command of Chromium's own "Emulation": what the page believes of its surroundings."""
        session = self.send("goog:cdp.getSession", context=self.tab)["session"]
        self.send(
            "goog:cdp.sendCommand", method=f"Emulation.{command}", params=params, session=session
        )

    @contextmanager
    def without(self, part: str) -> Iterator[None]:
        """A browser in which a part of `window` does not exist."""
        away = f"() => {{ delete window.{part}; }}"
        script = self.send("script.addPreloadScript", functionDeclaration=away)["script"]
        yield
        self.send("script.removePreloadScript", script=script)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height}
        self.send("browsingContext.setViewport", context=self.tab, viewport=size)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is, as JSON has it; a promise is waited for."""
        source = f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))"
        where = {"context": self.tab}
        done = self.send("script.evaluate", expression=source, target=where, awaitPromise=True)
        if done["type"] == "exception":
            raise RuntimeError(f"{expression}: {done['exceptionDetails']['text']}")
        return json.loads(done["result"]["value"])

    def wait_for(self, condition: str) -> None:
        """Until a JavaScript expression is true."""
        poll = f"const poll = () => ({condition}) ? done(true) : setTimeout(poll, 20); poll();"
        assert self.value(f"new Promise((done) => {{ {poll} }})")

    def stroke(self, selector: str, points: list[tuple[float, float]], kind: str = "mouse") -> None:
        """Draw a line over an element, its corners (0, 0) and (1, 1), by mouse, pen or touch."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.value(f"{element}.getBoundingClientRect()")
        at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in at]
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        pointer = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}}
        self.act(pointer | {"actions": [moves[0], down, *moves[1:], up]})

    def press(self, *keys: str) -> None:
        """Type keys, one after the other, at whatever has the focus."""
        strokes = [{"type": kind, "value": k} for k in keys for kind in ("keyDown", "keyUp")]
        self.act({"type": "key", "id": "keyboard", "actions": strokes})

    def act(self, source: dict[str, Any]) -> None:
        self.send("input.performActions", context=self.tab, actions=[source])


@contextmanager
def started(name: str) -> Iterator[Browser]:
    """Chromium or Firefox, until the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        start = {"chromium": chromium, "firefox": firefox}[name]
        process, url = start(folder)
        try:
            with connect(url, max_size=None, proxy=None) as socket:
                if name == "firefox":  # chromedriver has opened a session already
                    ask = {"id": 0, "method": "session.new", "params": {"capabilities": {}}}
                    socket.send(json.dumps(ask))
                    socket.recv(timeout=SECONDS)
                browser = Browser(socket)
                try:
                    yield browser
                finally:  # or the browser would outlive its driver
                    browser.send("session.end" if name == "chromium" else "browser.close")
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)


def chromium(folder: str) -> tuple[subprocess.Popen[str], str]:
    """A driver with a browser, and the address of its socket."""
    process, port = announced([str(CHROMEDRIVER), "--port=0"], r"successfully on port (\d+)")
    flags = ["--headless=new", "--no-sandbox", f"--user-data-dir={folder}"]
    options = {"binary": CHROMIUM, "args": flags}
    wanted = {"webSocketUrl": True, "goog:chromeOptions": options}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/session",
        json.dumps({"capabilities": {"alwaysMatch": wanted}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return process, json.load(answer)["value"]["capabilities"]["webSocketUrl"]


def firefox(folder: str) -> tuple[subprocess.Popen[str], str]:
    """A browser, and the address of its socket."""
    flags = ["--headless", "--no-remote", "--profile", folder, "--remote-debugging-port", "0"]
    process, url = announced([str(FIREFOX), *flags], r"BiDi listening on (ws://\S+)")
    return process, f"{url}/session"


def announced(command: list[str], pattern: str) -> tuple[subprocess.Popen[str], str]:
    """Start a program; returns it and what it says of itself in a line like `pattern`."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(pattern, line):
            return process, found[1]
    raise RuntimeError(f"{command[0]} ended without saying where it listens")
