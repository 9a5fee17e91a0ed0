"""`--published FILE.csv`: other people's numbers in a table of the user's own.

The columns are those of `results/published/*.csv`; what each may hold stands in COLUMNS. A column
named after a key of the configuration (`algorithm.inner_steps`) states a setting behind a number.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from results.compare.comparison import published_numbers
from results.grouping import BadOption
from results.reading import typed
from results.schema import SETTING_FIELDS, Field, content_of

COLUMNS = {
    "task": Field(str, required=True),
    "method": Field(str, required=True),
    "ways": Field(int, 1, required=True),
    "shots": Field(int, 1, required=True),
    "transductive": Field(bool),
    "accuracy": Field(float, 0, 100, required=True),
    "half_width": Field(float, 0, 100),
    "interval": Field(str),
    "meta_iterations": Field(int, 1),
    "comparable": Field(bool),
    "source": Field(str),
}
"""Accuracies are in percent. An empty `comparable` is true, an empty `transductive` fits either."""

STATED = {**SETTING_FIELDS, "algorithm.meta_iterations": COLUMNS["meta_iterations"]}
"""Settings behind a number whose values a reader reckons with; others are text."""


def numbers_of(files: list[Path | None]) -> pd.DataFrame:
    """The published numbers that `--published` asks for: of files, and of None ours.

    Raises:
        BadOption: a file cannot be read, or a line of it does not fit.
    """
    parts = [published_numbers() if file is None else read_numbers(file) for file in files]
    return pd.concat(parts, ignore_index=True).convert_dtypes()


def read_numbers(file: Path) -> pd.DataFrame:
    """A user's table in the columns of `comparison.published_numbers`.

    Raises:
        BadOption: it cannot be read, or a cell does not fit; names file, line and column.
    """
    try:
        lines = content_of(file).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise BadOption(f"{file}: cannot be read ({reason})") from error
    rows = list(rows_of(file, lines))
    if not rows:
        raise BadOption(f"{file}: holds no line below its columns")
    given = {"interval": "not stated", "source": file.name, "comparable": True}
    filled = [row | {k: v for k, v in given.items() if row.get(k) is None} for row in rows]
    frame = pd.DataFrame(filled).reindex(columns=list(dict.fromkeys([*COLUMNS, *filled[0]])))
    return frame.assign(file=file.stem, own=True)


def rows_of(file: Path, lines: list[str]) -> Iterator[dict[str, Any]]:
    """The checked lines of a table. Raises BadOption."""
    reader = csv.reader(lines)
    columns = [name.strip() for name in next(reader, [])]
    check_columns(file, columns)
    for row in reader:
        where = f"{file}, line {reader.line_num}"
        if row and len(row) != len(columns):
            raise BadOption(f"{where}: {len(row)} cells, where {len(columns)} columns are named")
        if row:
            cells = zip(columns, row, strict=True)
            yield {name: cell_of(f"{where}, column {name}", name, text) for name, text in cells}


def check_columns(file: Path, columns: list[str]) -> None:
    """Raise BadOption where columns are missing, unknown or there twice."""
    for name in columns:
        if name not in COLUMNS and "." not in name:
            allowed = f"{', '.join(COLUMNS)} and keys of the configuration such as task.split"
            raise BadOption(f"{file}, line 1: no column {name!r} is known; allowed are {allowed}")
        if columns.count(name) > 1:
            raise BadOption(f"{file}, line 1: column {name} stands there twice")
    for name, field in COLUMNS.items():
        if field.required and name not in columns:
            raise BadOption(f"{file}, line 1: column {name} is missing")


def cell_of(where: str, name: str, text: str) -> Any:
    """The value of a cell. Raises BadOption."""
    text = text.strip()
    if name not in COLUMNS:
        if text and name in STATED:
            checked(where, STATED[name], text)
        return text or None
    return checked(where, COLUMNS[name], text)


def checked(where: str, field: Field, text: str) -> Any:
    """The value that a text stands for in a field. Raises BadOption."""
    if field.kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = text or None if field.kind is str else typed(text)
        fits = field.fits(value)
    except ValueError:  # too many digits
        fits = False
    if not fits:
        raise BadOption(f"{where}: {text[:60]!r} is not {field}")
    return value
