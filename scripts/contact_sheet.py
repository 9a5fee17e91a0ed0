"""Pictures of image tasks: classes as rows, examples as columns.

`python scripts/contact_sheet.py OUT.png` draws glyphs and fonts, beside Omniglot where that is at
hand.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tasks import fonts, glyphs
from tasks.checks import ConfigError
from tasks.image_set import ImageSet
from tasks.omniglot.cache import load
from tasks.omniglot.characters import CLASSES


def contact_sheet(chosen: ImageSet, ax: Any, rows: int = 12, columns: int = 10) -> None:
    """Show the first `columns` images of the first `rows` classes in matplotlib axes."""
    height, width, channels = chosen.images.shape[1:]
    rows = min(rows, chosen.classes)
    sheet = np.full((rows, columns, height + 2, width + 2, channels), 224, np.uint8)
    for row in range(rows):
        shown = chosen.of(row)[:columns]
        sheet[row, : len(shown), 1:-1, 1:-1] = shown
    sheet = sheet.swapaxes(1, 2).reshape(rows * (height + 2), columns * (width + 2), channels)
    if channels == 1:
        sheet = sheet[..., 0]
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(xlabel="examples", ylabel="classes", xticks=[], yticks=[])


def save(sets: dict[str, ImageSet], path: Path, rows: int = 12, columns: int = 10) -> None:
    """Write one contact sheet for each titled image set, side by side."""
    figure = Figure(figsize=(0.5 * columns * len(sets), 0.5 * rows + 0.4), layout="constrained")
    for ax, (title, chosen) in zip(
        figure.subplots(1, len(sets), squeeze=False)[0], sets.items(), strict=True
    ):
        contact_sheet(chosen, ax, rows, columns)
        ax.set_title(title)
    figure.savefig(path, dpi=100)


def spread(chosen: ImageSet, rows: int) -> ImageSet:
    """So many classes from the first to the last."""
    return chosen.select(np.linspace(0, chosen.classes - 1, rows).astype(int))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the picture to write, for example glyphs.png")
    parser.add_argument("--data-dir", help="where TFDS has prepared Omniglot")
    arguments = parser.parse_args()
    rows = 12
    letters = fonts.draw(0, 20, fonts.faces(None))
    sets = {"glyphs": glyphs.draw(0, "train", rows, 20, 10), "fonts": spread(letters, rows)}
    try:
        characters = load(arguments.data_dir, cache_dir=None)
        sets["Omniglot"] = spread(characters.select(np.arange(CLASSES)), rows)
    except ConfigError as error:
        print(f"Without Omniglot: {error}")
    save(sets, arguments.out, rows)


if __name__ == "__main__":
    main()
