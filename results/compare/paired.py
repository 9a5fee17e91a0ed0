"""`--compare A B`: one method against another, or all others, on the same episodes."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import pandas as pd

from results import formats, records, schema
from results.compare import contrasts
from results.compare.contrasts import Reader, Side
from results.grouping import BadOption, row_keys, select, varying_keys
from results.labels import protocol_labels, row_label, short_key, show_value
from results.tables import DEFAULT_COLUMNS, as_printed

OTHERS = "others"
PAIRED = (
    *("first", "second", "difference", "ci95", "interval_over", "seeds", "episodes", "paired"),
    "metric",
)
ALIKE = ("task.name", *(key for key in schema.PROTOCOL if key not in ("steps", "episodes")))
"""Besides what was tested: what names a protocol, a missing value apart."""

OF_SIDE = ("row", "run", "scores", "classes", "test_classes")
"""What a pair has of each side."""


class Keys(NamedTuple):
    """What evaluations are matched by.

    alike: what both of a pair agree in, a missing value being one; shared: the same, but a missing
    value agrees; swept: what varies on both sides; context: what tells pairs apart but the seed.
    """

    alike: list[str]
    shared: list[str]
    swept: list[str]
    context: list[str]


def paired_table(found: records.Records, first: str, second: str) -> tuple[pd.DataFrame, list[str]]:
    """Difference of two methods on the same episodes, or of two means where these differ.

    Args:
        first, second: a method's name, or conditions `key=value` joined by `;`; first may be
            'others': whatever is not second.

    Returns:
        (table, problems). The table has one line a protocol (and whatever else varies): the keys,
        first, second, difference, ci95, interval_over, seeds, episodes, paired (whether the
        episodes are the same, as far as their classes tell); unit as in the records.
        Episode i is the same task however many there are, so where one side has fewer (baselines),
        as many of the other are compared. Evaluations without a counterpart and pairs without
        per-episode scores are left out and named in problems.

    Raises:
        BadOption: a side matches nothing, or no two evaluations share seed, data and protocol.
    """
    pairs, keys, lone = pairs_of(found, first, second)
    table, problems = differences_of(pairs, keys)
    return table, [*lone, *problems]


def pairs_of(
    found: records.Records, first: str, second: str
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The evaluations of two methods that met the same episodes, the keys of their protocols, and
    lines about evaluations that have no counterpart.

    A line a pair: the keys, seed, and of each side run_first, scores_first, classes_first,
    test_classes_first. Arguments and errors are those of `paired_table`.
    """
    frame = found.completed
    reference = side_of(frame, second)
    others = frame.drop(reference.index) if first == OTHERS else side_of(frame, first)
    if others.empty:
        raise BadOption(f"every evaluation is one of {second!r}: there are no others")
    if others.index.equals(reference.index):
        raise BadOption(f"{first!r} and {second!r} are the same evaluations")
    keys = keys_of([others, reference], first == OTHERS)
    sides = [side.assign(row=side.index) for side in (others, reference)]
    pairs = pair_up(sides, keys, second)
    if pairs.empty:
        raise BadOption(
            f"no evaluation of {first!r} shares seed, data and protocol with one of {second!r}"
        )
    said = [key for key in map(str, pairs) if key in keys.context or key.endswith(of_side(second))]
    return pairs, said, left_over(sides, pairs, (first, second))


def keys_of(sides: Sequence[pd.DataFrame], others: bool) -> Keys:
    """What evaluations of both sides are matched by."""
    known = [str(key) for key in sides[0]]
    data = [key for key in ("task.name", "data.test", "version") if key in known]
    shared = ["seed", *(key for key in schema.PROTOCOL if key != "episodes"), *data]
    # What varies on both sides (a sweep of both methods over budgets) pairs like with like.
    both = [key for key in varying_keys(sides[0]) if varies(key, sides[1])]
    swept = [key for key in both if key not in (*shared, "method")]
    spanning = [key for side in sides for key in row_keys(side, [*shared, *swept])]
    spanning += ["method"] if others else []
    alike = [key for key in known if key in ALIKE or key.startswith("tested.")]
    alike += ["method"] if "method" in both and not others else []
    return Keys(alike, shared, swept, list(dict.fromkeys([*shared[1:], *swept, *spanning])))


def side_of(frame: pd.DataFrame, side: str) -> pd.DataFrame:
    """The evaluations of a method, or of conditions joined by `;`."""
    return select(frame, side.split(";") if "=" in side else [f"method={side}"])


def of_side(name: str) -> str:
    """Ends the name of a setting of one side where the other has its own."""
    return f" of {name}"


def pair_up(sides: Sequence[pd.DataFrame], keys: Keys, second: str) -> pd.DataFrame:
    """Evaluations of both sides that met the same episodes, matched.

    Each method, metric and protocol is matched by itself, so that what one of them lacks keeps no
    other from its counterpart.
    """
    several = [key for key in keys.context if varies(key, sides[1])]
    wholes = [parts_by(side, keys.alike) for side in sides]
    made = []
    for name in (name for name in wholes[0] if name in wholes[1]):
        of_methods = [parts_by(whole[name], ["method"]).values() for whole in wholes]
        varying = [key for key in several if varies(key, wholes[1][name])]
        apart = {key: f"{key}{of_side(second)}" for key in varying}
        made += [match(left, right, keys, apart) for left, right in product(*of_methods)]
    return pd.concat(made, ignore_index=True) if made else pd.DataFrame()


def varies(key: str, frame: pd.DataFrame) -> bool:
    """Whether a column has several values, a missing one among them."""
    return bool(frame[key].nunique(dropna=False) > 1)


def parts_by(frame: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[str, ...], pd.DataFrame]:
    """The rows of each value of the keys; missing values are one."""
    groups: Any = frame.groupby(list(keys), dropna=False, sort=False)
    return {tuple(map(show_value, name)): group for name, group in groups}


def match(
    left: pd.DataFrame, right: pd.DataFrame, keys: Keys, apart: Mapping[str, str]
) -> pd.DataFrame:
    """The pairs of two methods under one protocol; none of an evaluation with itself.

    A setting that one side does not have, or that only one side varies, stays out of the match. It
    is the left side's; what the right varies (`apart`) is there of the right too, under the name
    given there, or under its own where the left has none.
    """
    parts = (left, right)
    both = [key for key in keys.shared if all(part[key].notna().any() for part in parts)]
    both += [key for key in keys.swept if all(map(partial(varies, key), parts))]
    lacking = [key for key in apart if key not in both and left[key].isna().all()]
    named = {key: name for key, name in apart.items() if key not in (*both, *lacking)}
    kept = [key for key in OF_SIDE if key in left]
    own = [key for key in keys.context if key not in (*both, *lacking)]
    first = left[[*both, *own, *kept]]
    other = right[[*both, *lacking, *named, *kept]].rename(columns=named)
    pairs = first.merge(other, on=both, suffixes=("_first", "_second"))
    return pairs[pairs["row_first"] != pairs["row_second"]]


def left_over(
    sides: Sequence[pd.DataFrame], pairs: pd.DataFrame, names: Sequence[str]
) -> list[str]:
    """A line for each side that has evaluations without a counterpart."""
    lines = []
    for here, there, which in ((0, 1, "first"), (1, 0, "second")):
        rows = sides[here]
        met = rows.index.isin(pairs[f"row_{which}"]) | rows.index.isin(sides[there].index)
        keys = ["method", *DEFAULT_COLUMNS, *(["tested.name"] if "tested.name" in rows else [])]
        lone: Any = rows.loc[~met, keys].drop_duplicates().to_dict("records")
        if lone:
            shown = records.some(map(row_label, lone))
            lines.append(f"not (or not each seed) compared with {names[there]!r}: {shown}")
    return lines


def measured(group: pd.DataFrame, reader: Reader) -> list[Side]:
    """Both sides of a group of pairs, a line a seed.

    Raises:
        ValueError: a seed is there more than once, or scores are missing (DamagedRecord).
    """
    if (again := group["seed"].duplicated()).any():
        seed = show_value(group.loc[again, "seed"].iloc[0])
        runs = records.some(sorted({*group["run_first"], *group["run_second"]}))
        raise ValueError(f"not compared: seed {seed} is there more than once, in {runs}")
    return [
        reader.side(group.rename(columns={f"{key}_{name}": key for key in OF_SIDE}))
        for name in ("first", "second")
    ]


def differences_of(pairs: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """One line a group of `keys`, over its seeds."""
    lines, problems, reader = [], [], Reader()
    for values, group in pairs.groupby(list(keys), dropna=False, sort=True):
        try:
            sides = measured(group, reader)
        except ValueError as error:
            problems.append(str(error))
            continue
        lines.append({**dict(zip(keys, values, strict=True)), **difference_of(*sides)})
    return pd.DataFrame(lines), problems


def difference_of(first: Side, second: Side) -> dict[str, Any]:
    """Both means and their difference: of two independent means where the episodes differ."""
    same = contrasts.same_episodes(first, second)
    found = (contrasts.paired if same else contrasts.unpaired)(first, second)
    means = contrasts.shared_means(first, second) if same else map(contrasts.mean, (first, second))
    return {
        **dict(zip(("first", "second"), means, strict=True)),
        "difference": found.mean,
        "ci95": found.half_width(),
        "interval_over": found.over,
        "seeds": found.seeds,
        "episodes": found.episodes,
        "paired": found.paired,
    }


def paired_layout(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The paired comparison as printed."""
    keys = [str(key) for key in table if key not in (*PAIRED, *DEFAULT_COLUMNS)]
    told = of_side(names[1])
    extra = [k for k in keys if k == "method" or k.endswith(told) or varies(k, table)]
    over = zip(
        *(table[key] for key in ("interval_over", "seeds", "episodes", "paired")), strict=True
    )
    return pd.DataFrame(
        {
            "protocol": protocol_labels(table),
            **{short_key(key, extra): as_printed(key, table[key]) for key in extra},
            names[0]: numbers(table, "first"),
            names[1]: numbers(table, "second"),
            "difference": differences(table),
            "± over": [
                (f"{e} episodes" if kind == "episodes" else f"{n} seeds of {e} episodes")
                + ("" if same else ", unpaired")
                for kind, n, e, same in over
            ],
        }
    )


def numbers(table: pd.DataFrame, key: str, sign: str = "") -> list[str]:
    """A column as printed: accuracies in percent, other scores as they are."""
    return [
        f"{100 * value:{sign}.2f}" if metric == "accuracy" else f"{value:{sign}.3g}"
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
        + (
            ""
            if table["paired"].all()
            else " Unpaired: the episodes differ; two independent means."
        )
    ]
    return formats.write(said, paired_layout(table, names), [], style)
