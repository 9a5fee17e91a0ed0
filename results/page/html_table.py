"""A table's cells as a page wants them: numbers in parts, decimal points below each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from results.formats import unmarked

NUMBER = re.compile(r"([+-]?\d+)(\.\d+)?((?:e[+-]\d+)?(?:[ ,].*)?)")
MISSING = "-"
PROSE, LONG = 28, 100
"""Characters of a text that may be broken into lines, and of one that needs room."""
WIDEST = 40
"""Characters of the widest part that is aligned."""


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        parts: the text, or where its column needs it, the parts of a number: what stands before
            its point, its decimals, and the rest.
        kind: what its column holds: n (numbers), p (prose), l (long prose) or '' (words); a class
            of the style, and short, since there may be many thousand cells.
        best: whether it is marked (`formats.marked`).
        wide: characters of the widest of each part in the column, 0 where all are equal.
    """

    parts: tuple[str, ...]
    kind: str = ""
    best: bool = False
    wide: tuple[int, ...] = ()


def grid_of(frame: pd.DataFrame, protocols: Sequence[str] = ()) -> dict[str, Any]:
    """The table for the template.

    Args:
        frame: text, a line a row; protocols: the columns that a reader may leave out.
    """
    columns = [cells_of(list(frame.iloc[:, place].map(str))) for place in range(frame.shape[1])]
    return {
        "columns": [
            {
                "name": str(name),
                "protocol": str(name) in protocols,
                "kind": head_kind(cells),
            }
            for name, cells in zip(frame.columns, columns, strict=True)
        ],
        "lines": list(zip(*columns, strict=True)),
    }


def head_kind(cells: list[Cell]) -> str:
    """Above numbers that end in words of their own, a name stands where they begin."""
    return "" if not cells or any(cells[0].wide[2:]) else cells[0].kind


def cells_of(written: list[str]) -> list[Cell]:
    """A column: of numbers, of which some may be missing, or of words."""
    texts = [unmarked(text)[0] for text in written]
    best = [unmarked(text)[1] for text in written]
    parts = [parts_of(text) for text in texts]
    if None in parts or set(texts) <= {MISSING}:
        longest = max(map(len, texts), default=0)
        kind = "l" if longest > LONG else "p" if longest > PROSE else ""
        return [Cell((text,), kind, is_best) for text, is_best in zip(texts, best, strict=True)]
    known = [part for part in parts if part is not None]
    wide = tuple(widest([part[place] for part in known]) for place in range(3))
    if not any(wide[1:]):  # right-aligned, the points stand below each other as they are
        known, wide = [("".join(part),) for part in known], ()
    return [Cell(part, "n", is_best, wide) for part, is_best in zip(known, best, strict=True)]


def parts_of(text: str) -> tuple[str, ...] | None:
    """(whole, decimals, rest) of a number, also of a missing one; None for words."""
    if text == MISSING:
        return MISSING, "", ""
    match = NUMBER.fullmatch(text)
    return match.groups("") if match else None


def widest(parts: list[str]) -> int:
    """The characters of the longest, 0 where all have as many."""
    sizes = {len(part) for part in parts}
    return min(max(sizes), WIDEST) if len(sizes) > 1 else 0
