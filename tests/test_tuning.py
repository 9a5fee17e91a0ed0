"""What a search for settings looks at."""

import pytest
from omegaconf import OmegaConf

from benchmark.command import tuning


def row(steps, accuracy):
    return {"steps": steps, "metric": "accuracy", "accuracy": accuracy}


def test_the_objective_is_the_score_after_the_last_step():
    evaluations = [row(0, 0.2), row(50, 0.8), row(50, 0.9)]
    assert tuning.objective({"evaluations": evaluations}) == pytest.approx(0.85)


@pytest.mark.parametrize(
    ("classes", "splits", "line"),
    [
        (0, ["validation"], "error: task.validation_classes=0: must be at least task.ways=5 with"),
        (9, ["test"], "error: evaluation.splits=[test]: must be [validation] with a sweeper that"),
    ],
)
def test_a_search_needs_validation_classes_and_looks_at_no_others(classes, splits, line, caplog):
    task = {"ways": 5, "validation_classes": classes}
    cfg = OmegaConf.create({"task": task, "evaluation": {"splits": splits}})
    search = OmegaConf.create({"_target_": "optuna"})
    with pytest.raises(SystemExit) as ended:
        tuning.refuse_test_classes(cfg, search)
    assert ended.value.code == 2 and caplog.messages[0].startswith(line)
    tuning.refuse_test_classes(cfg, OmegaConf.create({"_target_": "BasicSweeper"}))
