"""Ours against the published numbers, and one method against another on the same episodes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from results import reading, records, schema, statistics
from results.grouping import BadOption, row_keys, select, summarise, varying_keys

PUBLISHED = Path(__file__).parent / "published"


def published_numbers() -> pd.DataFrame:
    """Every published number in `results/published/*.csv`.

    Columns: method, ways, shots, transductive, accuracy and half_width (percent; missing where not
    stated), interval (what ± means), meta_iterations, steps, train_shots (the paper's settings),
    comparable (whether tables compare with it), source, file.
    """
    frames = [pd.read_csv(file).assign(file=file.stem) for file in sorted(PUBLISHED.glob("*.csv"))]
    return pd.concat(frames, ignore_index=True).convert_dtypes()


def compare_with_published(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Our cells that have a published counterpart, side by side.

    A counterpart has the same method, ways, shots and transduction; ours must be Omniglot with the
    paper's split, test classes and the paper's network.

    Args:
        frame: evaluations; keys: what spans a cell (`summarise`), in the order of the lines.

    Returns:
        The keys, mean, ci95, interval_over, seeds, episodes (percent), published, published_ci95,
        published_interval, difference, joint_ci95 (root of the summed squares), verdict ('within',
        'above', 'below' the joint interval), settings ('the paper's', or what was changed, such
        as 'partial: 2 % of 100000 meta-iterations'), source.
    """
    eligible = frame[(frame["metric"] == "accuracy") & (frame["split"] == "test")]
    needed = {"task.name": "omniglot", "task.split": "paper", "model.name": "conv"}
    for key, value in needed.items():
        eligible = (
            eligible[eligible[key].eq(value).fillna(False)]
            if key in eligible
            else eligible.iloc[:0]
        )
    if eligible.empty:
        return pd.DataFrame()
    settings = {
        "algorithm.meta_iterations": "meta_iterations",
        "steps": "steps",
        "task.train_shots": "train_shots",
    }
    identity = ["method", "ways", "shots", "transductive"]
    own = [key for key in settings if key in eligible]
    keys = list(dict.fromkeys([*keys, *identity, *own]))
    ours = summarise(eligible, keys).sort_values(keys)
    numbers = published_numbers()
    theirs = numbers[numbers["comparable"].eq(True)].rename(
        columns={
            **{v: f"paper.{v}" for v in settings.values()},
            "accuracy": "published",
            "half_width": "published_ci95",
            "interval": "published_interval",
        }
    )
    both = ours.merge(theirs.drop(columns=["comparable", "file"]), on=identity)
    both[["mean", "ci95"]] *= 100
    both["difference"] = both["mean"] - both["published"].astype(float)
    other = both["published_ci95"].astype("Float64").to_numpy(dtype=float, na_value=0.0)
    both["joint_ci95"] = np.hypot(both["ci95"], other)
    both["verdict"] = [
        statistics.verdict(d, w)
        for d, w in zip(both["difference"], both["joint_ci95"], strict=True)
    ]
    both["settings"] = [changed(line, settings) for _, line in both.iterrows()]
    return both.drop(columns=[f"paper.{v}" for v in settings.values()])


def changed(line: pd.Series, settings: dict[str, str]) -> str:
    """How a run of ours departs from the paper's budget and settings."""
    changes = []
    for ours, theirs in settings.items():
        value, paper = line.get(ours), line[f"paper.{theirs}"]
        if pd.isna(paper) or pd.isna(value) or value == paper:
            continue
        if theirs == "meta_iterations":
            kind = "partial" if value < paper else "larger"
            changes.append(f"{kind}: {100 * value / paper:.3g} % of {paper} meta-iterations")
        else:
            changes.append(f"{value} {theirs.replace('_', ' ')} (paper {paper})")
    return "; ".join(changes) or "the paper's"


def paired_table(found: records.Records, first: str, second: str) -> tuple[pd.DataFrame, list[str]]:
    """Difference of two methods on the same episodes.

    Args:
        first, second: a method's name, or conditions `key=value` joined by `;`.

    Returns:
        (table, problems). The table has one line a protocol (and whatever else varies): the keys,
        first, second, difference, ci95, interval_over, seeds, episodes; unit as in the records.
        Episode i is the same task however many there are, so where one side has fewer (baselines),
        as many of the other are compared. A pair without per-episode scores is left out and named
        in problems.

    Raises:
        BadOption: a side matches nothing, or no two evaluations share seed, data and protocol.
    """
    frame = found.completed
    sides = [
        select(frame, side.split(";") if "=" in side else [f"method={side}"])
        for side in (first, second)
    ]
    protocol = [key for key in schema.PROTOCOL if key != "episodes"]
    shared = [
        "seed",
        *protocol,
        *(key for key in ("task.name", "data.test", "version") if key in frame),
    ]
    # What varies on both sides (a sweep of both methods over budgets) pairs like with like.
    swept = [
        key
        for key in varying_keys(sides[0])
        if key in varying_keys(sides[1]) and key not in shared and key != "method"
    ]
    spanning = [key for side in sides for key in row_keys(side, [*shared, *swept])]
    context = list(dict.fromkeys([*(key for key in shared if key != "seed"), *swept, *spanning]))
    pairs = pair_up(sides, [*shared, *swept], context)
    if pairs.empty:
        raise BadOption(
            f"no evaluation of {first!r} shares seed, data and protocol with one of {second!r}"
        )
    return differences_of(pairs, [key for key in context if key in pairs])


def pair_up(
    sides: Sequence[pd.DataFrame], on: Sequence[str], context: Sequence[str]
) -> pd.DataFrame:
    """Evaluations of both sides that met the same episodes, matched; a setting that a baseline
    does not have, or that only one side varies, stays out of the match."""
    both = [key for key in on if all(side[key].notna().any() for side in sides)]
    kept = ["run", "scores"]
    left = sides[0][list(dict.fromkeys([*both, *context, *kept]))]
    extra = [key for key in context if key not in both and sides[0][key].isna().all()]
    right = sides[1][[*both, *extra, *kept]]
    return left.drop(columns=extra).merge(right, on=both, suffixes=("_first", "_second"))


def differences_of(pairs: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """One line a group of `keys`, over its seeds."""
    lines, problems = [], []
    for values, group in pairs.groupby(list(keys), dropna=False, sort=True):
        try:
            first, second = common_episodes(group)
            estimate = statistics.paired_difference(first, second)
        except ValueError as error:
            problems.append(str(error))
            continue
        lines.append(
            {
                **dict(zip(keys, values, strict=True)),
                "first": np.mean([scores.mean() for scores in first]),
                "second": np.mean([scores.mean() for scores in second]),
                "difference": estimate.mean,
                "ci95": estimate.half_width,
                "interval_over": estimate.over,
                "seeds": estimate.seeds,
                "episodes": estimate.episodes,
            }
        )
    return pd.DataFrame(lines), problems


def common_episodes(group: pd.DataFrame) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Scores [episodes] of each seed, of both sides, cut to the episodes they share.

    Raises:
        DamagedRecord: scores are missing.
    """
    first, second = (
        [
            reading.load_scores(run, key)
            for run, key in zip(group[f"run_{side}"], group[f"scores_{side}"], strict=True)
        ]
        for side in ("first", "second")
    )
    shared = [min(a.size, b.size) for a, b in zip(first, second, strict=True)]
    return (
        [scores[:n] for scores, n in zip(first, shared, strict=True)],
        [scores[:n] for scores, n in zip(second, shared, strict=True)],
    )
