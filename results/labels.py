"""How methods, protocols and settings are called in tables and figures."""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from results import schema

METHOD_NAMES = {
    "reptile": "Reptile",
    "fomaml": "FOMAML",
    "maml": "MAML",
    "protonet": "ProtoNet",
    "joint": "joint training",
    "scratch": "from scratch (no meta-learning)",
    "nearest_neighbour": "nearest neighbour (pixels)",
}

KINDS = ("last", "sum", "mean")
"""How a combination uses the gradients up to its last one, in the order of tables and figures."""


def show_value(value: Any) -> str:
    """A key's value as a user would write it on the command line; '-' where there is none."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "-"
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)


def method_name(method: Any) -> str:
    """'Reptile' for 'reptile'; an unknown method keeps its name."""
    return METHOD_NAMES.get(method, show_value(method))


def tail_names(frame: pd.DataFrame) -> pd.Series:
    """The method of each row, with where the last inner batch comes from (paper, section 6.3).

    'FOMAML, shared tail' (from the same examples as the others) or 'FOMAML, separate tail' (held
    back for it) for 'fomaml'; 'Reptile, separate tail'; other methods keep their name.
    """
    methods = frame["method"]
    if "algorithm.tail_shots" not in frame:
        return methods
    tail = frame["algorithm.tail_shots"]
    for kind, rows in [("shared", tail.eq(0) & methods.eq("fomaml")), ("separate", tail.gt(0))]:
        named = methods.map(lambda method, kind=kind: f"{method_name(method)}, {kind} tail")
        methods = methods.mask(rows.fillna(False).astype(bool), named)
    return methods


def with_tails(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows named by their tail where some hold one back; its size then follows from the batch."""
    tail = "algorithm.tail_shots"
    if tail not in frame or not frame[tail].gt(0).any():
        return frame
    return frame.assign(method=tail_names(frame)).drop(columns=tail)


class Combination(NamedTuple):
    """A combination of inner gradients by its name (paper, figure 3).

    steps: the last gradient in it; kind: 'sum' of several, 'last' alone, or 'mean' of several.
    """

    steps: int
    kind: str


def combination(method: Any) -> Combination | None:
    """Combination(3, 'mean') for 'mean(g1+g2+g3)', None for a method that is none."""
    terms = r"g\d+(?:\+g\d+)*"
    match = re.fullmatch(rf"mean\(({terms})\)|({terms})", str(method))
    if match is None:
        return None
    steps = [int(term[1:]) for term in (match[1] or match[2]).split("+")]
    kind = "mean" if match[1] else "sum" if len(steps) > 1 else "last"
    return Combination(max(steps), kind)


def rank(method: Any) -> tuple[bool, int, int]:
    """Gradient combinations by their number of steps, then by kind; baselines last."""
    combined = combination(method)
    steps, kind = (combined.steps, KINDS.index(combined.kind)) if combined else (0, 0)
    return method in schema.BASELINES, steps, kind


ONE_TRAINING = (
    "With one seed a verdict is about this run: its interval knows the noise of the episodes "
    "alone, and another training gives another number."
)


def about_this_run(verdict: str, seeds: int) -> str:
    """A verdict as far as one training can give it: 'held in this run' where there is one seed."""
    decided = verdict not in ("undecided", "unknown", "no records")
    return f"{verdict} in this run" if decided and seeds == 1 else verdict


def counted(count: int, noun: str) -> str:
    """'1 seed', '3 seeds'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """'1 h 05 min', '3 min 20 s' or '12.3 s'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def column_label(values: Mapping[Hashable, Any]) -> str:
    """'5-way 1-shot transductive' for {'ways': 5, 'shots': 1, 'transductive': True}."""
    words = []
    for key, value in values.items():
        if pd.isna(value):
            continue
        if key == "ways":
            words += [f"{value}-way"] if value != 1 else []
        elif key == "shots":
            words.append(f"{value}-shot")
        elif key == "transductive":
            words += ["transductive"] if value else []
        elif key == "task.name":
            words.append(str(value))
        elif key == "tested.name":
            words.append(f"on {value}")
        else:
            words.append(f"{str(key).rpartition('.')[2]} {show_value(value)}")
    return " ".join(words) or "all"


def protocol_labels(lines: pd.DataFrame) -> list[str]:
    """`column_label` of ways, shots and transduction of each line.

    What is normalised together matters to a squared error only where it varies.
    """
    protocol = lines[["ways", "shots", "transductive"]].copy()
    errors = lines["metric"].eq("mse")
    if protocol.loc[errors, "transductive"].nunique() < 2:
        protocol.loc[errors, "transductive"] = False
    return [column_label(line) for line in protocol.to_dict("records")]


def row_label(values: Mapping[str, Any]) -> str:
    """'Reptile, 5-way 1-shot, 5 inner steps': what a bar or a line is of."""
    words = [method_name(values["method"])] if "method" in values else []
    protocol: dict[Hashable, Any] = {
        key: values[key] for key in ("ways", "shots", "transductive") if key in values
    }
    words += [column_label(protocol).replace("all", "non-transductive")] if protocol else []
    words += [
        told(key, value)
        for key, value in values.items()
        if key not in (*protocol, "method") and not pd.isna(value)
    ]
    return ", ".join(words)


COUNTED = ("steps", "shots", "iterations", "episodes", "layers", "filters")
"""Ends of the names of settings that are so many of something."""


def told(key: str, value: Any) -> str:
    """A value in a title or a name: '5-way', 'cycling', '4 inner steps'; "" says nothing."""
    last, text = key.rpartition(".")[2], show_value(value)
    if key in ("ways", "shots", "transductive"):
        return column_label({key: value}).replace("all", "")
    if key == "tested.name":
        return f"tested on {text}"
    if key == "split":
        return f"{text} classes"
    if last == "replacement" and text in ("true", "false"):
        return "replacement" if value else "cycling"
    if key == "task.name":
        return text
    name = axis_name(key)
    if name.endswith(COUNTED) and isinstance(value, int | np.integer):
        return counted(int(value), name.removesuffix("s"))
    return f"{name} {text}"


def short_key(key: str, keys: Sequence[str]) -> str:
    """'meta_iterations' for 'algorithm.meta_iterations', unless that is ambiguous in `keys`."""
    last = key.rpartition(".")[2]
    clash = last in ("name", "test", "train") or sum(k.rpartition(".")[2] == last for k in keys) > 1
    return key if clash else last


def axis_name(key: str) -> str:
    """'meta-iterations' for 'algorithm.meta_iterations'."""
    return key.rpartition(".")[2].replace("_", " ").replace("meta iteration", "meta-iteration")
