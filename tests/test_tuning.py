"""What a search for settings looks at."""

import pytest
from omegaconf import OmegaConf

from benchmark.command import tuning
from benchmark.running.parts import TRAINED, parts_of
from tests.toy import settings


def test_the_objective_is_the_score_after_the_last_step_of_what_is_asked():
    """A training that is taken over brings what it was asked before: test classes, more steps."""
    asked = settings(
        "task.validation_classes=9", "evaluation.splits=[validation]", "evaluation.steps=[5,0]"
    )
    accuracy = {0: 0.2, 5: 0.8}
    rows = [
        {"metric": "accuracy", "accuracy": accuracy[cell.steps], "scores": part.key(cell)}
        for part in parts_of(asked)
        for cell in part.cells
        if part.name == TRAINED
    ]
    other = [{"metric": "accuracy", "accuracy": 0.1, "scores": "test/5way/plain/9steps"}]
    assert tuning.objective({"evaluations": rows + other}, asked) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("classes", "splits", "line"),
    [
        (0, ["validation"], "error: task.validation_classes=0: must be at least task.ways=5 with"),
        (9, ["test"], "error: evaluation.splits=[test]: must be [validation] with a sweeper that"),
        (9, None, "error: evaluation.splits=None: must be [validation] with a sweeper that"),
        (9, "test", "error: evaluation.splits=test: must be [validation] with a sweeper that"),
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
