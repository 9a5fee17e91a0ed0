"""The page to draw on: in a real browser it computes what `benchmark.adapt` computes."""

import json
import re
import sys
from dataclasses import dataclass
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

import benchmark
from benchmark import adaptation
from benchmark.adaptation import load
from benchmark.command.compose import compose
from benchmark.models import Conv
from benchmark.page.__main__ import main
from benchmark.page.hand import hand, pen_width
from benchmark.page.page import BEND, DRAW, HERE, as_script, read, texts, write_page
from results.schema import PAGE
from tasks.checks import ConfigError
from tasks.glyphs import rasterise
from tests.command import python
from tests.pages import changed, opened, speaks_both_languages
from tests.toy import TRAINED

TINY = (
    *TRAINED,
    "task.ways=5",
    "model=conv",
    "model.layers=4",
    "model.filters=16",
    "evaluation.queries=1",
    "evaluation.baselines=[]",
    "evaluation.predictions=0",
    "training.curve_points=0",
)
MLP = (*(o for o in TINY if not o.startswith("model")), "model=mlp")
SGD = ("algorithm.inner_optimizer=sgd", "algorithm.inner_learning_rate=0.02")
MAML = (
    "model=maml_conv",
    "algorithm=maml",
    "algorithm.meta_iterations=20",
    "algorithm.meta_batch=2",
    "evaluation.batch=5",
)
RUNS = {  # by algorithm, network and inner optimiser
    "reptile-conv-adam": TINY,
    "fomaml-mlp-sgd": (*MLP, "algorithm=fomaml", *SGD, "evaluation.batch=4"),
    "maml-conv-sgd": (*TINY, *MAML),  # MAML's own network
    "reptile-mlp-adam": (*MLP, "model.hidden=[24,16]", "algorithm.replacement=true"),
}
EPISODES = 5  # of each: twenty in all


@dataclass(frozen=True, kw_only=True)
class Mine(Conv):
    """A user's own network: what it computes, only its own `build` knows."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """made(name): the directory of a run of RUNS, trained once, with its page in it."""
    from benchmark.running.job import run_job

    kept = {}

    def make(name):
        if name not in kept:
            directory = tmp_path_factory.mktemp("pages") / name
            run_job(compose(*RUNS[name]), directory, ["seed=0"])
            write_page(str(directory), None)
            kept[name] = directory
        return kept[name]

    return make


def learnt(browser):
    """The support set, the queries and what both starts say of them, once all is learnt."""
    browser.wait_for("page.support && learnt()")
    pixels = "Array.from(seen(page.query.drawings[place], hand, side))"
    found = browser.value(
        "({images: page.support.images.map((image) => Array.from(image)), "
        "labels: page.support.labels, points: learning.points, "
        f"queries: page.questions.map((place) => {pixels})}})"
    )
    as_images = lambda rows: np.array(rows, np.float32).reshape(-1, 28, 28)  # noqa: E731
    found["images"], found["queries"] = as_images(found["images"]), as_images(found["queries"])
    return found


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """`benchmark.adapt` builds the network of each run once, not once an episode."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptation, "load", cache(load))
        yield


def deviation(found, directory, steps):
    """How far the page's probabilities after some steps are from those of `benchmark.adapt`."""
    classifier = benchmark.adapt(directory, found["images"], found["labels"], steps=steps)
    wanted = classifier.predict(found["queries"]).probabilities
    return np.abs(found["points"]["learned"][str(steps)]["answers"] - wanted).max()


def agrees(found, directory, steps):
    """Whether the page says what `benchmark.adapt` says of images that differ by 1e-7 at most.

    In one of 40 episodes some ReLU's input is so near to zero that float32's rounding decides on
    which side; `adapt` then says something else, by up to 1e-2, for images that are hardly others.
    """
    random, ink = np.random.default_rng(0), found["images"] == 0
    noises = (1e-7 * ink * random.random(ink.shape, np.float32) for _ in range(10))
    moved = (found["images"] + noise for noise in (0, *noises))
    return any(deviation(found | {"images": x}, directory, steps) < 1e-4 for x in moved)


@pytest.mark.parametrize("name", RUNS)
def test_the_browser_computes_what_adapt_computes(browser, made, name):
    directory = made(name)
    opened(browser, directory)
    browser.value("(addClass(), addClass())")  # five of them
    for _ in range(EPISODES if browser.name == "chromium" else 1):
        browser.value("surprise()")
        found = learnt(browser)
        assert len(found["images"]) == len(found["queries"]) == 5
        assert agrees(found, directory, 50)
    assert all(agrees(found, directory, steps) for steps in (0, 1, 10))
    assert browser.problems == []


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "sigmoid"])
def test_every_activation_is_the_one_of_the_network(browser, name):
    x = np.linspace(-4, 4, 40, dtype=np.float32)
    each = f"{x.tolist()}.map((v) => [value(v), slope(v, value(v))])"
    of_page = f"const [value, slope] = ACTIVATIONS.{name}; return {each}"
    found = browser.value(f"(() => {{ {read('network.js')}; {of_page}; }})()")
    with tf.GradientTape() as tape:
        tape.watch(at := tf.constant(x))
        y = keras.activations.get(name)(at)
    expected = np.stack([y, tape.gradient(y, at)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_loss_and_the_random_start_are_those_of_the_run(browser, made):
    directory = made("reptile-conv-adam")
    opened(browser, directory)
    browser.value("surprise()")
    found = learnt(browser)
    trained = load(directory)
    inner, labels = trained.inner, np.array(found["labels"], np.int32)
    for start, params in (("learned", trained.learner.params), ("random", inner.network.initial)):
        loss = inner.loss(params, found["images"][..., None], labels) / len(labels)
        assert found["points"][start]["0"]["loss"] == pytest.approx(float(loss), abs=1e-4)


def test_more_drawings_a_class_and_fewer_classes(browser, made):
    opened(browser, made("reptile-conv-adam"))
    browser.value("removeClass(2)")
    fill = (
        "page.classes.forEach((s, i) => s.drawings.forEach((d, k) => { if (k < 3 - i) d.pixels = "
    )
    browser.value(f"{fill}testDrawing(0, k); }}))")
    browser.value("surprise()")
    found = learnt(browser)
    assert found["labels"] == [0, 0, 0, 1, 1]
    assert deviation(found, made("reptile-conv-adam"), 10) < 1e-4


def test_drawing_by_pointer_and_keyboard(browser, made):
    opened(browser, made("reptile-conv-adam"))
    kinds = ("mouse", "touch", "pen" if browser.name == "chromium" else "mouse")
    shapes = ([(0.2, 0.8), (0.5, 0.2), (0.8, 0.8)], [(0.3, 0.2), (0.3, 0.8)], [(0.1, 0.5)] * 2)
    for number, (kind, shape) in enumerate(zip(kinds, shapes, strict=True)):
        browser.stroke(f"#classes .own-{number} .pad", shape, kind)
    browser.value("document.querySelector('#query .pad').focus()")
    browser.press(" ", *["\ue014"] * 9, *["\ue015"] * 5, " ")  # right, then down
    found = learnt(browser)
    assert found["labels"] == [0, 1, 2] and len(found["queries"]) == 1
    assert deviation(found, made("reptile-conv-adam"), 10) < 1e-4
    assert browser.value("find('status').textContent") == "Learned in 50 steps."
    assert browser.problems == []


def test_undo_and_clear(browser, made):
    opened(browser, made("reptile-conv-adam"))
    for line in ([(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]):
        browser.stroke("#classes .own-0 .pad", line)
    strokes = "page.classes[0].drawings[0].strokes.length"
    assert browser.value(strokes) == 2
    browser.value("document.querySelector('#classes .own-0 .undo').click()")
    assert browser.value(strokes) == 1
    browser.value("document.querySelector('#classes .own-0 .clear').click()")
    assert browser.value(strokes) == 0
    assert browser.value("find('again').disabled")


def test_a_drawing_becomes_what_the_network_knows(browser, made):
    """Small, in a corner, with the pad's wide pen: it comes out as the run's own drawings are."""
    directory = made("reptile-conv-adam")
    own = hand(load(directory).task.loaded["train"].images)
    opened(browser, directory)
    corner = [(0.05, 0.1), (0.15, 0.3), (0.2, 0.08), (0.28, 0.28)]
    browser.stroke("#classes .own-0 .pad", corner)
    shown = browser.value("Array.from(seen(page.classes[0].drawings[0], hand, side))")
    image = (np.array(shown).reshape(1, 28, 28, 1) * 255).astype(np.uint8)
    assert set(np.unique(image)) == {0, 255}
    seen = hand(image)
    assert seen.extent == pytest.approx(own.extent, abs=1)
    assert (seen.x, seen.y) == pytest.approx((own.x, own.y), abs=1)
    assert seen.pen == pytest.approx(own.pen, rel=0.3)


def test_both_languages(browser, made):
    opened(browser, made("reptile-conv-adam"))
    speaks_both_languages(browser, texts(DRAW))
    assert browser.value("find('again').textContent") == texts(DRAW)["again"]["fa"]


def test_a_learner_that_fails_is_said(browser, made):
    opened(browser, made("reptile-conv-adam"))
    assert browser.value("find('unable').hidden")
    browser.value("learners.learned.postMessage({kind: 'nothing of ours'})")
    browser.wait_for("!find('unable').hidden && find('page').hidden")


@pytest.mark.parametrize("kind", [DRAW, BEND], ids=lambda kind: kind.name)
def test_every_text_has_both_languages_and_is_used(kind):
    known = texts(kind)
    code = read(*kind.scripts, "page.html.jinja", f"{kind.name}.html.jinja")
    asked = set(re.findall(r'(?:data-text=|data-label=|say\()"(\w+)"|texts\.(\w+)', code))
    asked = {one or other for one, other in asked}
    assert asked <= set(known) and set(known) <= asked | set(re.findall(r'"(\w+)"', code))
    for key, text in known.items():
        assert set(text) == {"en", "fa"} and all(text.values()), key
        places = {language: set(re.findall(r"{\w+}", words)) for language, words in text.items()}
        assert places["en"] == places["fa"], key


def test_no_contrast_is_below_aa():
    style = (HERE / "style.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root {(.*?)}", style, re.DOTALL)
    )
    on = {"text": ("ground", "card"), "soft": ("ground", "card"), "on-strong": ("strong",)}
    for scheme in (light, dark):
        for front in ("text", "soft", "right", "wrong"):
            for back in on.get(front, ("card",)):
                assert contrast(scheme[front], scheme[back]) >= 4.5, (front, back)
        assert contrast(scheme["on-strong"], scheme["strong"]) >= 4.5
        for part in ("edge", *(f"class-{i}" for i in range(5))):  # not text: 3 is enough
            assert contrast(scheme[part], scheme["card"]) >= 3, part


def contrast(one, other):
    """Of two colours, by WCAG 2."""
    high, low = sorted(map(luminance, (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_page_is_one_file_that_asks_for_nothing(made):
    text = (made("reptile-conv-adam") / PAGE).read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy
    assert not re.search(r'(?:src|href|action)="(?!data:,)', text)
    assert text.index('id="unable" class') < text.index('id="page" class="page" hidden')


def test_json_cannot_end_its_script():
    assert "</script>" not in as_script({"name": "</script><script>"})
    assert json.loads(as_script("</b>\u2028")) == "</b>\u2028"


@pytest.mark.parametrize("radius", [0.5, 0.75, 1.0])
def test_the_pen_of_known_drawings_is_found(radius):
    """Straight lines in all directions, of a known width."""
    angles = np.linspace(0, np.pi, 60, endpoint=False)
    along = np.linspace(-11, 11, 400)
    points = 14 + along[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)[:, None]
    points += np.random.default_rng(0).uniform(-0.5, 0.5, (60, 1, 2))
    ink = rasterise(points, np.full(60, radius))
    assert pen_width(ink.reshape(60, 28, 28) < 128) == pytest.approx(2 * radius, rel=0.08)


def assert_refused(run, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        write_page(str(run), tmp_path / "draw.html")
    assert not (tmp_path / "draw.html").exists()


def test_a_run_without_an_initialisation_is_refused(trained, tmp_path):
    copy = changed(trained, tmp_path / "run", "task", dict)
    (copy / "initialisation.npz").unlink()
    assert_refused(copy, "run=.*: must be a completed run whose initialisation.npz", tmp_path)
    assert_refused(tmp_path / "nowhere", r"run=.*nowhere: must be a completed run's", tmp_path)


def test_a_run_that_is_none_is_refused_before_tensorflow_starts():
    script = (
        "import sys; from benchmark.page.__main__ import main; sys.argv = ['page', 'nope']; "
        "code = main(); sys.exit('tensorflow started' if 'tensorflow' in sys.modules else code)"
    )
    refused = python("-c", script)
    assert refused.returncode == 2 and refused.stderr.startswith("error: run=nope: must be a comp")


def test_a_network_of_a_users_own_is_refused(trained, tmp_path):
    mine = {"_target_": "tests.test_page.Mine", "name": "mine"}
    copy = changed(trained, tmp_path / "run", "model", lambda own: own | mine)
    assert_refused(copy, "model=mine: must be conv, maml_conv or mlp", tmp_path)


def test_a_run_without_an_inner_loop_is_one_line(trained, tmp_path, monkeypatch, capsys):
    other = OmegaConf.to_container(compose("algorithm=protonet").algorithm, resolve=True)
    copy = changed(trained, tmp_path / "run", "algorithm", lambda own: other)
    monkeypatch.setattr(sys, "argv", ["page", str(copy)])
    assert main() == 2
    start = "error: algorithm=protonet: must be one whose inner loop is that of"
    assert capsys.readouterr().err.startswith(start)


def test_the_command_says_where_the_page_lies(trained, tmp_path, monkeypatch, capsys):
    page = tmp_path / "new" / "mine.html"
    monkeypatch.setattr(sys, "argv", ["page", str(trained), "--output", str(page)])
    assert main() == 0
    assert capsys.readouterr().out.startswith(f"{page} (") and page.stat().st_size < 3e6
