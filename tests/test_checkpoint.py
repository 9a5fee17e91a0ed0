"""Checkpoints: whole or absent, the newest whole one is used, and every damage is noticed."""

import errno
import os
import random

import numpy as np
import pytest

from benchmark.progress import Progress
from benchmark.running import checkpoint
from benchmark.running.checkpoint import CURRENT, FRESH, PREVIOUS
from benchmark.running.record import CannotWrite


def progress(iteration: int) -> Progress:
    rng = np.random.default_rng(iteration)
    return Progress(
        iteration,
        (rng.normal(size=50).astype(np.float32), rng.random(50, np.float32), np.array(7)),
        (rng.normal(size=50).astype(np.float32), np.array(iteration)),
        [{"iteration": iteration, "accuracy": 0.1 + 0.2}],
        {"test/5shot": rng.random((3, 1, 2), np.float32)},
        {"steady": 1.25},
    )


def assert_same(found: Progress | None, expected: Progress) -> None:
    assert found is not None
    assert (found.iteration, found.curve) == (expected.iteration, expected.curve)
    assert found.seconds == expected.seconds
    for name in ("learner", "outer"):
        pairs = zip(getattr(found, name), getattr(expected, name), strict=True)
        assert all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)
    assert found.scores.keys() == expected.scores.keys()
    assert all(found.scores[k].tobytes() == v.tobytes() for k, v in expected.scores.items())


@pytest.fixture
def two(tmp_path):
    """A directory with a checkpoint after 10 iterations and the previous one, after 5."""
    for iteration in (5, 10):
        checkpoint.save(tmp_path, progress(iteration), "mine")
    return tmp_path


def test_a_checkpoint_comes_back_bit_for_bit(two):
    assert_same(checkpoint.load(two, "mine"), progress(10))
    assert sorted(os.listdir(two)) == [CURRENT, PREVIOUS]


def test_no_checkpoint_is_none_without_a_word(tmp_path, caplog):
    assert checkpoint.load(tmp_path, "mine") is None
    assert caplog.text == ""


def test_a_checkpoint_of_another_configuration_is_not_used(two, caplog):
    assert checkpoint.load(two, "another") is None
    assert f"{two / CURRENT} belongs to another configuration and is not used" in caplog.messages
    assert f"no usable checkpoint in {two}: starting from the beginning" in caplog.messages


@pytest.mark.parametrize("step", ["before the renames", "between them"])
def test_a_kill_while_saving_loses_nothing(two, step):
    checkpoint.save(two, progress(15), "mine")
    (two / CURRENT).rename(two / FRESH)
    if step == "before the renames":
        (two / PREVIOUS).rename(two / CURRENT)
    assert_same(checkpoint.load(two, "mine"), progress(15))
    checkpoint.save(two, progress(20), "mine")
    assert_same(checkpoint.load(two, "mine"), progress(20))


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def one_bit_flipped(content: bytes, seed: int = 0) -> bytes:
    place = random.Random(seed).randrange(len(content))
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


DAMAGES = {
    "empty": lambda _: b"",
    "truncated": truncated,
    "one bit flipped": one_bit_flipped,
    "text": lambda _: b"not a checkpoint\n" * 9,
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(two, caplog, damage):
    path = two / CURRENT
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert_same(checkpoint.load(two, "mine"), progress(5))
    assert caplog.messages == [f"{path} is damaged and not used (its checksum does not fit)"]


def test_two_damaged_checkpoints_start_from_the_beginning_and_say_so(two, caplog):
    for name in (CURRENT, PREVIOUS):
        (two / name).write_bytes(truncated((two / name).read_bytes()))
    assert checkpoint.load(two, "mine") is None
    assert [line.split(" ")[0] for line in caplog.messages[:2]] == [
        str(two / CURRENT),
        str(two / PREVIOUS),
    ]
    assert caplog.messages[2] == f"no usable checkpoint in {two}: starting from the beginning"


def test_a_flipped_bit_is_noticed_wherever_it_is(two):
    path, whole = two / CURRENT, (two / CURRENT).read_bytes()
    for seed in range(300):
        path.write_bytes(one_bit_flipped(whole, seed))
        assert_same(checkpoint.load(two, "mine"), progress(5))


def test_a_full_disk_leaves_the_checkpoint_as_it_was(two, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite) as caught:
        checkpoint.save(two, progress(15), "mine")
    assert str(caught.value) == f"{two / FRESH}: could not be written (No space left on device)"
    assert_same(checkpoint.load(two, "mine"), progress(10))
    assert sorted(os.listdir(two)) == [CURRENT, PREVIOUS]


def test_clearing_removes_also_what_a_kill_left_half_written(two):
    (two / f".{FRESH}.123.tmp").write_bytes(b"half")
    checkpoint.clear(two)
    assert os.listdir(two) == []
