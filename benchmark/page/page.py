"""The page itself: a template, with its style, its scripts and the run put into it."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.adaptation import Trained, load
from benchmark.page.bend import bending_page
from benchmark.page.draw import drawing_page
from benchmark.running.named import directory_of
from results.schema import PAGE
from tasks.files import write_atomic

HERE = Path(__file__).parent
WORKER = ("network.js", "worker.js")  # runs beside the page, so that it never blocks


class Kind(NamedTuple):
    """One of the pages.

    name: of its template, its style and its texts
    scripts: in their order; the last one begins
    contents: (run, trained) -> what it knows
    """

    name: str
    scripts: tuple[str, ...]
    contents: Callable[[str, Trained], dict[str, Any]]


DRAW = Kind("draw", ("page.js", "drawing.js", "sheet.js", "answers.js", "draw.js"), drawing_page)
BEND = Kind("bend", ("page.js", "plot.js", "bend.js"), bending_page)


def write_page(run: str, output: Path | None) -> Path:
    """Write the page of a completed run, or of a published one; returns where it lies.

    output: the HTML file; None: in the run's own directory, where the run's report finds it.

    Raises ConfigError for a run that cannot be shown, OSError for a file that cannot be written.
    """
    trained = load(run)
    kind = BEND if trained.task.metric == "mse" else DRAW
    text = render(kind, kind.contents(run, trained))
    path = directory_of(run) / PAGE if output is None else output
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode())
    return path


def render(kind: Kind, inside: dict[str, Any]) -> str:
    """A page around its contents.

    Its policy lets only this very style and script run and forbids all connections.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = read("style.css", f"{kind.name}.css"), read(*kind.scripts)
    words = texts(kind)
    return environment.get_template(f"{kind.name}.html.jinja").render(
        style=style,
        script=script,
        worker=read(*WORKER),
        style_hash=policy_hash(style),
        script_hash=policy_hash(script),
        texts=words,
        contents=as_script(inside | {"texts": words}),
    )


def texts(kind: Kind) -> dict[str, dict[str, str]]:
    """All that a page says: {key: {language: text}}."""
    by_page = json.loads(read("texts.json"))
    return {**by_page["every"], **by_page[kind.name]}


def read(*names: str) -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def policy_hash(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def as_script(value: Any) -> str:
    """JSON that cannot end the script element around it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
