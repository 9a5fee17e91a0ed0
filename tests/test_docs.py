"""README and docs/ keep their word: tables are current, links lead somewhere, commands run."""

import importlib.util
import re
import shlex
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.image import imread

from benchmark.command.compose import compose
from benchmark.command.settings import settings
from results.__main__ import build_parser
from scripts.docs import FIGURE, PAGES, draw_figures, regenerated
from scripts.notebook import NOTEBOOK, executed
from scripts.studies import EXPERIMENTS, jobs, sweep_of, title
from tests.command import PROJECT, TINY, python, record
from tests.photographs import write_folder

LONGEST = 200
NAMES = [str(page.relative_to(PROJECT)) for page in PAGES]
TEXTS = {name: (PROJECT / name).read_text(encoding="utf-8") for name in NAMES}
OTHERS = ("CONTRIBUTING.md", "CHANGELOG.md")
ALL = TEXTS | {name: (PROJECT / name).read_text(encoding="utf-8") for name in OTHERS}
EXTEND = TEXTS["docs/extend.md"]
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", EXTEND, re.DOTALL))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands(text, start):
    """The arguments of every command in the text's blocks that begins so, comments left out."""
    shell = [block for language, block in FENCED.findall(text) if not language]
    for block in shell:
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(start[0]):
                words = shlex.split(line, comments=True)
                if words[: len(start)] == start:
                    yield words[len(start) :]


def listed(*start):
    """(page, arguments) of every such command on any page."""
    return [(name, words) for name, text in ALL.items() for words in commands(text, list(start))]


BENCHMARK = listed("python", "-m", "benchmark")
RESULTS = listed("python", "-m", "results")
OWN = [words for _, words in BENCHMARK if "--config-dir" in words]


# --- made from records ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_those_of_the_committed_records(name):
    assert regenerated(TEXTS[name]) == TEXTS[name], "stale: run `make docs`"


@pytest.mark.parametrize("name", [name for name in NAMES if FIGURE.search(TEXTS[name])])
def test_figures_are_those_of_the_committed_records(name, tmp_path):
    drawn = draw_figures(PROJECT / name, tmp_path)
    assert drawn
    for fresh in drawn:
        now, shown = (imread(file) for file in (fresh, PROJECT / fresh.relative_to(tmp_path)))
        assert now.shape == shown.shape, f"{fresh.name} is stale: run `make docs`"
        assert np.abs(now - shown).mean() < 0.005, f"{fresh.name} is stale: run `make docs`"


def test_a_changed_number_is_noticed():
    block = re.search(r"<!-- paper .*?<!-- end -->", TEXTS["README.md"], re.DOTALL)[0]
    changed = re.sub(r"\d(?= ✓)", lambda digit: str((int(digit[0]) + 1) % 10), block, count=1)
    assert changed != block == regenerated(changed)


def test_records_that_are_not_there_yet_leave_their_place():
    page = regenerated("<!-- results results/published/never --wide -->\n<!-- end -->")
    assert page == "<!-- results results/published/never --wide -->\nNot run yet.\n<!-- end -->"


def test_a_caption_of_several_tables_stands_once():
    text = TEXTS["docs/results.md"]
    for sentence in re.findall(r"^- (.*?)(?=\n- |\n<!-- end)", text, re.MULTILINE | re.DOTALL):
        assert " ".join(text.split()).count(" ".join(sentence.split())) == 1


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_no_line_outside_tables_is_long(name):
    lines = ALL[name].splitlines()
    assert [ln for ln in lines if len(ln) > LONGEST and not ln.startswith("|")] == []


@pytest.mark.parametrize("name", ALL)
def test_links_lead_to_files_and_headings(name):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", ALL[name]):
        path, _, anchor = target.partition("#")
        page = ((PROJECT / name).parent / path).resolve() if path else PROJECT / name
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


def anchors(page: Path):
    """The names under which GitHub links to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_page_is_linked_from_the_readme():
    pages = [p for p in sorted((PROJECT / "docs").iterdir()) if p.suffix in (".md", ".ipynb")]
    for page in [*pages, *map(PROJECT.__truediv__, OTHERS)]:
        assert f"({page.relative_to(PROJECT)})" in TEXTS["README.md"], page.name


@pytest.mark.parametrize("name", ALL)
def test_make_targets_exist(name):
    makefile = (PROJECT / "Makefile").read_text()
    targets = re.findall(r"`make (\w+)", ALL[name])
    targets += [words[0] for words in commands(ALL[name], ["make"])]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


# --- commands -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """What DIR stands for: classes enough for five ways in training and in the test."""
    return write_folder(tmp_path_factory.mktemp("DIR"), dict.fromkeys("abcdefghijklmno", 11))


@pytest.mark.parametrize(("page", "words"), [c for c in BENCHMARK if "--config-dir" not in c[1]])
def test_a_command_composes(page, words, photographs):
    """Every run that it names has settings that are accepted; its launcher has a preset."""
    overrides = [word for word in words if not word.startswith(("--", "hydra"))]
    overrides = [word.replace("directory=DIR", f"directory={photographs}") for word in overrides]
    if "--multirun" in words:
        overrides += swept_by(overrides)
    for job in jobs(overrides):
        settings(*job)
    for preset in re.findall(r"hydra/(\w+=\w+)", " ".join(words)):
        assert (PROJECT / "conf/hydra" / f"{preset.replace('=', '/')}.yaml").exists(), preset


def swept_by(overrides):
    """What the experiment among the overrides sweeps over besides them, as overrides."""
    own = {word.partition("=")[0] for word in overrides}
    experiment = [word for word in overrides if word.startswith(("+experiment=", "budget="))]
    swept = sweep_of(compose(*experiment, with_hydra=True)) if experiment else {}
    return [f"{key}={values}" for key, values in swept.items() if key not in own]


@pytest.mark.parametrize(("page", "words"), RESULTS)
def test_options_of_results_exist(page, words):
    build_parser().parse_args(words)


def test_programs_of_their_own_exist():
    for name in set(re.findall(r"python -m (benchmark\.[\w.]+)", "\n".join(ALL.values()))):
        assert importlib.util.find_spec(name), name


@pytest.mark.parametrize("name", ALL)
def test_studies_named_in_the_text_exist(name):
    for study in re.findall(r"`\+experiment=(\w+)", ALL[name]):
        assert (EXPERIMENTS / f"{study}.yaml").exists(), study


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_study_says_what_it_shows(file):
    assert 10 < len(title(file)) < 130


# --- extensions -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A folder with the files of docs/extend.md."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_there_is_an_example_of_each_kind():
    assert {Path(name).parent.name for name in FILES} == {"", "task", "model", "algorithm"}
    assert len(OWN) == 3


@pytest.mark.parametrize("words", OWN, ids=lambda words: words[2])
def test_an_extension_runs_as_shown(words, folder, forks):
    ended = forks.run(folder / "log", [*words, *TINY, "hydra.run.dir=run"], cwd=folder)
    assert ended.code == 0, ended.output
    assert record(folder / "run")["status"] == "completed"


def test_the_example_of_own_images_runs_as_shown(folder, forks):
    shown = [
        words for words in commands(EXTEND, ["python", "-m", "benchmark"]) if "RUN" in words[-1]
    ]
    ended = forks.run(folder / "log", [*TINY, *shown[0]], cwd=folder)
    assert ended.code == 0, ended.output
    done = python("adapt.py", "RUN", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"was taken for .* with probability 0\.\d\d", done.stdout)) == 5


def test_the_lines_of_python_run_as_shown(folder):
    done = python("from_python.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "(10, 28, 28, 1)" in done.stdout and "| Reptile" in done.stdout
    assert record(folder / "outputs" / "mine")["evaluations"][0]["shots"] == 2


def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    stored = nbformat.read(NOTEBOOK, as_version=4)
    assert "Reptile  " in printed(stored), "what it prints is not kept: run `make notebook`"
    shown = printed(notebook := executed(tmp_path))
    assert re.search(r"^Reptile +\d\d\.\d\d ± \d", shown, re.MULTILINE)
    assert "algorithm.meta_iterations=-1: must be" in shown
    assert len(re.findall(r"was taken for .* with probability 0\.\d\d", shown)) == 5
    assert "image/png" in notebook.cells[-2].outputs[-1].data


def printed(notebook):
    """All that the cells of a notebook print."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)
