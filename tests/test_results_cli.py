"""`python -m results`: what it prints, where it writes, and what it says when asked wrongly."""

import os
import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from results import grouping, records
from results.__main__ import main
from results.options import build_parser, refuse_unused
from results.summary import write_summary
from tests import fake_records as fake
from tests.command import PROJECT


@pytest.fixture
def runs(tmp_path):
    return fake.sweep(tmp_path / "runs")


def fails(capsys, *arguments):
    """The one line on standard error of a refused command."""
    with pytest.raises(SystemExit) as refused:
        main([str(argument) for argument in arguments])
    assert refused.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("python -m results: ").strip()


def test_the_real_command_prints_the_table(runs):
    done = subprocess.run(
        [sys.executable, "-m", "results", str(runs)], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "71.00 ± 2.48" in done.stdout and "Mean over 3 seeds" in done.stdout


def test_published_numbers_are_shown_on_demand(runs, capsys):
    assert main([str(runs)]) == 0
    assert "published" not in capsys.readouterr().out
    assert main([str(runs), "--published"]) == 0
    assert "below, partial budget" in capsys.readouterr().out


def test_rows_columns_and_where(runs, capsys):
    assert (
        main(
            [
                str(runs),
                "--rows",
                "meta_iterations",
                "--columns",
                "shots",
                "--where",
                "algorithm=reptile",
                "--where",
                "transductive=false",
            ]
        )
        == 0
    )
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert table[0].split() == ["meta_iterations", "1-shot", "5-shot"]
    assert table[2].split()[:2] == ["1000", "71.00"]


@pytest.mark.parametrize("style", ["text", "markdown", "latex", "csv"])
def test_output_file_holds_what_would_be_printed(runs, tmp_path, capsys, style):
    assert main([str(runs), "--format", style]) == 0
    printed = capsys.readouterr().out
    file = tmp_path / "new" / "table"
    assert main([str(runs), "--format", style, "--output", str(file)]) == 0
    captured = capsys.readouterr()
    assert file.read_text() == printed and captured.out == ""
    assert captured.err == f"wrote {file}\n"


def test_parquet(runs, tmp_path):
    file = tmp_path / "table.parquet"
    assert main([str(runs), "--format", "parquet", "--output", str(file)]) == 0
    assert len(pd.read_parquet(file)) == 10


def test_figures_and_report_are_written(runs, tmp_path, capsys):
    assert (
        main(
            [
                str(runs),
                "--figures",
                str(tmp_path / "figures"),
                "--report",
                str(tmp_path / "page" / "report.html"),
            ]
        )
        == 0
    )
    names = {file.name for file in (tmp_path / "figures").iterdir()}
    assert {
        "learning_curves.svg",
        "learning_curves.pdf",
        "learning_curves.png",
        "grid.svg",
    } <= names
    assert "95.39 ± 0.09" in (tmp_path / "page" / "report.html").read_text()
    assert "published" not in capsys.readouterr().out


def test_paired_comparison(tmp_path, capsys):
    scores = np.linspace(0, 0.9, 400)
    for method, values in [("reptile", scores), ("fomaml", scores + 0.05)]:
        row = fake.evaluation(1, False, float(values.mean()))
        fake.write(
            tmp_path / method,
            fake.record({"algorithm.name": method}, evaluations=[row], baselines=[]),
            {row["scores"]: values},
        )
    assert main([str(tmp_path), "--compare", "fomaml", "reptile"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "fomaml minus reptile on the same episodes; ± is the half-width of the "
        "95 % interval of the difference"
    )
    assert out.splitlines()[-1].split() == [
        "5-way",
        "1-shot",
        "50.00",
        "45.00",
        "+5.00",
        "±",
        "0.00",
        "400",
        "episodes",
    ]


def test_others_are_compared_each_with_the_reference(tmp_path, capsys):
    """What differs from `none` in settings beside its name gets one line, as does a baseline."""
    scores = np.linspace(0, 0.8, 400)
    for method, better, overrides in [
        ("none", 0.0, {}),
        ("momentum on", 0.1, {"runtime.engine": "tensorflow"}),
        ("step kept", -0.05, {"algorithm.outer_step_final": 1.0}),
    ]:
        row = fake.evaluation(1, False, float(scores.mean() + better))
        fake.write(
            tmp_path / method,
            fake.record({"algorithm.name": method, **overrides}, evaluations=[row], baselines=[]),
            {row["scores"]: scores + better},
        )
    assert main([str(tmp_path), "--compare", "others", "none", "--format", "csv"]) == 0
    table = pd.read_csv(StringIO(capsys.readouterr().out))
    found = dict(zip(table["method"], table["difference"].round(6), strict=True))
    assert found == {"momentum on": 0.1, "step kept": -0.05}
    refused = fails(capsys, tmp_path / "none", "--compare", "others", "none")
    assert refused == "argument --compare: every evaluation is one of 'none': there are no others"


def test_a_comparison_without_scores_is_refused(tmp_path, capsys):
    for method in ("reptile", "fomaml"):
        fake.write(tmp_path / method, fake.record({"algorithm.name": method}))
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--compare", "fomaml", "reptile"])
    assert "argument --compare: no pair of evaluations has its scores" in capsys.readouterr().err


@pytest.fixture
def combinations(tmp_path):
    for name, accuracy in [("g1", 0.4), ("g2", 0.7), ("g1+g2", 0.65)]:
        overrides = {"algorithm.name": name, "algorithm.inner_optimizer": "sgd"}
        rows = [fake.evaluation(5, False, accuracy)]
        fake.write(tmp_path / name, fake.record(overrides, evaluations=rows, baselines=[]))
    return tmp_path


def test_findings_are_printed_instead_where_they_have_records(combinations, capsys):
    assert main([str(combinations), "--findings"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["finding", "setting", "verdict", "evidence"]
    assert "g2 70.00 against g1+g2 65.00: +5.00 ± 2.40" in out and "undecided" in out
    assert "transduction" not in out and "no records" not in out
    assert out.endswith("another training gives another number.\n")


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ("markdown", "[section 6.2, figure 3]. | omniglot, 2000 meta-iterations | held"),
        ("latex", r": +5.00 $\pm$ 2.40 "),
        ("csv", 'figure 3","omniglot, 2000 meta-iterations",held in this run,g2,g1+g2,'),
    ],
)
def test_findings_in_every_format(combinations, capsys, style, line):
    assert main([str(combinations), "--findings", "--format", style]) == 0
    assert line in " ".join(capsys.readouterr().out.split())
    file = combinations / f"table.{style}"
    assert main([str(combinations), "--findings", "--format", style, "--output", str(file)]) == 0
    assert line in " ".join(file.read_text().split())


def test_findings_as_parquet_hold_numbers(combinations):
    file = combinations / "findings.parquet"
    arguments = ["--findings", "--format", "parquet", "--output", str(file)]
    assert main([str(combinations), *arguments]) == 0
    lines = pd.read_parquet(file)
    differences = lines.loc[lines["first"] == "g2", "difference"].round(2)
    assert list(differences) == [0.3, 0.05]


def test_findings_without_records_are_an_error(tmp_path, capsys):
    fake.write(tmp_path, fake.record({"task.name": "glyphs"}))
    assert main([str(tmp_path), "--findings"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"no finding has its records in {tmp_path}\n"


def test_a_method_may_be_spelled_as_in_the_table(runs, capsys):
    assert main([str(runs), "--where", "method=Reptile,Nearest Neighbour (pixels)"]) == 0
    assert "Reptile" in capsys.readouterr().out
    assert main([str(runs), "--where", "method=from scratch (no meta-learning)"]) == 0
    assert "Reptile" not in capsys.readouterr().out


def test_findings_over_all_committed_records(capsys):
    assert main([str(PROJECT / "results" / "published"), "--findings"]) == 0
    assert "held" in capsys.readouterr().out


def test_a_directory_without_records_is_named_and_the_rest_goes_on(runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), str(runs)]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"{tmp_path / 'empty'}: no record.json here or below\n"
    assert "71.00 ± 2.48" in captured.out


def test_nothing_left_is_an_error(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path}: no record.json here or below",
        f"no completed evaluation in {tmp_path}",
    ]


def test_failed_runs_are_named_beside_the_table(runs, capsys):
    fake.write(
        runs / "bad",
        fake.record(
            {"seed": 9}, status="failed", reason="out of memory", evaluations=[], baselines=[]
        ),
    )
    assert main([str(runs)]) == 0
    assert "bad/record.json: failed (out of memory)" in capsys.readouterr().err


def test_a_running_job_can_be_plotted(tmp_path, capsys):
    run = tmp_path / "live"
    run.mkdir()
    (run / "learning_curve.csv").write_text(
        "iteration,split,shots,transductive,episodes,metric,value,ci95\n"
        "100,test,1,False,100,accuracy,0.6,0.02\n"
    )
    assert main([str(run)]) == 1
    assert main([str(run), "--figures", str(tmp_path / "figures")]) == 0
    said = (
        "no figure learning_curves: no configuration was measured at two values of meta-iteration"
    )
    assert said in capsys.readouterr().err
    with (run / "learning_curve.csv").open("a") as curve:
        curve.write("200,test,1,False,100,accuracy,0.7,0.02\n")
    assert main([str(run), "--figures", str(tmp_path / "figures")]) == 0
    assert (tmp_path / "figures" / "learning_curves.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--rows", "algoritm"],
            "argument --rows: no record has 'algoritm'; did you mean algorithm",
        ),
        (["--columns", "shotz"], "argument --columns: no record has 'shotz'; did you mean shots"),
        (["--rows", ","], "argument --rows: needs at least one key"),
        (["--where", "shots=9"], "argument --where: no record has shots = '9'; it takes 1, 5"),
        (["--where", "shots"], "argument --where: 'shots' is not of the form key=value"),
        (
            ["--format", "word"],
            "argument --format: invalid choice: 'word' (choose from text, csv, "
            "markdown, latex, html, parquet)",
        ),
        (["--format", "parquet"], "argument --format: parquet is binary and needs --output FILE"),
        (
            ["--findings", "--compare", "reptile", "scratch"],
            "argument --compare: not allowed with argument --findings",
        ),
        (
            ["--compare", "reptile", "scratch", "--rows", "method"],
            "argument --rows: --compare makes no use of it",
        ),
        (["--rank", "--cost"], "argument --cost: --rank makes no use of it"),
        (
            ["--watch", "--report", "r.html", "--published"],
            "argument --published: --watch makes no use of it",
        ),
        (["--watch", "--where", "shots=1"], "argument --where: --watch makes no use of it"),
        (["--findings", "--columns", "ways"], "argument --columns: --findings makes no use of it"),
        (
            ["--compare", "reptile", "protonet"],
            "argument --compare: no record has method = "
            "'protonet'; it takes nearest_neighbour, reptile, scratch",
        ),
    ],
)
def test_a_wrong_option_is_one_line_with_what_is_allowed(runs, capsys, arguments, message):
    said = fails(capsys, runs, *arguments).replace(
        "(choose from 'text', 'csv', 'markdown', 'latex', 'html', 'parquet')",
        "(choose from text, csv, markdown, latex, html, parquet)",
    )
    assert said.startswith(message)


def test_the_keys_of_a_report_may_stand_beside_another_table(runs, tmp_path):
    options = build_parser().parse_args(
        [str(runs), "--rank", "--cost", "--report", str(tmp_path / "page.html")]
    )
    refuse_unused(options, build_parser())


@pytest.mark.parametrize(
    ("option", "place", "message"),
    [
        *(
            (option, place, message)
            for option in ("--output", "--report")
            for place, message in [
                ("", "'' names no file or directory"),
                (".", "'.' is a directory, not a file"),
                ("file/new", "'file/new': file is no directory"),
            ]
        ),
        ("--report", os.devnull, f"'{os.devnull}' is no regular file"),
        ("--figures", "", "'' names no file or directory"),
        ("--figures", "file", "'file' is no directory"),
        ("--figures", "file/new", "'file/new': file is no directory"),
        ("--against", "", "'' names no file or directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line_before_anything_is_read(
    tmp_path, monkeypatch, capsys, option, place, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert fails(capsys, "absent", f"{option}={place}") == f"argument {option}: {message}"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_may_not_be_written_in_is_one_line(tmp_path, capsys):
    tmp_path.chmod(0o500)
    said = fails(capsys, "absent", "--report", tmp_path / "new" / "page.html")
    assert said.endswith(f"{tmp_path} cannot be written")


def test_an_empty_name_is_not_the_working_directory(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    assert fails(capsys, "") == "argument DIR: '' names no file or directory"


def test_a_name_that_is_too_long_is_no_directory(capsys):
    assert main(["x" * 300]) == 1
    assert capsys.readouterr().err.startswith(f"{'x' * 300}: no such file or directory")


def test_no_unfinished_page_is_left(runs, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", "page.html")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SystemExit):
        main([str(runs), "--report", str(tmp_path / "page.html")])
    assert capsys.readouterr().err == (
        "python -m results: cannot write page.html: No space left on device\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize("arguments", [[], ["--watch"]])
def test_a_standard_output_that_was_closed_before_is_no_fault(runs, arguments):
    command = shlex.join([sys.executable, "-m", "results", str(runs), *arguments])
    done = subprocess.run(["sh", "-c", f"{command} >&-"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_one_line_that_names_the_file(runs, capsys):
    said = fails(capsys, runs, "--output", "/dev/full")
    assert said == "cannot write /dev/full: No space left on device"


def test_no_directory_is_one_line(capsys):
    assert fails(capsys) == "the following arguments are required: DIR"


def test_help_reads_like_a_manual(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for word in ["--rows", "--published", "examples", "exit status", "95 % intervals"]:
        assert word in text


def test_a_text_table_needs_neither_matplotlib_nor_the_report(runs):
    code = (
        "import sys; from results.__main__ import main; main(sys.argv[1:])\n"
        "heavy = {'matplotlib', 'jinja2', 'tensorflow'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(runs)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_terminal_without_the_sign_gets_a_plainer_one(runs):
    done = subprocess.run(
        [sys.executable, "-m", "results", str(runs)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"71.00 +- 2.48" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_sweep_writes_its_files_before_it_prints(tmp_path, encoding):
    """Even where the screen is gone: standard output is closed."""
    runs = fake.write(tmp_path, fake.record(learning_curve=[]))
    code = "import os, sys; os.close(1); from results.summary import *; write_summary(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(runs)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    for name in ("table.csv", "table.md", "report.html"):
        assert (runs / name).stat().st_size > 100


def test_a_sweep_says_where_its_files_lie(runs, capsys):
    assert write_summary(runs) == 0
    files = [str(runs / name) for name in ("table.csv", "table.md", "report.html")]
    where = f"\nWritten: {', '.join(files)}; records: {runs / '*' / 'record.json'}\n"
    assert capsys.readouterr().out.endswith(where)


def test_where_holds_for_curves_and_notes_too(tmp_path):
    fake.sweep(tmp_path)
    other = fake.record({"algorithm.name": "maml", "seed": 7})
    other["environment"]["commit"] = "another"
    fake.write(tmp_path / "other", other)
    found = records.read_records([tmp_path])
    assert any("2 commits" in note for note in found.notes)
    assert grouping.narrow(found, ["method=maml"]).notes == []
    point = found.curves.iloc[0]
    assert grouping.narrow(found, [f"shots={point['shots']}"]).curves.equals(found.curves)
    assert grouping.narrow(found, [f"shots={6 - point['shots']}"]).curves.empty
    assert grouping.narrow(found, ["method=nearest_neighbour"]).curves.empty
    assert len(grouping.narrow(found, ["episodes=400"]).curves) == len(found.curves)


def test_a_line_about_a_picture_is_once_on_the_page(tmp_path):
    document = fake.record()
    document["learning_curve"] = document["learning_curve"][:1]
    fake.write(tmp_path / "run", document)
    page = tmp_path / "page.html"
    assert main([str(tmp_path), "--figures", str(tmp_path / "f"), "--report", str(page)]) == 0
    assert page.read_text().count("no figure learning") == 1
