"""What the artists of a figure show, for a page on which a reader may point at them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd

from results.labels import counted, method_name
from results.pictures.plotting import Artist
from results.tables import show_number

MOST_RUNS = 6
"""Runs that a point names."""


@dataclass(frozen=True)
class Mark:
    """What one artist shows.

    Attributes:
        method: whose numbers they are, by its name in the tables.
        texts: what is to be said of each of its points, in the order in which they are drawn;
            one text is about the whole.
    """

    method: str
    texts: tuple[str, ...] = ()


MARKS: WeakKeyDictionary[Artist, Mark] = WeakKeyDictionary()


def mark(artists: Iterable[Artist], method: object, texts: Sequence[str] = ()) -> None:
    """Note that each of these artists shows a method's numbers, and what they are."""
    name = method_name(method).partition(",")[0]
    MARKS.update((artist, Mark(name, tuple(texts))) for artist in artists)


def point_texts(cells: pd.DataFrame, names: Sequence[str], x: str = "") -> list[str]:
    """Its name, number, what that rests on and its runs, of each cell.

    Args:
        cells: `grouping.summarise(...)`; names: of each.
        x: the key along which they lie, which each text then states.
    """
    rows: Any = cells.to_dict("records")
    named = zip(names, rows, strict=True)
    return ["\n".join([name, *point_lines(row, x)]) for name, row in named]


def point_lines(row: dict[str, Any], x: str) -> list[str]:
    """'95.39 ± 0.09, meta_iterations 2000', '3 seeds of 400 episodes', and the runs."""
    number = show_number(row["mean"], row["ci95"], row["metric"])
    place = f", {x.rpartition('.')[2]} {row[x]:g}" if x else ""
    episodes = counted(int(row["episodes"]), "episode")
    seeds = f"{row['seeds']} seeds of {episodes}" if row["seeds"] > 1 else f"1 seed, {episodes}"
    runs = row.get("runs", ())
    more = [f"and {len(runs) - MOST_RUNS} more runs"] if len(runs) > MOST_RUNS else []
    return [number + place, seeds, *runs[:MOST_RUNS], *more]
