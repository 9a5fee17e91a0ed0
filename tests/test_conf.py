"""Coverage by listing: every file under conf/ runs, tiny, through the real command."""

import itertools
import os
import re

import pytest
from omegaconf import OmegaConf

from benchmark import config
from benchmark.command.arguments import split_sweep
from benchmark.command.compose import compose
from benchmark.command.resolvers import BUDGETS
from tests.command import FEW_GLYPHS, PROJECT, TINY, record
from tests.photographs import write_folder

CONF = PROJECT / "conf"
NOT_A_CHOICE = {
    "hydra",  # how it looks and launches; test_launchers runs those
    "pitfall",  # with experiment=pitfalls alone
    "tutorial",  # with experiment=tutorial alone
}
BARE = ["training.curve_points=0", "evaluation.baselines=[]"]  # the experiments have both
SINE = ["task=sinusoid", "runtime.jit=false"]  # runtime/compiled compiles
FITS = {  # what a choice needs beside it
    "algorithm/fomaml_sine": SINE,
    "algorithm/joint_sine": SINE,
    "algorithm/maml": ["task.train_shots=1", "algorithm.meta_batch=2"],
    "algorithm/maml_first_order": ["task.train_shots=1", "algorithm.meta_batch=2"],
    "algorithm/maml_sine": SINE,
    "algorithm/protonet": ["algorithm.train_ways=5"],
    "algorithm/reptile_sine": SINE,
    "evaluation/regression": SINE,
    "model/maml_conv": ["model.adapt_shift=true"],
    "model/mlp_sine": SINE,
    "runtime/compiled": ["model=mlp"],
}
MAML = ["algorithm.meta_batch=1", "model.filters=8", "evaluation.steps=[1,3]"]
SMALLER = {  # what an experiment can do without
    "main": FEW_GLYPHS,
    "omniglot_5way_maml": MAML,
    "omniglot_20way_maml": [*MAML, "algorithm.inner_steps=2"],
    "omniglot_protonet": ["algorithm.train_ways=5"],
    "sine": ["runtime.jit=false"],
}
DEFAULTS = [
    "/".join(*choice.items())
    for choice in OmegaConf.load(CONF / "config.yaml").defaults
    if choice != "_self_" and not any("override" in str(group) for group in choice)
]
CHOSEN = {  # by an experiment, whose run is theirs
    "/".join(choice)
    for path in CONF.glob("experiment/*.yaml")
    for choice in re.findall(r"- override /(\w+): (\w+)", path.read_text())
}
CHOICES = sorted(  # the defaults run with any of them, so the task's stands for all
    {
        f"{path.parent.name}/{path.stem}"
        for path in CONF.glob("*/*.yaml")
        if path.parent.name not in (*NOT_A_CHOICE, "experiment")
    }
    - {*DEFAULTS, *CHOSEN, "task/tfds"}  # test_tfds.py runs it, on a data set that it makes
    | {"task/glyphs"}
)
EXPERIMENTS = sorted(path.stem for path in CONF.glob("experiment/*.yaml"))
NEEDS = {f"tracking/{name}": name for name in ("tensorboard", "mlflow", "wandb")}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """What experiments on one's own images need: their folder and a cache."""
    root = tmp_path_factory.mktemp("images")
    for split, classes in (("train", "abcdef"), ("test", "ghijk")):
        write_folder(root / split, {f"{split}_{name}": 16 for name in classes})
    return [
        f"task.directory={root}",
        f"task.cache_dir={root / 'cache'}",
        "task.size=28",
    ]  # not 84: seconds


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_runs(choice, forks, tmp_path):
    if "omniglot" in choice and "TFDS_DATA_DIR" not in os.environ:
        pytest.skip("TFDS_DATA_DIR names no prepared Omniglot")
    if choice in NEEDS:
        pytest.importorskip(NEEDS[choice], reason=f"{choice} is an optional extra")
    extra = [f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"] if "mlflow" in choice else []
    if choice == "task/folder":
        images = write_folder(tmp_path / "images", dict.fromkeys("abcdefghijklmno", 11))
        extra = [f"task.directory={images}", f"task.cache_dir={tmp_path}", "task.size=16"]
    group, name = choice.split("/")
    beside = FITS.get(choice, [])
    few = FEW_GLYPHS if group != "task" and beside is not SINE else ()
    run = f"hydra.run.dir={tmp_path / 'run'}"
    argv = [f"{group}={name}", *beside, *TINY, *BARE, *few, *extra, run]
    done = forks.run(tmp_path / "log", argv)
    assert done.code == 0, done.output
    assert record(tmp_path / "run")["status"] == "completed"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs(name, images, forks, tmp_path):
    if "TFDS_DATA_DIR" not in os.environ:
        pytest.skip("TFDS_DATA_DIR names no prepared Omniglot")
    trains = name != "transfer"  # which asks a run that is trained already
    tiny = [word for word in TINY if trains or word.startswith("evaluation.")]
    small = [*tiny, "evaluation.baselines=[scratch]", f"hydra.run.dir={tmp_path / 'run'}"]
    own = images if name.startswith("mini_imagenet") else []
    argv = [f"+experiment={name}", *small, *own, *SMALLER.get(name, [])]
    done = forks.run(tmp_path / "log", argv)
    assert done.code == 0, done.output
    assert record(tmp_path / "run")["status"] == "completed"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_job_of_an_experiment_is_valid(name, images):
    """All jobs of its sweep (one seed) at the paper's budget, the first at the others; no run."""
    loaded = OmegaConf.load(CONF / "experiment" / f"{name}.yaml")
    budgets = [[f"budget={budget}"] for budget in BUDGETS[::-1]] if "budget" in loaded else [[]]
    for number, budget in enumerate(budgets):
        own = images if name.startswith("mini_imagenet") else []
        base = [f"+experiment={name}", *budget, *own]
        params = compose(*base, with_hydra=True).hydra.sweeper.get("params") or {}
        varied = [split_sweep(f"{key}={params[key]}") for key in params if key != "seed"]
        groups = [axis for axis in varied if is_of_group(axis[0])]
        values = [axis for axis in varied if not is_of_group(axis[0])]
        for chosen in itertools.islice(itertools.product(*groups), 1 if number else None):
            composed = compose(*base, *chosen)  # takes longer than all that follows
            for typed in itertools.islice(itertools.product(*values), 1 if number else None):
                config.load(OmegaConf.merge(composed, OmegaConf.from_dotlist(list(typed))))


def is_of_group(override: str) -> bool:
    """Whether an override chooses a file of conf/, not a value."""
    return (CONF / override.lstrip("+").split("=")[0]).is_dir()


def test_every_key_is_commented():
    bare = [
        f"{path.relative_to(CONF)}: {line}"
        for path in sorted(CONF.glob("*/*.yaml"))
        if path.parent.name not in ("experiment", *NOT_A_CHOICE)
        for before, line in pairs(path.read_text().splitlines())
        if line.strip()
        and not line.startswith(("#", "_target_", "defaults", "name:", "  - "))
        and line.strip() != "task:"
        and not line.strip().startswith(("_target_", "name:"))
        and "#" not in line
        and not before.startswith("#")
    ]
    derived = ("fomaml", "joint", "maml", "reptile_sine")  # commented in reptile.yaml
    assert [line for line in bare if not any(name in line for name in derived)] == []


def pairs(lines: list[str]) -> list[tuple[str, str]]:
    """Each line with the one before it."""
    return list(zip(["", *lines], lines, strict=False))


def test_every_experiment_is_headed_by_its_command():
    for path in (CONF / "experiment").glob("*.yaml"):
        head = [line for line in path.read_text().splitlines() if line.startswith("#")]
        assert any(f"+experiment={path.stem}" in line for line in head), path.name
