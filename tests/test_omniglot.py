"""Omniglot: the source read right, split right, cached safely, and every failure one clear line."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from tasks import network
from tasks.base import Size
from tasks.checks import ConfigError
from tasks.omniglot import Omniglot, cache
from tasks.omniglot.characters import ordered, split_classes

ROOT = Path(__file__).parents[1]
JOBS = 3  # that race for the cold cache
JOB = """
import json, logging, sys, time
from tasks.omniglot import cache

logging.basicConfig(level=logging.INFO, format="%(message)s")
began = time.perf_counter()
cache.load(None, sys.argv[1])
seconds = time.perf_counter() - began
status = open("/proc/self/status").read()  # getrusage would count what the parent once used
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({"seconds": seconds, "peak_bytes": peak, "imports": list(sys.modules)}))
"""


def task(**changes):
    """The task of conf/task/omniglot.yaml, changed."""
    settings = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "task" / "omniglot.yaml"))
    assert settings.pop("_target_") == "tasks.omniglot.Omniglot"
    return Omniglot(**settings | changes)


@pytest.fixture(scope="session")
def prepared():
    if not os.environ.get("TFDS_DATA_DIR"):
        pytest.skip("TFDS_DATA_DIR names no directory with a prepared Omniglot")
    return os.environ["TFDS_DATA_DIR"]


@pytest.fixture(scope="session")
def race(prepared, tmp_path_factory):
    """A cache that several jobs wanted to build at the same time, and what each of them says."""
    cache_dir = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-c", JOB, str(cache_dir)]
    jobs = [
        subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=-1)
        for _ in range(JOBS)
    ]
    outputs = [job.communicate(timeout=120) for job in jobs]
    assert [job.returncode for job in jobs] == [0] * JOBS, outputs
    reports = [json.loads(out) | {"log": err} for out, err in outputs]
    return cache_dir, reports


@pytest.fixture(scope="session")
def cache_dir(race):
    return str(race[0])


@pytest.fixture(scope="session")
def characters(cache_dir):
    return cache.load(None, cache_dir)


@pytest.fixture
def no_decoding(monkeypatch):
    """Fails a test that decodes although the cache holds everything."""
    monkeypatch.setattr(cache, "decode", lambda data_dir: pytest.fail("decoded again"))


@pytest.fixture
def own_cache(cache_dir, tmp_path):
    """A copy of the built cache file, to be damaged."""
    path = cache.cache_path(str(tmp_path))
    shutil.copy(cache.cache_path(cache_dir), path)
    return path


# --- Reading ---


def test_every_class_has_its_twenty_drawings_with_ink(characters):
    images, _, counts, alphabet, _ = characters.select(np.arange(1623))
    assert images.shape == (1623 * 20, 28, 28, 1)
    assert counts.tolist() == [20] * 1623
    assert images.dtype == np.uint8
    assert np.unique(images).tolist() == [0, 255]
    ink = (images == 0).mean(axis=(1, 2, 3))
    assert ink.min() > 0
    assert 0.05 < ink.mean() < 0.12  # strokes on paper, not the reverse
    assert len(np.unique(alphabet)) == 50


def test_pixels_are_the_nearest_of_the_source(prepared, characters):
    import tensorflow_datasets as tfds

    rows = (2 * np.arange(28) + 1) * 105 // 56
    for split in ("train", "test"):
        data = tfds.load("omniglot", split=f"{split}[:25]", data_dir=prepared)
        for example in tfds.as_numpy(data):
            expected = example["image"][rows][:, rows, 0]
            chosen = characters.select(example["label"][None])
            assert (chosen.images[..., 0] == expected).all(axis=(1, 2)).sum() == 1
            assert chosen.alphabet[0] == example["alphabet"]
            assert characters.background[example["label"]] == (split == "train")


def test_order_of_drawings_does_not_depend_on_the_order_of_records():
    label, alphabet, ink, members = synthetic()
    shuffled = np.random.default_rng(1).permutation(len(label))
    one = ordered(ink, label, alphabet, members)
    other = ordered(ink[shuffled], label[shuffled], alphabet[shuffled], members)
    for array, again in zip(one, other, strict=True):
        np.testing.assert_array_equal(array, again)


def test_an_incomplete_data_set_is_refused():
    label, alphabet, ink, members = synthetic()
    with pytest.raises(ValueError, match="it has 32,459 drawings of 1,623 characters instead of"):
        ordered(ink[:-1], label[:-1], alphabet[:-1], members)
    with pytest.raises(ValueError, match="2 of its 32,460 drawings have no ink"):
        blank = ink.copy()
        blank[[7, 9]] = 0
        ordered(blank, label, alphabet, members)
    with pytest.raises(ValueError, match="its small2 set has 155 characters instead of 156"):
        ordered(ink, label, alphabet, members | {"small2": members["small2"][1:]})


def synthetic():
    """What `read_drawings` returns, with random ink."""
    label = np.repeat(np.arange(1623), 20)
    ink = np.random.default_rng(0).integers(1, 256, (len(label), 98), np.uint8)
    members = {"train": np.arange(964), "small1": np.arange(136), "small2": np.arange(156)}
    return label, label // 40, ink, members


# --- Splits ---


@pytest.mark.parametrize(
    ("split", "train", "test", "alphabets"),
    [
        ("paper", 1200, 423, (50, 50)),
        ("background", 964, 659, (30, 20)),
        ("small1", 136, 659, (5, 20)),
        ("small2", 156, 659, (5, 20)),
    ],
)
def test_splits(characters, cache_dir, split, train, test, alphabets):
    omniglot_task = task(split=split, cache_dir=cache_dir, rotations=False)
    omniglot_task.check()
    sets = omniglot_task.loaded
    assert omniglot_task.sizes() == {"train": Size(train, 20), "test": Size(test, 20)}
    for name, chosen in sets.items():
        assert Size(chosen.classes, *np.unique(chosen.counts)) == omniglot_task.sizes()[name]
    assert tuple(len(np.unique(sets[name].alphabet)) for name in ("train", "test")) == alphabets
    classes = split_classes(split, 0, characters)
    assert not set(classes[0]) & set(classes[1])
    if split != "paper":
        assert not set(sets["train"].alphabet) & set(sets["test"].alphabet)


def test_split_seed_chooses_the_classes_of_the_paper_split(characters):
    def test_classes(seed):
        return split_classes("paper", seed, characters)[1].tolist()

    assert test_classes(0) == test_classes(0)
    assert test_classes(0) != test_classes(1)


@pytest.mark.parametrize("split", ["paper", "small1"])
def test_validation_comes_from_the_training_classes(cache_dir, split):
    def sets(validation_classes):
        return task(
            split=split,
            cache_dir=cache_dir,
            rotations=False,
            validation_classes=validation_classes,
        ).loaded

    def names(chosen):
        return {chosen.of(c).tobytes() for c in range(chosen.classes)}

    none, some, more = sets(0), sets(30), sets(60)
    assert len(names(some["validation"])) == 30
    assert names(some["validation"]) < names(more["validation"])
    assert names(some["validation"]) | names(some["train"]) == names(none["train"])
    assert not names(some["validation"]) & names(some["train"])
    assert names(none["test"]) == names(some["test"])


def test_training_classes_are_rotated_and_no_others(cache_dir):
    settings = {"split": "small1", "cache_dir": cache_dir, "validation_classes": 10}
    plain, turned = task(rotations=False, **settings), task(rotations=True, **settings)
    classes = {name: chosen.classes for name, chosen in turned.loaded.items()}
    assert classes == {"train": 4 * 126, "validation": 10, "test": 659}
    assert turned.sizes() == {name: Size(count, 20) for name, count in classes.items()}
    image = plain.loaded["train"].of(5)[3]
    quarter_turn = [[image[x, 27 - y] for x in range(28)] for y in range(28)]
    np.testing.assert_array_equal(turned.loaded["train"].of(126 + 5)[3], quarter_turn)
    np.testing.assert_array_equal(turned.loaded["test"].images, plain.loaded["test"].images)


# --- The cache ---


def test_racing_jobs_build_the_cache_once(race):
    cache_dir, reports = race
    built = [report for report in reports if "Decoding Omniglot once, into" in report["log"]]
    assert len(built) == 1
    assert [path.suffix for path in cache_dir.iterdir() if path.suffix != ".lock"] == [".cache"]
    for report in reports:
        if report not in built:
            assert "tensorflow" not in report["imports"]


def test_building_stays_below_a_gigabyte(race):
    assert max(report["peak_bytes"] for report in race[1]) < 1e9


def test_a_warm_cache_loads_in_less_than_a_second(cache_dir, no_decoding):
    began = time.perf_counter()
    assert len(task(cache_dir=cache_dir).drawings()["train"].starts) == 1200
    assert time.perf_counter() - began < 1


def test_a_cache_with_its_seal_in_front_is_still_read(own_cache, characters, no_decoding):
    """As the first ones were written."""
    stored = own_cache.read_bytes()
    own_cache.write_bytes(stored[-32:] + stored[:-32])
    np.testing.assert_array_equal(cache.load(None, str(own_cache.parent)).ink, characters.ink)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty"])
def test_a_damaged_cache_is_rebuilt(own_cache, characters, monkeypatch, caplog, damage):
    whole = own_cache.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    own_cache.write_bytes({"flipped": flipped, "truncated": whole[:-1], "empty": b""}[damage])
    monkeypatch.setattr(cache, "decode", lambda data_dir: characters)
    for _ in range(2):
        loaded = cache.load(None, str(own_cache.parent))
        np.testing.assert_array_equal(loaded.ink, characters.ink)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"The Omniglot cache {own_cache} is damaged; rebuilding it"]


def test_a_directory_that_cannot_be_written_costs_a_warning(
    characters, monkeypatch, tmp_path, caplog
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache, "decode", lambda data_dir: characters)
    assert cache.load(None, str(tmp_path / "file")) is characters
    (warning,) = [record.message for record in caplog.records]
    assert warning.startswith(f"Cannot keep Omniglot in {tmp_path}/file (")
    assert warning.endswith("; going on without a cache")


def test_a_full_disk_costs_a_warning(characters, monkeypatch, tmp_path, caplog):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "decode", lambda data_dir: characters)
    monkeypatch.setattr("os.fsync", full)
    assert cache.load(None, str(tmp_path)) is characters
    assert "No space left on device); going on without a cache" in caplog.text
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


# --- What the user is told ---


def test_an_unknown_split_names_those_there_are():
    message = "^task.split=papper: must be one of paper, background, small1, small2$"
    with pytest.raises(ConfigError, match=message):
        task(split="papper").check()


def test_a_data_dir_without_omniglot_is_refused_before_loading(tmp_path):
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError) as caught:
            task(data_dir=str(folder)).check()
        assert str(caught.value) == (
            f"task.data_dir={folder}: must be a directory in which TFDS has prepared the whole of "
            "Omniglot 3.0.0, or null"
        )


@pytest.mark.parametrize("damage", ["a missing file", "a foreign description", "a cut file"])
def test_an_incomplete_data_dir_is_one_clear_line(prepared, tmp_path, damage):
    copy = tmp_path / "omniglot" / "3.0.0"
    shutil.copytree(Path(prepared) / "omniglot" / "3.0.0", copy)
    records = copy / "omniglot-test.tfrecord-00000-of-00001"
    if damage == "a missing file":
        records.unlink()
    elif damage == "a cut file":
        records.write_bytes(records.read_bytes()[:100_000])
    else:
        (copy / "dataset_info.json").write_text('{"name": "mnist"}')
    incomplete = task(data_dir=str(tmp_path), cache_dir=str(tmp_path / "cache"))
    incomplete.check()
    with pytest.raises(ConfigError) as caught:
        _ = incomplete.loaded
    message = str(caught.value)
    assert message.startswith(
        f"task.data_dir={tmp_path}: must be a directory in which TFDS has prepared the whole of "
        "Omniglot 3.0.0"
    )
    assert "\n" not in message
    assert not cache.cache_path(str(tmp_path / "cache")).exists()


@pytest.fixture
def closed_port():
    """A port that nobody listens on, nor can begin to: it is bound."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_without_data_or_network_the_ways_out_come_within_seconds(
    tmp_path, monkeypatch, closed_port
):
    pytest.importorskip("tensorflow_datasets")
    with urllib.request.urlopen("data:,"):  # with no proxy yet
        pass
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("no_proxy", "")
    began = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        _ = task(cache_dir=str(tmp_path / "cache")).loaded
    assert time.perf_counter() - began < 15
    message = str(caught.value)
    assert message.startswith(f"Omniglot is not prepared in {tmp_path} and cannot be downloaded")
    assert "Connection refused" in message
    assert "set task.data_dir or TFDS_DATA_DIR to a directory in which" in message
    assert "connect this machine to the network, or use task=glyphs" in message
    assert "\n" not in message


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(network, "PROBE_SECONDS", 2)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert "timed out" in network.unreachable(url)
    monkeypatch.setattr(network, "PROBE_SECONDS", 0.4)
    monkeypatch.setattr(network, "connection_error", lambda url: time.sleep(5))
    assert network.unreachable("https://x") == "no answer from https://x in 0.4 s"
