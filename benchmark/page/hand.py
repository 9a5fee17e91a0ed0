"""The hand that drew a data set: how large it writes, where, and with how wide a pen."""

import math
from typing import NamedTuple

import numpy as np

INK = 128  # what is darker is ink


class Hand(NamedTuple):
    """In pixels of the images.

    extent: the longer side of a drawing
    x, y:   the middle of a drawing, from the upper left corner of the paper
    pen:    the width of a stroke
    """

    extent: float
    x: float
    y: float
    pen: float


def hand(images: np.ndarray) -> Hand:
    """Of images [n, height, width, 1] uint8, dark ink on light paper: medians, and one pen."""
    ink = images[..., 0] < INK
    ink = ink[ink.any(axis=(1, 2))]
    (top, left), (bottom, right) = edges(ink)
    extent = np.maximum(bottom - top, right - left)
    x, y = (left + right) / 2, (top + bottom) / 2
    return Hand(median(extent), median(x), median(y), pen_width(ink))


def median(values: np.ndarray) -> float:
    return float(np.median(values))


def edges(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of ink [n, height, width] the first row and column, and those behind the last; [2, n]."""
    inked = [np.asarray(ink.any(axis=axis)) for axis in (2, 1)]
    first = [lines.argmax(axis=1) for lines in inked]
    last = [lines.shape[1] - lines[:, ::-1].argmax(axis=1) for lines in inked]
    return np.stack(first), np.stack(last)


def pen_width(ink: np.ndarray) -> float:
    """Width of the strokes in ink [n, height, width] bool, from how often neighbours are both ink.

    A stroke of width w that runs at an angle t covers, shifted by a pixel sideways, w - |sin t| of
    itself. Over all directions that is w - 2 / pi for w of at least 1, and for thinner ones
    2 / pi (w asin w + sqrt(1 - w^2) - 1): the covariogram of a strip (Matheron 1975).
    """
    across = np.count_nonzero(ink[:, :, 1:] & ink[:, :, :-1])
    down = np.count_nonzero(ink[:, 1:] & ink[:, :-1])
    measured = (across + down) / 2 / np.count_nonzero(ink)
    widths = np.linspace(0.05, ink.shape[-1], 10_000)
    return float(np.interp(measured, [overlap(w) / w for w in widths], widths))


def overlap(width: float) -> float:
    """What a stroke shares with itself, a pixel aside; in pixels of its width, over all angles."""
    if width >= 1:
        return width - 2 / math.pi
    return 2 / math.pi * (width * math.asin(width) + math.sqrt(1 - width**2) - 1)
