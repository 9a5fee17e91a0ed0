"""The files of a run as they are read: checked, so that damage is a line and not a traceback."""

import csv
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from results import schema
from results.schema import content_of


class DamagedRecord(ValueError):
    """A file that cannot be used; the text says why."""


def read_record(file: Path) -> dict[str, Any]:
    """The content of a `record.json`, as `schema.check` wants it and with a seal that fits.

    Raises:
        DamagedRecord: it is none, or was changed after its run completed.
    """
    document = read_json(file)
    try:
        schema.check(document)
        whole = schema.is_whole(document)
    except schema.Misfit as error:
        raise DamagedRecord(one_line(str(error))) from error
    except RecursionError as error:
        raise DamagedRecord("damaged: nested too deeply") from error
    if not whole:
        raise DamagedRecord("damaged: changed after the run completed (its seal does not fit)")
    return document


def read_json(file: Path) -> Any:
    """What a JSON file holds: finite numbers of a sane size, text that can be written again.

    Raises:
        DamagedRecord: it cannot be read, is cut off or holds something else.
    """
    try:
        text = content_of(file).decode()
        document = json.loads(text, parse_int=whole, parse_float=real, parse_constant=real)
        if re.search(r"\\u[dD]", text):  # half of a surrogate pair is no character
            json.dumps(document, ensure_ascii=False).encode()
    except OSError as error:
        raise DamagedRecord(f"cannot be read ({error.strerror})") from error
    except UnicodeEncodeError as error:
        raise DamagedRecord("damaged: it holds half a character (a lone surrogate)") from error
    except RecursionError as error:
        raise DamagedRecord("damaged: nested too deeply") from error
    except ValueError as error:
        raise DamagedRecord(f"damaged or cut off: not JSON ({one_line(str(error))})") from error
    return document


def whole(text: str) -> int:
    """A whole number of at most schema.MOST_DIGITS digits. Raises ValueError."""
    if len(text.lstrip("-")) > schema.MOST_DIGITS:
        raise ValueError(f"a whole number of {len(text.lstrip('-'))} digits")
    return int(text)


def real(text: str) -> float:
    """A finite number. Raises ValueError."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]}")
    return number


def read_curve(file: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The points of a `learning_curve.csv`, and a line for each that does not fit.

    A last line without its end is one that a run is just writing; it counts for neither.

    Raises:
        DamagedRecord: it has not the columns of a learning curve.
    """
    try:
        lines = content_of(file).decode().splitlines(keepends=True)
    except (OSError, UnicodeError) as error:
        raise DamagedRecord(f"damaged: not a learning curve ({one_line(str(error))})") from error
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    rows = csv.reader(lines)
    columns = next(rows, [])
    if absent := [name for name in schema.CURVE_COLUMNS if name not in columns]:
        raise DamagedRecord(f"damaged: not a learning curve (no column {', '.join(absent)})")
    points, problems = [], []
    for row in rows:
        try:
            points.append(curve_point(dict(zip(columns, row, strict=True))))
        except ValueError as error:
            problems.append(f"{file}: line {rows.line_num} is left out ({one_line(str(error))})")
    return points, problems


def curve_point(cells: dict[str, str]) -> dict[str, Any]:
    """A line of `learning_curve.csv` as the record has it. Raises ValueError."""
    point = {key: typed(text) for key, text in cells.items()}
    point[str(point["metric"])] = point["value"]
    schema.check_row("the point", point, schema.POINT_FIELDS)
    return point


def typed(text: str) -> Any:
    """A cell of a CSV file: None, true or false, a number, or the text itself."""
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    if re.fullmatch(r"-?[0-9]+", text):
        return whole(text)
    try:
        return float(text)
    except ValueError:
        return text


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """Every array of an `.npz` file, if it is the one that the record beside it names.

    Raises:
        DamagedRecord: it is not there, cut off, or was changed after its run completed.
    """
    try:
        content = content_of(file)
    except OSError as error:
        raise DamagedRecord(f"{file}: cannot be read ({error.strerror})") from error
    expected = digests(file.parent).get(file.name)
    if expected not in (None, schema.digest(content)):
        raise DamagedRecord(f"{file}: changed after the run completed (its seal does not fit)")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except Exception as error:  # there is no end to what damaged bytes can raise
        raise DamagedRecord(f"{file}: damaged ({one_line(str(error))})") from error


def digests(run: Path) -> dict[str, str]:
    """What a run's record says of the files beside it; nothing where it does not."""
    try:
        return read_record(run / schema.RECORD).get("digests") or {}
    except DamagedRecord:
        return {}


def load_scores(run: str, key: str) -> np.ndarray:
    """Scores [episodes], float32, of one evaluation of the run in directory `run`.

    Raises:
        DamagedRecord: no such file or key, or no scores under it.
    """
    return scores_in(read_arrays(Path(run, schema.SCORES)), key, run)


def scores_in(arrays: Mapping[str, np.ndarray], key: str, run: str) -> np.ndarray:
    """The scores under `key` among the arrays of the run in directory `run`.

    Raises:
        DamagedRecord: there are none.
    """
    file = Path(run, schema.SCORES)
    scores = arrays.get(key)
    if scores is None:
        raise DamagedRecord(f"{file}: no scores {key!r}")
    if scores.ndim != 1 or not scores.size or scores.dtype.kind != "f":
        raise DamagedRecord(f"{file}: {key!r} holds no scores")
    if not np.isfinite(scores).all():
        raise DamagedRecord(f"{file}: {key!r} holds scores that are not finite")
    return scores


def one_line(text: str) -> str:
    """A text that may have many lines as one, cut short."""
    return re.sub(r"\s+", " ", text)[:300]
