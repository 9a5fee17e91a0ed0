"""The speed program's parts: its arithmetic by hand, its loops for real."""

import sys

import numpy as np
import pytest

from benchmark.studies import kernels, peers, speed
from tests.command import FEW_GLYPHS, python
from tests.toy import settings

SMALL = (*FEW_GLYPHS, "model.filters=4", "algorithm.inner_steps=2", "algorithm.meta_batch=1")


@pytest.fixture(scope="module")
def paper():
    return settings("task=glyphs").model.build((28, 28, 1), 5)


def test_the_arithmetic_of_a_meta_iteration_is_counted_by_hand(paper):
    """Multiplications: 14^2 x 9 x 64, 7^2 x 576 x 64, 4^2 x 576 x 64, 2^2 x 576 x 64, 256 x 5."""
    by_hand = [(196, 9, 64), (49, 576, 64), (16, 576, 64), (4, 576, 64), (1, 256, 5)]
    assert speed.products(paper) == by_hand
    first = 2 * 196 * 9 * 64
    forward = first + 2 * (49 + 16 + 4) * 576 * 64 + 2 * 256 * 5
    assert speed.gigaflops(paper, 250) == pytest.approx(250 * (3 * forward - first) / 1e9)
    assert speed.gigaflops(paper, 250) == pytest.approx(3.93, abs=0.01)


def test_a_measurement_is_the_median_after_a_warm_up():
    values = iter([99.0, 5.0, 1.0, 3.0, 2.0, 4.0])
    found = speed.timed("what", "ms", lambda: next(values))
    assert (found.value, found.spread) == (3.0, pytest.approx(4 / 3))


def test_each_loop_runs():
    chosen = settings(*SMALL)
    assert speed.sgemm_rate(size=64, repeats=2)() > 0
    assert speed.products_time(chosen, 2)() > 0
    assert speed.engine(chosen, 2)() > 0
    assert speed.engines("what", SMALL, 2, 1.0)
    scored = settings(*SMALL, "evaluation.shots=[1]", "evaluation.steps=[2]")
    assert speed.evaluation(scored, 2)() > 0
    for graph_a_step in (False, True):
        assert speed.tutorial_loop(chosen, graph_a_step, 1)() > 0


def test_a_peer_is_held_to_the_engine_s_parameters_or_said_to_be_missing(monkeypatch):
    work = peers.work_of(settings("algorithm.meta_batch=2", "algorithm.inner_steps=2"))
    assert work.x.shape == (2, 2, 10, 28, 28, 1) and work.y.shape == (2, 2, 10)
    assert (len(work.arrays), work.arrays[0].shape) == (14, (3, 3, 1, 64))
    initial = np.concatenate([array.ravel() for array in work.arrays])
    assert work.error(work.arrived) == 0 and work.error(initial) == pytest.approx(1)
    ours, theirs = peers.SPAWN.Pipe()
    monkeypatch.setitem(sys.modules, "jax", None)  # as if it were not installed
    peers.serve("JAX, patches and products, one jit", work, theirs)
    assert "jax" in peers.answer_of(ours)
    theirs.close()
    assert "ended" in peers.answer_of(ours)


@pytest.mark.parametrize(("side", "zeros"), [(28, (0, 1)), (14, (0, 1)), (7, (1, 1)), (4, (0, 1))])
def test_a_peer_s_convolutions_are_padded_as_ours(side, zeros):
    assert peers.same_padding(side) == zeros


def test_a_profiled_operation_is_named_without_the_loops_around_it():
    inside = (
        "while/body/_1/while/map/while/body/_75/gradient_tape/while/conv2d/convolution/Conv:_Mkl"
    )
    assert kernels.split_name(inside) == ("backward conv2d/convolution/Conv", "Mkl")
    assert kernels.split_name("while/body/_1/Mean:Mean") == ("Mean", "Mean")


def test_kernels_of_impossible_settings_are_refused_in_one_line():
    done = python("-m", "benchmark.studies.kernels", "task.wayz=1")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: task.wayz=1: must be a known key: name, ways")


def test_the_profile_accounts_for_the_time_of_a_step():
    done = python(
        "-m", "benchmark.studies.kernels", *FEW_GLYPHS, "model=mlp", "algorithm.meta_batch=1"
    )
    assert done.returncode == 0, done.stderr
    _, _, everything, *rest = done.stdout.splitlines()
    assert everything.split()[0] == "everything"
    times = [float(line.split()[-1]) for line in rest]
    assert 0.2 < sum(times) / float(everything.split()[-1]) < 1
    assert "MatMul" in done.stdout


def test_a_place_that_cannot_be_written_is_refused_before_minutes_of_measuring(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "speed.csv"
    monkeypatch.setattr(sys, "argv", ["speed", "--output", str(place)])
    with pytest.raises(SystemExit) as refused:
        speed.run_program("speed", None, lambda: pytest.fail("measured"))
    assert refused.value.code == 2 and f"--output {place}: " in capsys.readouterr().err
