"""Images of one's own: every layout, every fault in one line, from the command to the report."""

import itertools
import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from benchmark import config
from benchmark.command.compose import compose
from results.records import read_records
from tasks.base import Size
from tasks.checks import ConfigError
from tasks.pictures import decode
from tests.command import PROJECT, python, record
from tests.forks import Fault
from tests.photographs import photograph, write_folder
from tests.toy import settings

FLAT = {"ant": 6, "bee": 7, "cat": 9, "dog": 6, "elk": 8, "fox": 6, "gnu": 8}


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Seven classes of 50 images in all, in one level."""
    return write_folder(tmp_path_factory.mktemp("flat") / "photos", FLAT)


def load(directory, cache, *overrides):
    return config.load(
        compose(
            "task=folder",
            f"task.directory={directory}",
            f"task.cache_dir={cache}",
            "task.size=20",
            "task.ways=2",
            "task.train_shots=3",
            "evaluation.shots=[1,3]",
            *overrides,
        )
    ).task


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB").resize((20, 20), Image.Resampling.BILINEAR))


def test_every_image_is_in_its_class_and_every_class_in_one_split(flat, tmp_path):
    task = load(flat, tmp_path, "task.validation_classes=2", "task.train_classes=3")
    sets = task.loaded
    assert {split: chosen.classes for split, chosen in sets.items()} == {
        "train": 3,
        "validation": 2,
        "test": 2,
    }
    seen = {}
    for chosen in sets.values():
        assert chosen.images.shape == (50, 20, 20, 3)
        for number, name in enumerate(chosen.names):
            files = sorted((flat / name).iterdir())
            np.testing.assert_array_equal(chosen.of(number), np.stack([*map(pixels, files)]))
            seen[name] = len(chosen.of(number))
    assert seen == FLAT
    counts = task.describe()["images"]
    assert sum(counts.values()) == 50 and set(counts) == set(task.sizes())


def test_the_split_seed_decides_and_two_thirds_train(flat, tmp_path):
    zero, again, one = (load(flat, tmp_path, f"task.split_seed={seed}") for seed in (0, 0, 1))
    names = [task.loaded["train"].names for task in (zero, again, one)]
    assert names[0] == names[1] != names[2] and len(names[0]) == 5
    size = zero.sizes()["test"]
    assert size == Size.of({name: FLAT[name] for name in zero.loaded["test"].names})


def test_given_splits_are_kept(tmp_path):
    for split, classes in (
        ("train", {"a": 4, "b": 4}),
        ("val", {"c": 4, "d": 4}),
        ("test", {"e": 4, "f": 5}),
    ):
        write_folder(tmp_path / "d" / split, classes)
    (tmp_path / "d" / "train" / "a" / "Thumbs.db").touch()
    (tmp_path / "d" / "train" / ".hidden").mkdir()
    sets = load(tmp_path / "d", tmp_path).loaded
    assert {split: chosen.names for split, chosen in sets.items()} == {
        "train": ("a", "b"),
        "validation": ("c", "d"),
        "test": ("e", "f"),
    }


def test_it_is_decoded_once_and_again_after_a_change(flat, tmp_path, caplog):
    write_folder(tmp_path / "d", FLAT)
    with caplog.at_level(logging.INFO):
        first, second = (load(tmp_path / "d", tmp_path / "c").loaded for _ in range(2))
        assert [r.message for r in caplog.records if "Decoding" in r.message] == [
            f"Decoding the 50 images of {tmp_path}/d once, into {path}"
            for path in (tmp_path / "c").glob("*.cache")
        ]
        photograph(99, 0).save(tmp_path / "d" / "cat" / "000.jpg")
        third = load(tmp_path / "d", tmp_path / "c").loaded
    assert caplog.text.count("Decoding") == 2
    np.testing.assert_array_equal(first["test"].images, second["test"].images)
    assert (first["test"].images != third["test"].images).any()


@pytest.mark.parametrize("suffix", [".cache", ".npy"])
def test_a_damaged_cache_is_built_again(flat, tmp_path, suffix):
    whole = load(flat, tmp_path).loaded["train"].images.copy()
    (path,) = tmp_path.glob(f"*{suffix}")
    path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    np.testing.assert_array_equal(load(flat, tmp_path).loaded["train"].images, whole)


JOBS = """
import os, resource, sys
import tensorflow as tf
from tests.test_folder import load
def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def job():
    tf.constant(0)
    task = load(sys.argv[1], sys.argv[2], "task.size=400")
    before = used()
    distribution = task.load()
    episode = distribution.sample("train", tf.constant([0, 1]), 2, 2, 1)
    print((used() - before) / task.loaded["train"].images.nbytes)
for _ in range(2):
    if not os.fork():
        job()
        break
    os.wait()
"""


def test_memory_stays_below_one_and_a_half_of_the_decoded_bytes(tmp_path):
    """First while decoding, then from the cache: 96 MB, so that the interpreter's own is little."""
    folder = write_folder(tmp_path / "d", dict.fromkeys("abcd", 10))
    for file, number in itertools.product(sorted(folder.glob("*/*")), range(4)):
        shutil.copy(file, file.with_stem(f"{file.stem}_{number}"))
    done = python("-c", JOBS, str(tmp_path / "d"), str(tmp_path / "c"))
    decoding, cached = map(float, done.stdout.split())
    assert 0.9 < decoding < 1.5 and cached < 1.5, done.stderr


def test_jobs_that_race_decode_once(flat, tmp_path):
    code = (
        "import logging, sys; logging.basicConfig(level=20); from tests.test_folder import load; "
        "print(load(*sys.argv[1:]).describe()['sha256'])"
    )
    command = [sys.executable, "-c", code, str(flat), str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    jobs = [subprocess.Popen(command, cwd=PROJECT, **pipes) for _ in range(3)]
    outputs = [job.communicate(timeout=200) for job in jobs]
    assert len({out for out, _ in outputs}) == 1 and outputs[0][0]
    assert sum("Decoding" in err for _, err in outputs) == 1


# --- One image ---


def test_modes_of_images_become_what_was_asked_for(tmp_path):
    clear = Image.new("RGBA", (8, 6), (255, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 0, 255))
    clear.save(tmp_path / "clear.png")
    grey = decode(tmp_path / "clear.png", (6, 8, 1), invert=False)
    assert grey[0, 0, 0] == 0 and np.unique(grey[1:]).tolist() == [255]
    np.testing.assert_array_equal(decode(tmp_path / "clear.png", (6, 8, 1), True), 255 - grey)
    deep = np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(
        decode(tmp_path / "deep.png", (6, 8, 1), False)[..., 0], deep // 256
    )
    for name, unclear in {"floats.tiff": np.float32, "long.tiff": np.int32}.items():
        Image.fromarray(np.ones((6, 8), unclear)).save(tmp_path / name)
        with pytest.raises(ValueError, match="floats or of 32 bits, do not say what is white"):
            decode(tmp_path / name, (6, 8, 1), False)
    turned = Image.new("RGB", (8, 6), "white")
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was held upright
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert decode(tmp_path / "turned.jpg", (8, 6, 3), False).shape == (8, 6, 3)
    Image.new("P", (5, 5)).save(tmp_path / "palette.png")
    assert not decode(tmp_path / "palette.png", (5, 5, 3), False).any()


# --- What the user is told ---


def test_a_broken_image_is_named_or_left_out_and_counted(tmp_path, caplog):
    write_folder(tmp_path / "d", dict.fromkeys("abcde", 6))
    cut = tmp_path / "d" / "c" / "000.jpg"
    cut.write_bytes(cut.read_bytes()[:500])
    (tmp_path / "d" / "c" / "001.png").write_bytes(b"no image")
    with pytest.raises(ConfigError, match=r"task\.skip_broken=true") as caught:
        _ = load(tmp_path / "d", tmp_path / "c").loaded
    assert str(caught.value).startswith(f"{cut}: must be a whole image (")
    assert "(2 such files)" in str(caught.value) and "\n" not in str(caught.value)
    for _ in range(2):  # also from the cache
        caplog.clear()
        sets = load(tmp_path / "d", tmp_path / "c", "task.skip_broken=true").loaded
        assert "2 images cannot be read and are left out: " in caplog.text
    by_name = {n: c.of(i) for c in sets.values() for i, n in enumerate(c.names)}
    assert len(by_name["c"]) == 4 and len(by_name["d"]) == 6
    expected = [pixels(path) for path in sorted((tmp_path / "d" / "c").iterdir())[2:]]
    np.testing.assert_array_equal(by_name["c"], np.stack(expected))


def test_a_class_without_one_whole_image_is_named(tmp_path):
    write_folder(tmp_path / "d", dict.fromkeys("abcde", 4))
    for path in (tmp_path / "d" / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"false: nothing is left of b \(0\)$"):
        _ = load(tmp_path / "d", tmp_path, "task.skip_broken=true").loaded


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.directory=/none"], "task.directory=/none: must be a folder of classes, or of trai"),
        (["task.directory=/"], "task.directory=/: must be a folder of classes, or of train, test"),
        (["task.directory=/../"], "task.directory=/../: must be a folder of classes, or of train"),
        (["task.directory="], "task.directory=: must be a text that is not empty"),
        (["task.cache_dir=' '"], "task.cache_dir= : must be a text that is not empty"),
        (
            ["task.size=0"],
            "task.size=0: must be pixels a side, or [height, width], at least 1 each",
        ),
        (["task.size=1000000"], "task.size=1000000: must be at most 2048"),
        (["task.size=[84,2049]"], "task.size=[84, 2049]: must be at most 2048"),
        (
            ["task.size=[8,9]", "task.rotations=true"],
            "task.size=[8, 9]: must be square with task.r",
        ),
        (["task.channels=2"], "task.channels=2: must be 1 (grey) or 3 (colour)"),
        (
            ["task.train_classes=6"],
            "task.train_classes=6: must be between 2 and 5: of 7 classes th",
        ),
        (["task.validation_classes=4"], "task.validation_classes=4: must be at most 3, since of 7"),
        (["task.ways=3"], "task.ways=3: must be between 2 and 2, the classes of the test split"),
        (
            ["evaluation.shots=[8]"],
            "evaluation.shots=[8]: must be at most 7: the test split has 8 e",
        ),
        (["task.train_shots=9"], "task.train_shots=9: must be at most 7: the train split has 2 cl"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(flat, tmp_path, overrides, message):
    with pytest.raises(ConfigError) as caught:
        load(flat, tmp_path, *overrides)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("closed", ["", "cat", "cat/inside"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch, closed):
    root = write_folder(tmp_path / "d", FLAT)
    (root / "cat" / "inside").mkdir()
    scan = os.scandir

    def refuse(path):  # what permissions do, but for the superuser
        if str(path) == str(root / closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", lambda path: [entry.name for entry in refuse(path)])
    with pytest.raises(
        ConfigError, match=rf"^task\.directory={root}: must be a folder that can be"
    ):
        load(root, tmp_path)


def test_small_classes_are_named(tmp_path):
    write_folder(tmp_path / "train", dict.fromkeys("ab", 8))
    write_folder(tmp_path / "test", {"cow": 3, "pig": 8, "rat": 2})
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, tmp_path)
    assert str(caught.value) == (
        "evaluation.shots=[1, 3]: must be at most 2: the test split has 2 classes with 3 examples, "
        "fewer in rat (2), of which evaluation.queries=1 needs 1"
    )


def test_names_may_be_anything_and_what_is_no_image_is_passed_over(tmp_path):
    names = ["-dash", "1e3", "42", "null", "[z]", "x,y=z", "naïve café", "日本"]
    root = write_folder(tmp_path / "my photos é", dict.fromkeys(names, 4))
    first = root / "42"
    (first / "000.jpg").rename(first / "a B.JPEG")
    (first / "link.png").symlink_to(root / "null" / "001.png")
    (first / "gone.png").symlink_to(tmp_path / "nowhere.png")
    for junk in (".DS_Store", "42/.DS_Store", "42/._001.png", "42/notes.txt", "readme.jpg"):
        (root / junk).write_bytes(b"no image")
    write_folder(first, {".hidden": 1})
    for name in ("-dash", "[z]"):  # as Tiny ImageNet has them: CLASS/images/
        inner = root / name / "images"
        inner.mkdir()
        for file in (root / name).glob("*.*"):
            file.rename(inner / file.name)
    sets = load(f"'{root}'", tmp_path, "task.train_shots=1", "evaluation.shots=[1]").loaded
    counts = {n: c.of(i).shape[0] for c in sets.values() for i, n in enumerate(c.names)}
    assert counts == {**dict.fromkeys(names, 4), "42": 5}


def test_names_need_be_no_text(tmp_path):
    """Bytes that are no UTF-8, as old archives leave them, in the name of a class and of a file."""
    root = write_folder(tmp_path / "d", {**dict.fromkeys("abc", 2), os.fsdecode(b"\xff\xfe"): 2})
    (root / "a" / "000.jpg").rename(root / "a" / os.fsdecode(b"caf\xe9.jpg"))
    sets = load(root, tmp_path, "task.train_shots=1", "evaluation.shots=[1]").loaded
    assert sum(chosen.counts.sum() for chosen in sets.values()) == 8


def test_a_message_is_one_line_whatever_a_file_is_called(tmp_path):
    write_folder(tmp_path / "d", dict.fromkeys("abcd", 4))
    (tmp_path / "d" / "a" / "two\nlines.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"two\\x0alines\.png: must be a whole image \([^\n]+$"):
        _ = load(tmp_path / "d", tmp_path).loaded


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (
            {"train/a": 2, "train/b": 2, "test/c": 2, "val/d": 2, "validation/d": 2},
            "a folder with either val/ or validation/",
        ),
        (
            {"a": 2, "b": 2, "c": 0, "d": 2},
            "without empty classes: c has no .png, .jpg, .jpeg; add",
        ),
        (
            {"a": 2, "b": 2, "c": 2, "d": 2, "d/more": 2},
            "the images of a class in one folder, but those of d are in d and d/more",
        ),
        (  # Omniglot as it is distributed: alphabets of characters
            {"a/x": 2, "a/y": 2, "b/x": 2, "c/x": 2, "d/x": 2},
            "the images of a class in one folder, but those of a are in a/x and a/y",
        ),
        ({"a": 2, "b": 2}, "a folder that holds at least 4 class folders, not 2"),
        (
            {"train/a": 2, "train/b": 2, "test/c": 2, "test/d": 2, "x": 2, "y/z": 2, "none": 0},
            "train and test would be read as splits, but beside them are x, y; a class cannot be c",
        ),
        (
            {"bus": 2, "car": 2, "train": 2, "tram": 2},
            "train would be read as splits, but beside them are bus, car, tram; a class",
        ),
        ({"train/a": 2, "train/b": 2}, "a folder with class folders in test/ too, beside those it"),
        (
            {"train/a": 2, "train/b": 2, "test/b": 2},
            "each class in one split, but b is in train and",
        ),
    ],
)
def test_folders_that_cannot_be_meant_are_refused_in_one_line(tmp_path, layout, message):
    root = write_folder(tmp_path / "d", layout)
    with pytest.raises(ConfigError) as caught:
        load(root, tmp_path)
    assert str(caught.value).startswith(f"task.directory={root}: must ")
    assert message in str(caught.value)


# --- From the command line to the report ---


def test_fifty_photographs_from_the_command_to_the_report(flat, forks, tmp_path):
    from benchmark import adapt  # which the jobs above that import this file spare
    from results.__main__ import main

    out = tmp_path / "run"
    settings = [
        "task=folder",
        f"task.directory={flat}",
        f"task.cache_dir={tmp_path / 'cache'}",
        "task.size=24",
        "task.ways=2",
        "task.train_shots=5",
        "model.filters=16",
        "algorithm.meta_iterations=30",
        "training.curve_points=0",
        "evaluation.episodes=20",
        "evaluation.shots=[1,3]",
        "evaluation.predictions=1",
        "evaluation.baselines=[]",
        f"hydra.run.dir={out}",
    ]
    done = forks.run(tmp_path / "log", settings)
    assert done.code == 0, done.output
    written = record(out)
    assert written["status"] == "completed"
    assert sum(written["data"]["images"].values()) == 50
    best = max(row["accuracy"] for row in written["evaluations"])
    assert best > 0.6  # of two classes that differ in colour and texture
    assert main([str(out), "--report", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "task folder" in page and f"{100 * best:.2f}" in page
    labels = [path.parent.name for path in own(flat)]
    classifier = adapt(out, own(flat), labels)
    assert set(classifier.predict(own(flat)).labels) <= {"ant", "fox"}
    assert np.mean(classifier.predict(own(flat)).labels == labels) > 0.8  # what it has learnt from


TINY = [
    "task=folder",
    "task.size=8",
    "task.ways=2",
    "task.train_shots=2",
    "model=mlp",
    "model.hidden=[4]",
    "algorithm.meta_iterations=12",
    "algorithm.inner_steps=2",
    "training.curve_points=0",
    "training.checkpoint_every=4",
    "evaluation.shots=[1]",
    "evaluation.steps=[1]",
    "evaluation.baselines=[]",
    "evaluation.episodes=4",
]


def test_the_classes_of_an_episode_are_recorded_for_its_number_of_shots(forks, tmp_path):
    """More shots are drawn from fewer classes, where not all have as many images."""
    write_folder(tmp_path / "images", {f"c{n}": 12 if n % 2 else 3 for n in range(16)})
    job = ["task=folder", f"task.directory={tmp_path / 'images'}", "task.size=8", "task.ways=2"]
    job += [f"task.cache_dir={tmp_path / 'cache'}", "task.train_shots=2"]
    job += ["model=mlp", "model.hidden=[4]"]
    job += ["algorithm.meta_iterations=1", "training.curve_points=0", "evaluation.baselines=[]"]
    job += ["evaluation.shots=[1,5]", "evaluation.episodes=40", f"hydra.run.dir={tmp_path / 'run'}"]
    done = forks.run(tmp_path / "log", job)
    assert done.code == 0, done.output
    written = record(tmp_path / "run")
    large = [count >= 6 for _, count in settings(*job[:-1]).task.sizes()["test"].by_class]
    with np.load(tmp_path / "run" / "scores.npz") as scores:
        drawn = {row["shots"]: np.unique(scores[row["classes"]]) for row in written["evaluations"]}
    assert drawn[5].tolist() == np.flatnonzero(large).tolist()
    assert len(drawn[1]) == len(large) > len(drawn[5])
    frame = read_records([tmp_path / "run"]).evaluations
    counts = frame.groupby("shots")["test_classes"].unique()
    assert {shots: list(found) for shots, found in counts.items()} == {
        1: [len(large)],
        5: [sum(large)],
    }


@pytest.mark.parametrize("ends", ["completed", "interrupted"])
def test_a_run_is_not_gone_on_with_once_its_images_have_changed(forks, tmp_path, ends):
    images, out = tmp_path / "photos", tmp_path / "run"
    write_folder(images, FLAT)
    shutil.copytree(images, tmp_path / "kept")
    job = [*TINY, f"task.directory={images}", f"task.cache_dir={tmp_path / 'cache'}"]

    def run(*more, fault=None):
        return forks.run(tmp_path / "log", [f"hydra.run.dir={out}", *more], fault)

    fault = Fault(phase="training", nth=2, stop=True) if ends == "interrupted" else None
    assert record_after(run(*job, fault=fault), out)["status"] == ends
    before = record(out)["evaluations"]
    change(images)
    refused = run(*job, "evaluation.episodes=8")
    assert_changed(refused, images, "trained", "resume=false trains again")
    assert record(out)["evaluations"] == before
    if ends == "completed":  # a copy of it is not left elsewhere
        elsewhere = run(*job, "evaluation.episodes=8", f"hydra.run.dir={tmp_path / 'new'}")
        assert elsewhere.code == 2 and not (tmp_path / "new").exists(), elsewhere.output
    assert record_after(run(*job, "resume=false"), out)["status"] == "completed"


def test_other_images_that_a_run_is_tested_on_must_not_change_either(forks, tmp_path):
    """Their scores would stand beside those of the images before."""
    own, others, out = tmp_path / "own", tmp_path / "others", tmp_path / "run"
    write_folder(own, FLAT)
    write_folder(others, FLAT)
    cached = f"task.cache_dir={tmp_path / 'cache'}"

    def run(*words):
        return forks.run(tmp_path / "log", [*words, f"hydra.run.dir={out}"])

    assert record_after(run(*TINY, f"task.directory={own}", cached), out)["status"] == "completed"
    trained_on = record(out)["data"]
    of_task = [word for word in TINY if word.startswith("task")]
    ask = [f"evaluate={out}", *of_task, f"task.directory={others}", cached]
    assert run(*ask).code == 0
    data = record(out)["data"]
    (tested,) = data.pop("tested").values()
    assert data == trained_on and tested["sha256"] == trained_on["sha256"]  # the same photographs
    rows = record(out)["evaluations"]
    assert len(rows) == 4  # alone and transductively, the own images and the others
    change(others)
    refused = run(*ask, "evaluation.episodes=8")
    assert_changed(refused, others, "tested", "another task.name keeps the scores apart")
    assert record(out)["evaluations"] == rows
    apart = run(*ask, "task.name=changed")
    assert apart.code == 0, apart.output
    assert len(record(out)["evaluations"]) == 6 and len(record(out)["data"]["tested"]) == 2


def change(images):
    """Have every class look like another."""
    shutil.rmtree(images)
    write_folder(images, dict(reversed(FLAT.items())))


def assert_changed(refused, images, done, way_out):
    assert refused.code == 2 and "Traceback" not in refused.output
    assert (
        f"error: task.directory={images}: must be with the images on which this run was {done}, "
        f"which have changed since ({way_out})\n"
    ) in refused.output


def record_after(ended, directory):
    assert "Traceback" not in ended.output, ended.output
    return record(directory)


def own(flat):
    """Files of two classes, as a user would name them."""
    return [path for name in ("ant", "fox") for path in sorted((flat / name).iterdir())]
