"""The README keeps its word: its tables are current, its examples run."""

import re

import numpy as np
import pytest
from matplotlib.image import imread

from results.readme import README, draw_figures, regenerated
from tests.command import PROJECT, TINY, benchmark, record

TEXT = README.read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"^python -m benchmark (--config-dir my_conf .*)$", TEXT, re.MULTILINE)


def test_the_tables_are_those_of_the_committed_records():
    assert regenerated(TEXT) == TEXT, "stale: run `make readme`"


def test_the_figures_are_those_of_the_committed_records(tmp_path):
    drawn = draw_figures(TEXT, tmp_path)
    assert drawn
    for fresh in drawn:
        now, shown = (imread(file) for file in (fresh, PROJECT / fresh.relative_to(tmp_path)))
        assert now.shape == shown.shape, f"{fresh.name} is stale: run `make readme`"
        assert np.abs(now - shown).mean() < 0.005, f"{fresh.name} is stale: run `make readme`"


def test_every_linked_file_exists():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert links and [link for link in links if not (PROJECT / link).exists()] == []


def test_there_is_an_example_of_each_kind():
    assert len(COMMANDS) == 3 and len(FILES) == 6


@pytest.mark.parametrize("command", COMMANDS)
def test_an_extension_runs_as_shown(command, tmp_path):
    for name, content in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    done = benchmark(*command.split(), *TINY, "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert record(tmp_path / "run")["status"] == "completed"


def test_every_make_target_it_names_exists():
    makefile = (PROJECT / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)", TEXT)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
