"""`--published FILE.csv`: a user's own table, checked line by line, beside the records."""

import io
import os
import re

import pandas as pd
import pytest

from results.__main__ import main
from results.compare import comparison, other_numbers
from tests import fake_records as fake
from tests.command import PROJECT

HEAD = "task,method,ways,shots,transductive,accuracy,half_width,meta_iterations,source"


@pytest.fixture
def runs(tmp_path):
    return fake.sweep(tmp_path / "runs", meta_iterations=(2000,))


def written(directory, *lines):
    file = directory / "theirs.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_table_of_ones_own_is_compared_instead_or_beside(runs, tmp_path, capsys):
    file = written(
        tmp_path,
        f"{HEAD},algorithm.inner_steps",
        'omniglot,reptile,5,1,false,75.5,1.0,2000,"Smith, 2024",10',
        "omniglot,reptile,5,5,,20,,,,",
    )
    table = ["--format", "csv", "--published", str(file)]
    assert main([str(runs), *table, "--output", str(tmp_path / "out.csv")]) == 0
    cells = pd.read_csv(tmp_path / "out.csv").dropna(subset=["published"])
    line = cells[cells["shots"] == 1].iloc[0]
    assert line["published"] == 0.755 and line["verdict"] == "within"
    assert line["settings"] == "inner_steps 5 (paper 10)" and line["source"] == "Smith, 2024"
    assert line["difference"] == pytest.approx(0.75 - 0.755)
    either = cells[cells["shots"] == 5]
    assert either["transductive"].tolist() == [False, True]
    assert set(either["settings"]) == {"not stated"} and set(either["verdict"]) == {"above"}
    capsys.readouterr()
    assert main([str(runs), "--published", "--published", str(file), "--wide"]) == 0
    text = capsys.readouterr().out
    assert "95.39 ± 0.09" in text and "75.50 ± 1.00" in text and "Smith, 2024" in text


def test_other_tasks_and_networks_can_be_compared_too(tmp_path, capsys):
    fake.write(tmp_path / "run", fake.record({"task.name": "mine", "model.name": "wide"}))
    file = written(tmp_path, HEAD, "mine,reptile,5,1,false,80,1,,me")
    assert main([str(tmp_path / "run"), "--published", str(file)]) == 0
    assert "+0.00" in capsys.readouterr().out
    assert main([str(tmp_path / "run"), "--published"]) == 0
    assert "No cell has a published counterpart" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [HEAD, "omniglot,reptile,5,1,false,ninety,,,"],
            "line 2, column accuracy: 'ninety' is not",
        ),
        (
            [HEAD, "omniglot,reptile,5,1,no,90,,,"],
            "line 2, column transductive: 'no' is not true or",
        ),
        (
            [HEAD, "", "o,reptile,5,1,,101,,,"],
            "line 3, column accuracy: '101' is not a number of at",
        ),
        (
            [HEAD, "o,reptile,0,1,,90,,,"],
            "line 2, column ways: '0' is not a whole number of at least",
        ),
        ([HEAD, "o,,5,1,,90,,,"], "line 2, column method: '' is not text"),
        ([HEAD, "o,reptile,5"], "line 2: 3 cells, where 9 columns are named"),
        (
            [HEAD, "omniglot,reptile,5,1,,90,,0,"],
            "line 2, column meta_iterations: '0' is not a whole number of at least 1",
        ),
        (
            [HEAD, f"omniglot,reptile,5,1,,90,,{'9' * 23},"],
            f"line 2, column meta_iterations: '{'9' * 23}' is not a whole number of at least 1",
        ),
        *(
            (
                [f"{HEAD},algorithm.meta_iterations", f"omniglot,reptile,5,1,,90,,,,{stated}"],
                f"line 2, column algorithm.meta_iterations: '{stated}' is not a whole number of",
            )
            for stated in ("0", "many")
        ),
        ([HEAD], "holds no line below its columns"),
        (["task,method,ways,accuracy"], "line 1: column shots is missing"),
        ([f"{HEAD},acuracy"], "line 1: no column 'acuracy' is known; allowed are task, method,"),
        ([f"{HEAD},task"], "line 1: column task stands there twice"),
    ],
)
def test_what_does_not_fit_is_one_line(runs, tmp_path, capsys, lines, message):
    file = written(tmp_path, *lines)
    with pytest.raises(SystemExit):
        main([str(runs), "--published", str(file)])
    said = capsys.readouterr().err
    assert message in said and str(file) in said and said.count("\n") == 1


def test_files_that_cannot_be_read_are_one_line(runs, tmp_path, capsys):
    for name, message in [
        ("absent.csv", "absent.csv: cannot be read (No such file or directory)"),
        ("runs", "argument --published: 'runs' is no .csv file (a DIR stands before it)"),
    ]:
        with pytest.raises(SystemExit):
            main([str(runs), "--published", name])
        assert message in capsys.readouterr().err


def test_a_key_that_nothing_published_has_is_no_obstacle(runs, tmp_path, capsys):
    for window in (3, 5):
        settings = {"algorithm.name": "mine", "algorithm.window": window}
        fake.write(tmp_path / "runs" / str(window), fake.record(settings, baselines=[]))
    assert main([str(runs), "--published", "--format", "csv"]) == 0
    cells = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert set(cells["algorithm.window"].dropna()) == {3, 5}
    assert cells.loc[cells["published"].notna(), "method"].eq("reptile").all()
    assert cells["published"].notna().any()


def test_a_pipe_is_no_table(runs, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SystemExit):
        main([str(runs), "--published", str(tmp_path / "pipe.csv")])
    assert "pipe.csv: cannot be read (it is no regular file)" in capsys.readouterr().err


def test_a_budget_is_a_whole_number_whatever_column_it_was_read_from():
    stated = {"own": True, "meta_iterations": 100000.0}
    assert comparison.published_settings(stated) == {"algorithm.meta_iterations": ["100000"]}


def test_the_suites_own_tables_and_the_documented_one_fit():
    for file in sorted(comparison.PUBLISHED.glob("*.csv")):
        assert len(other_numbers.read_numbers(file)) == len(pd.read_csv(file))
    page = (PROJECT / "docs" / "extend.md").read_text(encoding="utf-8")
    example = re.search(r"<!-- file: theirs.csv -->\n```csv\n(.*?)```", page, re.DOTALL)[1]
    lines = list(other_numbers.rows_of(PROJECT, example.splitlines()))
    assert lines[0]["algorithm.inner_steps"] == "10" and lines[1]["transductive"] is None
