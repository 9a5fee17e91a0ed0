"""`--against`: the same table from two sets of records, cell by cell.

Two sweeps, two versions of the code, two machines: what became better or worse by more than noise,
what the settings differ in, and what only one of the two has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from results import formats, records, statistics
from results.compare import contrasts
from results.compare.contrasts import Contrast, Part, Reader, Side
from results.compare.standing import ALPHA, comparable, groups_of, narrowed, sign_of
from results.grouping import BadOption, longest, row_keys, summarise
from results.labels import (
    about_this_run,
    column_label,
    counted,
    method_name,
    short_key,
    show_value,
)
from results.tables import DEFAULT_COLUMNS, show_difference, show_number

CELL = ("method", "metric", "split", *DEFAULT_COLUMNS, "steps", "queries")
"""What both sides of a comparison must agree in, besides what varies within one of them."""

STATED = ("value", "ci95", "ci95_classes", "episodes")
"""What a record says of an evaluation, besides its scores."""

SOFTWARE = {
    "environment.project": "project version",
    "environment.commit": "commit",
    "environment.device": "device",
    "environment.python": "Python",
    "environment.tensorflow": "TensorFlow",
}


@dataclass(frozen=True)
class Cell:
    """One side's evaluations of a cell, and its keys, mean and ci95."""

    evaluations: pd.DataFrame
    line: Mapping[str, Any]


@dataclass(frozen=True)
class Against:
    """Two sets of records side by side.

    Attributes:
        lines: one line a cell of either: the keys, old, old_ci95, new, new_ci95 (over what both
            have where they are paired; missing on a side that does not have it), difference (new
            minus old), half_width and half_width_new_classes (of the interval that decides, at
            `level`), level, p_value (corrected for the number of cells), verdict ('better',
            'worse', 'noise', 'not known'; 'only old', 'only new'), paired, interval_over, seeds,
            episodes, metric.
        keys: what names a cell.
        settings: 'key: old -> new', of each setting that differs as a whole.
    """

    lines: pd.DataFrame
    keys: list[str]
    settings: list[str]

    @property
    def worse(self) -> bool:
        """Whether some cell became worse by more than noise."""
        return bool(self.lines["verdict"].eq("worse").any())


def against(new: records.Records, old: records.Records) -> Against:
    """Each cell of `new` and `old`, and the difference of those that both have.

    Raises:
        BadOption: they share no cell, or one has none.
    """
    sides = (new.completed, old.completed)
    if any(side.empty for side in sides):
        raise BadOption("no completed evaluation on one side")
    keys = keys_of(sides)
    cells = [cells_of(frame, keys) for frame in sides]
    shared = [name for name in cells[1] if name in cells[0]]
    if not shared:
        raise BadOption("no cell is in both; they differ in " + "; ".join(differing(sides, [])))
    lines = compared([(cells[0][name], cells[1][name]) for name in shared], keys)
    lines += [one_sided(cells[1][name], keys, "old") for name in cells[1] if name not in cells[0]]
    lines += [one_sided(cells[0][name], keys, "new") for name in cells[0] if name not in cells[1]]
    settings = [*differing(sides, keys), *differing_software(new.runs, old.runs)]
    return Against(pd.DataFrame(lines), keys, settings)


def keys_of(sides: Sequence[pd.DataFrame]) -> list[str]:
    """What names a cell: CELL, and what varies within a side."""
    given = [key for key in CELL if all(key in side for side in sides)]
    varying = [key for side in sides for key in row_keys(side, given)]
    return [*given, *dict.fromkeys(key for key in varying if key != "episodes")]


def cells_of(frame: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[str, ...], Cell]:
    """Each cell under its name; of several evaluations of a seed, the longest."""
    kept = narrowed(frame, [*keys, *STATED])
    kept = kept.reindex(columns=list(dict.fromkeys([*kept, *keys])))
    kept = longest(kept, [*keys, "seed"]).sort_index()
    cells = summarise(kept, keys).sort_values(list(keys), ignore_index=True)
    groups, lines = groups_of(kept, cells, keys), cells.to_dict("records")
    named: Any = [(tuple(show_value(line[key]) for key in keys), line) for line in lines]
    return {name: Cell(groups[place], line) for place, (name, line) in enumerate(named)}


# --- differences ----------------------------------------------------------------------------------


def compared(pairs: Sequence[tuple[Cell, Cell]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """One line a cell that both sides have; the verdicts are corrected for their number."""
    reader = Reader()
    found = [contrast_of(new.evaluations, old.evaluations, reader) for new, old in pairs]
    corrected, levels = statistics.holm([contrast.p_value for contrast in found], ALPHA)
    return [
        {
            **side_of(of_difference(new, old, contrast, reader), keys, "new"),
            **side_of(of_difference(old, new, contrast, reader), keys, "old"),
            **difference_of(contrast, p, level, new.line["metric"]),
        }
        for (new, old), contrast, p, level in zip(pairs, found, corrected, levels, strict=True)
    ]


def contrast_of(new: pd.DataFrame, old: pd.DataFrame, reader: Reader) -> Contrast:
    """New minus old: paired where both met the same episodes, of independent means elsewhere."""
    try:
        first, second = reader.side(new), reader.side(old)
    except records.DamagedRecord:
        return without_scores(new, old)
    same = comparable(pd.concat([new, old])) and contrasts.same_episodes(first, second)
    return contrasts.paired(first, second) if same else contrasts.unpaired(first, second)


def of_difference(cell: Cell, other: Cell, contrast: Contrast, reader: Reader) -> Cell:
    """A cell over what its difference to the other is of."""
    counts = [part.evaluations["episodes"].eq(contrast.episodes) for part in (cell, other)]
    if not contrast.paired or all(len(of) == contrast.seeds and of.all() for of in counts):
        return cell
    return over_shared(cell, *(reader.side(part.evaluations) for part in (cell, other)))


def over_shared(cell: Cell, own: Side, other: Side) -> Cell:
    """A cell over the seeds and episodes that the other side has too."""
    cut, _ = contrasts.shared(own, other)
    scores = [one.scores.astype(float) for one in cut.values()]
    if sum(map(len, scores)) == sum(one.scores.size for one in own.values()):
        return cell
    estimate = (
        statistics.seed_interval([part.mean() for part in scores], min(map(len, scores)))
        if len(scores) > 1
        else statistics.episode_interval(scores[0])
    )
    return replace(cell, line={**cell.line, "mean": estimate.mean, "ci95": estimate.half_width})


def without_scores(new: pd.DataFrame, old: pd.DataFrame) -> Contrast:
    """The same from the means and intervals that the records state."""
    parts = [stated_part(side) for side in (new, old)]
    seeds = min(len(new), len(old))
    return Contrast(
        mean=float(new["value"].mean() - old["value"].mean()),
        own=contrasts.pooled(parts),
        of_classes=None,
        over="seeds" if seeds > 1 else "episodes",
        seeds=seeds,
        episodes=int(min(new["episodes"].min(), old["episodes"].min())),
        paired=False,
    )


def stated_part(evaluations: pd.DataFrame) -> Part:
    """The variance of a cell's mean, without its scores."""
    if len(evaluations) > 1:
        return contrasts.mean_part(evaluations["value"].to_numpy(float))
    width, episodes = (evaluations[key].astype(float).iloc[0] for key in ("ci95", "episodes"))
    if np.isnan(width) or not episodes > 1:
        return Part(np.nan, 1)
    return Part((width / statistics.t_quantile(int(episodes) - 1)) ** 2, int(episodes) - 1)


def side_of(cell: Cell, keys: Sequence[str], name: str) -> dict[str, Any]:
    """One side's cell: its keys, its mean and its interval."""
    line = cell.line
    return {**{k: line[k] for k in keys}, name: line["mean"], f"{name}_ci95": line["ci95"]}


def one_sided(cell: Cell, keys: Sequence[str], name: str) -> dict[str, Any]:
    """The line of a cell that one side does not have."""
    return {
        **side_of(cell, keys, name),
        "verdict": f"only {name}",
        "seeds": len(cell.evaluations),
        "episodes": int(cell.evaluations["episodes"].min()),
        "metric": cell.line["metric"],
    }


def difference_of(contrast: Contrast, p: float, level: float, metric: str) -> dict[str, Any]:
    """A difference, the interval that decides, and what it says."""
    better = sign_of(metric) * contrast.mean > 0
    told = "better" if better else "worse"
    known = not np.isnan(contrast.own.variance)
    return {
        "difference": contrast.mean,
        "half_width": contrast.half_width(level),
        "half_width_new_classes": contrast.half_width_new_classes(level),
        "level": level,
        "p_value": p,
        "verdict": "not known" if not known else told if p <= ALPHA else "noise",
        "paired": contrast.paired,
        "interval_over": contrast.over,
        "seeds": contrast.seeds,
        "episodes": contrast.episodes,
        "metric": metric,
    }


# --- settings -------------------------------------------------------------------------------------


def differing(sides: Sequence[pd.DataFrame], keys: Sequence[str]) -> list[str]:
    """'key: old -> new' of each setting whose values differ as a whole, what names a cell apart."""
    columns = dict.fromkeys(key for side in sides for key in records.configuration_columns(side))
    said = (*keys, "algorithm.name")  # which is the method
    names = [key for key in columns if key not in said and not key.endswith("._target_")]
    return list(changes(sides, {key: key for key in names}))


def differing_software(new: pd.DataFrame, old: pd.DataFrame) -> list[str]:
    """The same of the code, the machine and the libraries."""
    return list(changes((new, old), SOFTWARE))


def changes(sides: Sequence[pd.DataFrame], names: Mapping[str, str]) -> Iterator[str]:
    """'name: old -> new' of each column whose values are not the same on both sides."""
    for key, name in names.items():
        now, before = (values_of(side, key) for side in sides)
        if now != before:
            yield f"{name}: {some(before)} -> {some(now)}"


def values_of(frame: pd.DataFrame, key: str) -> list[str]:
    """The values of a column as they are shown, missing ones apart."""
    return [show_value(v) for v in sorted(frame[key].dropna().unique())] if key in frame else []


def some(values: Sequence[str]) -> str:
    """Values in one line, cut short."""
    shown = [value[:12] if len(value) == 40 else value for value in values]  # a commit
    return records.some(shown) or "none"


# --- text -----------------------------------------------------------------------------------------


def render(made: Against, names: Sequence[str], style: str) -> str | bytes:
    """The comparison in any of `formats.STYLES`; csv and parquet hold numbers, a line a cell.

    Args:
        names: of the new and the old records.
    """
    if style in formats.NUMBERS:
        return formats.write([], made.lines, [], style)
    header = [f"{names[0]} (new) against {names[1]} (old).", *settings_said(made)]
    return formats.write(header, layout(made), caption_of(made), style)


def settings_said(made: Against) -> list[str]:
    """What differs besides the cells, in a line."""
    if not made.settings:
        return ["Settings, code and machine are the same."]
    return [f"What else differs, old -> new: {'; '.join(made.settings)}."]


def layout(made: Against) -> pd.DataFrame:
    """The comparison as printed: a row a cell."""
    lines, shown = made.lines, shown_keys(made)
    columns = {
        short_key(key, shown): [
            method_name(value) if key == "method" else show_value(value) for value in lines[key]
        ]
        for key in shown
    }
    rows: Any = lines.to_dict("records")
    columns["protocol"] = [column_label({k: row[k] for k in DEFAULT_COLUMNS}) for row in rows]
    for name in ("old", "new"):
        columns[name] = [number_of(row, name) for row in rows]
    columns["difference"] = [difference_text(row) for row in rows]
    columns["verdict"] = [verdict_text(row) for row in rows]
    columns["on"] = [basis_text(row) for row in rows]
    table = pd.DataFrame(columns)
    table.attrs[formats.KEYS] = len(shown) + 1
    return table


def shown_keys(made: Against) -> list[str]:
    """The method, the keys of several values, and one that some rows have no value for where
    nothing else tells these from the others."""
    said = (*DEFAULT_COLUMNS, "metric")
    apart = [key for key in made.keys if key not in said]
    shown = ["method", *(k for k in apart if k != "method" and made.lines[k].nunique() > 1)]
    return [*shown, *row_keys(made.lines[made.keys].map(show_value), [*said, *shown], apart)]


def number_of(row: Mapping[str, Any], name: str) -> str:
    """One side's number; '-' where it has none."""
    mean = row.get(name)
    if mean is None or pd.isna(mean):
        return "-"
    return show_number(mean, row[f"{name}_ci95"], row["metric"])


def difference_text(row: Mapping[str, Any]) -> str:
    """'+0.62 ± 0.41 (0.50)', marked where it is more than noise."""
    if pd.isna(row.get("difference")):
        return "-"
    text = show_difference(row)
    return formats.marked(text) if row["verdict"] in ("better", "worse") else text


def verdict_text(row: Mapping[str, Any]) -> str:
    """'better', as far as one training can tell; nothing where it is noise."""
    if row["verdict"] in ("better", "worse"):
        return about_this_run(row["verdict"], int(row["seeds"]))
    return "" if row["verdict"] == "noise" else row["verdict"]


def basis_text(row: Mapping[str, Any]) -> str:
    """'3 seeds, paired' or '400 episodes, unpaired'."""
    if pd.isna(row.get("difference")):
        return ""
    count = (
        counted(int(row["seeds"]), "seed")
        if row["interval_over"] == "seeds"
        else counted(int(row["episodes"]), "episode")
    )
    return f"{count}, {'paired' if row['paired'] else 'unpaired'}"


def caption_of(made: Against) -> list[str]:
    """What the numbers are and what a verdict is."""
    both = made.lines[made.lines["difference"].notna()]
    said = [
        "Difference: new minus old; ± is the half-width of the interval that Holm's correction for "
        "the number of cells tests at. Better or worse: it excludes zero, which noise alone does "
        "in 5 of 100 such tables at most.",
        "Paired: by episode and seed, where both met the same episodes; unpaired: two independent "
        "means.",
    ]
    if both["half_width_new_classes"].notna().any():
        said.append("In brackets, and decisive where given: for new characters too.")
    if both["seeds"].eq(1).any():
        said.append(
            "In this run: of one seed, whose interval knows the noise of the episodes alone, and "
            "another training gives another number."
        )
    return said
