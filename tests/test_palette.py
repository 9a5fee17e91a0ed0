"""One look for each method: fixed for ours, free colours for others, all told apart."""

import itertools

import numpy as np
import pytest

from results.pictures import palette
from results.pictures.palette import Look

# What protanopes and deuteranopes see, linear RGB to linear RGB: Viénot, Brettel, Mollon (1999).
SEEN = {
    "usual": np.eye(3),
    "protanope": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranope": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
OURS = ["reptile", "fomaml", "maml", "protonet", "joint"]


def lab(color, seen):
    """CIELAB of '#RRGGBB' as `seen`."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.asarray(seen) @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", SEEN)
def test_no_two_colours_look_alike(vision):
    seen = [lab(color, SEEN[vision]) for color in palette.COLORS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 18


def test_a_method_of_ours_looks_the_same_whoever_stands_beside_it_and_however_it_is_called():
    alone = {name: palette.looks([name])[name] for name in OURS}
    assert palette.looks([*OURS, "mine"]).items() >= alone.items()
    assert palette.looks(["Reptile"])["Reptile"] == alone["reptile"] == Look("#0072B2", "o")
    assert len({look.color for look in alone.values()}) == len(OURS)
    assert len({look.marker for look in alone.values()}) == len(OURS)
    assert palette.looks(["FOMAML, shared tail"]).popitem()[1] == alone["fomaml"]
    assert palette.looks(["scratch"])["scratch"] == Look(palette.GREY)


def test_methods_of_users_take_free_colours_in_the_order_of_their_names():
    names = [f"m{number}" for number in range(40)]
    looks = palette.looks(name for name in ["reptile", *reversed(names)])
    assert looks == palette.looks([*names, "reptile"])
    assert len(set(looks.values())) == len(looks)
    first = [looks[name].color for name in sorted(names)[:6]]
    assert {*first, looks["reptile"].color} == set(palette.COLORS)


def test_combinations_have_the_colour_of_the_method_that_they_are():
    combinations = ["g1", "g2", "g1+g2", "mean(g1+g2)", "g4", "g1+g2+g3+g4", "mean(g1+g2+g3+g4)"]
    looks = palette.looks([*combinations, "reptile", "fomaml", "joint"])
    assert looks["g1"].color == looks["joint"].color
    assert looks["g2"].color == looks["g4"].color == looks["fomaml"].color
    assert looks["g1+g2"].color == looks["g1+g2+g3+g4"].color == looks["reptile"].color
    assert len({looks[name] for name in combinations}) == len(combinations)


def test_dashes_tell_transduction():
    assert [palette.line_style(t) for t in (True, np.True_, False, None)] == ["--", "--", "-", "-"]
