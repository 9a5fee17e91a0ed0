"""The page of a run: in a real browser it computes what `benchmark.adapt` computes."""

import json
import re
import shutil
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from omegaconf import OmegaConf

import benchmark
from benchmark.adaptation import load
from benchmark.command.compose import compose
from benchmark.models import Conv
from benchmark.page.__main__ import main
from benchmark.page.hand import hand, pen_width
from benchmark.page.page import HERE, as_script, write_page
from results.schema import PAGE
from tasks.checks import ConfigError
from tasks.glyphs import rasterise
from tests.browser import MISSING, started
from tests.command import python
from tests.toy import TRAINED

TINY = (
    *TRAINED,
    "task.ways=5",
    "model=conv",
    "model.layers=4",
    "model.filters=12",
    "evaluation.queries=1",
    "evaluation.baselines=[]",
    "evaluation.predictions=0",
    "training.curve_points=0",
)
MLP = (*(o for o in TINY if not o.startswith("model")), "model=mlp")
SGD = ("algorithm.inner_optimizer=sgd", "algorithm.inner_learning_rate=0.02")
MAML = (
    "algorithm=maml",
    "algorithm.meta_iterations=20",
    "algorithm.meta_batch=2",
    "evaluation.batch=5",
)
RUNS = {  # by algorithm, network and inner optimiser
    "reptile-conv-adam": TINY,
    "fomaml-mlp-sgd": (*MLP, "algorithm=fomaml", *SGD, "evaluation.batch=4"),
    "maml-conv-sgd": (*TINY, *MAML),
    "reptile-mlp-adam": (*MLP, "model.hidden=[24,16]", "algorithm.replacement=true"),
    "tanh": (*MLP, "model.hidden=[8]", "model.activation=tanh"),
    "gelu": (*MLP, "model.hidden=[8]", "model.activation=gelu", "algorithm.inner_steps=2"),
    "sigmoid": (*MLP, "model.hidden=[8,8]", "model.activation=sigmoid"),
}
EPISODES = {"reptile-conv-adam": 5, "fomaml-mlp-sgd": 3, "maml-conv-sgd": 3, "reptile-mlp-adam": 2}
DRAWN_ALIKE = """(() => {
  let state = 1;  // Park and Miller's generator: every test run meets the same episodes
  Math.random = () => (state = (state * 48271) % 2147483647) / 2147483647;
})()"""
TEXTS = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class Mine(Conv):
    """A user's own network: what it computes, only its own `build` knows."""


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request):
    if MISSING[request.param]:
        pytest.skip(MISSING[request.param])
    with started(request.param) as running:
        running.name = request.param
        yield running


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


def opened(browser, directory):
    browser.open((directory / PAGE).as_uri() + "#en")
    browser.value(DRAWN_ALIKE)
    assert browser.problems == []


def learnt(browser):
    """The support set, the queries and what both starts say of them, once all is learnt."""
    last = "page.points[start][steps[steps.length - 1]]"
    browser.wait_for(f"page.support && STARTS.every((start) => {last})")
    pixels = "Array.from(seen(page.query.drawings[place], hand, side))"
    found = browser.value(
        "({images: page.support.images.map((image) => Array.from(image)), "
        "labels: page.support.labels, points: page.points, "
        f"queries: page.questions.map((place) => {pixels})}})"
    )
    as_images = lambda rows: np.array(rows, np.float32).reshape(-1, 28, 28)  # noqa: E731
    found["images"], found["queries"] = as_images(found["images"]), as_images(found["queries"])
    return found


def deviation(found, directory, steps):
    """How far the page's probabilities after some steps are from those of `benchmark.adapt`."""
    classifier = benchmark.adapt(directory, found["images"], found["labels"], steps=steps)
    wanted = classifier.predict(found["queries"]).probabilities
    return np.abs(found["points"]["learned"][str(steps)]["answers"] - wanted).max()


@pytest.mark.parametrize("name", EPISODES)
def test_the_browser_computes_what_adapt_computes(browser, made, name):
    directory = made(name)
    opened(browser, directory)
    browser.value("(addClass(), addClass())")  # five of them
    after_50 = []
    for _ in range(EPISODES[name] if browser.name == "chromium" else 1):
        browser.value("surprise()")
        found = learnt(browser)
        assert len(found["images"]) == len(found["queries"]) == 5
        after_50.append(deviation(found, directory, 50))
    assert max(deviation(found, directory, steps) for steps in (0, 1)) < 1e-4
    # The page's floats have 53 bits, those of `adapt` 24: in one episode of 40 some ReLU's input
    # falls on the other side of zero (measured by moving the images by 1e-7: 1e-3 then, else 1e-6).
    later = [*after_50, deviation(found, directory, 10)]
    assert sorted(later)[-2] < 1e-4 and max(later) < 0.02
    assert browser.problems == []


@pytest.mark.parametrize("name", ["tanh", "gelu", "sigmoid"])
def test_every_activation_is_the_one_of_the_network(browser, made, name):
    opened(browser, made(name))
    browser.value("surprise()")
    for steps in (0, 20):
        assert deviation(learnt(browser), made(name), steps) < 1e-4


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
    width = "document.documentElement.scrollWidth"
    browser.resize(360, 740)
    for language, direction in (("en", "ltr"), ("fa", "rtl")):
        browser.value(f"document.querySelector('[data-language={language}]').click()")
        assert browser.value("document.documentElement.dir") == direction
        assert browser.value("document.title") == TEXTS["title"][language]
        assert browser.value(width) <= 360, "wider than a phone"
    assert browser.value("find('again').textContent") == TEXTS["again"]["fa"]
    browser.resize(1280, 800)


def test_a_learner_that_fails_is_said(browser, made):
    opened(browser, made("reptile-conv-adam"))
    assert browser.value("find('unable').hidden")
    browser.value("learners.learned.postMessage({kind: 'nothing of ours'})")
    browser.wait_for("!find('unable').hidden && find('page').hidden")


def test_every_text_has_both_languages_and_is_used():
    code = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("*.js"))
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', (HERE / "page.html.jinja").read_text()))
    used |= {key for key in re.findall(r'"(\w+)"', code) if key in TEXTS}
    assert used == set(TEXTS)
    for key, text in TEXTS.items():
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


def changed(directory, tmp_path, group, change):
    """A copy of a run whose record has other settings in a group: change(its own)."""
    copy = tmp_path / "run"
    shutil.copytree(directory, copy)
    record = json.loads((copy / "record.json").read_text())
    record["config"][group] = change(record["config"][group])
    (copy / "record.json").write_text(json.dumps(record))
    return copy


def test_a_run_without_an_initialisation_is_refused(trained, tmp_path):
    copy = changed(trained, tmp_path, "task", dict)
    (copy / "initialisation.npz").unlink()
    assert_refused(copy, "run=.*: must be a completed run whose initialisation.npz", tmp_path)
    assert_refused(tmp_path / "nowhere", r"run=.*nowhere: must be a completed run's", tmp_path)


def test_a_network_of_a_users_own_is_refused(trained, tmp_path):
    mine = {"_target_": "tests.test_page.Mine", "name": "mine"}
    copy = changed(trained, tmp_path, "model", lambda own: own | mine)
    assert_refused(copy, "model=mine: must be conv or mlp", tmp_path)


def test_a_regression_run_is_one_line(trained, tmp_path, monkeypatch, capsys):
    sine = OmegaConf.to_container(compose("task=sinusoid").task, resolve=True)
    copy = changed(trained, tmp_path, "task", lambda own: sine)
    monkeypatch.setattr(sys, "argv", ["page", str(copy)])
    assert main() == 2
    rule = "a run that classifies, not one of regression"
    assert capsys.readouterr().err == f"error: run={copy}: must be {rule}\n"


def test_the_command_says_where_the_page_lies(trained, tmp_path):
    page = tmp_path / "new" / "mine.html"
    done = python("-m", "benchmark.page", str(trained), "--output", str(page))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{page} (") and page.stat().st_size < 3e6
