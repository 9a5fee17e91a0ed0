"""Every preset that reproduces something of the paper, held to the paper's own values.

Nichol, Achiam and Schulman 2018 (arXiv:1803.02999v3), appendix A, tables 3, 5 and 6, and section 4;
for MAML Finn, Abbeel and Levine 2017 with their released code, from whom its rows of table 2 are.
"""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from benchmark.command.compose import compose

REPTILE = {  # what the classification experiments share (sections 6.1 to 6.3, the authors' code)
    "task.name": "omniglot",
    "task.split": "paper",
    "task.rotations": True,
    "task.within_alphabet": False,
    "task.validation_classes": 0,
    "model.name": "conv",
    "model.layers": 4,
    "model.filters": 64,
    "algorithm.loss_reduction": "sum",
    "algorithm.replacement": False,
    "algorithm.outer_step_final": 0.0,
    "algorithm.outer_optimizer": None,
    "evaluation.splits": ["test"],
    "evaluation.queries": 1,
}
TABLE_3 = REPTILE | {  # appendix A, table 3: what its two columns share
    "algorithm.inner_optimizer": "adam",
    "algorithm.outer_step": 1.0,
    "algorithm.meta_batch": 5,
    "algorithm.step_weights": "all",
    "algorithm.tail_shots": 0,
    "task.train_shots": 10,
    "evaluation.shots": [1, 5],
    "evaluation.transductive": [False, True],
    "evaluation.steps": [50],
    "evaluation.episodes": 10000,
}
SGD = REPTILE | {  # tables 5 and 6: what they share; section 6.2: no meta-batch
    "task.ways": 5,
    "algorithm.inner_optimizer": "sgd",
    "algorithm.inner_learning_rate": 0.003,
    "algorithm.meta_batch": 1,
    "algorithm.meta_iterations": 40000,
    "evaluation.shots": [5],
    "evaluation.transductive": [False],
    "evaluation.steps": [5],
    "evaluation.batch": 25,
}
TABLE_5 = SGD | {"algorithm.inner_batch": 25, "algorithm.outer_step": 0.25}
TABLE_6 = SGD | {"algorithm.outer_step": 1.0, "task.train_shots": 20}
MAML = {
    "task.name": "omniglot",
    "task.split": "paper",
    "task.rotations": True,
    "task.validation_classes": 100,
    "model.name": "maml_conv",
    "model.layers": 4,
    "model.filters": 64,
    "model.adapt_shift": False,
    "algorithm.meta_iterations": 60000,
    "algorithm.inner_optimizer": "sgd",
    "algorithm.loss_reduction": "mean",
    "algorithm.outer_optimizer": "adam",
    "algorithm.outer_step": 0.001,
    "algorithm.outer_step_final": 0.001,
    "evaluation.transductive": [True],
    "evaluation.steps": [1, 3, 5, 10],
}
FIVE_WAY_MAML = MAML | {  # 0.4 on 5 x the mean loss
    "task.ways": 5,
    "algorithm.meta_batch": 32,
    "algorithm.inner_steps": 1,
    "algorithm.inner_learning_rate": 0.4 * 5,
}
TWENTY_WAY_MAML = MAML | {  # 0.1 on 20 x the mean loss
    "task.ways": 20,
    "algorithm.meta_batch": 16,
    "algorithm.inner_steps": 5,
    "algorithm.inner_learning_rate": 0.1 * 20,
}


def with_shots(shots, ways):
    """K support and K query examples a class, in training and in the test, in one batch."""
    return {
        "task.train_shots": shots,
        "algorithm.inner_batch": ways * shots,
        "algorithm.train_queries_per_class": shots,
        "evaluation.shots": [shots],
        "evaluation.queries": shots,
        "evaluation.batch": ways * shots,
    }


PAPER = {
    "omniglot_5way": TABLE_3
    | {
        "task.ways": 5,
        "algorithm.name": "reptile",
        "algorithm.inner_learning_rate": 0.001,
        "algorithm.inner_batch": 10,
        "algorithm.inner_steps": 5,
        "algorithm.meta_iterations": 100_000,
        "evaluation.batch": 5,
    },
    "omniglot_20way": TABLE_3
    | {
        "task.ways": 20,
        "algorithm.name": "reptile",
        "algorithm.inner_learning_rate": 0.0005,
        "algorithm.inner_batch": 20,
        "algorithm.inner_steps": 10,
        "algorithm.meta_iterations": 200_000,
        "evaluation.batch": 10,
    },
    "overlap_iterations": TABLE_6 | {"algorithm.inner_batch": 25},
    "overlap_iterations algorithm=fomaml_separate": {"algorithm.tail_shots": 5},
    "overlap_batch": TABLE_6 | {"algorithm.inner_steps": 4},
    "overlap_batch algorithm=fomaml_separate algorithm.inner_batch=75": {"algorithm.tail_shots": 5},
    "overlap_step algorithm=fomaml": TABLE_6
    | {
        "algorithm.inner_steps": 4,
        "algorithm.inner_batch": 100,
        "algorithm.step_weights": "last",
        "algorithm.tail_shots": 0,
    },
    "omniglot_5way_maml": FIVE_WAY_MAML | with_shots(1, ways=5) | {"algorithm.first_order": False},
    "omniglot_5way_maml task.train_shots=5 algorithm=maml_first_order": FIVE_WAY_MAML
    | with_shots(5, ways=5)
    | {"algorithm.first_order": True},
    "omniglot_20way_maml": TWENTY_WAY_MAML
    | with_shots(1, ways=20)
    | {"algorithm.first_order": False},
    "omniglot_20way_maml task.train_shots=5 algorithm=maml_first_order": TWENTY_WAY_MAML
    | with_shots(5, ways=20)
    | {"algorithm.first_order": True},
    "sine algorithm=reptile_sine": {
        "task.name": "sinusoid",
        "model.hidden": [64, 64],
        "algorithm.meta_iterations": 30_000,
        "algorithm.inner_optimizer": "sgd",
        "algorithm.inner_learning_rate": 0.02,
        "algorithm.loss_reduction": "mean",
        "algorithm.inner_batch": 10,
        "algorithm.inner_steps": 5,
        "algorithm.meta_batch": 1,
        "algorithm.outer_step": 0.1,
        "algorithm.outer_step_final": 0.0,
        "evaluation.shots": [10],
        "evaluation.batch": 10,
        "evaluation.steps": [0, 8, 16, 24, 32],
    },
}
TABLE_4 = {  # appendix A, table 4; the network as the authors' code has it
    "task.size": 84,
    "task.channels": 3,
    "task.ways": 5,
    "task.train_shots": 15,
    "task.rotations": False,
    "model.name": "conv_pool",
    "model.layers": 4,
    "model.filters": 32,
    "algorithm.name": "reptile",
    "algorithm.inner_optimizer": "adam",
    "algorithm.inner_learning_rate": 0.001,
    "algorithm.inner_batch": 10,
    "algorithm.inner_steps": 8,
    "algorithm.meta_batch": 5,
    "algorithm.meta_iterations": 100_000,
    "algorithm.outer_step": 1.0,
    "algorithm.outer_step_final": 0.0,
    "evaluation.steps": [50],
    "evaluation.transductive": [False, True],
    "evaluation.episodes": 10000,
}
PAPER |= {
    "mini_imagenet_1shot": TABLE_4 | {"evaluation.shots": [1], "evaluation.batch": 5},
    "mini_imagenet_5shot": TABLE_4 | {"evaluation.shots": [5], "evaluation.batch": 15},
}
COMBINATIONS = {  # section 6.2, figure 3: non-overlapping batches of 25
    "g1": [1],
    "g2": [0, 1],
    "g1+g2": [1, 1],
    "mean(g1+g2)": [1 / 2] * 2,
    "g3": [0, 0, 1],
    "g1+g2+g3": [1, 1, 1],
    "mean(g1+g2+g3)": [1 / 3] * 3,
    "g4": [0, 0, 0, 1],
    "g1+g2+g3+g4": [1, 1, 1, 1],
    "mean(g1+g2+g3+g4)": [1 / 4] * 4,
}
PAPER |= {
    f"combinations algorithm.name='{name}'": TABLE_5
    | {
        "algorithm.step_weights": weights,
        "algorithm.inner_steps": len(weights),
        "task.train_shots": 5 * len(weights),
        "algorithm.tail_shots": 0,
    }
    for name, weights in COMBINATIONS.items()
}
AXES = {  # what a sweep of the preset goes through
    "overlap_iterations": {
        "algorithm": {"reptile", "fomaml", "fomaml_replacement", "fomaml_separate"},
        "algorithm.inner_steps": set(range(1, 16)),
    },
    "overlap_batch": {
        "algorithm": {"reptile", "fomaml", "fomaml_replacement"},  # the other one: its header
        "algorithm.inner_batch": set(range(5, 101, 5)),
    },
    "overlap_step": {
        "algorithm": {"fomaml"},
        "algorithm.outer_step": {2.0**power for power in range(-8, 7)},
    },
    "combinations": {"algorithm.name": set(COMBINATIONS)},
    "omniglot_5way_maml": {
        "algorithm": {"maml", "maml_first_order"},
        "task.train_shots": {1, 5},
        "seed": {0, 1, 2},
    },
    "omniglot_5way": {"algorithm": {"reptile", "fomaml"}, "seed": {0, 1, 2}},
}
AXES |= {
    "omniglot_20way": AXES["omniglot_5way"],
    "omniglot_20way_maml": AXES["omniglot_5way_maml"],
}


@pytest.mark.parametrize("preset", PAPER)
def test_a_preset_has_the_values_of_the_paper(preset):
    experiment, *overrides = preset.split()
    composed = compose(f"+experiment={experiment}", *overrides)
    ours = {key: OmegaConf.select(composed, key) for key in PAPER[preset]}
    plain = {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in ours.items()
    }
    assert plain == PAPER[preset]


@pytest.mark.parametrize("preset", AXES)
def test_a_sweep_goes_along_the_axes_of_the_paper(preset):
    composed = compose(f"+experiment={preset}", with_hydra=True)
    swept = {key: values_of(f"{key}={text}") for key, text in composed.hydra.sweeper.params.items()}
    assert {key: swept[key] for key in AXES[preset]} == AXES[preset]


def values_of(override):
    """{1, 2} of "a=1,2", as Hydra's own sweeper reads it."""
    parsed = OverridesParser.create().parse_override(override)
    values = parsed.sweep_iterator() if parsed.is_sweep_override() else [parsed.value()]
    return {getattr(value, "text", value) for value in values}
