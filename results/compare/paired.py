"""`--compare A B`: one method against another, or all others, on the same episodes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from results import formats, reading, records, schema, statistics
from results.grouping import BadOption, row_keys, select, varying_keys
from results.labels import protocol_labels, short_key
from results.tables import DEFAULT_COLUMNS, as_printed

OTHERS = "others"
PAIRED = ("first", "second", "difference", "ci95", "interval_over", "seeds", "episodes", "metric")


def paired_table(found: records.Records, first: str, second: str) -> tuple[pd.DataFrame, list[str]]:
    """Difference of two methods on the same episodes.

    Args:
        first, second: a method's name, or conditions `key=value` joined by `;`; first may be
            'others': whatever is not second.

    Returns:
        (table, problems). The table has one line a protocol (and whatever else varies): the keys,
        first, second, difference, ci95, interval_over, seeds, episodes; unit as in the records.
        Episode i is the same task however many there are, so where one side has fewer (baselines),
        as many of the other are compared. A pair without per-episode scores is left out and named
        in problems.

    Raises:
        BadOption: a side matches nothing, or no two evaluations share seed, data and protocol.
    """
    return differences_of(*pairs_of(found, first, second))


def pairs_of(found: records.Records, first: str, second: str) -> tuple[pd.DataFrame, list[str]]:
    """The evaluations of two methods that met the same episodes, and the keys of their protocols.

    A line a pair: the keys, seed, and of each side run_first, scores_first, classes_first,
    test_classes_first. Arguments and errors are those of `paired_table`.
    """
    frame = found.completed
    reference = side_of(frame, second)
    others = frame.drop(reference.index) if first == OTHERS else side_of(frame, first)
    if others.empty:
        raise BadOption(f"every evaluation is one of {second!r}: there are no others")
    sides = [others, reference]
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
    spanning += ["method"] if first == OTHERS else []
    context = list(dict.fromkeys([*(key for key in shared if key != "seed"), *swept, *spanning]))
    pairs = pair_up(sides, [*shared, *swept], context)
    if pairs.empty:
        raise BadOption(
            f"no evaluation of {first!r} shares seed, data and protocol with one of {second!r}"
        )
    return pairs, [key for key in context if key in pairs]


def side_of(frame: pd.DataFrame, side: str) -> pd.DataFrame:
    """The evaluations of a method, or of conditions joined by `;`."""
    return select(frame, side.split(";") if "=" in side else [f"method={side}"])


def pair_up(
    sides: Sequence[pd.DataFrame], on: Sequence[str], context: Sequence[str]
) -> pd.DataFrame:
    """Evaluations of both sides that met the same episodes, matched; a setting that a baseline
    does not have, or that only one side varies, stays out of the match."""
    both = [key for key in on if all(side[key].notna().any() for side in sides)]
    kept = [key for key in ("run", "scores", "classes", "test_classes") if key in sides[0]]
    left = sides[0][list(dict.fromkeys([*both, *context, *kept]))]
    extra = [key for key in context if key not in both and sides[0][key].isna().all()]
    right = sides[1][[*both, *extra, *kept]]
    return left.drop(columns=extra).merge(right, on=both, suffixes=("_first", "_second"))


def differences_of(pairs: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """One line a group of `keys`, over its seeds."""
    lines, problems = [], []
    for values, group in pairs.groupby(list(keys), dropna=False, sort=True):
        try:
            first, second = common_episodes(group, ("first", "second"))
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


def common_episodes(group: pd.DataFrame, sides: Sequence[str]) -> list[list[np.ndarray]]:
    """Scores [episodes] of each side and seed, cut to the episodes that a seed's sides share.

    Args:
        group: a line a seed, with run_SIDE and scores_SIDE for each side.

    Raises:
        DamagedRecord: scores are missing.
    """
    scores = [
        [
            reading.load_scores(run, key)
            for run, key in zip(group[f"run_{side}"], group[f"scores_{side}"], strict=True)
        ]
        for side in sides
    ]
    shared = [min(len(part) for part in of_seed) for of_seed in zip(*scores, strict=True)]
    return [[part[:n] for part, n in zip(side, shared, strict=True)] for side in scores]


def paired_layout(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The paired comparison as printed."""
    keys = [str(key) for key in table if key not in (*PAIRED, *DEFAULT_COLUMNS)]
    extra = [key for key in keys if key == "method" or table[key].nunique(dropna=False) > 1]
    over = zip(table["interval_over"], table["seeds"], table["episodes"], strict=True)
    return pd.DataFrame(
        {
            "protocol": protocol_labels(table),
            **{short_key(key, extra): as_printed(key, table[key]) for key in extra},
            names[0]: numbers(table, "first"),
            names[1]: numbers(table, "second"),
            "difference": differences(table),
            "± over": [
                f"{e} episodes" if kind == "episodes" else f"{n} seeds of {e} episodes"
                for kind, n, e in over
            ],
        }
    )


def numbers(table: pd.DataFrame, key: str, sign: str = "") -> list[str]:
    """A column as printed: accuracies in percent, other scores as they are."""
    return [
        f"{100 * value:{sign}.2f}" if metric == "accuracy" else f"{value:{sign}.4f}"
        for value, metric in zip(table[key], table["metric"], strict=True)
    ]


def differences(table: pd.DataFrame) -> list[str]:
    """Each difference with the half-width of its interval; `-` where one episode gives none."""
    parts = zip(numbers(table, "difference", "+"), numbers(table, "ci95"), strict=True)
    return [f"{difference} ± {width}".replace("nan", "-") for difference, width in parts]


def render_paired(table: pd.DataFrame, names: Sequence[str], style: str) -> str | bytes:
    """A paired comparison (`paired_table`) in any of `formats.STYLES`."""
    if style in formats.NUMBERS:
        return formats.write([], table, [], style)
    units = {"accuracy": "accuracy in percent", "mse": "squared error as it is"}
    said = [
        f"{names[0]} minus {names[1]} on the same episodes; ± is the half-width of the 95 % "
        f"interval of the difference ({', '.join(units[m] for m in table['metric'].unique())})."
    ]
    return formats.write(said, paired_layout(table, names), [], style)
