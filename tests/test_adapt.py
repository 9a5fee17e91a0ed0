"""`benchmark.adapt`: the classifier a user gets is the one that the run's evaluation scored."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import benchmark
from benchmark.adaptation import Classifier, load
from benchmark.network import Network
from benchmark.running import named
from results.predictions import read_episodes
from tasks.checks import ConfigError
from tasks.sampling import batch_order, fold_in, split_seed
from tasks.seeding import stateless_key
from tests.command import PROJECT

WAYS, SHOTS = 3, 2


@pytest.fixture(scope="module")
def episode(trained):
    """The first unseen task of the run, as `predictions.npz` holds it."""
    return read_episodes(str(trained))[0]


@pytest.fixture(scope="module")
def classifier(trained, episode):
    return benchmark.adapt(trained, episode["support_x"], episode["support_y"])


def as_evaluated(trained, index):
    """A classifier with the very mini-batches of the run's evaluation, and the episode."""
    episode = read_episodes(str(trained))[index]
    key = fold_in(stateless_key(0, "evaluation test"), tf.constant(index, tf.int64))
    order = batch_order(split_seed(key, 2)[1], WAYS * SHOTS, 4, 6, False)
    support = episode["support_x"], episode["support_y"]
    return Classifier(load(trained), support, order, np.arange(WAYS)), episode


@pytest.mark.parametrize("index", [0, 1])
def test_it_says_what_the_evaluation_said(trained, index):
    classifier, episode = as_evaluated(trained, index)
    found = classifier.predict(episode["query_x"])
    np.testing.assert_allclose(found.probabilities, episode["outputs"][-1], atol=1e-6)
    assert found.labels.tolist() == episode["outputs"][-1].argmax(1).tolist()


def test_files_are_as_good_as_arrays(trained, episode, classifier, tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(len(episode["support_x"]))]
    for path, image in zip(files, episode["support_x"], strict=True):
        Image.fromarray(np.rint(image[..., 0] * 255).astype(np.uint8)).save(path)
    from_files = benchmark.adapt(trained, list(map(str, files)), episode["support_y"])
    found, expected = (each.predict(episode["query_x"]) for each in (from_files, classifier))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert from_files.predict(files[:2]).labels.shape == (2,)
    files[1].write_bytes(b"no image")
    with pytest.raises(ConfigError, match=rf"^images: {files[1]}: must be a whole image file \("):
        from_files.predict(files)


@pytest.mark.parametrize("kind", ["plain", "transductive"])
def test_it_is_as_accurate_as_the_run_recorded(trained, kind):
    with np.load(trained / "scores.npz") as scores:
        recorded = scores[f"test/3way-2shot-3query/batch6/{kind}/4steps"]
    for index in (0, 1):
        classifier, episode = as_evaluated(trained, index)
        found = classifier.predict(episode["query_x"], transductive=kind == "transductive")
        assert (found.labels == episode["query_y"]).mean() == pytest.approx(recorded[index])


def test_adapt_takes_the_settings_of_the_run(classifier, episode):
    """With the whole support set a step, the order of the mini-batches is a matter of rounding."""
    found = classifier.predict(episode["query_x"])
    np.testing.assert_allclose(found.probabilities, episode["outputs"][-1], atol=1e-4)


def test_no_steps_is_the_initialisation(trained, episode):
    before = benchmark.adapt(trained, episode["support_x"], episode["support_y"], steps=0)
    found = before.predict(episode["query_x"]).probabilities
    np.testing.assert_allclose(found, episode["outputs"][0], atol=1e-6)


def test_bytes_without_a_channel_are_the_same_images(trained, classifier, episode):
    as_bytes = [
        np.rint(255 * episode[name][..., 0]).astype(np.uint8) for name in ("support_x", "query_x")
    ]
    other = benchmark.adapt(trained / "record.json", as_bytes[0], episode["support_y"])
    found = other.predict(as_bytes[1]).probabilities
    np.testing.assert_allclose(
        found, classifier.predict(episode["query_x"]).probabilities, atol=1e-6
    )


def test_labels_keep_the_names_the_user_gave(trained, episode):
    names = np.array(["yod", "alef", "bet"])
    named = benchmark.adapt(trained, episode["support_x"], names[episode["support_y"]])
    assert named.classes.tolist() == ["alef", "bet", "yod"]
    found = named.predict(episode["support_x"], transductive=True)
    best = named.classes[found.probabilities.argmax(1)]
    assert (found.labels == best).all()
    assert (found.labels == names[episode["support_y"]]).mean() > 0.6


def test_fewer_classes_than_ways(trained, episode):
    two = episode["support_y"] < 2
    adapted = benchmark.adapt(trained, episode["support_x"][two], episode["support_y"][two])
    found = adapted.predict(episode["query_x"][:5])
    assert found.probabilities.shape == (5, 2)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-6)


def test_alone_the_other_images_do_not_matter_but_transductively_they_do(classifier, episode):
    x = episode["query_x"]
    alone = classifier.predict(x).probabilities[:2]
    np.testing.assert_allclose(classifier.predict(x[:2]).probabilities, alone, atol=1e-6)
    together = classifier.predict(x, transductive=True).probabilities[:2]
    fewer = classifier.predict(x[:2], transductive=True).probabilities
    assert np.abs(together - fewer).max() > 1e-3


def test_the_seed_orders_the_mini_batches(trained, episode):
    def outputs(seed):
        support = episode["support_x"], episode["support_y"]
        adapted = benchmark.adapt(trained, *support, batch=2, steps=3, seed=seed)
        return adapted.predict(episode["query_x"]).probabilities

    np.testing.assert_array_equal(outputs(1), outputs(1))
    assert np.abs(outputs(1) - outputs(2)).max() > 1e-4


def test_dark_paper_is_warned_of(trained, episode, caplog):
    benchmark.adapt(trained, 1 - episode["support_x"], episode["support_y"])
    assert "mostly dark" in caplog.text


X, Y = np.ones((6, 28, 28)), [0, 0, 1, 1, 2, 2]
SHAPE, RANGE = "must be of shape [n, 28, 28]", "must be uint8, or floats from 0"
REFUSED = {
    "another size": (np.ones((6, 30, 28)), Y, f"images=array of shape (6, 30, 28): {SHAPE}"),
    "one image alone": (X[0], Y, f"images=array of shape (28, 28): {SHAPE}"),
    "no images": (X[:0], [], f"images=array of shape (0, 28, 28): {SHAPE}"),
    "a number": (1.0, Y, f"images=array of shape (): {SHAPE}"),
    "bytes as floats": (255 * X, Y, f"images=values from 255 to 255: {RANGE}"),
    "not a number": (np.nan * X, Y, "images=values that are no finite numbers: must be finite"),
    "rows of other lengths": ([[[0]], [[0, 0]]], Y, "images: must be an array ("),
    "a file alone": (
        "a.png",
        Y,
        "images=array of <U5: must be of real numbers, or a list of ima",
    ),
    "complex numbers": (X + 1j, Y, "images=array of complex128: must be of real numbers, or a"),
    "files and arrays": (["a.png", X[0]], Y, "images: a.png: must be a whole image file ("),
    "arrays and files": ([X[0], "a.png"], Y, "images=list with ndarray: must be files alone, or"),
    "labels of two kinds": (X, ["a", None, *"bbcc"], "labels: must be of one kind ("),
    "a label that is missing": (X, [np.nan, *Y[1:]], "labels=array with [nan]: must be without g"),
    "labels of other lengths": (X, [[0], [0, 1]], "labels: must be an array ("),
    "too few labels": (X, Y[:5], "labels=array of shape (5,): must be one for each support image"),
    "one-hot labels": (X, np.eye(6), "labels=array of shape (6, 6): must be one for each"),
    "more classes than ways": (X, range(6), "labels=6 classes: must be of 2 to 3 classes"),
    "one class": (X, [1] * 6, "labels=1 classes: must be of 2 to 3 classes"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused_in_one_line(trained, what):
    *arrays, text = REFUSED[what]
    with pytest.raises(ConfigError) as error:
        benchmark.adapt(trained, *arrays)
    assert str(error.value).startswith(text) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "least", "values"),
    [
        ("steps", 0, [-1, 1.5, "2", 10**9, np.nan]),
        ("batch", 1, [0, 2.0, [2], 10**9]),
        ("seed", 0, [-1, 0.5, True, 10**18]),
    ],
)
def test_options_out_of_range(trained, key, least, values):
    for value in values:
        with pytest.raises(ConfigError) as error:
            benchmark.adapt(trained, X, Y, **{key: value})
        given = "true" if value is True else value
        rule = f"must be a whole number of at least {least} and at most "
        assert str(error.value).startswith(f"{key}={given}: {rule}")


def test_transduction_is_a_matter_of_yes_or_no(classifier, episode):
    with pytest.raises(ConfigError, match=r"^transductive=no: must be true or false$"):
        classifier.predict(episode["query_x"], transductive="no")


@pytest.mark.parametrize("missing", ["record.json", "initialisation.npz"])
def test_a_run_without_its_files(trained, tmp_path, missing):
    for name in {"record.json", "initialisation.npz"} - {missing}:
        shutil.copy(trained / name, tmp_path)
    with pytest.raises(ConfigError, match="must be a completed run"):
        benchmark.adapt(tmp_path, X, Y)


def changed_run(trained, directory, change):
    """A copy of the run whose configuration is changed in place by `change`."""
    shutil.copy(trained / "initialisation.npz", directory)
    document = json.loads((trained / "record.json").read_text())
    change(document["config"])
    del document["seal"]  # it is of another configuration
    (directory / "record.json").write_text(json.dumps(document))
    return directory


def test_arrays_of_another_network(trained, tmp_path):
    other = changed_run(trained, tmp_path, lambda c: c["model"].update(filters=9))
    with pytest.raises(ConfigError, match=r"must be a run whose model has the \d+ parameters of"):
        benchmark.adapt(other, X, Y)


def test_the_keras_file_is_the_same_network(trained, episode):
    model = keras.models.load_model(trained / "initialisation.keras")
    before = benchmark.adapt(trained, episode["support_x"], episode["support_y"], steps=0)
    expected = before.predict(episode["query_x"], transductive=True).probabilities
    found = tf.nn.softmax(model(episode["query_x"])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_arrays_are_training_s_last_state(trained):
    with np.load(trained / "initialisation.npz", allow_pickle=False) as arrays:
        names = [name for name in arrays.files if name.startswith("params/")]
        assert names == sorted(names) and len(names) == 8
        size = sum(arrays[name].size for name in names)
        assert arrays["moment"].shape == (size,) and (arrays["moment"] > 0).any()
        assert arrays["count"] == 20 * 5  # meta-iterations x inner steps
        params = Network.flatten([arrays[name] for name in names])
    trained_model = keras.models.load_model(trained / "initialisation.keras")
    np.testing.assert_array_equal(params, Network(trained_model).initial)


def test_the_record_names_the_files(trained):
    files = json.loads((trained / "record.json").read_text())["files"]
    assert {"initialisation.keras", "initialisation.npz", "scores.npz"} <= set(files)
    assert all((trained / name).exists() for name in files)


def test_importing_benchmark_stays_light():
    script = "import sys, benchmark; sys.exit('tensorflow' in sys.modules or not benchmark.__all__)"
    assert subprocess.run([sys.executable, "-c", script], cwd=PROJECT).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'adopt'"):
        benchmark.adopt  # noqa: B018


def test_a_published_run_goes_by_its_name(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(named, "PUBLISHED", tmp_path / "published")
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "mine").symlink_to(trained)
    monkeypatch.chdir(tmp_path)
    assert named.directory_of("mine") == tmp_path / "published" / "mine"
    assert load("mine").task.ways == WAYS
    (tmp_path / "mine").mkdir()  # what lies in reach comes first
    assert named.directory_of("mine") == Path("mine")
