"""What is answered to a mistake: one line that says what to type, before a job is started."""

import sys

import hydra._internal.hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from benchmark.__main__ import main
from benchmark.command import arguments
from benchmark.command.messages import with_hint
from benchmark.command.settings import settings
from tasks.checks import ConfigError
from tests.command import benchmark

ANSWERS = {
    # choices of another type, or of none
    "task=5": "task=5: must be one of folder, fonts, glyphs, omniglot, sinusoid",
    "evaluation=5": "evaluation=5: must be one of classification, regression",
    "runtime=null": "runtime=null: must be one of compiled, cpu",
    "runtime=[1]": "runtime=[1]: must be one of compiled, cpu",
    "model={a:1}": "model={a:1}: must be one of conv",
    "--multirun task=5,glyphs": "task=5,glyphs: must be one of folder, fonts, glyphs",
    "task=": "task=: must be one of folder, fonts, glyphs, omniglot, sinusoid",
    "+experiment=": "experiment=: must be one of adaptation_curve",
    "hydra/launcher=null": "hydra/launcher=null: must be one of processes",
    "=5": "=5: must be KEY=VALUE, with a key",
    "@=5": "@=5: must be KEY=VALUE, with a key",
    "+task=sinusoid": "+task=sinusoid: must be typed task=sinusoid",
    "++model=mlp": "++model=mlp: must be typed model=mlp",
    "hydra.nope=1": "hydra.nope=1: must be a known key: run, sweep, launcher",
    # what refers to nothing
    "task.ways=${nope}": "task.ways=${nope}: must be a value that can be resolved (Interpolation k",
    "task.ways=${oc.env:NOPE}": "task.ways=${oc.env:NOPE}: must be a value that can be resolved (",
    # directories without a name
    "hydra.run.dir=": "hydra.run.dir=: must be the path of a directory",
    "hydra.run.dir=''": "hydra.run.dir='': must be the path of a directory",
    "--multirun hydra.sweep.subdir= seed=0,1": "hydra.sweep.subdir=: must be the path of a dir",
    "hydra.run.dir=[1]": "hydra.run.dir=[1]: must be the path of a directory",
    # a mapping where there is a list
    "evaluation.shots={a:1}": "evaluation.shots={a:1}: must be a list",
    "task=sinusoid task.phase={}": "task.phase={}: must be a list",
    "+evaluation.shots.a=1": "+evaluation.shots.a=1: must be of the kind that it replaces (Ind",
    "hydra.job.name={a:1}": "hydra.job.name={a:1}: must be of the kind that it replaces (Can",
    "seed=0,1": "seed=0,1: must be one value, a list (seed=[0,1]) or swept over (--multirun)",
    # what is typed almost right
    "experiment=tutorial": "experiment=tutorial: must be typed +experiment=tutorial",
    "--multirun experiment=sine,main": "experiment=sine,main: must be typed +experiment=sine,main",
    "+experiment=tutoril": "experiment=tutoril: must be one of {}; did you mean tutorial?",
    "task=omniglott": "task=omniglott: must be one of {}; did you mean omniglot?",
    "taks=glyphs": "taks=glyphs: must be a known key: {}; did you mean task?",
    "task.wayz=3": "task.wayz=3: must be a known key: {}; did you mean ways?",
    "--multirun hydra/launcher=proceses": "hydra/launcher=proceses: must be one of {}; did you m",
    "task.directory=~/photos": "task.directory=~/photos: must be KEY=VALUE as Hydra reads it; a te",
    # what needs something else
    "--multirun hydra/launcher=ray_cluster": "hydra/launcher=ray_cluster: must have its library",
    "--multirun hydra/sweeper=tune": "hydra/sweeper=tune: must have its library installed: python",
    "--multirun hydra/launcher=slurm": "hydra/launcher=slurm: must have its library installed: py",
    # what its plugins cannot do
    "hydra.launcher.n_jobs=0": "hydra.launcher.n_jobs=0: must be other than 0; -1 is as many as c",
    "hydra.launcher.batch_size=0": "hydra.launcher.batch_size=0: must be at least 1, or auto",
    "hydra.launcher.batch_size=many": "hydra.launcher.batch_size=many: must be at least 1, or auto",
    "hydra.launcher.prefer=Threads": "hydra.launcher.prefer=Threads: must be processes or threads",
    "hydra.launcher.require=sharedmem": "hydra.launcher.require=sharedmem: must be null: jobs sha",
    "hydra.launcher.timeout=-1": "hydra.launcher.timeout=-1: must be above 0, or null",
    "hydra.launcher.pre_dispatch=0": "hydra.launcher.pre_dispatch=0: must be all, at least 1, or",
    "hydra.launcher.max_nbytes=1T": "hydra.launcher.max_nbytes=1T: must be a number of bytes, suc",
    "hydra.sweeper.n_jobs=0": "hydra.sweeper.n_jobs=0: must be at least 1",  # it would never end
    "hydra.sweeper.n_trials=0": "hydra.sweeper.n_trials=0: must be at least 1",
    "hydra.sweeper.max_batch_size=0": "hydra.sweeper.max_batch_size=0: must be at least 1, or null",
    "hydra.sweeper.direction=up": "hydra.sweeper.direction=up: must be minimize or maximize",
    "hydra.verbose=5": "hydra.verbose=5: must be true, false, the name of a logger or a list of",
    # what Hydra cannot sweep over
    "--multirun +experiment=sine,main": "+experiment=sine,main: must be one at a time, since it",
    "--multirun +experiment=sine budget=smoke,short": "budget=smoke,short: must be one at a time",
    "--multirun task=omniglot,glyphs task.split=background": (
        "task.split=background: must be a known key of task=glyphs: name, ways"
    ),
    "--multirun task=glyphs,omniglot model=mlp,conv model.layers=2": (
        "model.layers=2: must be a known key of task=glyphs model=mlp: name, hidden"
    ),
    "--resolve": "--resolve: must be given with --cfg job, hydra or all",
}


@pytest.mark.parametrize(("typed", "answer"), ANSWERS.items(), ids=ANSWERS.keys())
def test_a_mistake_is_answered_in_one_line(typed, answer, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "argv", ["benchmark", *typed.split()])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(arguments, "is_there", lambda package: False)
    # It would close the handlers there are, and absl's, which TensorFlow brings, pytest's file.
    monkeypatch.setattr(hydra._internal.hydra, "configure_log", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main()
    GlobalHydra.instance().clear()
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    begins, _, ends = answer.partition("{}")
    (line,) = shown.err.splitlines()
    assert line.startswith(f"error: {begins}") and ends in line
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left in ([], ["multirun.yaml"])  # Hydra's, of a sweep whose first job it cannot compose


@pytest.mark.parametrize("typed", [typed for typed in ANSWERS if "--" not in typed])
def test_the_same_is_answered_in_python(typed, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["notebook", "task=sinusoid", "taks=of the notebook"])
    begins, _, ends = ANSWERS[typed].partition("{}")
    with pytest.raises(ConfigError) as refused:
        settings(*typed.split())
    assert str(refused.value).startswith(begins) and ends in str(refused.value)
    assert "\n" not in str(refused.value)


def test_overrides_that_are_no_texts_are_refused():
    with pytest.raises(ConfigError, match=r"^overrides=\['seed=1'\]: must be texts such as \"seed"):
        settings(["seed=1"])


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("bad", b"name: a: b", "a configuration file must be YAML: mapping values are not allowed"),
        ("bytes", b"name: \x80", "model/bytes.yaml: must be text in UTF-8 ('utf-8' codec can't"),
        ("list", b"- list", "model=['list']: must be a group of settings"),
        (
            "target",
            b"name: target",
            "model._target_=null: must be the dotted path of a dataclass",
        ),
        (
            "hidden",
            b"{_target_: benchmark.models.MLP, name: mine, hidden: {a: 1}}",
            "model.hidden={'a': 1}: must be of type list[int]",
        ),
        (
            "over",
            b"defaults: [mlp, _self_]\nname: over\nhidden: {a: 1}",
            "model/over.yaml: must have values of the kinds that they replace (Cannot merge DictCo",
        ),
        (
            "mine",
            b"{_target_: mine.M, name: m}",
            "model._target_=mine.M: must be the dotted path of",
        ),
    ],
)
def test_a_broken_file_of_ones_own_is_named_in_one_line(name, text, line, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / f"{name}.yaml").write_bytes(text)
    (tmp_path / "mine.py").write_text("1 / 0")
    done = benchmark("--config-dir", ".", f"model={name}", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {line}")
    assert done.stderr.count("\n") == 1 and name in done.stderr


def test_slurm_without_its_commands_is_named(monkeypatch):
    monkeypatch.setattr(arguments, "is_there", lambda package: True)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(arguments.ConfigError, match=r"^hydra/launcher=slurm: must run where SLURM"):
        arguments.checked(["--multirun", "hydra/launcher=slurm", "seed=0,1"])


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ("seed=0,1 --multirun a.b=2", "--multirun seed=0,1 a.b=2"),
        ("--multirun seed=0,1 --config-dir D a.b=2", "--multirun --config-dir D seed=0,1 a.b=2"),
        ("seed=0,1 -m --cfg job", "--cfg job seed=0"),
        ("a=1 --multirun b='x,y',z --cfg job -p a", "--cfg job -p a a=1 b='x,y'"),
        ("task=5 --help", "--help task=5"),
    ],
)
def test_flags_and_overrides_may_be_mixed(words, order):
    assert arguments.checked(words.split(" ")) == order.split(" ")


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("a.wayz=3: must be a known key: name, ways", "ways"),
        ("a.split=papre: must be one of paper, small1", "paper"),
        ("splits=tets: must be one of the task's splits: test, train", "test"),
    ],
)
def test_what_is_nearest_is_offered(line, meant):
    assert with_hint(line) == f"{line}; did you mean {meant}?"
    far = line.replace("wayz", "q").replace("papre", "q").replace("tets", "q")
    assert with_hint(far) == far


def test_the_directory_of_a_run_is_shown_as_it_will_be(tmp_path):
    shown = benchmark("--cfg", "hydra", "-p", "hydra.run.dir", "--resolve", "seed=7")
    assert shown.stdout.startswith("outputs/runs/glyphs-5way-reptile-2000it-seed7-")


def test_a_refused_configuration_leaves_nothing(tmp_path):
    refused = benchmark("task.ways=9999", cwd=tmp_path)
    assert refused.returncode == 2
    assert list(tmp_path.iterdir()) == []
