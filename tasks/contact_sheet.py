"""Pictures of drawings: classes as rows, drawers as columns.

`python -m tasks.contact_sheet OUT.png` draws glyphs, beside Omniglot where that is at hand.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tasks import glyphs, omniglot
from tasks.checks import ConfigError
from tasks.images import SIDE, ImageSet


def contact_sheet(images: np.ndarray, ax: Any = None, rows: int = 12, columns: int = 10) -> Any:
    """Show the first `columns` drawings of the first `rows` classes.

    images: [class, example, 28, 28] uint8, ink 0, paper 255.
    Returns the matplotlib axes, new ones where `ax` is None.
    """
    from matplotlib.figure import Figure

    if ax is None:
        ax = Figure().add_subplot()
    shown = images[:rows, :columns]
    rows, columns = shown.shape[:2]
    framed = np.pad(shown, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=224)
    side = SIDE + 2
    sheet = framed.transpose(0, 2, 1, 3).reshape(rows * side, columns * side)
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(xlabel="drawers", ylabel="classes", xticks=[], yticks=[])
    return ax


def save(sets: dict[str, ImageSet], path: Path, rows: int = 12, columns: int = 10) -> None:
    """Write one contact sheet for each titled image set, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.5 * columns * len(sets), 0.5 * rows + 0.4), layout="constrained")
    for ax, (title, chosen) in zip(
        figure.subplots(1, len(sets), squeeze=False)[0], sets.items(), strict=True
    ):
        contact_sheet(chosen.images, ax, rows, columns).set_title(title)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.contact_sheet", description=__doc__)
    parser.add_argument("out", type=Path, help="the picture to write, for example glyphs.png")
    parser.add_argument("--data-dir", help="where TFDS has prepared Omniglot")
    arguments = parser.parse_args()
    rows = 12
    sets = {"glyphs": glyphs.draw(0, "train", rows, 20, 10)}
    try:
        characters = omniglot.load(arguments.data_dir, cache_dir=None)
        spread = np.linspace(0, omniglot.CLASSES - 1, rows).astype(int)
        sets["Omniglot"] = characters.select(spread)
    except ConfigError as error:
        print(f"Without Omniglot: {error}")
    save(sets, arguments.out, rows)


if __name__ == "__main__":
    main()
