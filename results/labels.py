"""How methods, protocols and settings are called in tables and figures."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from results.grouping import show_value

METHOD_NAMES = {
    "reptile": "Reptile",
    "fomaml": "FOMAML",
    "maml": "MAML",
    "joint": "joint training",
    "scratch": "from scratch (no meta-learning)",
    "nearest_neighbour": "nearest neighbour (pixels)",
}


def method_name(method: Any) -> str:
    """'Reptile' for 'reptile'; an unknown method keeps its name."""
    return METHOD_NAMES.get(method, show_value(method))


def counted(count: int, noun: str) -> str:
    """'1 seed', '3 seeds'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


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
        else:
            words.append(f"{str(key).rpartition('.')[2]} {show_value(value)}")
    return " ".join(words) or "all"


def row_label(values: Mapping[str, Any]) -> str:
    """'Reptile, 5-way 1-shot, inner_steps 5': a legend entry."""
    protocol: dict[Hashable, Any] = {
        key: values[key] for key in ("ways", "shots", "transductive") if key in values
    }
    words = [method_name(values["method"])] if "method" in values else []
    if protocol:
        words.append(column_label(protocol).replace("all", "non-transductive"))
    words += [
        f"{short_key(key, list(values))} {show_value(value)}"
        for key, value in values.items()
        if key not in protocol and key != "method" and not pd.isna(value)
    ]
    return ", ".join(words)


def short_key(key: str, keys: Sequence[str]) -> str:
    """'meta_iterations' for 'algorithm.meta_iterations', unless that is ambiguous in `keys`."""
    last = key.rpartition(".")[2]
    clash = last in ("name", "test", "train") or sum(k.rpartition(".")[2] == last for k in keys) > 1
    return key if clash else last
