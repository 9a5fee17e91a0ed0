"""The studies of conf/experiment as a table: what each shows, its runs, what one of them costs.

The cost comes from committed records of the study: the seconds of a meta-iteration and of an
episode of its evaluation, times how many the paper's budget has, and those of its learning curve.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from benchmark.command.compose import compose
from results import records

PROJECT = Path(__file__).parent.parent
EXPERIMENTS = PROJECT / "conf" / "experiment"
PUBLISHED = PROJECT / "results" / "published"
TITLE = re.compile(r"(?:\([^)]*\)|[^(:.])+")
ITERATIONS, EPISODES = "algorithm.meta_iterations", "evaluation.episodes"


def studies_table(pattern: str) -> str:
    """Every study whose title matches `pattern` (all, with an empty one) as a Markdown table."""
    rows = [row for row in study_rows() if re.search(pattern, row["what it shows"])]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


@functools.cache
def study_rows() -> list[dict[str, str]]:
    """The line of every study."""
    runs = records.read_records([PUBLISHED]).runs
    return [study_row(file, runs) for file in sorted(EXPERIMENTS.glob("*.yaml"))]


def study_row(file: Path, runs: pd.DataFrame) -> dict[str, str]:
    """One line of the table: name, title, number of runs, cost of one."""
    config = compose(f"+experiment={file.stem}", with_hydra=True)
    swept = sweep_of(config)
    count = len(jobs([f"{key}={values}" for key, values in swept.items()]))
    return {
        "`+experiment=`": f"`{file.stem}`",
        "what it shows": title(file),
        "runs": str(count),
        "time per run": duration(seconds_a_run(config, ITERATIONS in swept, runs, file.stem)),
    }


def title(file: Path) -> str:
    """The first sentence of a preset's header, up to its colon."""
    lines = file.read_text(encoding="utf-8").splitlines()[1:]
    header = " ".join(line.removeprefix("#").strip() for line in lines[: lines.index("#")])
    match = TITLE.match(header)
    assert match, f"{file.name}: the header begins with what it shows"
    return match[0]


def sweep_of(config: DictConfig) -> dict[str, str]:
    """The swept keys of a study with their values, joined by commas."""
    return {key: str(value) for key, value in (config.hydra.sweeper.params or {}).items()}


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job that `--multirun` makes of these."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return BasicSweeper.split_arguments(parsed, None)[0]


def seconds_a_run(config: DictConfig, swept: bool, runs: pd.DataFrame, study: str) -> float | None:
    """Seconds of a run at the paper's budget, the mean over the study's longest committed runs.

    Of runs that differ in their seed alone, the quickest counts: the others shared their machine.
    swept: whether the study sweeps the meta-iterations, so that each record is its own budget.
    """
    own = runs[runs["experiment"].eq(study).fillna(False)]
    own = own[own["model.name"] == OmegaConf.select(config, "model.name")]  # since replaced
    if not swept:  # a short run says little of a long one
        own = own[own[ITERATIONS] == own[ITERATIONS].max()]
    own = own.sort_values("timing.train_seconds")
    settings = [key for key in own if key.startswith(("algorithm.", "task.", "model."))]
    quickest = own.groupby(records.cell_numbers(own, settings)).head(1)
    costs = list(scaled(quickest, config, swept))
    return sum(costs) / len(costs) if costs else None


def scaled(runs: pd.DataFrame, config: DictConfig, swept: bool) -> Iterator[float]:
    """Seconds that each record's run would take at the budget of `config`."""
    for run in runs.to_dict("records"):
        iterations = run[ITERATIONS] if swept else OmegaConf.select(config, ITERATIONS)
        episodes = OmegaConf.select(config, EPISODES) / run[EPISODES]
        training = run["timing.train_seconds"] * iterations / run[ITERATIONS]
        evaluation = run["timing.evaluation_seconds"] * episodes
        yield training + run["timing.curve_seconds"] + evaluation


def duration(seconds: float | None) -> str:
    """'40 s', '12 min' or '5.1 h'; '-' where nothing was measured."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    print(studies_table(""))
