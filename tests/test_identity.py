"""What makes a run the same run: its settings, not where the code that they name stands."""

import json
import shutil

import pytest
from omegaconf import OmegaConf

from benchmark import adaptation, config
from benchmark.command.identity import fingerprint
from results import records
from results.grouping import row_keys, summarise
from tests.command import PROJECT

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
    newer = document | {"config": plain}
    newer.pop("seal", None)  # it is of another configuration
    (tmp_path / "newer" / "record.json").write_text(json.dumps(newer))
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
