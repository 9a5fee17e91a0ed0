"""`python -m results.readme`: remake the README's tables and figures from the committed records.

A table stands between `<!-- results ARGUMENTS -->` and `<!-- end -->`: the output of
`python -m results ARGUMENTS --format markdown`, so the marker itself is the command behind it;
or between `<!-- csv FILE -->` and `<!-- end -->`: the columns of a CSV, what never varies below.
A picture stands below `<!-- figure NAME DIR -->`: the figure NAME of the records in DIR.
"""

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from results import figures, gallery, plotting, records
from results.__main__ import main as results_main

PROJECT = Path(__file__).parent.parent
README = PROJECT / "README.md"
TABLE = re.compile(r"(<!-- results (?P<arguments>.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
CSV = re.compile(r"(<!-- csv (?P<file>\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
FIGURE = re.compile(r"<!-- figure (?P<name>\S+) (?P<records>\S+) -->\n!\[.*?\]\((?P<file>\S+)\)")


def regenerated(text: str) -> str:
    """The README's text with every table made anew; paths are relative to the project."""

    def block(match: re.Match[str]) -> str:
        arguments = shlex.split(match["arguments"])
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.chdir(PROJECT):
            status = results_main([*arguments, "--format", "markdown"])
        if status:
            raise SystemExit(f"{README.name}: `results {match['arguments']}` failed: {status}")
        return f"{match[1]}{shown.getvalue().strip()}\n{match[3]}"

    return CSV.sub(
        lambda m: f"{m[1]}{csv_table(PROJECT / m['file'])}\n{m[3]}", TABLE.sub(block, text)
    )


def csv_table(file: Path) -> str:
    """A CSV as Markdown, numbers with four digits; columns of one value become a line below."""
    frame = pd.read_csv(file)
    constant = [column for column in frame if frame[column].nunique(dropna=False) == 1]
    below = "; ".join(f"{column}: {frame[column].iloc[0]}" for column in constant)
    shown = frame.drop(columns=constant).map(as_text)
    table = shown.to_markdown(index=False, disable_numparse=True)
    return f"{table}\n\n{below}" if below else table


def as_text(cell: Any) -> str:
    """A cell of a table; nothing where there is no value."""
    if pd.isna(cell):
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) and abs(cell) < 1e4 else str(cell)


def draw_figures(text: str, project: Path) -> list[Path]:
    """Draw every figure of the README's text below `project`; returns the files, PNG."""
    drawn = []
    for match in FIGURE.finditer(text):
        found = records.read_records([PROJECT / match["records"]])
        file = project / match["file"]
        file.parent.mkdir(parents=True, exist_ok=True)
        with plotting.style():
            _, axes = gallery.all_figures(found)[match["name"]]
            drawn += figures.save(axes, file.with_suffix(""), ["png"])
    return drawn


def main() -> None:
    """Rewrite README.md and its figures; with --check only say whether a table is stale."""
    before = README.read_text(encoding="utf-8")
    after = regenerated(before)
    if "--check" in sys.argv[1:]:
        sys.exit(f"{README.name} is stale: run make readme" if after != before else 0)
    README.write_text(after, encoding="utf-8")
    draw_figures(after, PROJECT)


if __name__ == "__main__":
    main()
