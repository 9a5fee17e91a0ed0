"""One self-contained page about any number of runs: no network, one file, its own small script."""

import base64
import hashlib
import os
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from results import labels, records, schema, tables
from results.compare import comparison
from results.labels import duration, show_value
from results.page.html_table import WIDEST, grid_of
from results.pictures import figures, gallery, palette, plotting
from results.pictures.inline_svg import inline_svg, marker_path
from results.schema import PAGE

HERE = Path(__file__).parent
MOST_RUNS = 200
"""Runs that the page lists one by one."""

MOST_BYTES = 1_950_000
"""Of the page: figures that it has no room for are left to `--figures`."""

WIDE = 760
"""Pixels: a wider figure has no other beside it."""

MACHINE = {
    "environment.device": "device",
    "environment.cores": "cores",
    "environment.python": "Python",
    "environment.tensorflow": "TensorFlow",
    "environment.keras": "Keras",
    "environment.numpy": "NumPy",
    "environment.project": "project version",
    "environment.commit": "commit",
    "environment.dirty": "uncommitted changes",
}


def write_report(
    found: records.Records,
    made: Sequence[tables.Table],
    path: Path,
    words: Sequence[str],
    numbers: pd.DataFrame | None = None,
    reload: int = 0,
    jobs: pd.DataFrame | None = None,
) -> None:
    """Write the page, so that whoever opens it meanwhile sees the old one or the new one.

    Args:
        found: the records; made: their tables (`tables.accuracy_tables`).
        path: the HTML file to write; its directory is made.
        words: what follows `python -m results` to make this page.
        numbers: the published numbers that the tables are beside; None: this project's.
        reload: seconds after which the page loads itself again; 0: it does not.
        jobs: how the jobs of a sweep stand, a line each, as text.
    """
    style, script = style_sheet(), read("report.js")
    render = partial(
        template().render,
        style=style,
        script=script,
        style_hash=policy_hash(style),
        script_hash=policy_hash(script),
        reload=reload,
        jobs=None if jobs is None else grid_of(jobs),
        methods=methods_of(found),
        protocols=protocols_of(made),
        facts=facts_of(found.runs),
        notes=found.notes,
        problems=found.problems,
        tables=[table_of(table) for table in made],
        published=published_of(made, numbers),
        configuration=configuration_of(found.runs),
        machine=values_of(found.runs, MACHINE),
        runs=runs_of(found.runs, path.parent),
        commands=commands_of(found.runs),
        more=max(0, len(found.runs) - MOST_RUNS),
        command=shlex.join(["python", "-m", "results", *words]),
    )
    pictures, remarks = pictures_of(
        found, MOST_BYTES - len(render(figures=[], remarks=[]).encode())
    )
    page = render(figures=pictures, remarks=remarks)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page)


def template() -> Template:
    """What the page is made from; a value that it is not given is a mistake, not a gap."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step; nothing unfinished is left where that fails."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def style_sheet() -> str:
    """The page's style, with the widths that numbers are aligned in and the palette on a dark page.

    A policy that allows no style attributes wants a class for each width.
    """
    widths = [f".w{n} {{ min-width: {n}ch; }}" for n in range(1, WIDEST + 1)]
    dark = [
        f'[{paint}="{light.lower()}"] {{ {paint}: light-dark({light}, {dark}); }}'
        for light, dark in palette.ON_DARK.items()
        for paint in ("fill", "stroke")
    ]
    return "\n".join([read("report.css"), *widths, *dark])


def policy_hash(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def methods_of(found: records.Records) -> list[dict[str, str]]:
    """Every method of the page, with its colour and marker."""
    frames = [f["method"].dropna() for f in (found.evaluations, found.curves) if "method" in f]
    looks = palette.looks(pd.concat(frames).unique()) if frames else {}
    ours = [method for method in labels.METHOD_NAMES if method not in schema.BASELINES]
    order = [*ours, *sorted({*looks} - {*ours, *schema.BASELINES}), *schema.BASELINES]
    return [
        {
            "name": labels.method_name(method),
            "color": looks[method].color.lower(),
            "path": marker_path(looks[method].marker),
        }
        for method in order
        if method in looks
    ]


def protocols_of(made: Sequence[tables.Table]) -> list[str]:
    """The columns of all tables, of which a reader may choose."""
    grids = [tables.layout(table).columns[len(table.rows) :] for table in made]
    return list(dict.fromkeys(str(name) for names in grids for name in names))


def facts_of(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """The page in five numbers."""
    if runs.empty:
        return [("runs", "0")]
    counts = runs["status"].value_counts()
    facts = [
        (f"run {status}" if count == 1 else f"runs {status}", str(count))
        for status, count in counts.items()
    ]
    if "seed" in runs:
        facts.append(("seeds", str(runs["seed"].nunique())))
    if "timing.train_seconds" in runs:
        facts.append(("spent training", duration(runs["timing.train_seconds"].sum())))
    if "finished" in runs and runs["finished"].notna().any():
        facts.append(("last finished", str(runs["finished"].dropna().max())[:10]))
    return facts


def table_of(table: tables.Table) -> dict[str, Any]:
    """A table, and its comparison with the published numbers, as the template wants them."""
    layout = tables.layout(table)
    made = {
        "header": table.header,
        "caption": table.caption,
        "grid": grid_of(layout, list(layout.columns[len(table.rows) :])),
        "comparison": None,
        "sources": [],
    }
    if table.comparison is not None and table.compared:
        made["comparison"] = grid_of(tables.comparison_layout(table.comparison, table.rows))
        made["sources"] = tables.comparison_caption(table.comparison)
    return made


def pictures_of(found: records.Records, room: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The first figures, which follow the page's colours, in so many bytes; what others there are.

    Wide ones take a line each.
    """
    pictures: list[dict[str, Any]] = []
    known = len(found.notes)
    with plotting.style():
        drawings = list(gallery.all_figures(found).values())
        for caption, axes in drawings:
            svg, pixels = inline_svg(figures.figure_of(axes), caption)
            room -= len(svg.encode())
            if room < 0:
                break
            pictures.append({"caption": caption, "svg": svg, "wide": pixels > WIDE})
    remarks, found.notes[known:] = found.notes[known:], []
    if len(drawings) > len(pictures):
        remarks.append(f"and {len(drawings) - len(pictures)} more, which --figures DIR draws.")
    return pictures, remarks


def published_of(
    made: Sequence[tables.Table], numbers: pd.DataFrame | None
) -> dict[str, Any] | None:
    """All published numbers with their sources, where the records have something to compare."""
    if not any(table.compared for table in made):
        return None
    numbers = comparison.published_numbers() if numbers is None else numbers
    frame = pd.DataFrame(
        {
            "task": numbers["task"],
            "method": numbers["method"].map(labels.method_name),
            "protocol": [
                labels.column_label(line)
                for line in numbers[["ways", "shots", "transductive"]].to_dict("records")
            ],
            "accuracy (%)": [
                f"{value:.4g}" + ("" if pd.isna(width) else f" ± {width:g}")
                for value, width in zip(numbers["accuracy"], numbers["half_width"], strict=True)
            ],
            "what ± is": numbers["interval"],
            "source": numbers["source"],
        }
    )
    return grid_of(frame)


def values_of(runs: pd.DataFrame, names: dict[str, str]) -> list[tuple[str, str]]:
    """Each column's values, the commonest first."""
    shown = []
    for column, name in names.items():
        values: Any = runs[column].dropna().value_counts().index if column in runs else []
        if len(values):
            texts = [show_value(value) for value in values[:8]]
            more = f" and {len(values) - 8} more" if len(values) > 8 else ""
            shown.append((name, ", ".join(texts) + more))
    return shown


def configuration_of(runs: pd.DataFrame) -> list[tuple[str, str]]:
    keys = [
        column
        for column in runs.columns
        if "." in column and not column.startswith(("data.", "timing.", "environment."))
    ]
    return values_of(runs, {key: key for key in keys})


def runs_of(runs: pd.DataFrame, beside: Path) -> list[dict[str, str]]:
    """One line a run: directory, state, time and, where there is one, the way to its page.

    beside: the report's directory.
    """
    seconds = "timing.train_seconds"
    each = "timing.seconds_per_meta_iteration"
    lines = []
    for run in runs.head(MOST_RUNS).to_dict("records"):
        reason = "" if pd.isna(run.get("reason")) else f": {run['reason']}"
        lines.append(
            {
                "run": str(run["run"]),
                "page": page_of(Path(str(run["run"])), beside),
                "status": f"{run['status']}{reason}",
                "method": labels.method_name(run.get("method")),
                "seed": show_value(run.get("seed")),
                "training": duration(run[seconds]) if pd.notna(run.get(seconds)) else "-",
                "seconds": show_value(run.get(seconds)),
                "each": f"{1000 * run[each]:.1f} ms" if pd.notna(run.get(each)) else "-",
            }
        )
    return lines


def page_of(run: Path, beside: Path) -> str:
    """The address of a run's page as seen from a directory; "" where it has none."""
    page = run / PAGE
    return quote(Path(os.path.relpath(page, beside)).as_posix()) if page.is_file() else ""


def commands_of(runs: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """The commands that make these records again, by method."""
    if "command" not in runs:
        return []
    known = runs.dropna(subset=["command"]).drop_duplicates("command").head(MOST_RUNS)
    return [
        (labels.method_name(method), list(group["command"]))
        for method, group in known.groupby("method", sort=True)
    ]
