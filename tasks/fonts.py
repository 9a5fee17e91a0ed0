"""Fonts: real letters of five scripts with nothing to download, each by many hands.

matplotlib ships twelve faces of DejaVu (Bitstream Vera's licence with public domain changes:
LICENSE_DEJAVU beside them). A class is a letter that all of them have; letters that look alike in
every face, as Latin A and Greek Alpha do, are one class. Each drawing takes a face and gives it
what a hand varies: slant, turn, size, width, perspective, a small warp, and the thickness of the
stroke.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.base import Size
from tasks.checks import ConfigError, require
from tasks.image_set import ImageSet, stacked
from tasks.images import SIDE, CharacterTask
from tasks.seeding import numpy_generator

SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN")  # as Unicode names begin
CATEGORIES = ("Lu", "Ll", "Lt", "Lo")  # letters, but no modifiers such as superscripts
FACES = 12  # of DejaVu; its two display faces hold a few symbols
CANVAS = 48  # pixels a side of a letter before a hand draws it
EM = 30  # pixels of the font's size on the canvas
WIDEST = 33  # pixels of the canvas that fit the paper; larger letters are drawn smaller
KNOTS = 4  # a side of the grid whose random shifts, smoothly between them, warp a drawing
HAND_NUMBERS = 9
BLOCK = 50  # classes drawn at a time, which bounds the memory


@dataclass(frozen=True, kw_only=True)
class Fonts(CharacterTask):
    """Settings of conf/task/fonts.yaml."""

    test_classes: int
    drawers: int
    seed: int
    font_dir: str | None

    def base_sizes(self) -> dict[str, Size]:
        classes = len(letters())
        return {
            "train": Size(classes - self.test_classes, self.drawers),
            "test": Size(self.test_classes, self.drawers),
        }

    def check(self) -> None:
        most = len(letters()) - 2
        require(
            2 <= self.test_classes <= most,
            "task.test_classes",
            self.test_classes,
            f"between 2 and {most}, since there are {most + 2} letters",
        )
        require(self.drawers >= 2, "task.drawers", self.drawers, "at least 2")
        require(self.seed >= 0, "task.seed", self.seed, "at least 0")
        super().check()
        faces(self.font_dir)

    def drawings(self) -> dict[str, ImageSet]:
        order = numpy_generator(self.split_seed, "class split").permutation(len(letters()))
        test, train = np.split(order, [self.test_classes])
        drawn = draw(self.seed, self.drawers, faces(self.font_dir))
        return {"train": drawn.select(np.sort(train)), "test": drawn.select(np.sort(test))}


class Letter(NamedTuple):
    """A class: one character, standing for those that look like it."""

    character: str
    script: int  # index into SCRIPTS


class Face(NamedTuple):
    """A font file and the characters it has."""

    path: str
    characters: frozenset[str]


def faces(font_dir: str | None) -> list[Face]:
    """DejaVu's faces, then those of the files under `font_dir`, by name. Raises ConfigError."""
    if font_dir is None:
        return dejavu()
    folder, kinds = Path(font_dir).expanduser(), (".ttf", ".otf", ".ttc")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds)
    rule = "a directory that holds font files (.ttf, .otf or .ttc), or null"
    require(bool(files), "task.font_dir", font_dir, rule)
    return [*dejavu(), *map(face, files)]


@lru_cache
def dejavu() -> list[Face]:
    """The faces that come with matplotlib."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = sorted(path for path in folder.glob("DejaVu*.ttf") if "Display" not in path.stem)
    if len(files) != FACES:
        raise ConfigError(
            f"task=fonts: {folder} must hold the {FACES} DejaVu faces that come with matplotlib, "
            f"not {len(files)}"
        )
    return [face(path) for path in files]


def face(path: Path) -> Face:
    """Read which characters a font file has. Raises ConfigError naming a file that is none."""
    from matplotlib.ft2font import FT2Font

    try:
        codes = FT2Font(str(path)).get_charmap()
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"task.font_dir: {path} cannot be read as a font ({error})") from error
    return Face(str(path), frozenset(map(chr, codes)))


@lru_cache
def letters() -> list[Letter]:
    """The classes, in Unicode's order: those that look alike stand once."""
    common = frozenset.intersection(*(known.characters for known in dejavu()))
    candidates = [Letter(c, script) for c in sorted(common) if (script := script_of(c)) is not None]
    first = first_alike([letter.character for letter in candidates])
    return [letter for i, letter in enumerate(candidates) if first[i] == i]


def first_alike(characters: list[str]) -> list[int]:
    """For each character the index of the first one that looks like it in all DejaVu faces.

    Only those with one and the same look in the first face are compared in the others, where
    outlines made twice may differ by a hair.
    """
    looks = [canvas.tobytes() for canvas in rendered(dejavu()[0].path, characters)]
    count, first = Counter(looks), list(range(len(characters)))
    shared = [i for i, look in enumerate(looks) if count[look] > 1]
    text = [characters[i] for i in shared]
    ink = np.stack([rendered(known.path, text) for known in dejavu()], axis=1).astype(np.int32)
    for here, i in enumerate(shared):
        for there, j in enumerate(shared[:here]):
            if looks[i] == looks[j] and alike(ink[here], ink[there]):
                first[i] = first[j]
                break
    return first


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two letters, [face, 48, 48] int32, differ by less than a shift of a pixel makes."""
    difference = np.abs(one - other).sum(axis=(1, 2))
    return bool((difference < 0.3 * one.sum(axis=(1, 2))).all())


def script_of(character: str) -> int | None:
    """Index into SCRIPTS of a letter's script; None for what is no letter of one of them."""
    name = unicodedata.name(character, "").split(" ")[0]
    known = unicodedata.category(character) in CATEGORIES and name in SCRIPTS
    return SCRIPTS.index(name) if known else None


def rendered(path: str, characters: Sequence[str]) -> np.ndarray:
    """Characters as the face has them: [character, 48, 48] uint8, paper 0, ink 255, centred."""
    from matplotlib.ft2font import FT2Font, LoadFlags

    font = FT2Font(path)
    font.set_size(EM, 72)  # points at so many a pixel
    canvases = np.zeros((len(characters), CANVAS, CANVAS), np.uint8)
    for canvas, character in zip(canvases, characters, strict=True):
        font.set_text(character, flags=LoadFlags.NO_HINTING)  # hints differ where shapes do not
        font.draw_glyphs_to_bitmap()
        ink = np.asarray(font.get_image())[:CANVAS, :CANVAS]
        top, left = (CANVAS - np.array(ink.shape)) // 2
        canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvases


def draw(seed: int, drawers: int, known: list[Face]) -> ImageSet:
    """All letters by `drawers` hands each; a letter's drawings depend on (seed, letter, faces)."""
    chosen = letters()
    blocks = [
        draw_block(seed, chosen[first : first + BLOCK], drawers, known)
        for first in range(0, len(chosen), BLOCK)
    ]
    drawn = stacked(np.concatenate(blocks), np.array([c.script for c in chosen], np.int32))
    return drawn._replace(names=tuple(letter.character for letter in chosen))


def draw_block(seed: int, block: list[Letter], drawers: int, known: list[Face]) -> np.ndarray:
    """Draw some letters: [len(block), drawers, 28, 28] uint8, ink 0, paper 255."""
    random = [numpy_generator(seed, f"fonts letter {ord(c.character)}") for c in block]
    hands = np.stack([r.standard_normal((drawers, HAND_NUMBERS + 2 * KNOTS**2)) for r in random])
    chosen = np.stack(
        [chosen_faces(r, c, drawers, known) for r, c in zip(random, block, strict=True)]
    )
    canvases = np.empty((*chosen.shape, CANVAS, CANVAS), np.float32)
    for number in np.unique(chosen):
        letter, drawer = np.nonzero(chosen == number)
        needed, inverse = np.unique(letter, return_inverse=True)
        text = [block[i].character for i in needed]
        canvases[letter, drawer] = rendered(known[number].path, text)[inverse]
    flat = canvases.reshape(-1, CANVAS, CANVAS)
    images = by_hand(flat, hands.reshape(len(flat), -1).astype(np.float32))
    return images.reshape(*chosen.shape, SIDE, SIDE)


def chosen_faces(
    random: np.random.Generator, letter: Letter, drawers: int, known: list[Face]
) -> np.ndarray:
    """[drawer] int: a face for each drawing, in random order, none more often than it must be."""
    having = [i for i, face in enumerate(known) if letter.character in face.characters]
    passes = -(-drawers // len(having))
    return np.concatenate([random.permutation(having) for _ in range(passes)])[:drawers]


def by_hand(canvases: np.ndarray, hands: np.ndarray) -> np.ndarray:
    """Draw each letter as a hand would: [drawing, 28, 28] uint8, ink 0, paper 255.

    canvases: [drawing, 48, 48] float32, ink 255; hands: [drawing, 9 + 2 * 16] standard normal.
    """
    soft = blurred(canvases)
    places = origins(hands, np.maximum(1, extents(canvases) / WIDEST))
    ink = bilinear(soft, places)
    level = 255 * np.clip(0.46 + 0.1 * hands[:, 8], 0.2, 0.6)  # lower is thicker
    darkest = ink.max(axis=(1, 2))
    level = np.where(darkest > level, level, darkest / 2)  # a hair line is not lost
    return np.where(ink > level[:, None, None], 0, 255).astype(np.uint8)


def origins(hands: np.ndarray, shrink: np.ndarray) -> np.ndarray:
    """Where on its canvas each pixel of each drawing comes from: [drawing, 28, 28, (x, y)]."""
    slant, turn, size, width, right, down, lean, tilt = hands[:, :8].T
    pixel = np.arange(SIDE, dtype=np.float32) + 0.5 - SIDE / 2
    x, y = np.meshgrid(pixel, pixel)
    x = x - 1.2 * right[:, None, None]
    y = y - 1.2 * down[:, None, None]
    depth = 1 + 0.006 * (lean[:, None, None] * x + tilt[:, None, None] * y)
    scale = shrink / 0.75 * np.exp(0.1 * size)
    stretch, slope, angle = np.exp(0.1 * width), 0.2 * slant, 0.1 * turn
    cos, sin = np.cos(angle), np.sin(angle)
    across = np.stack([cos * stretch, -sin * stretch + slope], -1) * scale[:, None]
    along = np.stack([sin, cos], -1) * scale[:, None]
    flat = np.stack([x / depth, y / depth], -1)
    mapped = np.einsum("dyxj,dij->dyxi", flat, np.stack([across, along], 1), optimize=True)
    return mapped + CANVAS / 2 + warp(hands[:, HAND_NUMBERS:])


def warp(numbers: np.ndarray) -> np.ndarray:
    """Smooth random shifts in pixels of the canvas: [drawing, 28, 28, 2]."""
    knots = numbers.reshape(-1, KNOTS, KNOTS, 2)
    place = np.linspace(0, KNOTS - 1, SIDE, dtype=np.float32)
    near = np.cos(np.pi / 2 * np.clip(place[:, None] - np.arange(KNOTS), -1, 1)) ** 2  # sums to 1
    return 1.2 * np.einsum("dkli,yk,xl->dyxi", knots, near, near, optimize=True)


def blurred(canvases: np.ndarray) -> np.ndarray:
    """Each pixel the mean of its 3 x 3 neighbourhood, so that a level decides the thickness."""
    padded = np.pad(canvases, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def extents(canvases: np.ndarray) -> np.ndarray:
    """[drawing] the longer side of each letter's ink in pixels."""
    inked = canvases > 0
    return np.maximum(inked.any(1).sum(1), inked.any(2).sum(1)).astype(np.float32)


def bilinear(canvases: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values between the pixels of canvases; places: [drawing, 28, 28, (x, y)] in pixels."""
    x, y = np.moveaxis(np.clip(places - 0.5, 0, CANVAS - 1.001), -1, 0)
    left, top = x.astype(np.int32), y.astype(np.int32)
    right, down = x - left, y - top
    flat = canvases.reshape(-1)
    first = (
        np.arange(len(canvases), dtype=np.int32)[:, None, None] * CANVAS**2 + top * CANVAS + left
    )
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    lower = flat[first + CANVAS] * (1 - right) + flat[first + CANVAS + 1] * right
    return upper * (1 - down) + lower * down
