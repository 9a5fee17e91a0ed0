"""What a sweep leaves at its end: the table on the screen, and table and report beside the runs."""

import os
from pathlib import Path

from results import records, report, tables


def write_summary(directory: str | os.PathLike[str]) -> int:
    """Summarise every run at or below `directory`.

    Prints the text table and the runs that did not complete; writes `table.csv`, `table.md` and
    `report.html` into `directory`.

    Returns:
        The number of runs that did not complete or left a record that cannot be read.
    """
    directory = Path(directory)
    found = records.read_records([directory])
    made = [
        table if table.compared else table.without_comparison()
        for table in tables.accuracy_tables(found, published=True)
    ]
    print(tables.summary_text(found, made), end="")
    if made:
        (directory / "table.csv").write_text(tables.render(made, "csv"), encoding="utf-8")
        (directory / "table.md").write_text(tables.render(made, "markdown"), encoding="utf-8")
    if len(found.runs):
        report.write_report(found, made, directory / "report.html", [str(directory)])
    return int((found.runs["status"] != "completed").sum()) if len(found.runs) else 0
