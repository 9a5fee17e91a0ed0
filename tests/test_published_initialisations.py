"""Published initialisations: found by name, whole, and what was recorded comes out again."""

import os

import numpy as np
import pytest

import benchmark
from benchmark.running import initialisation, named
from tests.command import PROJECT

PUBLISHED = PROJECT / "results" / "published"
NAMES = sorted(
    str(path.parent.relative_to(PUBLISHED)) for path in PUBLISHED.glob("*/*/initialisation.npz")
)


@pytest.mark.parametrize("name", NAMES)
def test_its_files_belong_together(name):
    record = named.record_of("evaluate", name)
    assert set(record["digests"]) == {"scores.npz", "initialisation.npz"} and record["seal"]
    params, moment, count = initialisation.of_run("evaluate", name)
    assert np.isfinite(params).all() and moment.shape == params.shape
    algorithm = record["config"]["algorithm"]
    if algorithm["inner_optimizer"] == "adam" and not algorithm["serial"]:
        assert count == algorithm["meta_iterations"] * algorithm["inner_steps"]


@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR: no Omniglot here")
def test_twenty_episodes_of_omniglot_score_as_recorded(tmp_path):
    """Another processor adds up in another order, so that a close call may fall otherwise."""
    name, key = "omniglot_5way_2000/seed0", "test/5way-5shot-1query/batch5/transductive/50steps"
    with np.load(PUBLISHED / name / "scores.npz") as file:
        recorded = file[key][:20]
    overrides = ["evaluation.shots=[5]", "evaluation.baselines=[]", "evaluation.episodes=20"]
    settings = benchmark.compose(f"evaluate={name}", *overrides)
    for file in ("record.json", "initialisation.npz"):  # without scores.npz all is scored again
        (tmp_path / file).write_bytes((PUBLISHED / name / file).read_bytes())
    benchmark.run(settings, tmp_path)
    with np.load(tmp_path / "scores.npz") as file:
        found = file[key]
    assert (found == recorded).sum() >= 18 and abs(found.mean() - recorded.mean()) <= 0.02


def test_adapt_takes_a_published_name():
    image = np.tile(np.linspace(0, 1, 28, dtype=np.float32), (2, 28, 1))
    image[1] = image[1].T
    classifier = benchmark.adapt("omniglot_5way_2000/seed0", image, ["across", "down"])
    assert classifier.predict(image).labels.tolist() == ["across", "down"]
