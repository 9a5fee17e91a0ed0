"""From Python, as in a notebook: compose, run, draw episodes, read and tabulate."""

import itertools
from types import SimpleNamespace

import hydra
import numpy as np
import pytest
import tensorflow as tf

import benchmark
import results
from benchmark.evaluation import Evaluator, Protocol
from tasks.checks import ConfigError
from tasks.sampling import fold_in, split_seed
from tests.command import python
from tests.forks import GLYPHS


@pytest.fixture(scope="module")
def settings():
    return benchmark.compose(*GLYPHS)


@pytest.fixture(scope="module")
def record(settings, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    return benchmark.run(settings, directory), directory


def test_a_run_returns_its_record_and_the_command_that_makes_it(record):
    document, directory = record
    assert document["status"] == "completed"
    assert document["command"].startswith("python -m benchmark task=glyphs ")
    assert benchmark.run(benchmark.compose(*GLYPHS), directory) == document  # not run again


def test_records_are_read_as_a_frame_and_as_a_table(record):
    document, directory = record
    frame = results.read(directory)
    (ours,) = frame[frame["method"] == "reptile"]["value"]
    assert ours == document["evaluations"][0]["accuracy"]
    assert f"{100 * ours:.2f}" in results.table(directory)
    assert "| Reptile" in results.table(directory, style="markdown")
    with pytest.raises(ValueError, match="style=csv: must be one of text, markdown, latex"):
        results.table(directory, style="csv")


def test_a_run_is_asked_more_from_python(record, tmp_path):
    _, directory = record
    more = benchmark.compose(f"evaluate={directory}", "evaluation.shots=[2]")
    rows = benchmark.run(more, tmp_path)["evaluations"]
    assert [row["shots"] for row in rows] == [1, 2]


def test_episodes_are_those_of_the_evaluation(settings):
    drawn = list(itertools.islice(benchmark.episodes(settings, shots=2), 3))
    task = settings.task
    evaluator = Evaluator(
        SimpleNamespace(adapts=True), task.load(), task, settings.evaluation, False, settings.seed
    )
    key = evaluator.key(Protocol("test", 2))
    for index, episode in enumerate(drawn):
        same = evaluator.sample(
            Protocol("test", 2), split_seed(fold_in(key, tf.constant(index, tf.int64)), 2)[0]
        )
        for ours, theirs in zip(episode, same, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert drawn[0].support_x.shape == (4, 28, 28, 1) and drawn[0].query_y.tolist() == [0, 1]
    assert drawn[0].classes.tolist() != drawn[1].classes.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tests"}, "split=tests: must be one of train, test"),
        ({"split": ["test"]}, r"split=\['test'\]: must be one of train, test"),
        ({"shots": 0}, "shots=0: must be a whole number of at least 1 and at most 1000000"),
        ({"shots": 1.5}, "shots=1.5: must be a whole number of at least 1 and at most 1000000"),
        ({"shots": 8}, "shots=8: must be at most 7, what the queries leave of a class"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(settings, arguments, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        benchmark.episodes(settings, **arguments)


def test_settings_are_checked_as_on_the_command_line():
    with pytest.raises(ConfigError, match=r"evaluation\.episodes=0: must be at least 1"):
        benchmark.compose("evaluation.episodes=0")


def test_a_program_of_ones_own_with_hydra_may_compose_ours(tmp_path):
    (tmp_path / "config.yaml").write_text("mine: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert benchmark.compose("seed=7").seed == 7
        assert hydra.compose("config") == {"mine": 1}


def test_where_a_run_goes_is_a_path(settings):
    with pytest.raises(ConfigError, match=r"^directory=: must be the path of a directory$"):
        benchmark.run(settings, "")


def test_a_script_that_its_own_jobs_read_again_is_told_so(tmp_path):
    """A process of a job's own imports the script that started it, which would run the job anew."""
    lines = ["import benchmark", f"words = {[*GLYPHS, 'runtime.isolate=true']}"]
    lines += [f"benchmark.run(benchmark.compose(*words), {str(tmp_path / 'run')!r})"]
    (tmp_path / "script.py").write_text("\n".join(lines))
    ended = python("script.py", cwd=tmp_path)
    assert ended.returncode == 1
    assert 'benchmark.run must stand under `if __name__ == "__main__":`' in ended.stderr
