"""Fonts: real letters, each a class of its own, neither trivial nor noise."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from benchmark import config
from benchmark.command.compose import compose
from tasks import fonts
from tasks.checks import ConfigError
from tests.test_glyphs import nearest_neighbour
from tests.toy import settings


def task(*overrides):
    return settings("task=fonts", *overrides).task


@pytest.fixture(scope="module")
def drawn():
    """Every fifth letter by 20 hands: [letter, drawer, 28, 28]."""
    return fonts.draw_block(0, fonts.letters()[::5], 20, fonts.dejavu())


def test_letters_are_of_five_scripts_and_each_stands_once():
    letters = fonts.letters()
    assert 1200 < len(letters) < 1350
    assert np.bincount([letter.script for letter in letters]).min() > 30
    characters = [letter.character for letter in letters]
    assert characters == sorted(set(characters)) and all(map(str.isalpha, characters))
    assert {"A", "Ω", "Д"} < set(characters)
    assert not {"Α", "А"} & set(characters)  # Greek and Cyrillic, which look like the Latin A


def test_no_two_letters_look_alike_in_every_face():
    text = [letter.character for letter in fonts.letters()]
    looks = [fonts.rendered(face.path, text) for face in fonts.dejavu()]
    together = np.stack(looks, axis=1).reshape(len(text), -1)
    assert len({look.tobytes() for look in together}) == len(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("A", "А", True), ("o", "ο", True), ("o", "O", False), ("т", "m", False)],
)
def test_letters_are_merged_where_they_look_alike_in_all_faces(one, other, same):
    """Cyrillic te looks like the Latin m in the italic faces alone."""
    assert fonts.first_alike(["x", one, other]) == [0, 1, 1 if same else 2]


def test_drawings_are_ink_on_paper_and_none_is_empty(drawn):
    images = drawn.reshape(-1, 28, 28)
    assert drawn.shape[1:] == (20, 28, 28) and drawn.dtype == np.uint8
    assert np.unique(images).tolist() == [0, 255]
    ink = (images == 0).mean(axis=(1, 2))
    assert ink.min() > 0 and 0.08 < ink.mean() < 0.18
    assert len({image.tobytes() for image in images}) > 0.999 * len(images)


def test_the_seed_decides_the_drawings_and_fewer_classes_are_drawn_alike():
    block = fonts.letters()[40:43]
    first, again = (fonts.draw_block(0, block, 5, fonts.dejavu()) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = fonts.draw_block(1, block, 5, fonts.dejavu())
    assert (first != other).any(axis=(2, 3)).all()
    alone = fonts.draw_block(0, block[1:2], 5, fonts.dejavu())
    np.testing.assert_array_equal(alone[0], first[1])


def test_faces_take_turns():
    random = np.random.default_rng(0)
    chosen = fonts.chosen_faces(random, fonts.letters()[0], 20, fonts.dejavu())
    assert sorted(np.bincount(chosen, minlength=12)) == [1] * 4 + [2] * 8


def test_the_nearest_pixels_are_about_as_good_as_for_omniglot(drawn):
    """Omniglot: 0.38 by the same computation; chance is 0.2. Faces without a hand: 0.9."""
    assert 0.32 < nearest_neighbour(drawn.astype(float)) < 0.46


def test_a_warp_moves_each_pixel_by_a_mean_of_its_knots():
    same = np.tile(np.float32([3, -2]), 16)[None]
    moved = fonts.warp(same) / fonts.warp(np.ones((1, 32), np.float32))
    np.testing.assert_allclose(moved[0, 5, 9], [3, -2], rtol=1e-5)
    np.testing.assert_allclose(np.ptp(fonts.warp(same), axis=(1, 2)), 0, atol=1e-5)


def test_bilinear_agrees_with_the_formula_point_by_point():
    random = np.random.default_rng(0)
    canvases = random.random((2, 48, 48)).astype(np.float32)
    places = random.uniform(1, 47, (2, 28, 28, 2)).astype(np.float32)
    found = fonts.bilinear(canvases, places)
    for d, y, x in ((0, 3, 4), (1, 27, 0), (1, 10, 20)):
        u, v = places[d, y, x] - 0.5
        expected = sum(
            canvases[d, int(v) + b, int(u) + a]
            * (1 - abs(u - int(u) - a))
            * (1 - abs(v - int(v) - b))
            for a in (0, 1)
            for b in (0, 1)
        )
        assert found[d, y, x] == pytest.approx(expected, rel=1e-4)


def test_splits_share_no_letter_and_scripts_are_alphabets():
    few = ["task.drawers=3", "task.train_shots=2", "evaluation.shots=[2]"]
    chosen = task("task.validation_classes=50", "task.rotations=false", *few)
    sets = chosen.loaded
    names = [set(sets[split].names) for split in ("train", "validation", "test")]
    assert list(map(len, names)) == [
        chosen.sizes()[s].classes for s in ("train", "validation", "test")
    ]
    assert len(set.union(*names)) == sum(map(len, names)) == len(fonts.letters())
    greek = sets["test"].names.index(next(n for n in sets["test"].names if n in "αβγδεζηθΓΔΘΛΞ"))
    assert sets["test"].alphabet[greek] == fonts.SCRIPTS.index("GREEK")
    for drawings in sets.values():
        assert drawings.images.shape[1:] == (28, 28, 1)
        assert (drawings.images == 0).any(axis=(1, 2, 3)).all()


def test_a_font_dir_adds_faces_to_the_same_letters(tmp_path):
    folder = tmp_path / "more" / "faces"
    folder.mkdir(parents=True)
    source = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "STIXGeneral.ttf"
    (folder / "Stix.TTF").write_bytes(source.read_bytes())
    faces = fonts.faces(str(tmp_path))
    assert [Path(face.path).name for face in faces[12:]] == ["Stix.TTF"]
    block = fonts.letters()[:2]
    assert (
        fonts.draw_block(0, block, 13, faces) != fonts.draw_block(0, block, 13, faces[:12])
    ).any()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.test_classes=1", r"task.test_classes=1: must be between 2 and \d+, since there are"),
        ("task.drawers=1", "task.drawers=1: must be at least 2"),
        ("task.seed=-1", "task.seed=-1: must be at least 0"),
        (
            "task.font_dir=/nowhere",
            "task.font_dir=/nowhere: must be a directory that holds font fi",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(override, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        config.load(compose("task=fonts", override))


def test_a_file_that_is_no_font_is_named(tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    with pytest.raises(ConfigError, match=rf"^task.font_dir: {tmp_path}/broken.ttf cannot be read"):
        fonts.faces(str(tmp_path))
