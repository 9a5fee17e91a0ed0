"""The one writer of tables: text, Markdown, LaTeX and HTML to read, CSV and Parquet for numbers."""

import html
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

import pandas as pd

STYLES = ("text", "csv", "markdown", "latex", "html", "parquet")
SCREEN = "screen"
"""Text for a terminal, which may be narrow; beside STYLES."""
KEYS = "keys"
"""In the `attrs` of rows: how many columns, the first ones, say what a row is."""
MIN_PADDING = 2  # tabulate's, behind a heading
NARROW = 12  # characters of a heading that are not wrapped for want of room

NUMBERS = ("csv", "parquet")
"""Styles whose rows are numbers, a line a cell, and that have no header and no caption."""

MARK = " *"
"""Ends a cell that is marked: as it stands in text, bold in Markdown, LaTeX and HTML."""

LATEX_SPECIAL = re.compile(r"[\\&%$#_{}~^<>]")
LATEX_NAMES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
MARKED_IN_LATEX = re.compile(r"(?<![^\s&])([^\s&][^&\n]*) \*(?=\s*(?:&|\\\\))")
PLAIN = str.maketrans({"±": "+-", "×": "x", "–": "-", "—": "-", "…": "...", "≥": ">=", "≤": "<="})


def write(
    header: Sequence[str],
    rows: pd.DataFrame,
    caption: Sequence[str],
    style: str,
    wrap: Mapping[str, int] | None = None,
) -> str | bytes:
    """A table in one of STYLES or SCREEN; Parquet is bytes, the others end with a line break.

    Args:
        header, caption: lines above and below; in LaTeX both are the caption.
        rows: text, a line a row; for NUMBERS numbers.
        wrap: columns of prose with their width in characters (in LaTeX their share of the line).
    """
    if style == "csv":
        return rows.to_csv(index=False)
    if style == "parquet":
        buffer = io.BytesIO()
        rows.to_parquet(buffer, index=False)
        return buffer.getvalue()
    writers = {
        "text": text,
        "screen": screen,
        "markdown": markdown,
        "latex": latex,
        "html": as_html,
    }
    return f"{writers[style](header, rows.map(str), caption, wrap or {})}\n"


def marked(cell: str) -> str:
    """A cell with the mark of the best."""
    return f"{cell}{MARK}"


def unmarked(cell: str) -> tuple[str, bool]:
    """A cell without its mark, and whether it had one."""
    return cell.removesuffix(MARK), cell.endswith(MARK)


def text(
    header: Sequence[str], rows: pd.DataFrame, caption: Sequence[str], wrap: Mapping[str, int]
) -> str:
    """Aligned columns, for a terminal."""
    from tabulate import SEPARATING_LINE

    for column, width in wrap.items():
        rows[column] = [textwrap.fill(cell, width, break_on_hyphens=False) for cell in rows[column]]
    if wrap:  # a rule between two rows, since each may take several lines
        rules = pd.DataFrame(SEPARATING_LINE, rows.index[:-1], rows.columns)
        rows = pd.concat([rows, rules]).sort_index(kind="stable")
    parts = ["\n".join(header), grid(rows, "simple"), "\n".join(caption)]
    return "\n\n".join(filter(None, parts))


def screen(
    header: Sequence[str], rows: pd.DataFrame, caption: Sequence[str], wrap: Mapping[str, int]
) -> str:
    """As `text`, no wider than the terminal: headings are wrapped, then columns stand in parts."""
    width = shutil.get_terminal_size().columns
    if wrap:  # prose, whose columns have their widths
        return text(header, rows, caption, wrap)
    above, below = ("\n".join(textwrap.fill(s, width) for s in part) for part in (header, caption))
    parts = [grid(part, "simple") for part in in_parts(narrow(rows, width), width)]
    return "\n\n".join(filter(None, [above, *parts, below]))


def narrow(rows: pd.DataFrame, width: int) -> pd.DataFrame:
    """Rows as they are where `width` holds them; else headings and names of rows in lines."""
    if sum(sizes_of(rows)) - 2 <= width:
        return rows
    keyed = rows.columns[: rows.attrs.get(KEYS, 1)]
    lower = rows.assign(**{str(key): rows[key].map(fill) for key in keyed})
    names = [fill(str(n), max(NARROW, *lower.iloc[:, i].str.len())) for i, n in enumerate(lower)]
    return lower.set_axis(names, axis="columns")


def fill(cell: str, width: int = 18) -> str:
    """Text in lines of `width`, no word broken."""
    return textwrap.fill(cell, width, break_long_words=False, break_on_hyphens=False)


def sizes_of(rows: pd.DataFrame) -> list[int]:
    """The characters that each column takes on a line, with the gap behind it."""
    longest = lambda cells: max(len(line) for cell in cells for line in cell.split("\n"))  # noqa: E731
    return [
        2 + max(longest([str(name)]) + MIN_PADDING, longest(rows.iloc[:, place]))
        for place, name in enumerate(rows)
    ]


def in_parts(rows: pd.DataFrame, width: int) -> Iterator[pd.DataFrame]:
    """The columns in as few tables as fit `width`, each with those that name its rows (KEYS)."""
    sizes = sizes_of(rows)
    keys = list(range(rows.attrs.get(KEYS, 1)))
    part: list[int] = []
    for place in range(len(keys), len(sizes)):
        if part and sum(sizes[i] for i in (*keys, *part, place)) - 2 > width:
            yield rows.iloc[:, keys + part]
            part = []
        part.append(place)
    yield rows.iloc[:, keys + part]


def markdown(
    header: Sequence[str], rows: pd.DataFrame, caption: Sequence[str], wrap: Mapping[str, int]
) -> str:
    """A table as GitHub shows it."""
    above, below = (" ".join(map(for_markdown, lines)) for lines in (header, caption))
    return "\n\n".join(filter(None, [above, markdown_table(rows), below]))


def markdown_table(rows: pd.DataFrame) -> str:
    """The table alone."""
    return grid(rows.map(for_markdown).rename(columns=for_markdown), "github")


def as_html(
    header: Sequence[str], rows: pd.DataFrame, caption: Sequence[str], wrap: Mapping[str, int]
) -> str:
    """Paragraphs and a table for a page of the reader's own."""
    table = grid(rows.map(for_html).rename(columns=for_html), "unsafehtml")
    above, below = (" ".join(map(for_html, lines)) for lines in (header, caption))
    parts = [f"<p>{above}</p>" if above else "", table, f"<p>{below}</p>" if below else ""]
    return "\n".join(filter(None, parts))


def latex(
    header: Sequence[str], rows: pd.DataFrame, caption: Sequence[str], wrap: Mapping[str, int]
) -> str:
    """A floating table (booktabs) no wider than the line."""
    said = for_latex(" ".join([*header, *caption]))
    tabular = re.sub(r"(?<!\S)-(?=\d)", "$-$", grid(rows, "latex_booktabs")).replace("±", r"$\pm$")
    tabular = MARKED_IN_LATEX.sub(r"\\textbf{\1}", tabular)
    if wrap:
        size, needs, whole = r"\small", "booktabs", sum(wrap.values())
        shares = [f"p{{{wrap.get(str(name), 0) / whole * 0.85:.2f}\\linewidth}}" for name in rows]
        columns = "".join(s if n in wrap else "l" for n, s in zip(rows, shares, strict=True))
        tabular = tabular.replace(f"{{{'l' * len(rows.columns)}}}", f"{{{columns}}}", 1)
    else:
        size, needs = "", "booktabs,graphicx"
        fit = r"\resizebox{\ifdim\width>\linewidth \linewidth\else\width\fi}{!}{%"
        tabular = f"{fit}\n{tabular}}}"
    begin = f"% needs \\usepackage{{{needs}}}\n\\begin{{table}}\n\\centering{size}"
    return f"{begin}\n\\caption{{{said}}}\n{tabular}\n\\end{{table}}"


def grid(rows: pd.DataFrame, style: str) -> str:
    """Cells of text in one of tabulate's formats."""
    from tabulate import tabulate

    return tabulate(
        rows.to_numpy().tolist(),
        headers=[str(name) for name in rows.columns],
        disable_numparse=True,
        tablefmt=style,
    )


def for_markdown(cell: str) -> str:
    """Text in which nothing is markup; bold where it is marked."""
    plain, bold = unmarked(str(cell))
    escaped = html.escape(plain, quote=False).replace("|", "\\|").replace("\n", " ")
    return f"**{escaped}**" if bold else escaped


def for_html(cell: str) -> str:
    """Text in which nothing is markup; bold where it is marked."""
    plain, bold = unmarked(str(cell))
    escaped = html.escape(plain)
    return f"<b>{escaped}</b>" if bold else escaped


def for_latex(said: str) -> str:
    """Text in which nothing is a command."""
    escaped = LATEX_SPECIAL.sub(lambda m: LATEX_NAMES.get(m[0], "\\" + m[0]), said)
    return escaped.replace("±", r"$\pm$")


def on_terminal() -> bool:
    """Whether what is printed goes to a terminal; to nothing at all where it was closed before."""
    return sys.stdout is not None and sys.stdout.isatty()


def show(said: str, stream: TextIO | None = None) -> None:
    """Print text; a terminal that cannot show a character gets a plainer one (± becomes +-)."""
    stream = stream or sys.stdout
    if stream is None:  # closed before the command began
        return
    encoding = stream.encoding or "utf-8"
    try:
        said.encode(encoding)
    except UnicodeEncodeError:
        said = said.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    print(said, end="", file=stream, flush=True)
