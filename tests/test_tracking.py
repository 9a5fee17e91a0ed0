"""Tracking: read back with the real libraries what a run sent to them."""

import json
import logging
import os
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark import config
from benchmark.command.compose import compose
from benchmark.command.identity import fingerprint
from benchmark.tracking import base as tracking
from benchmark.tracking.base import Reporter, Tracker, Tracking, of_curve, of_outcome
from benchmark.tracking.mlflow import ARTIFACTS
from tasks.checks import ConfigError
from tests.command import record as read_record
from tests.toy import TRAINED, settings

PROTOCOL = "test/3way-2shot-3query/batch6/plain"
PLAIN = f"{PROTOCOL}/4steps/accuracy"
CURVE = "curve/train/2shot/plain/accuracy"


def needs(library):
    reason = f"{library} is not installed (an optional extra)"
    return pytest.mark.skipif(not tracking.is_installed(library), reason=reason)


def value_of(record, name):
    """The number of the record that a tracker calls `name`."""
    key, _, field = name.rpartition("/")
    rows = record["evaluations"] + record["baselines"]
    return next(row[field] for row in rows if row["scores"] == key)


def curve_of(record):
    """[(iteration, accuracy)] of the record's learning curve, without transduction."""
    points = record["learning_curve"]
    return [(p["iteration"], p["accuracy"]) for p in points if not p["transductive"]]


@pytest.fixture
def run(trained, tmp_path):
    """A run directory of its own, as it is when training has just begun; and the final record."""
    directory = tmp_path / "run"
    shutil.copytree(trained, directory)
    done = read_record(directory)
    begun = done | {"status": "running", "learning_curve": [], "evaluations": []}
    (directory / "record.json").write_text(json.dumps(begun))
    return directory, done


def tracked(chosen, directory, done, status="completed"):
    """What benchmark.running.computation does: start, send the curve, write the record, finish."""
    reporter = Reporter(chosen, read_record(directory), directory, [])
    for iteration in (10, 20):
        reporter.points([p for p in done["learning_curve"] if p["iteration"] == iteration])
    if status == "completed":
        (directory / "record.json").write_text(json.dumps(done))
    reporter.finish(done | {"status": status})


def test_what_a_record_does_not_know_is_not_told():
    """A single episode has no interval."""
    point = {"split": "train", "shots": 1, "transductive": False, "metric": "mse", "mse": 0.5}
    assert of_curve([point | {"ci95": None}]) == {"curve/train/1shot/plain/mse": 0.5}
    row = {"scores": "test/1shot/plain/5steps", "metric": "mse", "mse": 0.5, "ci95": None}
    record = {"evaluations": [row], "baselines": [], "timing": {"seconds_per_meta_iteration": None}}
    assert of_outcome(record) == {"test/1shot/plain/5steps/mse": 0.5}


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("tensorboard", "tensorboard --logdir 'a run'"),
        ("mlflow", "mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db"),
        ("wandb", "wandb sync 'a run'/wandb/offline-run-*"),
    ],
)
def test_a_tracker_says_how_to_look(name, command):
    assert settings(f"tracking={name}").tracking.how_to_look(Path("a run")) == command


# --- TensorBoard ----------------------------------------------------------------------------------


def events(directory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(directory), {"tensors": 0, "images": 0}).Reload()


def scalars(found, name):
    import tensorflow as tf

    return [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in found.Tensors(name)]


@needs("tensorboard")
def test_a_real_run_leaves_an_event_file(trained):
    """The whole way: command, training, record, event file."""
    record, found = read_record(trained), events(trained)
    assert scalars(found, CURVE) == [(i, pytest.approx(v)) for i, v in curve_of(record)]
    for name in (PLAIN, f"scratch/{PLAIN}", f"nearest_neighbour/{PROTOCOL}/0steps/accuracy"):
        assert scalars(found, name) == [(20, pytest.approx(value_of(record, name)))]
    tags = found.Tags()["tensors"]
    assert PLAIN.replace("accuracy", "ci95") in tags and "timing/train_seconds" in tags
    pictures = [name for name in tags if name.startswith("figures/")]
    assert {"figures/learning_curves", "figures/episode_1"} <= set(pictures)
    (text,) = (event.tensor_proto.string_val[0] for event in found.Tensors("configuration"))
    assert '"meta_iterations": 20' in text.decode()


@needs("tensorboard")
def test_an_unfinished_event_file_is_replaced(run):
    directory, done = run
    tracked(settings("tracking=tensorboard").tracking, directory, done)
    assert scalars(events(directory), PLAIN) == [(20, pytest.approx(value_of(done, PLAIN)))]
    assert len(list(directory.glob("events.*"))) == 1


# --- MLflow ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A local MLflow store; making its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/new/mlflow.db"


def mlflow_runs(store, directory):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("reptile-benchmark").experiment_id
    runs = client.search_runs([experiment])
    return client, [run for run in runs if run.data.tags["directory"] == str(directory)]


@needs("mlflow")
def test_mlflow_holds_parameters_metrics_over_time_and_files(run, store, tmp_path):
    directory, done = run
    tracked(settings("tracking=mlflow", f"tracking.uri={store}").tracking, directory, done)
    client, (found,) = mlflow_runs(store, directory)
    assert found.info.status == "FINISHED" and found.info.run_name == "run"
    assert found.data.params["algorithm.meta_iterations"] == "20"
    assert found.data.params["evaluation.shots"] == "[2]"
    history = client.get_metric_history(found.info.run_id, CURVE)
    assert [(m.step, m.value) for m in history] == curve_of(done)
    assert found.data.metrics[PLAIN] == value_of(done, PLAIN)
    names = {item.path for item in client.list_artifacts(found.info.run_id)}
    assert {"record.json", "scores.npz", "initialisation.keras", "figures"} <= names
    drawn = {item.path for item in client.list_artifacts(found.info.run_id, "figures")}
    assert {"figures/learning_curves.png", "figures/episode_1.png"} <= drawn
    path = client.download_artifacts(found.info.run_id, "record.json", str(tmp_path))
    with open(path) as file:
        assert json.load(file) == done


@needs("mlflow")
def test_mlflow_replaces_a_killed_run_and_keeps_a_stopped_one(run, store):
    directory, done = run
    chosen = settings("tracking=mlflow", f"tracking.uri={store}").tracking
    Reporter(chosen, read_record(directory), directory, [])  # and nothing more: killed
    tracked(chosen, directory, done, status="interrupted")
    tracked(chosen, directory, done, status="failed")
    _, found = mlflow_runs(store, directory)
    assert sorted(run.info.status for run in found) == ["FAILED", "KILLED"]


@needs("mlflow")
def test_copies_of_records_in_an_mlflow_store_are_not_read_as_runs(run, tmp_path):
    from results import records

    directory, _ = run
    copy = tmp_path / ARTIFACTS / "1" / "artifacts"
    copy.mkdir(parents=True)
    shutil.copy(directory / "record.json", copy)
    found = records.read_records([tmp_path])
    assert found.runs["run"].tolist() == [str(directory)]


@needs("mlflow")
def test_starting_mlflow_leaves_logging_as_it_is(run, store, caplog):
    directory, _ = run
    with caplog.at_level(logging.INFO):
        chosen = settings("tracking=mlflow", f"tracking.uri={store}").tracking
        Reporter(chosen, read_record(directory), directory, [])
        logging.getLogger("benchmark.running.run").info("still here")
    assert "still here" in caplog.text


# --- Weights & Biases -----------------------------------------------------------------------------


def wandb_history(file):
    """What an offline run logged, by iteration: wandb's own messages in a LevelDB log.

    The file starts with 7 bytes of wandb's; then, in blocks of 32 KiB, fragments: checksum (4
    bytes), length (2), type (1: whole, 2: first, 3: middle, 4: last), content.
    """
    from wandb.proto import wandb_internal_pb2

    data, at, message, history = file.read_bytes(), 7, b"", []
    assert data.startswith(b":W&B")
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        message += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            entry = wandb_internal_pb2.Record.FromString(message)
            items = entry.history.item
            if items:
                named = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
                history.append(named)
            message = b""
    return history


@needs("wandb")
def test_wandb_keeps_the_run_on_the_disk(run):
    directory, done = run
    (directory / "wandb").mkdir()
    (directory / "wandb" / "left by an unfinished run").touch()
    tracked(settings("tracking=wandb").tracking, directory, done)
    (file,) = directory.glob("wandb/offline-run-*/run-*.wandb")
    history = wandb_history(file)
    for _ in range(100):  # wandb's own process writes the file, and not always before finish ends
        if any(PLAIN in row for row in history):
            break
        time.sleep(0.1)
        history = wandb_history(file)
    steps = [(row["_step"], row[CURVE]) for row in history if CURVE in row]
    assert steps == curve_of(done)
    assert [row[PLAIN] for row in history if PLAIN in row] == [value_of(done, PLAIN)]
    names = {path.name for path in (file.parent / "files").iterdir()}
    assert {"record.json", "scores.npz", "initialisation.npz", "media"} <= names
    assert "left by" not in " ".join(os.listdir(directory / "wandb"))


@needs("wandb")
def test_wandb_s_copies_are_not_read_as_runs(run):
    from results import records

    directory, done = run
    tracked(settings("tracking=wandb").tracking, directory, done)
    assert records.read_records([directory]).runs["run"].tolist() == [str(directory)]


# --- what holds for all ---------------------------------------------------------------------------


class Broken(Tracker):
    """Fails from the first number on."""

    def __init__(self):
        self.calls = 0

    def scalars(self, iteration, values):
        self.calls += 1
        raise RuntimeError("the server\nis gone")


def test_a_failing_tracker_is_left_behind_with_one_warning(run, monkeypatch, caplog):
    directory, done = run
    broken = Broken()
    monkeypatch.setattr(Tracking, "start", lambda *_: broken)
    tracked(settings().tracking, directory, done)
    assert broken.calls == 1
    assert [entry.message for entry in caplog.records] == [
        "tracking=none failed, the run goes on without it (RuntimeError: the server is gone)"
    ]


def test_a_failure_at_the_end_leaves_the_record(tmp_path, monkeypatch, caplog):
    """Through the real job: the record is complete before tracking ends."""
    from benchmark.running.job import run_job

    seen = []

    class Late(Tracker):
        def artifacts(self, files, figures):
            seen.append(read_record(tmp_path)["status"])
            raise OSError("no space")

    monkeypatch.setattr(Tracking, "start", lambda *_: Late())
    small = ("algorithm.meta_iterations=2", "training.curve_points=0", "evaluation.baselines=[]")
    assert run_job(compose(*TRAINED, *small), tmp_path, [])["status"] == "completed"
    assert seen == ["completed"] and read_record(tmp_path)["status"] == "completed"
    assert "no space" in caplog.text


def test_a_tracker_that_cannot_start_ends_the_run_in_one_line(run, monkeypatch):
    directory, _ = run

    def start(*_):
        raise RuntimeError("refused\nby the server")

    monkeypatch.setattr(Tracking, "start", start)
    text = r"tracking=none: must be able to start \(RuntimeError: refused by the server\)"
    with pytest.raises(ConfigError, match=f"^{text}$"):
        Reporter(settings().tracking, {}, directory, [])


def test_a_continued_run_sends_the_curve_so_far(run, monkeypatch):
    directory, done = run
    sent = []

    class Notes(Tracker):
        def scalars(self, iteration, values):
            sent.append((iteration, values[CURVE]))

    monkeypatch.setattr(Tracking, "start", lambda *_: Notes())
    Reporter(settings().tracking, {}, directory, done["learning_curve"])
    assert sent == curve_of(done)


@pytest.mark.parametrize(
    ("choice", "library"),
    [("tensorboard", "tensorboard"), ("mlflow", "sqlalchemy"), ("wandb", "wandb")],
)
def test_a_missing_library_is_named_with_the_extra_to_install(choice, library, monkeypatch):
    installed = tracking.is_installed
    monkeypatch.setattr(tracking, "is_installed", lambda name: name != library and installed(name))
    with pytest.raises(ConfigError) as error:
        config.load(compose(f"tracking={choice}"))
    text = str(error.value)
    assert text.startswith(f"tracking={choice}: must have its library installed (")
    assert f"{library}" in text and text.endswith(f"python -m pip install -e '.[{choice}]'")


def test_a_folder_is_not_a_library(tmp_path, monkeypatch):
    (tmp_path / "surely_no_library").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not tracking.is_installed("surely_no_library")
    assert tracking.is_installed("json") and not tracking.is_installed("surely_missing")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ("tracking=mlflow tracking.uri=mlruns", "tracking.uri=mlruns: must be sqlite:/// and a"),
        (
            "tracking=mlflow tracking.experiment=' '",
            "tracking.experiment= : must be a text that",
        ),
        ("tracking=wandb tracking.mode=cloud", "tracking.mode=cloud: must be offline or online"),
        ("tracking=wandb tracking.project=''", "tracking.project=: must be a text that is not emp"),
        ("tracking=tensorboard +tracking.x=1", "tracking.x=1: must be a known key: name"),
    ],
)
def test_bad_settings(overrides, text, monkeypatch):
    monkeypatch.setattr(tracking, "is_installed", lambda name: True)
    first, rest = overrides.split(" ", 1)
    with pytest.raises(ConfigError) as error:
        config.load(compose(first, rest))
    assert str(error.value).startswith(text)


def test_tracking_is_no_part_of_a_run_s_identity(monkeypatch):
    monkeypatch.setattr(tracking, "is_installed", lambda name: True)
    names = ("none", "tensorboard", "mlflow", "wandb")
    chosen = [config.load(compose(f"tracking={name}")).plain for name in names]
    assert len({plain["tracking"]["name"] for plain in chosen}) == 4
    assert len(set(map(fingerprint, chosen))) == 1


def test_names_tell_transduction_apart(trained):
    points = read_record(trained)["learning_curve"][:2]
    values = of_curve(points)
    assert [name.split("/")[3] for name in values] == ["plain"] * 2 + ["transductive"] * 2
    np.testing.assert_array_equal(list(values.values())[::2], [p["accuracy"] for p in points])
