"""The page itself: a template, with its style, its scripts and the run put into it."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.page.contents import contents
from results.schema import PAGE
from tasks.files import write_atomic

HERE = Path(__file__).parent
WORKER = ("network.js", "worker.js")  # runs beside the page, so that it never blocks
SCRIPTS = ("drawing.js", "sheet.js", "answers.js", "page.js")


def write_page(run: str, output: Path | None) -> Path:
    """Write the page of a completed run, or of a published one; returns where it lies.

    output: the HTML file; None: in the run's own directory, where the run's report finds it.

    Raises ConfigError for a run that cannot be shown, OSError for a file that cannot be written.
    """
    directory, inside = contents(run)
    path = directory / PAGE if output is None else output
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, render(inside).encode())
    return path


def render(inside: dict[str, Any]) -> str:
    """The page around its contents.

    Its policy lets only this very style and script run and forbids all connections.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = read("style.css"), read(*SCRIPTS)
    return environment.get_template("page.html.jinja").render(
        style=style,
        script=script,
        worker=read(*WORKER),
        style_hash=policy_hash(style),
        script_hash=policy_hash(script),
        contents=as_script(inside | {"texts": json.loads(read("texts.json"))}),
    )


def read(*names: str) -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def policy_hash(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def as_script(value: Any) -> str:
    """JSON that cannot end the script element around it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
