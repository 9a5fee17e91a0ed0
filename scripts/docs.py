"""`make docs`: remake the tables and figures of README.md and docs/*.md from the committed records.

A block stands between its marker and `<!-- end -->`, and the marker says what it is made from:

    <!-- results ARGUMENTS -->   what `python -m results ARGUMENTS --format markdown` prints
    <!-- captions -->            the sentences that would stand below several tables of the page
    <!-- paper DIRS -->          the paper's table 2, Reptile's cells, beside ours of these records
    <!-- studies PATTERN -->     conf/experiment: those whose title matches PATTERN, with their cost
    <!-- csv FILE KEY=VALUE -->  the lines of a CSV that have these values; what never varies below

A picture stands below `<!-- figure NAME DIR... -->`: the figure NAME of the records in DIR...
"""

import contextlib
import functools
import io
import re
import shlex
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from results import records
from results.__main__ import main as results_main
from results.grouping import same_number
from results.pictures import figures, gallery, plotting
from scripts.studies import studies_table

PROJECT = Path(__file__).parent.parent
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?P<marker><!-- (?P<kind>results|captions|paper|studies|csv) ?(?P<arguments>.*?) ?-->\n)"
    r".*?<!-- end -->",
    re.DOTALL,
)
FIGURE = re.compile(r"<!-- figure (?P<name>\S+) (?P<records>.+) -->\n!\[.*?\]\((?P<file>\S+)\)")
SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z±])")
WIDTH = 110
OWN = "Differs too"  # begins the sentence about what else varies in one table


@dataclass(frozen=True)
class Block:
    """What stands between a marker and its end: text, then the paragraphs below its tables."""

    text: str
    captions: tuple[tuple[str, ...], ...] = ()  # the sentences of each paragraph

    def without(self, said: set[str]) -> str:
        """The block's text with those of its captions that are not said elsewhere."""
        kept = " ".join(s for paragraph in self.captions for s in paragraph if s not in said)
        return "\n\n".join(filter(None, [self.text, wrapped(kept)]))


def regenerated(text: str) -> str:
    """A page with every block made anew; paths in markers are relative to the project."""
    made = [MAKERS[match["kind"]](match["arguments"]) for match in BLOCK.finditer(text)]
    said = said_often(made) if "<!-- captions -->" in text else set()
    blocks = iter(made)

    def replaced(match: re.Match[str]) -> str:
        block = next(blocks)
        body = shared_captions(made, said) if match["kind"] == "captions" else block.without(said)
        return f"{match['marker']}{body}\n<!-- end -->"

    return BLOCK.sub(replaced, text)


def said_often(blocks: Sequence[Block]) -> set[str]:
    """Sentences below the tables of several blocks, except those about one table's settings."""
    counts = Counter(
        sentence for block in blocks for sentence in {s for p in block.captions for s in p}
    )
    return {s for s, count in counts.items() if count > 1 and not s.startswith(OWN)}


def shared_captions(blocks: Sequence[Block], said: set[str]) -> str:
    """A list: the sentences of each paragraph that are said often, each once."""
    left, items = set(said), []
    for paragraph in (paragraph for block in blocks for paragraph in block.captions):
        item = [sentence for sentence in paragraph if sentence in left]
        left -= set(item)
        items += [wrapped(f"- {' '.join(item)}")] if item else []
    return "\n".join(items)


def results_block(arguments: str) -> Block:
    """The tables that `python -m results ARGUMENTS` prints, lines above them wrapped.

    Of records that are not committed yet, a line that says so.
    """
    if not any((PROJECT / argument).is_dir() for argument in shlex.split(arguments)):
        return Block("Not run yet.")
    parts = run_results(f"{arguments} --format markdown").strip().split("\n\n")
    first = next(place for place, part in enumerate(parts) if part.startswith("|"))
    text = [part if part.startswith("|") else wrapped(part) for part in parts[: first + 1]]
    text += [part for part in parts[first + 1 :] if part.startswith("|")]
    below = [part for part in parts[first:] if not part.startswith("|")]
    return Block("\n\n".join(text), tuple(tuple(SENTENCE_END.split(part)) for part in below))


def run_results(arguments: str) -> str:
    """What `python -m results ARGUMENTS` prints in the project's directory."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.chdir(PROJECT):
        status = results_main(shlex.split(arguments))
    if status:
        raise SystemExit(f"`results {arguments}` failed: {status}")
    return printed.getvalue()


def paper_block(arguments: str) -> Block:
    """The paper's table 2, Reptile's rows, and below each the same from our records."""
    printed = run_results(f"{arguments} --where algorithm=reptile --published --format csv")
    cells = pd.read_csv(io.StringIO(printed)).dropna(subset=["published"])
    rows: dict[str, dict[str, str]] = {}
    for cell in cells.sort_values(["transductive", "ways", "shots"]).to_dict("records"):
        column = f"{cell['ways']}-way {cell['shots']}-shot"
        method = "Reptile + transduction" if cell["transductive"] else "Reptile"
        rows.setdefault(f"{method}, the paper", {})[column] = percent(cell, "published")
        rows.setdefault(f"{method}, here", {})[column] = percent(cell, "mean") + reached(cell)
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("accuracy in percent")
    table = frame.reset_index().to_markdown(index=False, disable_numparse=True)
    return Block(f"{table}\n\n{wrapped(paper_legend(cells))}")


def paper_legend(cells: pd.DataFrame) -> str:
    """What the marks of `paper_block` mean, and how many trainings stand behind them."""
    seeds = cells.groupby("ways")["seeds"].min()
    counts = ", ".join(f"{ways}-way {count}" for ways, count in seeds.items())
    legend = f"✓: within the joint 95 % interval. Training seeds: {counts}."
    if cells["settings"].str.startswith("partial").any():
        legend += " At a share: of the paper's meta-iterations."
    return legend


def percent(cell: dict[str, Any], key: str) -> str:
    """'95.39 ± 0.09' of a number and its half-width, both shares."""
    width = cell[{"published": "published_ci95", "mean": "ci95"}[key]]
    return f"{100 * cell[key]:.2f} ± {100 * width:.2f}"


def reached(cell: dict[str, Any]) -> str:
    """A mark where ours lies within the joint interval; the share of the budget where partial."""
    partial = re.search(r"partial: (\S+ %)", cell["settings"])
    if partial:
        return f" at {partial[1]}"
    return " ✓" if cell["verdict"] == "within" else ""


def csv_block(arguments: str) -> Block:
    """A CSV as Markdown, numbers with four digits; columns of one value become a line below.

    arguments: the file, then any number of KEY=VALUE that its lines must have.
    """
    file, *conditions = arguments.split()
    frame = pd.read_csv(PROJECT / file)
    for key, _, value in (condition.partition("=") for condition in conditions):
        frame = frame[[str(v) == value or same_number(str(v), value) for v in frame[key]]]
    constant = [column for column in frame if frame[column].nunique(dropna=False) == 1]
    below = "; ".join(f"{column}: {as_text(frame[column].iloc[0])}" for column in constant)
    table = frame.drop(columns=constant).map(as_text)
    text = table.to_markdown(index=False, disable_numparse=True)
    return Block("\n\n".join(filter(None, [text, wrapped(below)])))


def as_text(cell: Any) -> str:
    """A cell of a table; nothing where there is no value."""
    if pd.isna(cell):
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) and abs(cell) < 1e4 else str(cell)


def wrapped(paragraph: str) -> str:
    """A paragraph, or an item of a list, in lines of at most WIDTH characters."""
    indent = "  " if paragraph.startswith("- ") else ""
    return textwrap.fill(paragraph, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


MAKERS: dict[str, Callable[[str], Block]] = {
    "results": results_block,
    "captions": lambda _: Block(""),
    "paper": paper_block,
    "studies": lambda pattern: Block(studies_table(pattern)),
    "csv": csv_block,
}


@functools.cache
def figures_of(directories: str) -> dict[str, gallery.Picture]:
    """Every figure of the records in directories of the project; a page shows several of them."""
    paths = [PROJECT / directory for directory in directories.split()]
    with plotting.style():
        return gallery.all_figures(records.read_records(paths))


def draw_figures(page: Path, project: Path) -> list[Path]:
    """Draw every figure of a page below `project`; returns the files, PNG."""
    drawn = []
    for match in FIGURE.finditer(page.read_text(encoding="utf-8")):
        shown = (page.parent / match["file"]).resolve()
        file = project / shown.relative_to(PROJECT)
        file.parent.mkdir(parents=True, exist_ok=True)
        with plotting.style():
            _, axes = figures_of(match["records"])[match["name"]]
            drawn += figures.save(axes, file.with_suffix(""), ["png"])
    return drawn


def main() -> None:
    """Rewrite every page and its figures; with --check only say which page is stale."""
    stale = []
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = regenerated(before)
        if "--check" in sys.argv[1:]:
            stale += [page.name] if after != before else []
        else:
            page.write_text(after, encoding="utf-8")
            draw_figures(page, PROJECT)
    sys.exit(f"stale: {', '.join(stale)}; run make docs" if stale else 0)


if __name__ == "__main__":
    main()
