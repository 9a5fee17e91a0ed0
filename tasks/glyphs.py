"""Glyphs: made-up handwritten characters, drawn in seconds from a seed, with nothing to download.

A character is a few strokes, each a cubic Bezier curve; its alphabet decides how its strokes run
and gives half of its characters a stroke in common. Each of its drawers repeats it with a hand of
their own: the control points jitter, and the whole is turned, slanted, scaled and shifted.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.base import Size
from tasks.checks import require
from tasks.image_set import ImageSet, stacked
from tasks.images import SIDE, CharacterTask
from tasks.seeding import numpy_generator

STROKES = 4  # at most, in a character
SAMPLES = 48  # points along a stroke; closer together than a pen is wide
STYLE_NUMBERS = 11
SHAPE_NUMBERS = 8
HAND_NUMBERS = 7
BLOCK = 50  # classes drawn at a time, which bounds the memory


@dataclass(frozen=True, kw_only=True)
class Glyphs(CharacterTask):
    """Settings of conf/task/glyphs.yaml."""

    classes: int
    test_classes: int
    alphabets: int
    drawers: int
    seed: int

    def base_sizes(self) -> dict[str, Size]:
        return {
            "train": Size(self.classes, self.drawers),
            "test": Size(self.test_classes, self.drawers),
        }

    def check(self) -> None:
        require(self.classes >= 2, "task.classes", self.classes, "at least 2")
        require(self.test_classes >= 2, "task.test_classes", self.test_classes, "at least 2")
        require(self.drawers >= 2, "task.drawers", self.drawers, "at least 2")
        most = min(self.classes, self.test_classes)
        require(
            1 <= self.alphabets <= most,
            "task.alphabets",
            self.alphabets,
            f"between 1 and {most}, the smaller of task.classes={self.classes} and "
            f"task.test_classes={self.test_classes}",
        )
        require(self.seed >= 0, "task.seed", self.seed, "at least 0")
        super().check()

    def drawings(self) -> dict[str, ImageSet]:
        return {
            split: draw(self.seed, split, size.classes, self.drawers, self.alphabets)
            for split, size in self.base_sizes().items()
        }


class Style(NamedTuple):
    """What the characters of an alphabet have in common, one row a character.

    fewest: [class] int, strokes of its simplest characters
    bend:   [class] how far strokes curve, as a part of their length
    joined: [class] probability that a stroke starts where the one before ended
    stroke: [class, 8] the numbers of `skeletons` for the stroke that half of them share
    """

    fewest: np.ndarray
    bend: np.ndarray
    joined: np.ndarray
    stroke: np.ndarray


def draw(seed: int, split: str, classes: int, drawers: int, alphabets: int) -> ImageSet:
    """Draw the first `classes` characters of a split by `drawers` hands each.

    Character c belongs to alphabet c % alphabets and depends on (seed, split, c) and that alphabet
    alone, so a larger set begins with the smaller one. The splits share no alphabet.
    Its images are 28 x 28, ink 0, paper 255.
    """
    alphabet = np.arange(classes, dtype=np.int32) % alphabets
    random = [numpy_generator(seed, f"glyphs {split} alphabet {a}") for a in range(alphabets)]
    styles = np.stack([r.random(STYLE_NUMBERS) for r in random])[alphabet]
    blocks = [
        draw_block(seed, split, range(first, min(first + BLOCK, classes)), drawers, styles)
        for first in range(0, classes, BLOCK)
    ]
    return stacked(np.concatenate(blocks), alphabet)


def draw_block(seed: int, split: str, block: range, drawers: int, styles: np.ndarray) -> np.ndarray:
    """Draw some characters: [len(block), drawers, 28, 28] uint8."""
    random = [numpy_generator(seed, f"glyphs {split} character {c}") for c in block]
    shape = np.stack([r.random((STROKES + 1, SHAPE_NUMBERS)) for r in random])
    hand = np.stack([r.standard_normal((drawers, STROKES * 8 + HAND_NUMBERS)) for r in random])
    control, drawn = skeletons(shape, style_of(styles[block.start : block.stop]))
    points, radius = by_hand(control, drawn, hand)
    return rasterise(points, radius).reshape(len(block), drawers, SIDE, SIDE)


def style_of(numbers: np.ndarray) -> Style:
    """Turn uniform random numbers [class, 11] into styles."""
    return Style(
        fewest=1 + (numbers[:, 0] * 2).astype(int),
        bend=0.1 + 0.7 * numbers[:, 1],
        joined=0.2 + 0.6 * numbers[:, 2],
        stroke=numbers[:, 3:],
    )


def skeletons(shape: np.ndarray, style: Style) -> tuple[np.ndarray, np.ndarray]:
    """Characters as they are meant, before any hand draws them.

    shape: [class, strokes + 1, 8] uniform random numbers; the last row is about the whole.
    Returns control points [class, stroke, 4, 2], centred and of extent 1 at most, and whether each
    stroke is drawn, [class, stroke].
    """
    whole, shape = shape[:, -1], shape[:, :-1].copy()
    shares = whole[:, 0] < 0.5
    shape[shares, 0] = style.stroke[shares]
    control = np.zeros((len(shape), STROKES, 4, 2))
    for s in range(STROKES):
        numbers = shape[:, s]
        start = 2 * numbers[:, 0:2] - 1
        if s > 0:
            joins = numbers[:, 2] < style.joined
            start = np.where(joins[:, None], control[:, s - 1, 3], start)
        angle, length = 2 * np.pi * numbers[:, 3], 0.7 + numbers[:, 4]
        step = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        step = np.where(np.abs(start + step) > 1, -step, step)  # back to the middle of the paper
        across = np.stack([-step[:, 1], step[:, 0]], axis=-1) * style.bend[:, None]
        bows = 4 * numbers[:, 5:7] - 2
        for p, (along, bow) in enumerate(((0, None), (1 / 3, 0), (2 / 3, 1), (1, None))):
            control[:, s, p] = start + along * step
            if bow is not None:
                control[:, s, p] += across * bows[:, bow, None]
    strokes = np.minimum(style.fewest + (whole[:, 1] * 3).astype(int), STROKES)
    drawn = np.arange(STROKES) < strokes[:, None]
    return fit(control, drawn), drawn


def fit(control: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Centre characters and scale the longer side of each to 1."""
    points = bezier(control)
    inked = drawn[:, :, None, None]
    low = np.where(inked, points, np.inf).min(axis=(1, 2))
    high = np.where(inked, points, -np.inf).max(axis=(1, 2))
    extent = (high - low).max(axis=-1)
    return (control - ((low + high) / 2)[:, None, None]) / extent[:, None, None, None]


def by_hand(
    control: np.ndarray, drawn: np.ndarray, hand: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw each character by each of its hands.

    hand: [class, drawer, 39] standard normal random numbers.
    Returns points [class * drawer, strokes * samples, 2] in pixels (x, y), off the paper for
    strokes not drawn, and the radius of the pen [class * drawer] in pixels.
    """
    jitter, rest = np.split(hand, [STROKES * 8], axis=-1)
    jitter = jitter.reshape(*hand.shape[:2], STROKES, 4, 2)
    points = bezier(control[:, None] + 0.08 * jitter)  # [class, drawer, stroke, sample, 2]
    turn, slant, size, width, dx, dy, pen = np.moveaxis(rest, -1, 0)
    angle = 0.12 * turn
    scale = 18 * np.exp(0.12 * size)
    stretch = scale * np.exp(0.12 * width)
    slope = scale * 0.15 * slant
    across = np.stack([stretch * np.cos(angle), slope - scale * np.sin(angle)], axis=-1)
    down = np.stack([stretch * np.sin(angle), scale * np.cos(angle)], axis=-1)
    transform = np.stack([across, down], axis=-2)  # [class, drawer, (x, y), (x, y)]
    points = np.einsum("cdspi,cdji->cdspj", points, transform, optimize=True)
    drawn = drawn[:, None, :, None, None]
    low = np.where(drawn, points, np.inf).min(axis=(2, 3))
    high = np.where(drawn, points, -np.inf).max(axis=(2, 3))
    shift = SIDE / 2 + 1.5 * np.stack([dx, dy], axis=-1)
    shift = np.clip(shift, 1 - low, SIDE - 1 - high)  # on the paper, unless larger than that
    points = np.where(drawn, points + shift[:, :, None, None], -SIDE)
    radius = np.clip(0.62 + 0.08 * pen, 0.45, 0.95)
    return points.reshape(-1, STROKES * SAMPLES, 2).astype(np.float32), radius.reshape(-1)


def bezier(control: np.ndarray) -> np.ndarray:
    """Points along cubic Bezier curves: control [..., 4, 2] -> [..., samples, 2]."""
    t = np.linspace(0, 1, SAMPLES)[:, None]
    basis = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return basis @ control


def rasterise(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Ink each pixel whose centre is within the pen's radius of a point.

    points: [drawing, point, 2] (x, y) in pixels; radius: [drawing] in pixels, less than 1.
    Returns [drawing, 28, 28] uint8, ink 0, paper 255.
    """
    images = np.full((len(points), SIDE, SIDE), 255, np.uint8)
    home = np.floor(points).astype(np.int32)
    within = (radius**2)[:, None]
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            pixel = home + np.array([right, down], np.int32)
            away = points - (pixel + np.float32(0.5))
            inked = (away[..., 0] ** 2 + away[..., 1] ** 2) < within
            inked &= ((pixel >= 0) & (pixel < SIDE)).all(axis=-1)
            drawing, point = np.nonzero(inked)
            x, y = pixel[drawing, point].T
            images[drawing, y, x] = 0
    return images
