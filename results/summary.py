"""What a sweep leaves at its end: table and report beside the runs, and the table on the screen."""

import os
from collections.abc import Sequence
from pathlib import Path

from results import formats, records, report, tables


def write_summary(
    directory: str | os.PathLike[str],
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> int:
    """Summarise every run at or below `directory`.

    Writes `table.csv`, `table.md` and `report.html` into `directory`, then prints the text table,
    the runs that did not complete and where the files lie: files first, since a screen may be gone.

    Args:
        rows, columns: keys of the table; None: what tells the runs apart.

    Returns:
        The number of runs that did not complete or left a record that cannot be read.
    """
    directory = Path(directory)
    found = records.read_records([directory])
    made = [
        table if table.compared else table.without_comparison()
        for table in tables.accuracy_tables(found, rows, columns, published=True)
    ]
    files = write_files(found, made, directory)
    formats.show(tables.summary_text(found, made))
    if files:
        formats.show(f"\nWritten: {', '.join(map(str, files))}\n")
    return int((found.runs["status"] != "completed").sum()) if len(found.runs) else 0


def run_text(directory: str | os.PathLike[str]) -> str:
    """What a single run came to: its table, the reference lines included."""
    found = records.read_records([directory])
    return tables.summary_text(found, tables.accuracy_tables(found))


def write_files(found: records.Records, made: list[tables.Table], directory: Path) -> list[Path]:
    """The tables as CSV and Markdown, and the report."""
    files = []
    for name, style in (("table.csv", "csv"), ("table.md", "markdown")) if made else ():
        files.append(directory / name)
        files[-1].write_text(str(tables.render(made, style)), encoding="utf-8")
    if len(found.runs):
        files.append(directory / "report.html")
        report.write_report(found, made, files[-1], [str(directory)])
    return files
