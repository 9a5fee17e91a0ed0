"""The page to bend a curve on: in a real browser it computes the run's own inner loop."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import tensorflow as tf

import benchmark
from benchmark.adaptation import load, mini_batches
from benchmark.command.compose import compose
from benchmark.page.bend import POINTS, bending_page
from benchmark.page.page import BEND, texts, write_page
from benchmark.running.job import run_job
from results.schema import PAGE
from tasks.base import Task
from tasks.checks import ConfigError
from tests.pages import changed, opened, speaks_both_languages
from tests.toy import learner

SINE = (
    "task=sinusoid",
    "runtime=cpu",
    "runtime.progress=off",
    "model.hidden=[24,16]",
    "algorithm.meta_iterations=30",
    "evaluation.episodes=1",
    "evaluation.baselines=[]",
    "training.curve_points=0",
)
PLACE = "([x, y]) => [plots.learned.x(x) / 480, plots.learned.y(y) / 340]"
HANDLE = "document.querySelectorAll('[data-start=learned] .handle')"


@pytest.fixture(scope="module")
def sine(tmp_path_factory):
    """The directory of a tiny run on sine waves, with its page."""
    directory = tmp_path_factory.mktemp("bend") / "sine"
    run_job(compose(*SINE), directory, ["seed=0"])
    write_page(str(directory), None)
    return directory


@cache
def in_python(directory):
    """A run, and its inner step and its network, compiled."""
    trained = load(directory)
    return trained, *(
        tf.function(f, autograph=False) for f in (trained.inner.step, trained.inner.network)
    )


def learnt(browser):
    """The points, and after each step shown what both starts say: {start: {step: ...}}."""
    browser.wait_for("!page.busy && learnt()")
    return browser.value("({points: page.points, grid: GRID, said: learning.points})")


def spread(browser):
    """The points, far from each other and from the edges."""
    browser.value("GRID.filter((_, i) => i % 10 === 5).forEach((x, i) => move(i, [x, 2]))")
    return learnt(browser)["points"]


def assert_as_the_inner_loop(found, directory):
    """Losses and curves from both starts are those of Python, step by step."""
    trained, step, network = in_python(directory)
    x, y = (np.array(part, np.float32)[:, None] for part in zip(*found["points"], strict=True))
    grid = np.array(found["grid"], np.float32)[:, None]
    order = mini_batches(len(x), 50, trained.evaluation.batch, trained.replacement).numpy()
    starts = {"learned": trained.learner, "random": learner(trained.inner.network.initial)}
    for name, now in starts.items():
        for done in range(51):
            if said := found["said"][name].get(str(done)):
                wanted = network(now.params, tf.constant(grid))[:, 0]
                np.testing.assert_allclose(said["answers"], wanted, atol=1e-4)
                error = np.mean((network(now.params, tf.constant(x)) - y) ** 2)
                assert said["loss"] == pytest.approx(error, abs=1e-4)
            if done < 50:
                now = step(now, tf.constant(x[order[done]]), tf.constant(y[order[done]]))
        assert set(found["said"][name]) == set(map(str, (0, 1, 2, 5, 10, 20, 32, 50)))


def test_the_browser_computes_the_inner_loop(browser, sine):
    opened(browser, sine)
    browser.value("surprise()")
    found = learnt(browser)
    assert len(found["points"]) == POINTS
    assert_as_the_inner_loop(found, sine)
    assert browser.problems == []


def test_the_inner_loop_is_that_of_the_run(browser, sine, tmp_path):
    """Adam on summed losses of small batches of points."""
    adam = {"inner_optimizer": "adam", "inner_learning_rate": 1e-3, "loss_reduction": "sum"}
    other = changed(sine, tmp_path / "one", "algorithm", lambda own: own | adam)
    other = changed(other, tmp_path / "two", "evaluation", lambda own: own | {"batch": 4})
    write_page(str(other), None)
    opened(browser, other)
    assert_as_the_inner_loop(learnt(browser), other)


def test_dragging_by_mouse_and_by_touch(browser, sine):
    opened(browser, sine)
    before = spread(browser)
    for i, kind in enumerate(("mouse", "touch")):
        start, end = browser.value(f"[page.points[{i}], [0, 1 - {i}]].map({PLACE})")
        between = [(start[0] + (end[0] - start[0]) * k / 9, end[1]) for k in range(1, 9)]
        browser.stroke("[data-start=learned] .plot", [start, *between, end], kind)
    found = learnt(browser)
    assert found["points"][:2] == [pytest.approx([0, 1 - i], abs=0.1) for i in range(2)]
    assert found["points"][2:] == before[2:]
    assert browser.value("page.truth") is None and browser.value("find('known').hidden")
    assert_as_the_inner_loop(found, sine)
    assert browser.problems == []


def test_dragging_by_keys(browser, sine):
    opened(browser, sine)
    x, y = spread(browser)[3]
    width, height = browser.value("[domain, range].map(([low, high]) => high - low)")
    browser.value(f"{HANDLE}[3].focus()")
    browser.press("\ue012", "\ue015", "\ue015")  # left, down, down
    found = learnt(browser)
    assert found["points"][3] == pytest.approx([x - width / 50, y - 2 * height / 50])
    assert_as_the_inner_loop(found, sine)
    browser.press(*["\ue012"] * 60)
    assert browser.value("page.points[3][0]") == -5  # the edge of the plane


def test_the_steps_to_look_at_and_both_languages(browser, sine):
    opened(browser, sine)
    learnt(browser)
    browser.value("(find('shown').value = 0, find('shown').oninput({target: find('shown')}))")
    curve = "plots.learned.svg.querySelector('.curve.now').getAttribute('d')"
    first = browser.value(curve)
    browser.value("(find('play').click(), clearTimeout(playing), choose(2))")
    assert browser.value(curve) != first
    speaks_both_languages(browser, texts(BEND))
    assert browser.value("find('after').textContent") == "پس از ۲ گام"
    assert browser.value(f"{HANDLE}[0].getAttribute('aria-label')").startswith("نقطهٔ ۱")


@pytest.mark.parametrize("part", ["PointerEvent", "Worker"])
def test_a_browser_that_cannot_says_so(browser, sine, part):
    with browser.without(part):
        browser.open((sine / PAGE).as_uri())
        assert not browser.value("find('unable').hidden") and browser.value("find('page').hidden")


@dataclass(frozen=True, kw_only=True)
class Plane(Task):
    metric = "mse"
    input_shape = (2,)

    def outputs(self, ways):
        return 1


def test_a_regression_of_another_shape_is_refused(sine):
    other = load(sine)._replace(task=Plane(name="plane", ways=1, train_shots=5))
    with pytest.raises(ConfigError, match=r"^run=sine: must be a run that learns curves, .*\(2,\)"):
        bending_page("sine", other)


def test_a_regression_has_no_classes_to_adapt_to(sine):
    with pytest.raises(ConfigError, match="must be a run that classifies, not one of regression"):
        benchmark.adapt(sine, np.ones((2, 1)), [0, 1])
