"""Any data set of TFDS: one that the test prepares through TFDS itself, with no network."""

import logging

import numpy as np
import pytest
from PIL import Image

from benchmark import config
from benchmark.command.compose import compose
from results.__main__ import main
from tasks.checks import ConfigError
from tasks.tfds import class_lists, source
from tests import tfds_set
from tests.command import benchmark, python, record

NAMES = tfds_set.CLASSES


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A TFDS data directory with the data set in it, and the caches of these tests."""
    return tfds_set.prepare(tmp_path_factory.mktemp("tfds"))


@pytest.fixture(scope="module")
def lists(data_dir):
    """Lists that leave two classes out."""
    train, test = (f"train {n}" for n in NAMES[:3]), (f"test {n}" for n in NAMES[3:5])
    file = data_dir / "lists.txt"
    file.write_text("\n".join(["# mine", *train, "", *test]))
    return file


def load(data_dir, *overrides):
    return config.load(compose(*settings(data_dir), *overrides)).task


def settings(data_dir):
    return [
        "task=tfds",
        "task.dataset=snapshots",
        f"task.data_dir={data_dir}",
        f"task.cache_dir={data_dir / 'cache'}",
        "task.size=20",
        "task.ways=2",
        "task.train_shots=3",
        "evaluation.shots=[1,3]",
    ]


def small(kind, number):
    """What a photograph of the data set becomes."""
    image = Image.fromarray(tfds_set.pixels(kind, number))
    return np.asarray(image.resize((20, 20), Image.Resampling.BILINEAR))


def test_every_image_of_every_split_is_in_its_class_once(data_dir, caplog):
    with caplog.at_level(logging.INFO):
        sets = load(data_dir, "task.validation_classes=2").loaded
        again = load(data_dir, "task.split_seed=1").loaded
    assert caplog.text.count("Decoding") <= 1  # the cache knows nothing of how classes are split
    assert {split: chosen.classes for split, chosen in sets.items()} == {
        "train": 3,
        "validation": 2,
        "test": 2,
    }
    assert sorted(name for chosen in sets.values() for name in chosen.names) == sorted(NAMES)
    assert set(again["test"].names) != set(sets["test"].names)
    for chosen in sets.values():
        for number, name in enumerate(chosen.names):
            kind = NAMES.index(name)
            expected = {small(kind, n).tobytes() for n in range(8)}
            assert sorted(image.tobytes() for image in chosen.of(number)) == sorted(expected)


def test_lists_decide_the_splits_and_leave_classes_out(data_dir, lists):
    task = load(data_dir, f"task.class_lists={lists}")
    assert {split: chosen.names for split, chosen in task.loaded.items()} == {
        "train": NAMES[:3],
        "test": NAMES[3:5],
    }
    expected = {small(4, n).tobytes() for n in range(8)}
    assert {image.tobytes() for image in task.loaded["test"].of(1)} == expected
    assert task.describe()["images"] == {"train": 24, "test": 16}
    assert task.describe()["dataset"] == "snapshots/1.2.0"


def test_from_the_command_to_the_report(data_dir, lists, tmp_path):
    done = benchmark(
        *settings(data_dir),
        f"task.class_lists={lists}",
        "model.filters=8",
        "algorithm.meta_iterations=5",
        "training.curve_points=0",
        "evaluation.episodes=10",
        "evaluation.steps=[2]",
        "evaluation.baselines=[]",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.returncode == 0, done.stderr
    assert "InitializeLog" not in done.stderr
    written = record(tmp_path / "run")
    assert written["data"]["images"] == {"train": 24, "test": 16}
    assert main([str(tmp_path / "run"), "--report", str(tmp_path / "page.html")]) == 0
    assert "task tfds" in (tmp_path / "page.html").read_text()


def test_what_is_prepared_is_found_without_tensorflow(data_dir):
    code = (
        "import sys; from tasks.tfds.source import prepared; "
        "print(prepared('snapshots', sys.argv[1]).info.full_name, 'tensorflow' in sys.modules)"
    )
    assert python("-c", code, str(data_dir)).stdout.split() == ["snapshots/1.2.0", "False"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["task.dataset=snapshot", "task.data_dir=null"],
            "task.dataset=snapshot: must be NAME, NAME/CONFIG or NAME:VERSION of a data set of "
            "TFDS (Dataset snapshot not found)",
        ),
        (
            ["task.dataset=cifar_100", "task.data_dir=null"],
            "not found); did you mean cifar100",
        ),
        (["task.dataset=coco"], "task.dataset=coco: must be a data set with a feature image and a"),
        (
            ["task.dataset=mnist"],
            "task.data_dir={data_dir}: must be a directory in which TFDS has prepared mnist/",
        ),
        (["task.size=0"], "task.size=0: must be pixels a side, or [height, width], at least 1"),
        (["task.train_classes=6"], "task.train_classes=6: must be between 2 and 5: of 7 classes"),
        (["task.train_shots=9"], "task.train_shots=9: must be at most 8: the train split has 8 ex"),
        (["task.class_lists=none"], "or one of cifar_fs, fc100"),
        (
            ["task.class_lists=fc100"],
            "task.class_lists=fc100: must be lists of classes of snapshots, which has no image of "
            "aquarium_fish, flatfish, ray, shark, trout, ...",
        ),
        (
            ["task.class_lists={lists}", "task.train_classes=3"],
            "task.train_classes=3: must be null: the splits are given",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(data_dir, lists, overrides, message):
    places = {"data_dir": data_dir, "lists": lists}
    with pytest.raises(ConfigError) as caught:
        load(data_dir, *(each.format(**places) for each in overrides))
    assert message.format(**places) in str(caught.value) and "\n" not in str(caught.value)


def test_what_cannot_be_downloaded_is_told_with_the_ways_out(data_dir, monkeypatch):
    monkeypatch.setattr(source, "unreachable", lambda url: f"no answer from {url}")
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    with pytest.raises(ConfigError) as caught:
        load(data_dir, "task.dataset=mnist", "task.data_dir=null")
    assert str(caught.value).startswith(f"mnist/3.0.1 is not prepared in {data_dir} and cannot be ")
    assert "no answer from http" in str(caught.value) and "TFDS_DATA_DIR" in str(caught.value)


def test_a_data_set_with_a_damaged_file_is_named(tmp_path, data_dir, monkeypatch):
    copy = tfds_set.copied(data_dir, tmp_path)
    (file,) = copy.rglob("*train.tfrecord*")
    file.write_bytes(file.read_bytes()[:-100])
    monkeypatch.setattr(source, "apart", lambda name, *given: getattr(source, name)(*given))
    with pytest.raises(
        ConfigError, match=r"^task\.dataset=snapshots: must be a data set that TFDS"
    ):
        load(copy)


def test_what_is_wrong_in_the_process_apart_is_told_here():
    with pytest.raises(
        ConfigError, match=r"^task\.dataset=snapshot: must be NAME, NAME/CONFIG or "
    ):
        source.apart("decode", "snapshot", None, [20, 20, 3], False, "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train a\ntrain b\ntest c", "two classes or more for test"),
        ("train a\ntrain b\ntest c\ntest a", "each class once, unlike a"),
        ("apple\npear", "not 'apple'"),
    ],
)
def test_lists_that_cannot_be_meant_are_refused(tmp_path, text, message):
    (tmp_path / "lists").write_text(text)
    with pytest.raises(ConfigError, match=message):
        class_lists.read(str(tmp_path / "lists"))


# Krizhevsky 2009: the superclass of each class of cifar100, the classes in alphabetical order.
SUPERCLASS = """
4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7 6 13 15 3 15 0 11 1 10 12 14 16 9 11 5 5
19 8 8 15 13 14 17 18 10 16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1 9 19 2 10 0 1 16 12 9 13 15
13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13
"""
FC100 = {  # Oreshkin et al. 2018: the superclasses by their number
    "train": {1, 2, 3, 4, 5, 6, 9, 10, 15, 17, 18, 19},
    "validation": {8, 11, 13, 16},
    "test": {0, 7, 12, 14},
}


def test_lists_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "lists").write_bytes(b"train caf\xe9")
    with pytest.raises(ConfigError, match=r"^task\.class_lists=.*/lists: must be a file of lines"):
        class_lists.read(str(tmp_path / "lists"))


def test_the_lists_of_cifar100_are_the_published_ones():
    cifar_fs, fc100 = class_lists.read("cifar_fs"), class_lists.read("fc100")
    assert {split: len(names) for split, names in cifar_fs.items()} == {
        "train": 64,
        "validation": 16,
        "test": 20,
    }
    every = sorted(name for names in cifar_fs.values() for name in names)
    assert len(set(every)) == 100 == sum(map(len, fc100.values()))
    of = dict(zip(every, map(int, SUPERCLASS.split()), strict=True))
    assert {split: {of[name] for name in names} for split, names in fc100.items()} == FC100
    assert {split: len(names) for split, names in fc100.items()} == {
        "train": 60,
        "validation": 20,
        "test": 20,
    }
