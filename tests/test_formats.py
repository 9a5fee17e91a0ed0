"""Tables on a terminal: whole where it is wide, in parts where it is not, never cut."""

import re

import pandas as pd
import pytest

from results import formats

HEAD, FOOT = "all about this table " * 6, "what plus-minus is " * 8


def table():
    rows = pd.DataFrame(
        {
            "method": ["Reptile", "from scratch (no meta-learning)"],
            "meta_iterations": ["100", "-"],
            **{f"{n}-way 1-shot transductive": [f"{n}.0 ± 1.5", "-"] for n in (5, 10, 15, 20)},
        }
    )
    rows.attrs[formats.KEYS] = 2
    return rows


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_longer_than_the_terminal_and_no_number_is_lost(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = formats.write([HEAD], table(), [FOOT], formats.SCREEN)
    assert max(map(len, shown.splitlines())) <= width
    assert re.findall(r"\d+\.0 ± 1\.5", shown) == [f"{n}.0 ± 1.5" for n in (5, 10, 15, 20)]
    parts = shown.count("meta_iterations")
    assert shown.count("Reptile") == parts >= (2 if width == 60 else 1)


def test_a_wide_terminal_shows_it_as_a_file_would(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    shown = formats.write([HEAD.strip()], table(), [FOOT.strip()], formats.SCREEN)
    assert shown == formats.write([HEAD.strip()], table(), [FOOT.strip()], "text")
