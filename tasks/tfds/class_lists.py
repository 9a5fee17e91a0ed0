"""Which classes of a data set are for training, for validation and for the test: files of lists."""

import os
from pathlib import Path

from tasks.checks import ConfigError, one_line, require
from tasks.folder import SPLITS

HERE = Path(__file__).parent
KEY = "task.class_lists"


def read(name: str) -> dict[str, list[str]]:
    """The classes of each split from a file of lines "SPLIT CLASS", or from one that is here.

    Empty lines and lines that begin with # are passed over. Raises ConfigError.
    """
    own = ", ".join(sorted(each.stem for each in HERE.glob("*.txt")))
    rule = f"a file of lines such as 'train apple' (train, val or test), or one of {own}"
    files = (Path(name).expanduser(), HERE / f"{name}.txt")
    path = next(filter(os.path.isfile, files), None)
    require(path is not None, KEY, name, rule)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
    except (OSError, ValueError) as error:
        raise ConfigError(f"{KEY}={name}: must be {rule} ({one_line(error)})") from error
    found: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            split, _, label = line.partition(" ")
            require(split in SPLITS and bool(label), KEY, name, f"{rule}, not {line!r}")
            found[SPLITS[split]].append(label.strip())
    check(name, found)
    return {split: labels for split, labels in found.items() if labels}


def check(name: str, found: dict[str, list[str]]) -> None:
    """Training and test need two classes each, and each class one line."""
    few = [split for split in ("train", "test") if len(found[split]) < 2]
    require(not few, KEY, name, f"lists with two classes or more for {' and '.join(few)}")
    every = [label for labels in found.values() for label in labels]
    twice = sorted({label for label in every if every.count(label) > 1})
    require(not twice, KEY, name, f"lists with each class once, unlike {', '.join(twice)}")
