"""One colour and one marker for each method, wherever it is drawn: figures, report, documentation.

The colours are those of Okabe and Ito, "Color Universal Design" (2008,
https://jfly.uni-koeln.de/color/), which readers with every kind of colour vision tell apart; their
yellow is left out, which is too pale on white. A line's dashes tell transduction. What is no method
under test (a baseline, a published number) is grey and says its name where its line ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from results import schema
from results.labels import combination, method_name

BLUE, VERMILLION, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
COLORS = (SKY, ORANGE, PINK, GREEN, BLACK, VERMILLION, BLUE)
"""The palette, what methods of ours use least first: the order in which others are given them."""

GREY = "#767676"
"""Of lines to compare with."""

ON_DARK = {BLACK: "#FFFFFF", GREY: "#9E9E9E"}
"""What stands for these colours on a dark page; the others can be seen on both."""

MARKERS = ("H", "<", "*", "8", ">", "P", "X", "D", "v", "^", "s", "o")
"""Matplotlib's names, again what methods of ours use least first."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    color: str
    marker: str = ""  # none: a reference line


KNOWN = {
    "Reptile": Look(BLUE, "o"),
    "FOMAML": Look(VERMILLION, "s"),
    "FOMAML, shared tail": Look(VERMILLION, "s"),
    "FOMAML, separate tail": Look(ORANGE, "D"),
    "Reptile, separate tail": Look(SKY, "D"),
    "MAML": Look(GREEN, "^"),
    "ProtoNet": Look(PINK, "v"),
    "joint training": Look(BLACK, "X"),
}
OF_KIND = {"sum": BLUE, "last": VERMILLION, "mean": SKY}
OF_STEPS = ("X", "d", ">", "p", "h", "8")
"""Combinations of inner gradients: a sum is Reptile's, the last alone FOMAML's (paper, section
6.2), the first alone joint training's; the marker tells the number of steps."""


def looks(methods: Iterable[Any]) -> dict[Any, Look]:
    """The look of each method, which may be named as in records or as in tables.

    Methods of users are given, in the order of their names, the colours that none of the others
    has; once there are no more of these, markers that no method of the same colour has. So give all
    methods of a page at once.
    """
    every = dict.fromkeys(methods)
    known = {method: look for method in every if (look := known_look(method))}
    taken = list(known.values())
    for method in sorted(every.keys() - known.keys(), key=str):
        taken.append(free_look(taken))
        known[method] = taken[-1]
    return known


def known_look(method: Any) -> Look | None:
    """The look of a method or baseline of ours; None for one of a user."""
    if method in schema.BASELINES:
        return Look(GREY)
    if combined := combination(method):
        color = BLACK if combined.steps == 1 else OF_KIND[combined.kind]
        return Look(color, OF_STEPS[min(combined.steps, len(OF_STEPS)) - 1])
    return KNOWN.get(method_name(method))


def free_look(taken: list[Look]) -> Look:
    """The first colour that is used least, with the first of the markers used least with it."""
    color = min(COLORS, key=[look.color for look in taken].count)
    return Look(
        color, min(MARKERS, key=[look.marker for look in taken if look.color == color].count)
    )


def line_style(transductive: Any) -> str:
    """Dashed where queries are normalised together, whole otherwise."""
    return "--" if transductive is True or str(transductive).lower() == "true" else "-"


def tints(color: str, number: int) -> list[str]:
    """Shades of a colour for the settings of one method, from pale to the colour itself."""
    shares = [0.55 * (number - 1 - place) / max(number - 1, 1) for place in range(number)]
    return [mixed(color, 255, share) for share in shares]


def text_color(color: str) -> str:
    """A colour, darkened until text in it is read on white (WCAG 2.1: a contrast of 4.5)."""
    darker = (mixed(color, 0, share / 100) for share in range(101))
    return next(shade for shade in darker if 1.05 / (luminance(shade) + 0.05) >= 4.5)


def mixed(color: str, level: int, share: float) -> str:
    """A colour with a share of white (level 255) or black (0)."""
    parts = [round(part + share * (level - part)) for part in channels(color)]
    return "#{:02X}{:02X}{:02X}".format(*parts)


def channels(color: str) -> tuple[int, ...]:
    """(red, green, blue), 0 to 255, of '#RRGGBB'."""
    return tuple(bytes.fromhex(color.removeprefix("#")))


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.1): 0 of black, 1 of white."""
    shares = [part / 255 for part in channels(color)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * s for w, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
