"""Older records learn the classes of their episodes, which are drawn again."""

import json

import numpy as np
import pytest

from results import reading, schema
from results.records import read_records
from tests.command import TINY, benchmark, python, record

NEW = ("classes", "ci95_classes")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A run that knows its classes: its directory, record and arrays."""
    run = tmp_path_factory.mktemp("known") / "run"
    small = ["evaluation.shots=[1,2]", "evaluation.episodes=12", "evaluation.baseline_episodes=8"]
    done = benchmark(*TINY, *small, f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr
    return run, record(run), reading.read_arrays(run / schema.SCORES)


def older(directory, document, arrays):
    """The same run as it was recorded before."""
    rows = {
        part: [{k: v for k, v in row.items() if k not in NEW} for row in document[part]]
        for part in ("evaluations", "baselines")
    }
    kept = {key: values for key, values in arrays.items() if not key.startswith("classes/")}
    directory.mkdir()
    np.savez(directory / schema.SCORES, **kept)
    digest = schema.digest((directory / schema.SCORES).read_bytes())
    before = {**document, **rows, "digests": {schema.SCORES: digest}}
    before["seal"] = schema.seal(before)
    (directory / schema.RECORD).write_text(json.dumps(before))


def test_the_classes_of_an_older_record_are_found_again(tmp_path, known):
    _, document, arrays = known
    older(tmp_path / "run", document, arrays)
    done = python("-m", "scripts.episode_classes", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "its intervals are known for other classes, too" in done.stdout
    again = record(tmp_path / "run")
    for part in ("evaluations", "baselines"):
        assert len(again[part]) == len(document[part]) > 0
        for row, first in zip(again[part], document[part], strict=True):
            assert row["ci95_classes"] == pytest.approx(first["ci95_classes"])
            found = reading.read_arrays(tmp_path / "run" / schema.SCORES)[row["classes"]]
            n = row["episodes"]
            np.testing.assert_array_equal(found[:n], arrays[first["classes"]][:n])
    assert read_records([tmp_path]).problems == []
    assert "left alone" in python("-m", "scripts.episode_classes", str(tmp_path)).stdout


def test_other_episodes_are_noticed_and_nothing_changes(tmp_path, known):
    _, document, arrays = known
    changed = json.loads(json.dumps(document))
    changed["config"]["seed"] = document["config"]["seed"] + 1
    older(tmp_path / "run", changed, arrays)
    before = (tmp_path / "run" / schema.RECORD).read_bytes()
    done = python("-m", "scripts.episode_classes", str(tmp_path))
    assert done.returncode == 1
    assert "error: its episodes cannot be drawn again" in done.stdout
    assert (tmp_path / "run" / schema.RECORD).read_bytes() == before
