"""What makes a run the same run: its settings, not where the code that they name stands."""

import json
import shutil

import pytest
from omegaconf import OmegaConf

from benchmark import adaptation, config
from benchmark.command.compose import compose
from benchmark.command.identity import MOVED, fingerprint
from benchmark.running.job import run_job
from results import records
from results.grouping import row_keys, summarise
from tests.command import PROJECT
from tests.forks import SINE
from tests.toy import settings

PUBLISHED = PROJECT / "results" / "published"
FOLDERS = sorted({path.parents[1].name for path in PUBLISHED.glob("*/*/record.json")})


def first_record(folder):
    return min((PUBLISHED / folder).glob("*/record.json"))


def with_other_paths(plain):
    """A configuration as the same program would record it after its files have moved."""
    return {
        key: node | {"_target_": f"benchmark.moved.{node['_target_'].rpartition('.')[2]}"}
        if isinstance(node, dict) and "_target_" in node
        else node
        for key, node in plain.items()
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_older_record_is_the_same_run_wherever_its_classes_stand(folder):
    plain = json.loads(first_record(folder).read_text())["config"]
    assert fingerprint(plain) == fingerprint(with_other_paths(plain))
    users = plain | {"model": plain["model"] | {"_target_": "mine.Conv"}}
    assert fingerprint(plain) != fingerprint(users)


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_older_record_joins_one_of_another_seed_and_other_paths(folder, tmp_path):
    file = first_record(folder)
    document = json.loads(file.read_text())
    shutil.copytree(file.parent, tmp_path / "older")
    plain = with_other_paths(document["config"]) | {"seed": document["config"]["seed"] + 100}
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "record.json").write_text(json.dumps(document | {"config": plain}))
    found = records.read_records([tmp_path])
    assert found.problems == []
    ours = found.completed[~found.completed["method"].isin(records.BASELINES)]
    keys = row_keys(ours, ["split", "shots", "transductive", "steps"])
    cells = summarise(ours, ["split", "shots", "transductive", "steps", *keys])
    assert cells["seeds"].tolist() == [2] * (len(ours) // 2)


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_older_record_still_says_how_to_adapt(folder):
    plain = json.loads(first_record(folder).read_text())["config"]
    for group, kind in adaptation.GROUPS.items():
        node = OmegaConf.create(plain[group])
        assert config.strict(group, config.target(group, node, kind), node).name


def test_a_directory_of_version_1_is_not_computed_again(tmp_path, caplog):
    caplog.set_level("INFO")
    plain = settings(*SINE).plain
    older = tmp_path / f"sine-{fingerprint(plain, version=1)[:8]}"
    older.mkdir()
    then = {now: before for before, now in MOVED.items()}
    path = plain["algorithm"]["_target_"]
    algorithm = plain["algorithm"] | {"_target_": then.get(path, path)}
    left = {"status": "completed", "fingerprint": "of version 1"}
    left |= {"config": plain | {"algorithm": algorithm}}
    (older / "record.json").write_text(json.dumps(left))
    newer = tmp_path / f"sine-{fingerprint(plain)[:8]}"
    assert run_job(compose(*SINE), newer, []) == left
    assert caplog.messages == [f"already completed: {older} (resume=false runs it again)"]
    assert not (newer / "record.json").exists()


def test_a_completed_record_of_version_1_in_the_given_directory_counts(tmp_path):
    left = {"status": "completed", "fingerprint": "of version 1", "config": settings(*SINE).plain}
    (tmp_path / "record.json").write_text(json.dumps(left))
    assert run_job(compose(*SINE), tmp_path, []) == left
