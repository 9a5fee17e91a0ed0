"""The report: self-contained, escaped, complete, and what a reader does with it in a browser."""

import re
import shlex
from html.parser import HTMLParser

import pytest

from results import formats, labels, records, summary, tables
from results.__main__ import main
from results.page import report
from tests import fake_records as fake
from tests.browser import MISSING, started
from tests.test_figures import classified, fitted, with_predictions


class Page(HTMLParser):
    """Tags with their attributes, and the visible text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.hidden = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag in ("style", "script")

    def handle_endtag(self, tag):
        self.hidden = False

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def make(directory, path=None):
    path = path or directory / "report.html"
    found = records.read_records([directory])
    report.write_report(
        found,
        tables.accuracy_tables(found, published=True),
        path,
        [str(directory), "--report", str(path)],
    )
    return path, Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The page of a sweep in which one run failed, as a file and read."""
    directory = tmp_path_factory.mktemp("swept")
    fake.sweep(directory)
    failed = {"status": "failed", "reason": "loss is NaN", "evaluations": [], "baselines": []}
    fake.write(directory / "bad", fake.record({"seed": 9}, **failed))
    return make(directory)


def test_the_command_on_the_page_makes_this_page(tmp_path):
    fake.sweep(tmp_path / "runs")
    csv = "task,method,ways,shots,accuracy,source\nomniglot,reptile,5,1,77.0,a thesis\n"
    (tmp_path / "theirs.csv").write_text(csv)
    words = [f"{tmp_path}/runs", "--where", "method=reptile", "--published"]
    words += [f"{tmp_path}/theirs.csv", "--report", f"{tmp_path}/r.html"]
    assert main(words) == 0
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert f"python -m results {shlex.join(words)}" in text
    assert "a thesis" in text and "arXiv" not in text


def test_page_holds_tables_paper_failures_configuration_and_commands(swept):
    file, page = swept
    for text in [
        "71.00 ± 2.48",
        "95.39 ± 0.09",
        "below, partial budget",
        "partial: 1 % of 100000 meta-iterations",
        "Nichol et al. 2018",
        f"{file.parent / 'bad' / 'record.json'}: failed (loss is NaN)",
        "algorithm.inner_learning_rate",
        "2.21.0",
        "abc123",
        "a CPU",
        "52.0 ms",
        "python -m benchmark algorithm.meta_iterations=1000 seed=0",
        f"python -m results {file.parent} --report {file}",
    ]:
        assert text in page.text, text


def test_page_needs_nothing_but_itself(swept):
    path, page = swept
    tags = [tag for tag, _ in page.tags]
    figures = [attributes for tag, attributes in page.tags if attributes.get("role") == "img"]
    assert len(figures) == tags.count("figure") == 3
    assert not {"iframe", "object", "img"} & set(tags) and tags.count("script") == 1
    for tag, attributes in page.tags:
        for name in ("href", "src", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert not {name for name in attributes if name == "style" or name.startswith("on")}
    text = path.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    inlined = [
        re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1] for tag in ("script", "style")
    ]
    script, style = map(report.policy_hash, inlined)
    assert policy == (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def test_episodes_with_predictions_are_shown(tmp_path):
    with_predictions(tmp_path, fitted(), classified())
    _, page = make(tmp_path)
    assert "unseen task 0: the network before and after adaptation" in page.text
    assert "unseen task 1: predicted class and its probability" in page.text
    assert len([tag for tag, _ in page.tags if tag == "figure"]) == 2


def test_damaged_predictions_stand_among_the_failures(tmp_path):
    with_predictions(tmp_path, classified())
    (tmp_path / "predictions.npz").write_bytes(b"PK")
    _, page = make(tmp_path)
    assert "predictions.npz: damaged" in page.text


PLACES = ("method", "config", "key", "reason", "command", "device")


def test_text_from_records_is_escaped(tmp_path):
    evil = {place: f"<script>{place}</script>" for place in PLACES}
    key = f"task.{evil['key']}"
    document = fake.record({"algorithm.name": evil["method"], "task.note": evil["config"], key: 1})
    document["command"], document["environment"]["device"] = evil["command"], evil["device"]
    fake.write(tmp_path / "completed", document)
    fake.write(tmp_path / "failed", document | {"status": "failed", "reason": evil["reason"]})
    path, page = make(tmp_path)
    for place, text in evil.items():
        assert text in page.text, place
    assert path.read_text().count("<script") == 1  # our own


def test_a_page_of_failures_alone(tmp_path):
    fake.write(
        tmp_path,
        fake.record(
            status="failed", reason="no data", evaluations=[], baselines=[], learning_curve=[]
        ),
    )
    _, page = make(tmp_path)
    assert "failed (no data)" in page.text and "figure" not in {tag for tag, _ in page.tags}


def test_a_sweep_leaves_its_summary_and_counts_what_failed(tmp_path, capsys):
    fake.sweep(tmp_path)
    fake.write(
        tmp_path / "bad",
        fake.record(status="failed", reason="no data", evaluations=[], baselines=[]),
    )
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "record.json").write_text("{")
    assert summary.write_summary(tmp_path) == 2
    printed = capsys.readouterr().out
    assert "71.00 ± 2.48" in printed and "failed (no data)" in printed
    assert "cut/record.json: damaged or cut off" in printed
    assert "| Reptile " in (tmp_path / "table.md").read_text()
    assert (tmp_path / "table.csv").read_text().count("\n") == 11
    assert "71.00 ± 2.48" in Page((tmp_path / "report.html").read_text()).text


def test_a_completed_run_without_evaluations_has_not_failed(tmp_path, capsys):
    fake.write(tmp_path, fake.record(evaluations=[], baselines=[]))
    assert summary.write_summary(tmp_path) == 0
    assert "completed, but it holds no evaluation" in capsys.readouterr().out


def test_a_directory_of_damaged_records(tmp_path):
    (tmp_path / "record.json").write_text("{")
    assert summary.write_summary(tmp_path) == 1
    assert "damaged or cut off" in Page((tmp_path / "report.html").read_text()).text


def test_a_sweep_in_which_everything_failed(tmp_path, capsys):
    fake.write(
        tmp_path / "bad",
        fake.record(status="failed", reason="no data", evaluations=[], baselines=[]),
    )
    assert summary.write_summary(tmp_path) == 1
    assert capsys.readouterr().out.startswith("No completed evaluation.")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.34, "12.3 s"), (200, "3 min 20 s"), (3900, "1 h 05 min"), (90_000, "25 h 00 min")],
)
def test_duration(seconds, text):
    assert labels.duration(seconds) == text


def test_a_run_links_to_its_page(tmp_path):
    fake.sweep(tmp_path / "a sweep")
    run = sorted((tmp_path / "a sweep").glob("*/record.json"))[0].parent
    (run / "page.html").write_text("the page")
    _, page = make(tmp_path / "a sweep", tmp_path / "reports" / "report.html")
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert [link for link in links if link[0] != "#"] == [f"../a%20sweep/{run.name}/page.html"]


# --- in a browser ---------------------------------------------------------------------------------

EVIL = "<script>alert(1)</script>"
LONG = "a" * 400  # a text without a place to break it
METHODS = {"reptile": 0.7, "fomaml": 0.65, "protonet": 0.8}


@pytest.fixture(scope="module")
def browser():
    if MISSING["chromium"]:
        pytest.skip(MISSING["chromium"])
    with started("chromium") as running:
        yield running


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Three methods with three seeds and two budgets, and hostile text wherever text can stand."""
    directory = tmp_path_factory.mktemp("report")
    for method, base in METHODS.items():
        for budget in (900, 2000, 10_000):
            for seed in range(3):
                accuracy = base + budget / 200_000 + seed / 1000
                settings = {"algorithm.name": method, "algorithm.meta_iterations": budget}
                document = fake.record({**settings, "seed": seed}, accuracy=accuracy)
                document["environment"]["device"] = LONG + str(seed)
                fake.write(directory / f"{method}_{budget}_{seed}", document)
    for seed in range(3):
        settings = {"algorithm.outer_step": 0.25, "algorithm.name": "reptile", "seed": seed}
        fake.write(directory / f"step_{seed}", fake.record(settings))
    evil = fake.record({"algorithm.name": EVIL, "task.note": EVIL, "seed": 0}, accuracy=0.5)
    evil["command"] = evil["environment"]["commit"] = EVIL
    fake.write(directory / "evil", evil)
    failed = {"status": "failed", "reason": EVIL, "evaluations": [], "baselines": []}
    fake.write(directory / "failed", fake.record({"seed": 8}, **failed))
    return records.read_records([directory])


@pytest.fixture(scope="module")
def path(found, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    made = tables.accuracy_tables(found, published=True)
    report.write_report(found, made, file, ["runs"], reload=3600)
    return file


@pytest.fixture
def page(browser, path):
    """The page as it is at first, on a desktop."""
    browser.resize(1280, 900)
    browser.emulate("setEmulatedMedia", media="", features=[])
    browser.open("about:blank")
    browser.open(path.as_uri())
    browser.value("localStorage.clear()")
    yield browser
    assert browser.problems == []


FIRST = "document.querySelector('.scroll')"


def cells(name, table=0):
    """JavaScript for the cells of a column."""
    place = f"tables[{table}].names.map(plainName).indexOf('{name}')"
    return f"[...tables[{table}].body.rows].map((row) => row.cells[{place}])"


def column(page, name, table=0):
    """The texts of a column."""
    return page.value(f"{cells(name, table)}.map((cell) => cell.textContent)")


def click(page, selector):
    event = "new MouseEvent('click', {bubbles: true})"
    page.value(f'document.querySelector("{selector}").dispatchEvent({event})')


def type_words(page, words):
    page.value("document.querySelector('.tools input').focus()")
    page.press(*words)


def test_rows_are_sorted_by_number_and_filtered(page):
    as_written = column(page, "meta_iterations")
    assert set(as_written) == {"900", "2000", "10000", "-"}
    for order in (1, -1):
        click(page, "thead th:nth-child(2) button")
        numbers = [int(text) for text in column(page, "meta_iterations") if text != "-"]
        assert numbers == sorted(numbers, reverse=order < 0)
        assert column(page, "meta_iterations")[-1] == "-", "what is missing comes last"
    click(page, "thead th:nth-child(2) button")
    assert column(page, "meta_iterations") == as_written
    type_words(page, "proto meta_iterations=2000")
    assert column(page, "method") == ["ProtoNet"]
    count = page.value("tables[0].count.textContent")
    assert count.startswith(f"1 of {len(as_written)} rows, meta_iterations 2000")
    page.press("\ue003")  # backspace
    assert column(page, "method") == []


def test_protocols_are_chosen(page):
    shown = f"[...{FIRST}.querySelectorAll('th[data-protocol]')].filter((c) => !c.hidden).length"
    assert page.value(shown) == 4
    for name in ("5-way 1-shot", "5-way 1-shot transductive"):
        click(page, f"button[data-protocol='{name}']")
    assert page.value(shown) == 2
    assert "nearest neighbour (pixels)" not in column(page, "method"), "it has no number left"
    assert set(column(page, "protocol", 1)) == {"5-way 5-shot", "5-way 5-shot transductive"}
    click(page, "button[data-protocol='5-way 1-shot']")
    assert page.value(shown) == 3


def test_a_point_says_its_number_and_runs_and_a_click_fades_the_other_methods(page):
    points = "[...document.querySelectorAll('figure [data-method=Reptile] use')]"
    point = f"{points}.find((point) => said.has(point))"
    page.value(f"{point}.scrollIntoView({{block: 'center'}})")
    box = page.value(f"{point}.getBoundingClientRect()")
    at = {"x": round(box["x"] + box["width"] / 2), "y": round(box["y"] + box["height"] / 2)}
    press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
    mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
    page.act({**mouse, "actions": [{"type": "pointerMove", **at}]})
    text = page.value("box.hidden ? '' : box.textContent")
    assert text.startswith("Reptile") and "3 seeds of 100 episodes" in text
    assert re.search(r"\n\d+\.\d+ ± \d+\.\d+, meta-iteration \d+\n", text), text
    assert len(re.findall(r"/(?:reptile|step)\w+$", text, re.MULTILINE)) == 3
    page.act({**mouse, "actions": press})
    faded = "[...document.querySelectorAll('figure .faded')].map((part) => part.dataset.method)"
    assert {"FOMAML", "ProtoNet"} <= set(page.value(faded)) and "Reptile" not in page.value(faded)
    rows = f"[...{FIRST}.querySelectorAll('tr.faded')].map((row) => row.cells[0].textContent)"
    assert "FOMAML" in page.value(rows) and "Reptile" not in page.value(rows)
    page.value(f"{cells('method')}.find((cell) => cell.textContent === 'FOMAML').click()")
    assert "FOMAML" not in page.value(rows) and "ProtoNet" in page.value(rows)
    page.act({**mouse, "actions": [{"type": "pointerMove", "x": 2, "y": 2}]})
    assert page.value("box.hidden")


def test_a_table_is_copied_as_the_command_prints_it(page, found):
    layout = tables.layout(tables.accuracy_tables(found)[0])
    ours = page.value("[markdown(tables[0].cells()), latex(tables[0].cells())]")
    squeezed = [re.sub(r" +", " ", text) for text in ours]
    for line in formats.markdown_table(layout).splitlines()[2:]:
        assert re.sub(r" +", " ", line) in squeezed[0]
    printed = str(formats.write([], layout, [], "latex"))
    for line in (line for line in printed.splitlines() if line.endswith(r"\\")):
        assert re.sub(r" +", " ", line).strip() in squeezed[1]
    page.stroke(".tools button:nth-of-type(2)", [(0.5, 0.5)])  # a reader's own click
    page.wait_for("document.querySelector('.tools button:nth-of-type(2)').textContent === 'Copied'")


def test_numbers_are_aligned_on_the_point(page):
    """Where the whole part of each number ends, also of those without decimals."""
    ends = (
        "(cell) => { const range = new Range(), text = cell.firstChild; range.setStart(text, 0);"
        " range.setEnd(text, parseInt(cell.textContent).toString().length);"
        " return range.getBoundingClientRect().right; }"
    )
    for name in ("outer_step", "meta_iterations", "5-way 1-shot"):
        numbers = f"{cells(name)}.filter((cell) => cell.textContent !== '-')"
        found = page.value(f"{numbers}.map({ends})")
        assert len(found) > 9 and max(found) - min(found) < 0.6, name


def test_dark_by_the_system_and_by_the_switch(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.value(ground) == "rgb(255, 255, 255)"
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.emulate("setEmulatedMedia", media="", features=features)
    dark = page.value(ground)
    assert dark != "rgb(255, 255, 255)"
    page.value("document.getElementById('theme').click()")
    assert page.value(ground) == "rgb(255, 255, 255)"
    page.emulate("setEmulatedMedia", media="", features=[])
    page.value("document.getElementById('theme').click()")
    assert page.value(ground) == dark
    page.emulate("setEmulatedMedia", media="print", features=features)
    assert page.value(ground) == "rgb(255, 255, 255)", "paper is white"
    for hidden in (".tools", ".choices", "nav", "#theme"):
        assert page.value(f"document.querySelector('{hidden}').offsetHeight") == 0


def test_a_phone_needs_no_sideways_scrolling(page):
    page.resize(360, 740)
    page.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.value("document.documentElement.scrollWidth") <= 360
    outside = "!element.closest('.scroll') && element.getBoundingClientRect().right > innerWidth"
    elements = "[...document.querySelectorAll('body *')]"
    assert page.value(f"{elements}.filter((element) => {outside}).length") == 0
    assert page.value(f"{FIRST}.scrollWidth > {FIRST}.clientWidth"), "a table scrolls in its box"


def test_hostile_text_is_text(page):
    assert page.value("document.scripts.length") == 1
    assert EVIL in column(page, "method")
    click(page, "button[data-method^='\\x3c']")
    assert page.value("choices.methods") == [EVIL]
    assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in page.value(
        "markdown(tables[0].cells())"
    )
    page.value("[...said.values()].forEach((text) => { box.textContent = text; })")
    assert page.value("document.scripts.length") == 1


def test_a_reload_keeps_what_the_reader_chose(page):
    assert page.value("document.body.dataset.reload") == "3600"
    type_words(page, "reptile")
    click(page, "button[data-protocol='5-way 1-shot']")
    click(page, "button[data-method='Reptile']")
    page.value("scrollTo(0, 700)")
    page.send("browsingContext.reload", context=page.tab, wait="complete")
    assert set(column(page, "method")) == {"Reptile"}
    assert page.value("[choices.hidden, choices.methods]") == [["5-way 1-shot"], ["Reptile"]]
    page.wait_for("scrollY === 700")


def test_without_a_script_all_is_there(browser, path, found):
    browser.emulate("setScriptExecutionDisabled", value=True)
    try:
        browser.open(path.as_uri())
        rows = browser.value(f"{FIRST}.querySelectorAll('tbody tr').length")
        assert rows == len(tables.layout(tables.accuracy_tables(found)[0]))
        unable = "document.querySelectorAll('.scripted:not([hidden]), .tools').length"
        assert browser.value(unable) == 0
        texts = "[...document.querySelectorAll('figure title')].map((title) => title.textContent)"
        assert any("3 seeds" in text for text in browser.value(texts))
    finally:
        browser.emulate("setScriptExecutionDisabled", value=False)
