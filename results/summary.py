"""What a sweep leaves at its end: table and report beside the runs, and the table on the screen."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from results import formats, records, tables
from results.page import report


def write_summary(
    directory: str | os.PathLike[str],
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    jobs: Mapping[str, str] | None = None,
) -> int:
    """Summarise every run at or below `directory`.

    Writes `table.csv`, `table.md` and `report.html` into `directory`, then prints the text table,
    the runs that did not complete and where the files lie: files first, since a screen may be gone.

    Args:
        rows, columns: keys of the table; None: what tells the runs apart.
        jobs: the run directories of the command that asks, with why they were refused, if they
            were; None: all. Other runs are in the table, and their failures in one line.

    Returns:
        How many of those runs did not complete or left a record that cannot be read.
    """
    directory = Path(directory)
    found = records.read_records([directory])
    made = [
        table if table.compared else table.without_comparison()
        for table in tables.accuracy_tables(found, rows, columns, published=True)
    ]
    files = write_files(found, made, directory, rows, columns)
    failed = about_jobs(found, jobs) if jobs is not None else not_completed(found)
    formats.show(tables.summary_text(found, made))
    if files:
        formats.show(
            f"\nWritten: {', '.join(map(str, files))}; records: {directory}/*/record.json\n"
        )
    return len(failed)


def not_completed(found: records.Records) -> list[str]:
    """Directories of the runs that did not complete, as the records have them."""
    return (
        found.runs.loc[found.runs["status"] != "completed", "run"].tolist()
        if len(found.runs)
        else []
    )


def about_jobs(found: records.Records, jobs: Mapping[str, str]) -> list[str]:
    """The failed of `jobs`; leaves the problems of these alone in `found`, and a line on others."""
    mine = {os.path.realpath(job): reason for job, reason in jobs.items()}
    others = [run for run in not_completed(found) if os.path.realpath(run) not in mine]
    kept = [p for p in found.problems if not p.startswith(tuple(f"{run}/" for run in others))]
    known = {os.path.realpath(run) for run in found.runs["run"]} if len(found.runs) else set()
    bad = {os.path.realpath(run) for run in not_completed(found)}
    kept += [f"{job}: refused ({why})" for job, why in mine.items() if why and job not in bad]
    kept += [f"{job}: not started" for job, why in mine.items() if not why and job not in known]
    if others:
        kept.append(f"{len(others)} other runs in the same directory did not complete either")
    found.problems[:] = kept
    return [job for job, why in mine.items() if why or job in bad or job not in known]


def run_text(directory: str | os.PathLike[str]) -> str:
    """What a single run came to: its table, the reference lines included."""
    found = records.read_records([directory])
    return tables.summary_text(found, tables.accuracy_tables(found))


def write_files(
    found: records.Records,
    made: list[tables.Table],
    directory: Path,
    rows: Sequence[str] | None,
    columns: Sequence[str] | None,
) -> list[Path]:
    """The tables as CSV and Markdown, and the report."""
    files = []
    for name, style in (("table.csv", "csv"), ("table.md", "markdown")) if made else ():
        files.append(directory / name)
        files[-1].write_text(str(tables.render(made, style)), encoding="utf-8")
    if len(found.runs):
        files.append(directory / "report.html")
        keys = {"--rows": rows, "--columns": columns}
        chosen = [word for key, names in keys.items() if names for word in (key, ",".join(names))]
        words = [str(directory), *chosen, "--report", str(files[-1])]
        report.write_report(found, made, files[-1], words)
    return files
