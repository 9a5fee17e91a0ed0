"""What is read: records of runs as tables, figures and a report; no TensorFlow needed."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read", "table"]


def read(*paths: str | os.PathLike[str]) -> "pd.DataFrame":
    """Every completed evaluation at or below `paths`, one row each, with the run's settings.

    The columns are those of `results.records.Records.evaluations`; accuracy is a share from 0 to 1.
    A directory that is not there, or holds nothing, gives no rows.
    """
    from results import records

    return records.read_records(paths).completed


def table(*paths: str | os.PathLike[str], style: str = "text", published: bool = False) -> str:
    """The table of the runs at or below `paths`, as `python -m results PATHS` prints it.

    style: text, markdown or latex; published: beside the published numbers. Raises ValueError for
    another style.
    """
    from results import formats, records, tables

    styles = [known for known in formats.STYLES if known not in formats.NUMBERS]
    if style not in styles:
        raise ValueError(f"style={style}: must be one of {', '.join(styles)}")
    made = tables.accuracy_tables(records.read_records(paths), published=published)
    return str(tables.render(made, style))
