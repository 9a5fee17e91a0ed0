"""Which engine computes: as asked, as far as it can, and as the record says."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from benchmark import config, engine
from benchmark.adaptation import adapt
from benchmark.command.compose import compose
from benchmark.command.evaluating import with_training_of_run
from benchmark.command.identity import fingerprint
from benchmark.running.job import run_job
from tasks.checks import ConfigError
from tasks.episode import Episode
from tests.command import record
from tests.test_native import apart
from tests.toy import TRAINED, learner, network_of, noise_images, settings

built = pytest.mark.skipif(not engine.library(), reason="no C++ compiler at installation")
SMALL = ("model.layers=2", "model.filters=16")


@pytest.fixture
def without_library(monkeypatch):
    """As where no compiler was found: nothing was built."""
    monkeypatch.setattr(engine, "library", lambda: None)
    engine.warn_once.cache_clear()


def engine_of(*overrides):
    """What `runtime.engine` of a configuration becomes."""
    return config.load(compose(*overrides)).runtime.engine


@built
def test_auto_is_native_for_the_papers_network_alone(monkeypatch):
    assert engine_of() == engine_of("algorithm=maml") == engine_of("task=omniglot") == "native"
    for other in ("model=mlp", "model.filters=24", "model.filters=144", "task=sinusoid"):
        assert engine_of(other) == "tensorflow"
    assert engine_of("runtime=compiled") == engine_of("runtime.engine=tensorflow") == "tensorflow"
    monkeypatch.setattr(engine, "has_gpu", lambda: True)
    assert engine_of() == "tensorflow" and engine_of("runtime.engine=native") == "native"


def test_a_model_derived_from_conv_is_another_one(tmp_path, monkeypatch):
    (tmp_path / "my_conv.py").write_text(
        "from benchmark.models import Conv\n\n\nclass Mine(Conv): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert engine_of("model._target_=my_conv.Mine") == "tensorflow"


def test_without_the_library_tensorflow_computes_and_one_line_says_so(without_library, caplog):
    with caplog.at_level(logging.WARNING):
        assert engine_of() == engine_of("seed=1") == "tensorflow"
        assert engine_of("model=mlp") == engine_of("runtime.engine=tensorflow") == "tensorflow"
    (line,) = (found.getMessage() for found in caplog.records)
    assert "runtime.engine=auto: tensorflow" in line and "install a C++ compiler" in line
    with pytest.raises(ConfigError, match=r"runtime.engine=native: must be .*install a C\+\+"):
        engine_of("runtime.engine=native")


@built
def test_the_engine_is_part_of_a_runs_identity():
    native, other = (
        settings("task=omniglot", f"runtime.engine={name}") for name in ("native", "tensorflow")
    )
    assert native.identity != other.identity
    assert settings("task=omniglot").identity == native.identity
    assert settings("task=omniglot").plain["runtime"]["engine"] == "native"
    names = {
        name: str(compose(f"runtime.engine={name}", with_hydra=True).hydra.run.dir)
        for name in engine.ENGINES
    }
    assert names["auto"] == names["native"] != names["tensorflow"]


def test_a_record_without_an_engine_is_of_tensorflow():
    plain = settings("runtime.engine=tensorflow").plain
    runtime = {key: value for key, value in plain["runtime"].items() if key != "engine"}
    old = {**plain, "runtime": runtime}
    assert fingerprint(old) == fingerprint(plain)
    assert engine.settled(old)["runtime"]["engine"] == engine.recorded_engine(old) == "tensorflow"


@built
def test_a_record_of_native_code_is_adapted_by_it_where_it_can_be(monkeypatch):
    plain = settings("runtime.engine=native").plain
    assert engine.recorded_engine(plain) == "native"
    monkeypatch.setattr(engine, "library", lambda: None)
    assert engine.recorded_engine(plain) == "tensorflow"


def loops(*overrides):
    """The inner loops of both engines on one network."""
    chosen = settings(*SMALL, *overrides)
    network = network_of(chosen)
    return network, [
        chosen.algorithm.inner_loop(network, "accuracy", name) for name in ("native", "tensorflow")
    ]


@built
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_both_engines_take_the_same_steps(optimizer, reduction):
    network, (native, tensorflow) = loops(
        f"algorithm.inner_optimizer={optimizer}", f"algorithm.loss_reduction={reduction}"
    )
    random = np.random.default_rng(0)
    moment = random.uniform(1e-4, 1e-2, network.initial.size).astype(np.float32)
    x = tf.constant(random.random((12, 28, 28, 1), np.float32))
    y, order = tf.range(12) % 5, tf.random.stateless_uniform([5, 4], [0, 0], 0, 12, tf.int32)
    before = learner(network.initial, moment, 7)
    mine, other = (tf.function(loop.adapt)(before, x, y, order) for loop in (native, tensorflow))
    assert apart(mine.params.numpy(), other.params.numpy()) < 1e-5
    assert apart(mine.moment.numpy(), other.moment.numpy()) < 1e-4
    assert mine.count.numpy() == other.count.numpy() == 12 and mine.count.dtype == tf.int64
    assert apart(mine.params.numpy(), network.initial) > 1e-3
    same = native.adapt(before, x, y, order[:0])
    np.testing.assert_array_equal(same.params, network.initial)


@built
@pytest.mark.parametrize("transductive", [True, False])
def test_both_engines_predict_the_same(transductive):
    network, both = loops()
    images = np.random.default_rng(0).random((9, 28, 28, 1), np.float32)
    episode = Episode(tf.constant(images[:5]), tf.range(5), tf.constant(images[5:]), tf.range(4))
    mine, other = (
        tf.function(loop.predict)(tf.constant(network.initial), episode, transductive)
        for loop in both
    )
    assert mine.shape == other.shape == (4, 5)
    np.testing.assert_allclose(mine, other, atol=1e-5)


@built
def test_a_label_out_of_range_is_refused_by_both():
    network, both = loops()
    x, y = tf.zeros([5, 28, 28, 1]), tf.range(5) + 1
    for loop in both:
        with pytest.raises(tf.errors.InvalidArgumentError, match="label"):
            tf.function(loop.adapt)(learner(network.initial), x, y, tf.constant([[0, 4]]))


@built
def test_a_run_says_which_engine_computed_it_and_can_be_adapted(tmp_path):
    overrides = [*TRAINED, "model.filters=16"]
    done = run_job(compose(*overrides), tmp_path / "run", overrides)
    assert done["config"]["runtime"]["engine"] == "native" and done["status"] == "completed"
    assert record(tmp_path / "run")["config"]["runtime"]["engine"] == "native"
    images = noise_images(3, 3).images.reshape(9, 28, 28)
    classifier = adapt(tmp_path / "run", images, np.repeat(list("abc"), 3))
    assert classifier._trained.inner.__class__.__name__ == "NativeInnerLoop"
    assert classifier.predict(images, transductive=True).probabilities.shape == (9, 3)


@built
def test_a_run_of_the_library_is_evaluated_further_without_it(without_library):
    """It stays that run: TensorFlow only computes what is new."""
    run = "evaluate=trained_2000/glyphs_seed0"
    asked = config.load(with_training_of_run(compose(run), [run]))
    assert asked.plain["runtime"]["engine"] == "native" and asked.runtime.engine == "tensorflow"
