"""`python -m scripts.episode_classes DIR...`: tell older records what other test classes would add.

Since records keep the classes of their episodes, each evaluation says how far the choice of the
test classes carries it (`ci95_classes`). Episodes are a function of seed, split and number, so
those of a record from before are drawn again, without any training: their classes go into its
scores.npz, the widths into its record.json. The nearest-neighbour line, which depends on the
episodes alone, is scored again on them; where it differs from the recorded one, they are others and
nothing changes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from benchmark import config
from benchmark.adaptation import GROUPS
from benchmark.evaluation import Evaluator, Protocol
from benchmark.network import build_network
from benchmark.running import record
from results import schema
from results.reading import DamagedRecord, read_arrays, read_record
from results.statistics import new_classes


def main(directories: list[str]) -> int:
    """Work through every completed record below the directories; 1 where one could not be told."""
    files = sorted(f for d in directories for f in Path(d).rglob(schema.RECORD))
    said = [(file.parent, told(file)) for file in files]
    for directory, text in said:
        print(f"{directory}: {text}")
    return int(any(text.startswith("error") for _, text in said))


def told(file: Path) -> str:
    """Tell one record; what was done, or why not."""
    try:
        document, scores = read_record(file), read_arrays(file.with_name(schema.SCORES))
    except DamagedRecord as error:
        return f"error: {error}"
    rows = [*document["evaluations"], *document["baselines"]]
    if document["status"] != "completed" or rows[0]["metric"] != "accuracy":
        return "left alone: no completed classification"
    if rows[0].get("classes"):
        return "left alone: it knows its classes"
    evaluator = evaluator_of(document["config"])
    sizes = evaluator.task.sizes()
    if sizes is None or getattr(evaluator.task, "within_alphabet", False):
        return "left alone: its classes are not drawn alike from a fixed set"
    for split in {row["split"] for row in rows}:
        of_split = [row for row in rows if row["split"] == split]
        problem = add_classes(of_split, scores, evaluator, sizes[split].classes)
        if problem:
            return f"error: {problem}"
    write(file.parent, document, scores)
    return "its intervals are known for other classes, too"


def evaluator_of(plain: dict[str, Any]) -> Evaluator:
    """What draws the episodes of a run's configuration again."""
    nodes = OmegaConf.create({group: plain[group] for group in (*GROUPS, "evaluation")})
    task, model, algorithm = (
        config.strict(group, config.target(group, nodes[group], GROUPS[group]), nodes[group])
        for group in ("task", "model", "algorithm")
    )
    evaluation = config.strict("evaluation", config.Evaluation, nodes["evaluation"])
    inner = algorithm.inner_loop(build_network(model, task, plain["seed"]), task.metric)
    replacement = algorithm.replacement
    return Evaluator(inner, task.load(), task, evaluation, replacement, plain["seed"])


def add_classes(
    rows: list[dict[str, Any]], scores: dict[str, np.ndarray], evaluator: Evaluator, total: int
) -> str:
    """Classes into `scores`, widths into `rows` of one split; a problem where episodes differ."""
    most = max(row["episodes"] for row in rows)
    found = evaluator.nearest_neighbour(Protocol(rows[0]["split"], rows[0]["shots"]), 0, most)
    for row in rows:
        if row.get("method") == "nearest_neighbour" and row["shots"] == rows[0]["shots"]:
            again = found.values[: row["episodes"]].ravel()
            if not np.allclose(again, scores[row["scores"]], atol=1e-6):
                return "its episodes cannot be drawn again: other data, or another way to draw"
    key = schema.classes_key(rows[0]["split"], rows[0]["ways"])
    scores[key] = found.classes.astype(np.int16)
    for row in rows:
        values = scores[row["scores"]]
        width = new_classes(values, scores[key][: len(values)], total)
        row |= {"classes": key, "ci95_classes": None if np.isnan(width) else width}
    return ""


def write(directory: Path, document: dict[str, Any], scores: dict[str, np.ndarray]) -> None:
    """Scores first, then the record, sealed anew where it was sealed."""
    record.write_scores(directory, scores)
    if "digests" in document:
        content = (directory / schema.SCORES).read_bytes()
        document["digests"][schema.SCORES] = schema.digest(content)
    if "seal" in document:
        document["seal"] = schema.seal(document)
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    record.write_file(directory / schema.RECORD, text.encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
