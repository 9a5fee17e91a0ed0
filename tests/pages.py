"""What the tests of the pages share: a page in a browser, and runs with other settings."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.page.page import HERE
from results.schema import PAGE, RECORD
from tests.browser import Browser

TEXTS = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))
DRAWN_ALIKE = """(() => {
  let state = 1;  // Park and Miller's generator: every test run meets the same episodes
  Math.random = () => (state = (state * 48271) % 2147483647) / 2147483647;
})()"""


def opened(browser: Browser, run: Path) -> None:
    """The page of a run, in English, with a chance of its own."""
    browser.open((run / PAGE).as_uri() + "#en")
    browser.value(DRAWN_ALIKE)
    assert browser.problems == []


def speaks_both_languages(browser: Browser, texts: dict[str, dict[str, str]]) -> None:
    """On a phone, the page open; it ends in Persian."""
    browser.resize(360, 740)
    for language, direction in (("en", "ltr"), ("fa", "rtl")):
        browser.value(f"document.querySelector('[data-language={language}]').click()")
        assert browser.value("document.documentElement.dir") == direction
        assert browser.value("document.title") == texts["title"][language]
        assert browser.value("document.documentElement.scrollWidth") <= 360, "wider than a phone"
    browser.resize(1280, 800)


def changed(run: Path, copy: Path, group: str, change: Callable[[Any], Any]) -> Path:
    """A copy of a run whose record has other settings in a group: change(its own)."""
    shutil.copytree(run, copy)
    record = json.loads((copy / RECORD).read_text())
    record["config"][group] = change(record["config"][group])
    record.pop("seal", None)  # it is of other settings
    (copy / RECORD).write_text(json.dumps(record))
    return copy
