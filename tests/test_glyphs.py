"""Glyphs: the same characters everywhere, as many as asked for, neither trivial nor noise."""

import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from tasks import glyphs
from tasks.base import Size
from tasks.checks import ConfigError

ROOT = Path(__file__).parents[1]


def task(**changes):
    """The task of conf/task/glyphs.yaml, changed."""
    settings = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "task" / "glyphs.yaml"))
    assert settings.pop("_target_") == "tasks.glyphs.Glyphs"
    return glyphs.Glyphs(**settings | changes)


def drawings(chosen):
    """[class, drawer, 28, 28]"""
    return chosen.images.reshape(chosen.classes, -1, 28, 28)


@pytest.fixture(scope="module")
def sets():
    return task(rotations=False).loaded


def test_the_default_is_drawn_in_seconds():
    began = time.perf_counter()
    task().drawings()
    assert time.perf_counter() - began < 3


def test_drawings_are_black_on_white_and_none_is_empty(sets):
    for split, classes in (("train", 400), ("test", 100)):
        images = drawings(sets[split])
        assert images.shape == (classes, 20, 28, 28)
        assert images.dtype == np.uint8
        assert np.unique(images).tolist() == [0, 255]
        ink = (images == 0).mean(axis=(2, 3))
        assert ink.min() > 0.005
        assert 0.03 < ink.mean() < 0.12  # Omniglot: 0.08


def test_the_seed_decides_the_drawings_alone():
    first, again, other = (task(classes=12, seed=seed).drawings() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first["train"].images, again["train"].images)
    assert (first["train"].images != other["train"].images).any(axis=(1, 2, 3)).all()


def test_another_process_draws_the_same():
    code = (
        "import hashlib; from tasks.glyphs import draw; "
        "print(hashlib.sha256(draw(3, 'train', 7, 4, 2).images.tobytes()).hexdigest())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout


def test_more_classes_begin_with_the_same(sets):
    fewer = task(classes=60, test_classes=70, rotations=False).loaded
    train, test = drawings(sets["train"]), drawings(sets["test"])
    np.testing.assert_array_equal(drawings(fewer["train"]), train[:60])
    np.testing.assert_array_equal(drawings(fewer["test"]), test[:70])
    fewer_drawers = task(drawers=5, rotations=False).loaded["train"]
    np.testing.assert_array_equal(drawings(fewer_drawers), train[:, :5])


def test_no_two_drawings_are_the_same(sets):
    images = np.concatenate([sets["train"].images, sets["test"].images])
    assert len({image.tobytes() for image in images}) == len(images) == 500 * 20


def test_alphabets_are_filled_evenly(sets):
    for split, each in (("train", 40), ("test", 10)):
        assert np.unique(sets[split].alphabet, return_counts=True)[1].tolist() == [each] * 10


def test_the_nearest_pixels_are_about_as_good_as_for_omniglot(sets):
    """Omniglot: 0.38 by the same computation; chance is 0.2."""
    assert 0.30 < nearest_neighbour(drawings(sets["test"]).astype(float)) < 0.46


def test_there_is_more_to_learn_than_pixels(sets):
    """Centred and blurred drawings of a class are alike (Omniglot: 0.79)."""
    assert 0.72 < nearest_neighbour(blurred(drawings(sets["test"]))) < 0.87


def nearest_neighbour(images, episodes=500):
    """Accuracy of the nearest support image, 5 ways, 1 shot, over random episodes."""
    rng = np.random.default_rng(0)
    right = 0
    for _ in range(episodes):
        classes = rng.choice(len(images), 5, replace=False)
        support, query = np.array([rng.choice(20, 2, replace=False) for _ in classes]).T
        gap = images[classes, support][:, None] - images[classes, query][None]
        right += ((gap**2).sum(axis=(2, 3)).argmin(axis=0) == np.arange(5)).mean()
    return right / episodes


def blurred(images):
    """Ink, its centre of mass at the middle, blurred, of unit length."""
    ink = (images == 0).astype(float)
    for drawing in ink.reshape(-1, 28, 28):
        y, x = (14 - round(float(axis.mean())) for axis in np.nonzero(drawing))
        drawing[:] = np.roll(drawing, (y, x), axis=(0, 1))
    for _ in range(6):
        for axis in (2, 3):
            ink = (np.roll(ink, 1, axis) + 2 * ink + np.roll(ink, -1, axis)) / 4
    return ink / np.sqrt((ink**2).sum(axis=(2, 3), keepdims=True))


def test_rotations_and_validation_count():
    chosen = task(classes=60, test_classes=20, validation_classes=10, within_alphabet=False)
    classes = {split: images.classes for split, images in chosen.loaded.items()}
    assert classes == {"train": 200, "validation": 10, "test": 20}
    assert chosen.sizes() == {split: Size(count, 20) for split, count in classes.items()}
    assert chosen.describe()["classes"] == classes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 1}, "task.classes=1: must be at least 2"),
        ({"test_classes": 0}, "task.test_classes=0: must be at least 2"),
        ({"drawers": 1}, "task.drawers=1: must be at least 2"),
        ({"seed": -1}, "task.seed=-1: must be at least 0"),
        (
            {"alphabets": 101},
            "task.alphabets=101: must be between 1 and 100, "
            + "the smaller of task.classes=400 and task.test_classes=100",
        ),
        (
            {"validation_classes": 400},
            "task.validation_classes=400: must be between 0 and 399, "
            + "since the training split has 400 classes",
        ),
    ],
)
def test_settings_that_cannot_work_name_key_value_and_range(changes, message):
    task().check()
    with pytest.raises(ConfigError) as caught:
        task(**changes).check()
    assert str(caught.value) == message


def test_an_alphabet_too_small_for_the_ways_is_refused():
    with pytest.raises(ConfigError, match=r"^task\.ways=11: must be at most 10 with task.within_"):
        _ = task(ways=11, within_alphabet=True).loaded


def test_contact_sheet_has_classes_as_rows_and_drawers_as_columns(sets, tmp_path):
    script = runpy.run_path(str(ROOT / "scripts" / "contact_sheet.py"))
    ax = Figure().add_subplot()
    script["contact_sheet"](sets["test"], ax, rows=3, columns=2)
    (sheet,) = ax.get_images()
    pixels = np.asarray(sheet.get_array()).reshape(3, 30, 2, 30)
    np.testing.assert_array_equal(pixels[2, 1:-1, 1, 1:-1], sets["test"].of(2)[1, ..., 0])
    script["save"](sets, tmp_path / "sheet.png", rows=3, columns=2)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
