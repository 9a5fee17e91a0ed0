"""The configuration: what cannot work is refused in one line, before TensorFlow is imported."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from benchmark import algorithms, config
from benchmark.command.compose import compose
from benchmark.command.identity import fingerprint
from results import reading
from tasks.checks import ConfigError
from tests.toy import settings

ROOT = Path(__file__).parents[1]
FOMAML_TAIL = "algorithm=fomaml algorithm.tail_shots="
ONE_ADAM = "algorithm.outer_optimizer=adam "

# Overrides, and how the one line about them must begin.
REFUSED = {
    # unknown keys
    "+typo=1": "typo=1: must be a known key: algorithm, evaluation, model, resume, runtime, seed",
    "+task.typo=1": "task.typo=1: must be a known key: name, ways, train_shots, rotations",
    "++algorithm.inner_stepz=3": "algorithm.inner_stepz=3: must be a known key: name, meta_iter",
    "+model.units=3": "model.units=3: must be a known key: name, layers, filters",
    "+evaluation.shot=3": "evaluation.shot=3: must be a known key: splits, shots, queries",
    # missing keys
    "~task.ways": "task.ways=???: must be given",
    "~seed": "seed=null: must be given",
    "~model": "model=null: must be given",
    # wrong types
    "task.ways=many": "task.ways=many: must be of type int",
    "task.ways=2.5": "task.ways=2.5: must be of type int",
    "task.ways=null": "task.ways=null: must be of type int",
    "task.ways=true": "task.ways=true: must be of type int",
    "task.rotations=perhaps": "task.rotations=perhaps: must be of type bool",
    "algorithm.inner_learning_rate=small": "algorithm.inner_learning_rate=small: must be of type",
    "evaluation.shots=5": "evaluation.shots=5: must be of type list[int]",
    "evaluation.shots=[one]": "evaluation.shots=['one']: must be of type list[int]",
    "evaluation.transductive=[7.5]": "evaluation.transductive=[7.5]: must be of type list[bool]",
    "evaluation.shots=[[1]]": "evaluation.shots=[[1]]: must be of type list[int]",
    "evaluation.splits=[[test]]": "evaluation.splits=[['test']]: must be of type list[str]",
    "evaluation.transductive=[[true]]": "evaluation.transductive=[[True]]: must be of type list[b",
    "evaluation.steps=[5,[1]]": "evaluation.steps=[5, [1]]: must be of type list[int]",
    "evaluation.baselines=[{a:1}]": "evaluation.baselines=[{'a': 1}]: must be of type list[str]",
    "model=mlp model.hidden=[[1]]": "model.hidden=[[1]]: must be of type list[int]",
    "task=sinusoid task.phase=[[0],1]": "task.phase=[[0], 1.0]: must be of type list[float]",
    "+tested=1": "tested=1: must be a group of settings",
    "+tested=[1]": "tested=[1]: must be a group of settings",
    "seed=x": "seed=x: must be of type int",
    "resume=perhaps": "resume=perhaps: must be of type bool",
    # more than any machine could hold
    "algorithm.meta_iterations=99999999999999999999": (
        "algorithm.meta_iterations=99999999999999999999: must be at most 1000000000"
    ),
    "evaluation.steps=[5,9999999]": "evaluation.steps=[5, 9999999]: must be at most 1000000",
    "evaluation.steps=[999999] evaluation.batch=500": (
        "evaluation.steps=999999: must be at most 200000 with mini-batches of 500"
    ),
    "seed=1000000000000000000": "seed=1000000000000000000: must be at most 999999999999999999",
    "training.curve_points=999999": "training.curve_points=999999: must be at most 10000",
    "model.filters=999999": "model.filters=999999: must be at most 8192",
    "runtime.threads=100000": "runtime.threads=100000: must be at most 1024",
    "runtime.cores=1025": "runtime.cores=1025: must be at most 1024",
    # zero and negative counts
    "seed=-1": "seed=-1: must be at least 0",
    "task.ways=-3": "task.ways=-3: must be at least 1",
    "task.ways=1": "task.ways=1: must be at least 2: one class cannot be told apart",
    "task.train_shots=0": "task.train_shots=0: must be at least 1",
    "task.split_seed=-1": "task.split_seed=-1: must be at least 0",
    "task.drawers=1": "task.drawers=1: must be at least 2",
    "algorithm.meta_iterations=-1": "algorithm.meta_iterations=-1: must be at least 0",
    "algorithm.meta_batch=0": "algorithm.meta_batch=0: must be at least 1",
    "algorithm.inner_steps=0": "algorithm.inner_steps=0: must be at least 1",
    "algorithm.inner_batch=-1": "algorithm.inner_batch=-1: must be at least 1",
    "algorithm.inner_learning_rate=0": "algorithm.inner_learning_rate=0.0: must be above 0",
    "algorithm.inner_learning_rate=inf": "algorithm.inner_learning_rate=inf: must be above 0 and f",
    "algorithm.inner_learning_rate=nan": "algorithm.inner_learning_rate=nan: must be above 0 and f",
    "algorithm.outer_step=-1": "algorithm.outer_step=-1.0: must be at least 0 and finite",
    "algorithm.outer_step_final=inf": "algorithm.outer_step_final=inf: must be at least 0 and fin",
    f"{ONE_ADAM}algorithm.outer_step=0": "algorithm.outer_step=0.0: must be above 0 with an outer",
    "algorithm.outer_optimizer={class_name:adam,config:{learning_rate:0.3}}": (
        "algorithm.outer_optimizer={'class_name': 'adam', 'config': {'learning_rate': 0.3}}: must "
        "be without learning_rate, which is algorithm.outer_step"
    ),
    "algorithm.outer_optimizer=nope": "algorithm.outer_optimizer=nope: must be one of adadelta, ad",
    "algorithm.outer_optimizer=5": "algorithm.outer_optimizer=5: must be one of adadelta, ada",
    "algorithm.outer_optimizer=''": "algorithm.outer_optimizer=: must be a text that is not empty",
    "algorithm.outer_optimizer=[]": "algorithm.outer_optimizer=[]: must be one of adadelta, ad",
    "algorithm.outer_optimizer={1:2}": "algorithm.outer_optimizer={1: 2}: must be a mapping whose",
    "algorithm.outer_optimizer={true:2,a:1}": "algorithm.outer_optimizer={True: 2, 'a': 1}: must b",
    "algorithm.outer_optimizer={}": "algorithm.outer_optimizer={}: must be one of adadelta, ad",
    "algorithm.outer_optimizer={class_name:nope}": (
        "algorithm.outer_optimizer={'class_name': 'nope'}: must be one of adadelta, adafactor, adag"
    ),
    "algorithm.outer_optimizer={class_name:adam,config:5}": (
        "algorithm.outer_optimizer={'class_name': 'adam', 'config': 5}: must be one of adadelta, ad"
    ),
    "algorithm.outer_optimizer={class_name:adam,beta_1:0.5}": (
        "algorithm.outer_optimizer={'class_name': 'adam', 'beta_1': 0.5}: must be one of adadelta, "
    ),
    "evaluation.shots=[0]": "evaluation.shots=[0]: must be at least 1 each",
    "evaluation.shots=[]": "evaluation.shots=[]: must be a list of one or more distinct values",
    "evaluation.steps=[5,5]": "evaluation.steps=[5, 5]: must be a list of one or more distinct val",
    "evaluation.steps=[-1]": "evaluation.steps=[-1]: must be at least 0 each",
    "evaluation.queries=0": "evaluation.queries=0: must be at least 1",
    "evaluation.episodes=0": "evaluation.episodes=0: must be at least 1",
    "evaluation.batch=0": "evaluation.batch=0: must be at least 1",
    "evaluation.predictions=401": "evaluation.predictions=401: must be between 0 and evaluation.ep",
    "training.curve_points=-1": "training.curve_points=-1: must be at least 0",
    "training.curve_episodes=1": "training.curve_episodes=1: must be at least 2",
    "training.checkpoint_every=-1": "training.checkpoint_every=-1: must be at least 0",
    "runtime.cores=0": "runtime.cores=0: must be at least 1",
    "runtime.threads=0": "runtime.threads=0: must be at least 1",
    "runtime.engine=fast": "runtime.engine=fast: must be one of auto, native, tensorflow",
    "runtime.engine=native model=mlp": "runtime.engine=native: must be auto or tensorflow: the n",
    "runtime.engine=native model.filters=24": "runtime.engine=native: must be auto or tensorflow:",
    "runtime.engine=native runtime.jit=true": "runtime.engine=native: must be auto or tensorflow:",
    "model.layers=6": "model.layers=6: must be between 1 and 5",
    "model.filters=0": "model.filters=0: must be at least 1",
    "model=mlp model.hidden=[0]": "model.hidden=[0]: must be a list of widths of at least 1",
    # more classes or drawings than there are
    "task.ways=101": "task.ways=101: must be between 2 and 100, the classes of the test split",
    "task=omniglot task.ways=424": "task.ways=424: must be between 2 and 423, the classes of the",
    "task=omniglot task.split=small1 task.ways=137 task.rotations=false": (
        "task.ways=137: must be between 2 and 136, the classes of the train split"
    ),
    "task.validation_classes=4 evaluation.splits=[validation]": (
        "task.validation_classes=4: must be 0 or at least task.ways=5"
    ),
    "task.validation_classes=1": "task.validation_classes=1: must be 0 or at least task.ways=5",
    "task.validation_classes=399": (
        "task.ways=5: must be between 2 and 4, the classes of the train split (task.classes=400, "
        "task.validation_classes=399)"
    ),
    "task.validation_classes=399 task.rotations=false": (
        "task=glyphs: must be one with 2 classes or more in its train split, which has 1 (task.cl"
    ),
    "task=fonts task.test_classes=2": (
        "task.ways=5: must be between 2 and 2, the classes of the test split (task.test_classes=2)"
    ),
    "task.classes=5": (
        "task.alphabets=10: must be between 1 and 5, the smaller of task.classes=5 and task.test_"
    ),
    "task.validation_classes=400": "task.validation_classes=400: must be between 0 and 399, since",
    "evaluation.shots=[1,20]": "evaluation.shots=[1, 20]: must be at most 19: the test split has",
    "evaluation.queries=16": (
        "evaluation.queries=16: must be at most 15: the test split has 20 examples a class, of "
        "which evaluation.shots=[1, 5] needs 5"
    ),
    "evaluation.queries=1000": "evaluation.queries=1000: must be at most 15: the test split has 20",
    "evaluation.queries=30 evaluation.shots=[21]": (
        "evaluation.queries=30: must be at most 19: the test split has 20 examples a class, of "
        "which evaluation.shots=[21] needs at least 1"
    ),
    "task.drawers=5": "evaluation.shots=[1, 5]: must be at most 4: the test split has 5 ex",
    "task.train_shots=21": "task.train_shots=21: must be at most 20: the train split has 20 ex",
    "algorithm=maml task.train_shots=20": (
        "task.train_shots=20: must be at most 19: the train split has 20 examples a class, of "
        "which algorithm.train_queries_per_class=1 needs 1"
    ),
    "algorithm=maml algorithm.train_queries_per_class=1000000": (
        "algorithm.train_queries_per_class=1000000: must be at most 10: the train split has 20 exam"
    ),
    # batches larger than what they are drawn from
    "algorithm.replacement=true algorithm.inner_batch=51": (
        "algorithm.inner_batch=51: must be at most 50 with algorithm.replacement=true"
    ),
    "algorithm.replacement=true evaluation.batch=6": (
        "evaluation.batch=6: must be at most 5 with algorithm.replacement=true"
    ),
    # tails and weights that do not fit
    f"{FOMAML_TAIL}-1": "algorithm.tail_shots=-1: must be 0, or below task.train_shots=10",
    f"{FOMAML_TAIL}10": "algorithm.tail_shots=10: must be 0, or below task.train_shots=10",
    f"{FOMAML_TAIL}6 algorithm.inner_batch=21 algorithm.replacement=true": (
        "algorithm.inner_batch=21: must be at most 20 with algorithm.replacement=true, the examples"
    ),
    "algorithm.step_weights=first": "algorithm.step_weights=first: must be all, average, last or a",
    "algorithm.step_weights=[1,2]": (
        "algorithm.step_weights=[1, 2]: must be all, average, last or a list of "
        "algorithm.inner_steps=5 numbers"
    ),
    "algorithm.step_weights=[a,b,c,d,e]": "algorithm.step_weights=['a', 'b', 'c', 'd', 'e']: must",
    # unknown choices
    "algorithm.inner_optimizer=lion": "algorithm.inner_optimizer=lion: must be one of adam, sgd",
    "algorithm=maml algorithm.inner_optimizer=adam": "algorithm.inner_optimizer=adam: must be sgd",
    "algorithm=maml algorithm.train_queries_per_class=0": (
        "algorithm.train_queries_per_class=0: must be at least 1"
    ),
    "algorithm.loss_reduction=max": "algorithm.loss_reduction=max: must be one of sum, mean",
    "evaluation.splits=[banana]": "evaluation.splits=banana: must be one of the task's splits: tes",
    "evaluation.splits=[validation]": "evaluation.splits=validation: must be one of the task's spl",
    "task=sinusoid evaluation.splits=[banana]": "evaluation.splits=banana: must be one of the tas",
    "evaluation.baselines=[banana]": "evaluation.baselines=['banana']: must be a list of any of s",
    "task=sinusoid evaluation.baselines=[nearest_neighbour]": (
        "evaluation.baselines=['nearest_neighbour']: must be a list of any of scratch"
    ),
    "training.curve_split=banana": "training.curve_split=banana: must be one of auto, train, valid",
    "training.curve_split=validation": "training.curve_split=validation: must be one of the task's",
    "runtime.progress=loud": "runtime.progress=loud: must be auto or off",
    "task=sinusoid model=conv": "model=conv: must be one such as mlp: it is a network for im",
    "task=sinusoid model=maml_conv": "model=maml_conv: must be one such as mlp: it is a network f",
    "task=omniglot task.split=papre": "task.split=papre: must be one of paper, background, small1,",
    "task=omniglot task.data_dir=/nowhere": "task.data_dir=/nowhere: must be a directory in which",
    "model=mlp model.activation=swoosh": "model.activation=swoosh: must be one of",
    "task=sinusoid task.support=grid evaluation.shots=[51]": "evaluation.shots=[51]: must be at mo",
    # foreign classes
    "task._target_=os.system": "task._target_=os.system: must be a dataclass that inherits from ta",
    "task._target_=benchmark.models.Conv": "task._target_=benchmark.models.Conv: must be a datacla",
    "algorithm._target_=benchmark.config.Runtime": (
        "algorithm._target_=benchmark.config.Runtime: must be a dataclass that inherits from "
        "benchmark.algorithms.Algorithm"
    ),
    "model._target_=tasks.glyphs.Glyphs": (
        "model._target_=tasks.glyphs.Glyphs: must be a dataclass that inherits from "
        "benchmark.models.Model"
    ),
    "model._target_=nowhere.Thing": (
        "model._target_=nowhere.Thing: must be the dotted path of a dataclass that can be imported"
    ),
}


LOAD_EACH = """
import json, sys
from benchmark import config
from benchmark.command.identity import fingerprint
from tasks.checks import ConfigError
from benchmark.command.compose import compose

texts = {}
for overrides in json.loads(sys.argv[1]):
    try:
        config.load(compose(*overrides.split()))
    except ConfigError as error:
        texts[overrides] = str(error)
    for name in ("tensorflow", "keras"):
        assert name not in sys.modules, f"{overrides} imports {name}"
print(json.dumps(texts))
"""


@pytest.fixture(scope="module")
def texts():
    """What a fresh process says to each of REFUSED; it fails if one of them imports TensorFlow."""
    command = [sys.executable, "-c", LOAD_EACH, json.dumps(list(REFUSED))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("overrides", "begins"), REFUSED.items(), ids=REFUSED.keys())
def test_what_cannot_work_is_refused_in_one_line_without_tensorflow(texts, overrides, begins):
    assert overrides in texts, "was accepted"
    assert texts[overrides].startswith(begins)
    assert "\n" not in texts[overrides]


def refusal(cfg):
    """The text of the refusal, which must be one line."""
    with pytest.raises(ConfigError) as caught:
        config.load(cfg)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_utf8_is_refused():
    """It would stand in a record that could not be read."""
    typed = os.fsdecode(b"model.name=b\xe9")
    with pytest.raises(ConfigError, match=r"^model\.name=b\\udce9: must be text in UTF-8; "):
        config.load(compose(), [typed])


@pytest.mark.parametrize(
    "overrides",
    [
        "",
        "task=omniglot",
        "task=sinusoid",
        "model=mlp",
        "algorithm=fomaml algorithm.tail_shots=2",
        f"{FOMAML_TAIL}5 algorithm.inner_batch=25 algorithm.replacement=true",
        "algorithm=maml task.train_shots=1",
        "algorithm=joint",
        "algorithm.meta_iterations=0",
        "algorithm.outer_step=0",
        "algorithm.step_weights=[0,1,1,0,0.5]",
        "algorithm.replacement=true algorithm.inner_batch=50 evaluation.batch=5",
        "seed=0 evaluation.steps=[0] evaluation.shots=[19]",
        "task.train_shots=20 task.ways=100",
        "task.validation_classes=5 evaluation.splits=[validation,test,train]",
        "task=sinusoid task.support=grid evaluation.shots=[50]",
    ],
)
def test_what_works_loads(overrides):
    assert settings(*overrides.split()).plain["seed"] == 0


def test_settings_have_the_values_and_types_of_the_yaml():
    chosen = settings("algorithm.outer_step=2", "evaluation.shots=[3]", "runtime.cores=null")
    assert type(chosen.algorithm.outer_step) is float and chosen.algorithm.outer_step == 2
    assert chosen.evaluation.shots == [3]
    assert chosen.runtime.cores is None
    assert (chosen.task.ways, chosen.task.train_shots) == (5, 10)
    with pytest.raises(AttributeError):
        chosen.task.ways = 6


def test_the_learning_curve_never_shows_the_test_classes_unasked():
    assert settings().curve_split == "train"
    assert settings("task=sinusoid").curve_split == "train"
    assert settings("task.validation_classes=9").curve_split == "validation"
    assert settings("training.curve_split=test").curve_split == "test"


def test_a_model_of_ones_own_is_found_by_its_path_and_as_strictly_read(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(
        "from dataclasses import dataclass\n\nfrom benchmark.models import Model\n\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Mine(Model):\n    width: int\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    cfg = compose()
    OmegaConf.set_struct(cfg, False)
    cfg.model = {"_target_": "my_models.Mine", "name": "mine", "width": 3}
    assert config.load(cfg).model.width == 3
    cfg.model.width = "wide"
    assert refusal(cfg) == "model.width=wide: must be of type int"
    cfg.model.width = -(10**18)
    assert refusal(cfg) == f"model.width={-(10**18)}: must be at least {1 - 10**18}"


def test_the_largest_number_that_is_accepted_is_the_largest_that_is_read():
    assert config.load(compose(f"seed={config.READABLE}")).seed == config.READABLE
    assert reading.whole(str(config.READABLE)) == config.READABLE
    with pytest.raises(ValueError, match="a whole number of 19 digits"):
        reading.whole(str(config.READABLE + 1))


def test_a_module_of_ones_own_that_raises_is_named(tmp_path, monkeypatch):
    (tmp_path / "my_broken.py").write_text("class Mine:\n    half = 1 / 0\n")
    (tmp_path / "my_unread.py").write_text("class Mine:\nhalf = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    cfg = compose()
    for module, why in {
        "my_broken": "ZeroDivisionError: div",
        "my_unread": "IndentationErr",
    }.items():
        cfg.model._target_ = f"{module}.Mine"
        begins = f"model._target_={module}.Mine: must be the dotted path of a dataclass that can be"
        assert refusal(cfg).startswith(f"{begins} imported ({why}")


@pytest.mark.parametrize("name", ["FirstOrder", "MAML"])
def test_an_algorithm_is_found_by_the_path_that_older_records_name(name):
    cfg = compose("algorithm=maml" if name == "MAML" else "algorithm=reptile")
    now = type(config.load(cfg).algorithm)
    cfg.algorithm._target_ = f"benchmark.outer_loop.{name}"
    assert type(config.load(cfg).algorithm) is now is getattr(algorithms, name)


# --- Fingerprints ---

NEUTRAL = {"resume", "task.data_dir", "task.cache_dir"}
NEUTRAL |= {"runtime.cores", "runtime.isolate", "runtime.progress"}  # how to compute
NEUTRAL_GROUPS = ("tracking.", "evaluation.", "training.")  # what to tell whom, what to ask


def leaves(node, prefix=""):
    """Dotted keys of everything that is not a dict."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


@pytest.mark.parametrize("overrides", ["task=omniglot", "task=sinusoid", "algorithm=maml"])
def test_every_key_but_the_neutral_ones_is_part_of_a_runs_identity(overrides):
    plain = settings(*overrides.split()).plain
    whole = fingerprint(plain)
    assert re.fullmatch("[0-9a-f]{64}", whole)
    found = set()
    for key in leaves(plain):
        changed = copy.deepcopy(plain)
        *path, last = key.split(".")
        node = changed
        for part in path:
            node = node[part]
        node[last] = "something else"
        if fingerprint(changed) == whole:
            found.add(key)
    keys = set(leaves(plain))
    assert found == {key for key in keys if key in NEUTRAL or key.startswith(NEUTRAL_GROUPS)}
    assert {"resume", "runtime.cores", "training.checkpoint_every"} <= found


def test_a_number_is_the_same_however_it_is_typed():
    one, same = settings("algorithm.outer_step=1"), settings("algorithm.outer_step=1.0")
    assert fingerprint(one.plain) == fingerprint(same.plain)
    other = settings("algorithm.outer_step=1.5")
    assert fingerprint(one.plain) != fingerprint(other.plain)


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("task.rotations=yes", "task.rotations=true"),
        ("runtime.jit=off", "runtime.jit=false"),
        ("seed='3'", "seed=3"),
        ("algorithm.meta_iterations='20'", "algorithm.meta_iterations=20"),
    ],
)
def test_a_value_is_the_same_however_it_is_typed(typed, same):
    assert settings(typed).plain == settings(same).plain
    assert settings(typed).identity == settings(same).identity


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_no_number_is_accepted_that_a_record_cannot_hold(value):
    key = "algorithm.outer_optimizer.config.clipnorm"
    with pytest.raises(ConfigError, match=rf"^{key}={value}: must be finite"):
        settings(f"algorithm.outer_optimizer={{class_name:sgd,config:{{clipnorm:{value}}}}}")


def test_a_fingerprint_does_not_depend_on_the_order_of_keys_and_leaves_its_input_alone():
    plain = settings().plain
    before = copy.deepcopy(plain)
    backwards = {key: plain[key] for key in reversed(plain)}
    assert fingerprint(plain) == fingerprint(backwards)
    assert plain == before


# --- Random values ---

BASE = compose()
OMNIGLOT, SINUSOID, MAML = (
    compose(c) for c in ("task=omniglot", "task=sinusoid", "algorithm=maml")
)
COUNTS = [
    "task.ways",
    "task.train_shots",
    "task.classes",
    "task.test_classes",
    "task.drawers",
    "task.alphabets",
    "algorithm.meta_batch",
    "algorithm.inner_steps",
    "algorithm.inner_batch",
    "evaluation.queries",
    "evaluation.batch",
    "evaluation.episodes",
    "evaluation.baseline_episodes",
    "runtime.threads",
    "runtime.cores",
    "model.layers",
    "model.filters",
]
INTEGERS = [*COUNTS, "seed", "task.seed", "task.split_seed", "algorithm.meta_iterations"]
FLOATS = ["inner_learning_rate", "outer_step", "outer_step_final"]
LISTS = ["shots", "steps", "splits", "transductive", "baselines"]
WORDS = st.text("abcdefghijklmnopqrstuvwxyz ", min_size=1).map(lambda text: f"x{text}")
quick = hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def changed(base, **values):
    cfg = copy.deepcopy(base)
    for key, value in values.items():
        OmegaConf.update(cfg, key, value)
    return cfg


@quick
@given(st.sampled_from(COUNTS), st.integers(max_value=0))
def test_no_count_below_one_is_accepted(key, value):
    text = refusal(changed(BASE, **{key: value}))
    assert text.startswith(f"{key}={value}: must be ")


@quick
@given(st.sampled_from(INTEGERS), WORDS | st.booleans() | st.floats() | st.lists(st.integers()))
def test_no_integer_of_another_type_is_accepted(key, value):
    assert refusal(changed(BASE, **{key: value})).startswith(f"{key}=")


@quick
@given(st.sampled_from(FLOATS), WORDS | st.floats(max_value=-1e-9) | st.sampled_from([1e999, None]))
def test_no_step_size_that_is_no_positive_number_is_accepted(key, value):
    text = refusal(changed(BASE, **{f"algorithm.{key}": value}))
    assert text.startswith(f"algorithm.{key}=")


@quick
@given(st.sampled_from(LISTS), WORDS | st.integers() | st.none() | st.lists(WORDS, min_size=1))
def test_no_list_of_other_things_is_accepted(key, value):
    text = refusal(changed(BASE, **{f"evaluation.{key}": value}))
    assert text.startswith(f"evaluation.{key}=")


@quick
@given(
    st.sampled_from([BASE, OMNIGLOT, SINUSOID, MAML]),
    st.sampled_from(["task", "model", "algorithm", "evaluation", "training", "runtime"]),
    st.from_regex(r"[a-z]{1,8}_[a-z]{1,8}x", fullmatch=True),
    st.none() | st.integers() | WORDS,
)
def test_no_unknown_key_is_accepted(base, group, key, value):
    cfg = copy.deepcopy(base)
    OmegaConf.update(cfg, f"{group}.{key}", value, force_add=True)
    assert refusal(cfg).startswith(f"{group}.{key}=")


@quick
@given(data=st.data())
def test_small_settings_that_fit_together_load(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    classes, drawers = draw(2, 8), draw(3, 8)
    ways, queries = draw(2, classes), draw(1, 2)
    train_shots, shots = draw(1, drawers), draw(1, drawers - queries)
    values = {
        "task.classes": classes + draw(0, 3),
        "task.test_classes": classes,
        "task.drawers": drawers,
        "task.alphabets": draw(1, classes),
        "task.ways": ways,
        "task.train_shots": train_shots,
        "evaluation.shots": [shots],
        "evaluation.queries": queries,
        "evaluation.batch": draw(1, ways * shots),
        "evaluation.steps": [draw(0, 3)],
        "algorithm.inner_batch": draw(1, ways * train_shots),
        "algorithm.inner_steps": draw(1, 5),
        "algorithm.meta_batch": draw(1, 3),
        "algorithm.meta_iterations": draw(0, 3),
        "algorithm.replacement": data.draw(st.booleans()),
        "algorithm.inner_learning_rate": data.draw(st.floats(1e-6, 10)),
        "seed": draw(0, 2**40),
    }
    loaded = config.load(changed(BASE, **values))
    assert loaded.task.ways == ways
    assert loaded.evaluation.shots == [shots]
    assert loaded.algorithm.inner_learning_rate == values["algorithm.inner_learning_rate"]


@pytest.mark.parametrize(
    ("formula", "weights"),
    [
        ("g1", [1]),
        ("g3", [0, 0, 1]),
        ("g1+g3", [1, 0, 1]),
        ("mean(g1+g2)", [0.5, 0.5]),
        ("mean(g2+g4)", [0, 0.5, 0, 0.5]),
    ],
)
def test_a_formula_says_which_inner_gradients_enter_the_update(formula, weights):
    chosen = settings("+experiment=combinations", f"algorithm.name='{formula}'").algorithm
    assert chosen.weights() == weights
    assert chosen.inner_steps == len(weights)


@pytest.mark.parametrize("formula", ["g0", "g1+", "mean(g1", "g1)", "reptile", "g30000000"])
def test_an_impossible_formula_is_refused(formula):
    rule = r"algorithm\.name=.*: must be (like g2|of at most 1000 inner steps)"
    with pytest.raises(InterpolationResolutionError, match=rule):
        compose("+experiment=combinations", f"algorithm.name='{formula}'").algorithm.step_weights  # noqa: B018


def test_a_budget_is_no_part_of_a_run_beyond_its_values():
    short = compose("+experiment=sine", "budget=short")
    by_hand = compose("+experiment=sine", "algorithm.meta_iterations=3000")
    assert fingerprint(config_dict(short)) == fingerprint(config_dict(by_hand))
    assert settings("+experiment=sine", "budget=short").algorithm.meta_iterations == 3000


def config_dict(cfg):
    return OmegaConf.to_container(cfg, resolve=True)
