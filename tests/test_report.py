"""The report: self-contained, escaped, complete, and shown by a real browser."""

import html
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.image import imread

from results import records, report, summary, tables
from tests import fake_records as fake
from tests.test_figures import classified, fitted, with_predictions

CHROMIUM = "/usr/bin/chromium"


class Page(HTMLParser):
    """Tags with their attributes, and the visible text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.hidden = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag == "style"

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
        found, tables.accuracy_tables(found, published=True), path, [str(directory)]
    )
    return path, Page(path.read_text(encoding="utf-8"))


def test_page_holds_tables_paper_failures_configuration_and_commands(tmp_path):
    fake.sweep(tmp_path)
    fake.write(
        tmp_path / "bad",
        fake.record(
            {"seed": 9}, status="failed", reason="loss is NaN", evaluations=[], baselines=[]
        ),
    )
    _, page = make(tmp_path)
    for text in [
        "71.00 ± 2.48",
        "95.39 ± 0.09",
        "below, partial budget",
        "partial: 1 % of 100000 meta-iterations",
        "Nichol et al. 2018",
        f"{tmp_path / 'bad' / 'record.json'}: failed (loss is NaN)",
        "algorithm.inner_learning_rate",
        "2.21.0",
        "abc123",
        "a CPU",
        "52.0 ms",
        "python -m benchmark algorithm.meta_iterations=1000 seed=0",
        f"python -m results {tmp_path} --report {tmp_path / 'report.html'}",
    ]:
        assert text in page.text, text


def test_page_needs_nothing_but_itself(tmp_path):
    fake.sweep(tmp_path)
    _, page = make(tmp_path)
    images = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 4
    assert all(source.startswith("data:image/svg+xml;base64,") for source in images)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not (attributes.get("href") or "#").startswith(("http", "//"))


def test_episodes_with_predictions_are_shown(tmp_path):
    with_predictions(tmp_path, fitted(), classified())
    _, page = make(tmp_path)
    assert "unseen task 0: the network before and after adaptation" in page.text
    assert "unseen task 1: predicted class and its probability" in page.text
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 2


def test_damaged_predictions_stand_among_the_failures(tmp_path):
    with_predictions(tmp_path, classified())
    (tmp_path / "predictions.npz").write_bytes(b"PK")
    _, page = make(tmp_path)
    assert "predictions.npz: damaged" in page.text


EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize("place", ["method", "config", "reason", "device", "command", "key"])
def test_text_from_records_is_escaped(tmp_path, place):
    overrides = {
        "method": {"algorithm.name": EVIL},
        "config": {"task.note": EVIL},
        "key": {f"task.{EVIL.replace('.', '')}": 1},
    }.get(place, {})
    document = fake.record(overrides)
    if place == "reason":
        document |= {"status": "failed", "reason": EVIL}
    if place == "command":
        document["command"] = EVIL
    if place == "device":
        document["environment"]["device"] = EVIL
    fake.write(tmp_path, document)
    path, page = make(tmp_path)
    assert EVIL in page.text
    assert "<script" not in path.read_text()


def test_a_page_of_failures_alone(tmp_path):
    fake.write(
        tmp_path,
        fake.record(
            status="failed", reason="no data", evaluations=[], baselines=[], learning_curve=[]
        ),
    )
    _, page = make(tmp_path)
    assert "failed (no data)" in page.text and "img" not in {tag for tag, _ in page.tags}


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
    assert report.duration(seconds) == text


needs_browser = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no browser at {CHROMIUM}")


def browse(directory, page, *flags):
    """Open a page in headless Chromium with a profile of its own; returns standard output."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={directory / 'profile'}",
        "--hide-scrollbars",
        *flags,
        page.as_uri(),
    ]
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout


@needs_browser
@pytest.mark.parametrize("width", [390, 1200])
def test_a_real_browser_shows_the_page(tmp_path, width):
    fake.sweep(tmp_path / "runs")
    path, _ = make(tmp_path / "runs", tmp_path / "report.html")
    shot = tmp_path / "page.png"
    browse(tmp_path, path, f"--window-size={width},3000", f"--screenshot={shot}")
    pixels = imread(shot)
    assert pixels.shape[1] == width
    assert 0.02 < (pixels[..., :3].mean(axis=-1) < 0.9).mean() < 0.6


@needs_browser
def test_a_phone_needs_no_sideways_scrolling(tmp_path):
    fake.sweep(tmp_path / "runs")
    path, _ = make(tmp_path / "runs", tmp_path / "report.html")
    # A frame of a phone's width around the page: a window cannot be as narrow.
    probe = tmp_path / "probe.html"
    probe.write_text(
        f'<iframe id="page" width="390" srcdoc="{html.escape(path.read_text())}" '
        'style="border:0"></iframe><script>onload = () => { document.title = '
        "'width ' + page.contentDocument.documentElement.scrollWidth; }</script>"
    )
    assert "<title>width 390</title>" in browse(tmp_path, probe, "--dump-dom")


def test_a_run_links_to_its_page(tmp_path):
    fake.sweep(tmp_path / "a sweep")
    run = sorted((tmp_path / "a sweep").glob("*/record.json"))[0].parent
    (run / "draw.html").write_text("the page")
    _, page = make(tmp_path / "a sweep", tmp_path / "reports" / "report.html")
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert [link for link in links if link[0] != "#"] == [f"../a%20sweep/{run.name}/draw.html"]
