"""Tables of records: methods against protocols, with intervals and the published numbers.

records -> `accuracy_tables` (cells, long) -> `render` (any style of `formats`).
A cell is one configuration under one protocol; only seeds are averaged. Whatever else differs
becomes a row key, so that no two different things ever share a number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from results import formats, records, schema
from results.compare import contrasts, power, standing
from results.compare.comparison import compare_with_published
from results.grouping import (
    BadOption,
    baselines_last,
    resolve_key,
    row_keys,
    summarise,
    varying_keys,
)
from results.labels import (
    ONE_TRAINING,
    about_this_run,
    column_label,
    counted,
    method_name,
    protocol_labels,
    row_label,
    short_key,
    show_value,
)

DEFAULT_COLUMNS = ("ways", "shots", "transductive")
MARKED = "Marked: the best of a column and what cannot be told from it (paired tests, after Holm)."
OF_ONE_RUN = " With one seed this is about these trainings alone."
NO_COUNTERPART = (
    "No cell has a published counterpart (the same task, method, way, shots and transduction, on "
    "test classes; for the paper's numbers its split and network)."
)


@dataclass(frozen=True)
class Table:
    """One table of one metric.

    Attributes:
        cells: one line a cell: the keys in `rows` and `columns`, then mean, ci95 (half-width of
            the 95 % interval; both as shares for accuracy), interval_over ('episodes' | 'seeds'),
            seeds, episodes, metric, best (whether it is the best of its column or cannot be told
            from that; missing where no test is possible).
        rows, columns: the keys that span the table.
        header: lines said once above the table: what is constant.
        caption: lines below it: what ± is, n, and what else to know.
        comparison: `compare_with_published(...)`, or None.
        cost: what each row cost (`costs.priced`): columns of text to the right; or None.
    """

    cells: pd.DataFrame
    rows: list[str]
    columns: list[str]
    header: list[str]
    caption: list[str]
    comparison: pd.DataFrame | None = None
    cost: pd.DataFrame | None = None

    @property
    def metric(self) -> str:
        """'accuracy' or 'mse'."""
        return str(self.cells["metric"].iloc[0])

    @property
    def compared(self) -> bool:
        """Whether some cell has a published counterpart beside it."""
        return self.comparison is not None and not self.comparison.empty

    def without_comparison(self) -> "Table":
        """The same table without the published numbers."""
        return replace(self, comparison=None)


def accuracy_tables(
    found: records.Records,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    published: bool | pd.DataFrame = False,
) -> list[Table]:
    """A table for each metric among the completed evaluations.

    Args:
        rows, columns: keys (`resolve_key`); None chooses method and what varies against way, shot
            and transduction. A key that would vary inside a cell is added to the rows.
        published: compare with the published numbers, ours (True) or these.

    Raises:
        BadOption: see `resolve_key`; a key is asked for as row and column.
    """
    by_metric = {
        metric: found.completed[found.completed["metric"] == metric] for metric in schema.METRICS
    }
    return [
        one_table(part, rows, columns, published, found.swept)
        for part in by_metric.values()
        if len(part)
    ]


def one_table(
    frame: pd.DataFrame,
    rows: Sequence[str] | None,
    columns: Sequence[str] | None,
    published: bool | pd.DataFrame,
    swept: Sequence[str],
) -> Table:
    """The table of one metric."""
    down, across, added = spanned(frame, rows, columns, swept)
    cells = cells_of(frame, down, across)
    marked, undecided = standing.marks(frame, cells, down, across)
    cells["best"] = pd.array(marked, dtype="boolean")
    caption = [*caption_of(cells), *too_few_seeds(undecided, cells, down, across)]
    if rows is not None and added:
        caption.append(f"Added to the rows, since it varies within a cell: {', '.join(added)}.")
    caption += following(frame, [*across, *down])
    numbers = published if isinstance(published, pd.DataFrame) else None
    wanted = numbers is not None or published is True
    comparison = compare_with_published(frame, [*down, *across], numbers) if wanted else None
    if comparison is not None:
        comparison = comparison.drop(columns="runs", errors="ignore")  # as of the cells
    return Table(cells, down, across, header_of(frame), caption, comparison)


def spanned(
    frame: pd.DataFrame,
    rows: Sequence[str] | None,
    columns: Sequence[str] | None,
    swept: Sequence[str],
) -> tuple[list[str], list[str], list[str]]:
    """The keys of the rows and of the columns of one metric, and what was added to the rows so that
    only the seed varies within a cell.

    Settings that were `swept` stand in the rows unless these are given, also where they follow from
    each other, as in a random search.

    Raises:
        BadOption: see `accuracy_tables`.
    """
    across = [resolve_key(key, frame) for key in (DEFAULT_COLUMNS if columns is None else columns)]
    down = [resolve_key(key, frame) for key in (["method"] if rows is None else rows)]
    if rows is None:
        down = [key for key in down if key not in across]
    elif columns is not None and (twice := [key for key in down if key in across]):
        raise BadOption(f"{twice[0]!r} cannot be in --rows and --columns at once")
    said = [key for key in dict.fromkeys(across) if key not in down]
    across = [key for key in said if columns is not None or is_telling(key, frame)]
    if "seed" in [*across, *down]:
        needed = row_keys(frame, [*across, *down])
    elif rows is None:
        # Without the method first: a budget that differs from method to method is not hidden.
        trained = frame[~frame["method"].isin(schema.BASELINES)]
        needed = [key for key in row_keys(trained, across) if key != "method"]
        needed += row_keys(frame, [*across, *down, *needed])
        placed = {*across, *(["task.ways"] if "ways" in across else [])}  # which it is
        free = [key for key in swept if key in trained and key not in placed]
        needed += [key for key in free if trained[key].nunique() > 1]
        needed = [key for key in needed if key != "algorithm.name"]  # it is the method
    else:
        needed = row_keys(frame, [*across, *down])
    if not (down := list(dict.fromkeys([*down, *needed]))):
        raise BadOption("nothing is left for the rows: name a key that is none of the columns")
    return down, across, needed


def cells_of(frame: pd.DataFrame, rows: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """The cells of a table, a line each, by row."""
    cells = baselines_last(summarise(frame, [*columns, *rows]), [*rows, *columns])
    return cells.drop(columns="runs")


def is_telling(key: str, frame: pd.DataFrame) -> bool:
    """Whether a default column says something: transduction says nothing about a regression."""
    in_regression = key == "transductive" and frame["metric"].eq("mse").all()
    return not in_regression or frame[key].nunique() > 1


# --- what is said around a table -----------------------------------------------------------------


def only(frame: pd.DataFrame, key: str) -> str | None:
    """The one value of a column, or None where it varies or a trained network's is missing."""
    trained = ~frame["method"].isin(schema.BASELINES)
    if key not in frame or frame.loc[trained, key].isna().any():
        return None
    values: Any = frame[key].dropna().unique()
    return show_value(values[0]) if len(values) == 1 else None


def joined(values: Iterable[Any], most: int = 8) -> str:
    texts = [show_value(value) for value in values]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def header_of(frame: pd.DataFrame) -> list[str]:
    """What holds for every cell, and both numbers of shots, which are often confused."""
    facts = []
    for key, text in [
        ("task.name", "task {}"),
        ("task.split", "split {}"),
        ("task.split_seed", "split seed {}"),
        ("split", "{} classes"),
        ("model.name", "model {}"),
        ("algorithm.meta_iterations", "{} meta-iterations"),
        ("steps", "{} adaptation steps"),
        ("queries", "queries per class: {}"),
        ("version", "project version {}"),
    ]:
        if (value := only(frame, key)) is not None:
            facts.append(text.format(value))
    metric = "Accuracy in percent" if only(frame, "metric") == "accuracy" else "Mean squared error"
    shots = f"evaluated with {shots_of(frame['shots'])}"
    if "task.train_shots" in frame and (trained := frame["task.train_shots"].dropna()).size:
        shots = f"Trained with {shots_of(trained)} (task.train_shots), {shots} (evaluation.shots)"
    seeds = sorted(frame["seed"].dropna().unique())
    return [
        f"{metric}: {'; '.join(facts)}.",
        f"{shots[0].upper()}{shots[1:]}.",
        f"{'Seed' if len(seeds) == 1 else 'Seeds'} {joined(seeds)}; "
        f"{episodes_of(frame)} for each number.",
    ]


def shots_of(values: pd.Series) -> str:
    """'1 shot', or '1, 5 shots'."""
    shots = sorted(values.dropna().unique())
    return f"{joined(shots)} shot{'' if shots == [1] else 's'}"


def episodes_of(frame: pd.DataFrame) -> str:
    """'400 episodes', or '400 episodes (baselines 200)'."""
    baseline = frame["method"].isin(schema.BASELINES)
    counts = [
        joined(sorted(part["episodes"].dropna().unique()))
        for part in (frame[~baseline], frame[baseline])
    ]
    usual, baselines = counts if counts[0] else [counts[1], ""]
    return f"{usual} episodes" + (
        f" (baselines {baselines})" if baselines not in ("", usual) else ""
    )


def caption_of(cells: pd.DataFrame) -> list[str]:
    """What ± is. Cells that rest on another number of seeds than most are marked in place."""
    usual = usual_seeds(cells)
    if usual == 1:
        lines = [
            "± is the half-width of the 95 % interval over the episodes of one seed, "
            "not over seeds."
        ]
    else:
        lines = [
            f"Mean over {usual} seeds; ± is the half-width of the 95 % t interval over seeds, "
            "which holds the noise of their episodes too."
        ]
    if usual == 2:
        lines.append(
            "With two seeds the t interval has one degree of freedom and is wide; three "
            "or more tell much more."
        )
    if (cells["seeds"] != usual).any():
        lines.append(
            "A cell that rests on another number of seeds says so; with one seed, its ± "
            "is over episodes."
        )
    if cells["best"].any():
        lines.append(MARKED + (OF_ONE_RUN if usual == 1 else ""))
    if cells["ci95_new_classes"].notna().any():
        lines.append(
            "± is for these test characters, however many episodes there are; the half-width in "
            "brackets is for new characters (other test classes) too."
        )
    return lines


def too_few_seeds(
    undecided: Sequence[standing.Undecided],
    cells: pd.DataFrame,
    rows: Sequence[str],
    columns: Sequence[str],
) -> list[str]:
    """A line where a difference that is shown takes more seeds: about the one that takes fewest."""
    options = []
    for question in undecided:
        gap, episodes = question.contrast.mean, question.contrast.episodes
        classes = question.contrast.of_classes
        if classes is not None and contrasts.half_width(classes, 0.95) >= abs(gap):
            continue  # no number of seeds would do, with these test classes
        needed = power.seeds_needed(gap, power.spread_of(question.differences), episodes)
        if needed is not None and needed > question.contrast.seeds:
            options.append((needed, question.contrast.seeds, gap, question.best, question.other))
    if not options:
        return []
    needed, seeds, gap, *both = min(options)
    lines: Any = cells.loc[both].to_dict("records")
    best, other = (row_label({key: line[key] for key in rows}) for line in lines)
    where = column_label({key: lines[0][key] for key in columns})
    shown = f"{100 * gap:.2f} points" if lines[0]["metric"] == "accuracy" else f"{gap:.3g}"
    return [
        f"{counted(seeds, 'seed').capitalize()} are too few for some differences: to tell a true "
        f"one of {shown} between {best} and {other} ({where}) takes about {needed} (--plan)."
    ]


def usual_seeds(cells: pd.DataFrame) -> int:
    counts = cells["seeds"].value_counts()
    return int(counts[counts == counts.max()].index.max())


def following(frame: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Settings that vary but follow from rows and columns: named, so that nothing is hidden."""
    said = [*keys, "algorithm.name", "task.ways", "episodes"]  # as method, ways; in the caption
    follow = {
        key: frame[key].dropna().unique()
        for key in varying_keys(frame)
        if key not in said and not key.endswith("._target_")
    }
    texts = [f"{key} ({joined(values, 4)})" for key, values in follow.items() if len(values) > 1]
    return [f"Differs too, as rows and columns do: {'; '.join(texts)}."] if texts else []


# --- text ----------------------------------------------------------------------------------------


def show_number(mean: float, half_width: float, metric: str, wider: float = np.nan) -> str:
    """'95.39 ± 0.09' in percent for accuracy; '0.132 ± 0.012' for mse; '± -' without interval.

    With the wider interval for other test classes in brackets, where it is known: '± 0.09 (0.75)'.
    """
    digits, scale = 2, 100
    if metric != "accuracy":
        places = [digits_of(mean, 3) if mean > 0 else 3, digits_of(half_width, 1)]
        digits, scale = min(8, max(0, *places)), 1
    width = "-" if np.isnan(half_width) else f"{scale * half_width:.{digits}f}"
    brackets = "" if np.isnan(wider) else f" ({scale * wider:.{digits}f})"
    return f"{scale * mean:.{digits}f} ± {width}{brackets}"


def digits_of(value: float, significant: int) -> int:
    """Digits after the point that show so many significant ones of a positive number; else 0."""
    return significant - 1 - int(np.floor(np.log10(value))) if value > 0 else 0


def show_difference(line: Mapping[str, Any]) -> str:
    """'+0.62 ± 0.41 (0.50)' of difference, half_width and half_width_new_classes; in points where
    the metric is accuracy."""
    percent = line["metric"] == "accuracy"
    form, plain, scale = ("+.2f", ".2f", 100) if percent else ("+.3g", ".2g", 1)
    width, wider = line["half_width"], line["half_width_new_classes"]
    shown = "-" if np.isnan(width) else f"{scale * width:{plain}}"
    brackets = "" if np.isnan(wider) else f" ({scale * wider:{plain}})"
    return f"{scale * line['difference']:{form}} ± {shown}{brackets}"


def layout(table: Table) -> pd.DataFrame:
    """The table as printed: text cells, one line a row, in the order of `table.cells`."""
    cells, usual = table.cells, usual_seeds(table.cells)
    notes = ["" if seeds == usual else f" [{counted(seeds, 'seed')}]" for seeds in cells["seeds"]]
    numbers = zip(cells["mean"], cells["ci95"], cells["ci95_new_classes"], strict=True)
    shown = [show_number(mean, width, table.metric, wider) for mean, width, wider in numbers]
    best = cells["best"].fillna(False)
    shown = [
        formats.marked(number + note) if mark else number + note
        for number, note, mark in zip(shown, notes, best, strict=True)
    ]
    # Cells stand by their keys: two that are called the same are still two.
    down, across = (records.cell_numbers(cells, keys) for keys in (table.rows, table.columns))
    text = pd.DataFrame({"row": down, "column": across, "cell": shown}, index=cells.index)
    names = cells[table.columns].drop_duplicates().sort_values(table.columns)
    rows = cells.loc[~text["row"].duplicated(), table.rows]
    wide = text.pivot(index="row", columns="column", values="cell").fillna("-")
    wide = wide.loc[text.loc[rows.index, "row"], text.loc[names.index, "column"]]
    labels = pd.DataFrame({key: as_printed(key, rows[key]) for key in table.rows})
    wide = wide.set_axis(column_labels(names), axis="columns").reset_index(drop=True)
    wide = pd.concat([labels, wide], axis="columns")
    if table.cost is not None:
        wide = pd.concat([wide, table.cost], axis="columns")
    named = wide.rename(columns={key: short_key(key, table.rows) for key in table.rows})
    named.attrs[formats.KEYS] = len(table.rows)
    return named


def as_printed(key: str, values: pd.Series) -> list[str]:
    """The values of a key; a method's own name where two methods would be called the same."""
    plain = [show_value(value) for value in values]
    if key != "method":
        return plain
    called = {value: method_name(value) for value in plain}
    names = list(called.values())
    return [value if names.count(called[value]) > 1 else called[value] for value in plain]


def column_labels(columns: pd.DataFrame) -> list[str]:
    """`column_label` of each line; with every key where two columns would be called the same."""
    lines: Any = columns.to_dict("records")
    labels = [column_label(line) for line in lines]
    every = [", ".join(f"{key} {show_value(line[key])}" for key in line) for line in lines]
    return [
        f"{label} ({keys})" if labels.count(label) > 1 else label
        for label, keys in zip(labels, every, strict=True)
    ]


def comparison_layout(comparison: pd.DataFrame, rows: Sequence[str]) -> pd.DataFrame:
    """The comparison with published numbers as printed: one line a cell."""
    extra = [key for key in rows if key not in ("method", "algorithm.meta_iterations")]
    return pd.DataFrame(
        {
            "method": as_printed("method", comparison["method"]),
            **{short_key(key, rows): as_printed(key, comparison[key]) for key in extra},
            "protocol": protocol_labels(comparison),
            "ours": [
                f"{show_number(m / 100, w / 100, 'accuracy', wider / 100)}, {counted(n, 'seed')}"
                for m, w, wider, n in zip(
                    *(
                        comparison[key].astype(float)
                        for key in ("mean", "ci95", "ci95_new_classes")
                    ),
                    comparison["seeds"],
                    strict=True,
                )
            ],
            "published": [
                f"{m:.2f}" + ("" if pd.isna(w) else f" ± {w:.2f}")
                for m, w in zip(comparison["published"], comparison["published_ci95"], strict=True)
            ],
            "difference": [
                f"{d:+.2f} ± {w:.2f}"
                for d, w in zip(comparison["difference"], comparison["joint_ci95"], strict=True)
            ],
            "verdict": [
                about_this_run(verdict, seeds) + (", partial budget" if "partial" in text else "")
                for verdict, seeds, text in zip(
                    *(comparison[key] for key in ("verdict", "seeds", "settings")), strict=True
                )
            ],
            "settings": list(comparison["settings"]),
        }
    )


def comparison_caption(comparison: pd.DataFrame) -> list[str]:
    """What the two ± of a comparison are, and where the published numbers come from."""
    meanings = [
        f"{', '.join(as_printed('method', group['method'].drop_duplicates()))}: {interval}"
        for interval, group in comparison.groupby("published_interval", sort=False)
    ]
    return [
        "Ours against the published numbers, in percent. Verdict: the difference lies within, "
        "above or below the joint 95 % interval, the root of the summed squares of both ±; of ours "
        "the one in brackets, where it is known, since the published numbers are of other "
        "characters.",
        *([ONE_TRAINING] if comparison["seeds"].eq(1).any() else []),
        f"The published ± is, for {'; for '.join(meanings)}.",
        f"Published: {'; '.join(comparison['source'].unique())}.",
    ]


# --- output --------------------------------------------------------------------------------------


def render(tables: Sequence[Table], style: str) -> str | bytes:
    """Tables in any of `formats.STYLES`; csv and parquet hold numbers, a line a cell."""
    if style in formats.NUMBERS:
        return formats.write([], cells(tables), [], style)
    return "\n".join(block for table in tables for block in blocks(table, style))


def blocks(table: Table, style: str) -> list[str]:
    """A table to read and, where it was asked for, its comparison with the published numbers."""
    made = [formats.write(table.header, layout(table), table.caption, style)]
    if table.comparison is not None and table.compared:
        rows = comparison_layout(table.comparison, table.rows)
        made.append(formats.write([], rows, comparison_caption(table.comparison), style))
    elif table.comparison is not None:
        made.append(f"{'% ' if style == 'latex' else ''}{NO_COUNTERPART}\n")
    return [str(block) for block in made]


def cells(tables: Sequence[Table]) -> pd.DataFrame:
    """All cells as numbers, one line each; with a comparison, its columns beside them.

    accuracy is a share from 0 to 1 here, as in the records; published columns are shares as well.
    """
    frames = []
    for table in tables:
        frame = table.cells
        if table.comparison is not None and table.compared:
            keys = [*table.rows, *table.columns]
            new = ["published", "published_ci95", "difference", "joint_ci95"]
            beside = table.comparison[[*keys, *new, "verdict", "settings", "source"]].copy()
            beside[new] = beside[new].astype("Float64") / 100
            beside = beside.astype({key: frame[key].dtype for key in keys})  # missing in all lines
            frame = frame.merge(beside, on=keys, how="left")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def summary_text(found: records.Records, tables: Sequence[Table]) -> str:
    """Tables, then what is missing from them and what to know about them."""
    style = formats.SCREEN if formats.on_terminal() else "text"
    parts = [str(render(tables, style)).rstrip("\n")] if tables else ["No completed evaluation."]
    if found.problems:
        parts.append(listing("Not (or not fully) in the table:", found.problems))
    if found.notes:
        parts.append(listing("Note:", found.notes))
    return "\n\n".join(parts) + "\n"


def listing(head: str, lines: Sequence[str]) -> str:
    """Lines below a head."""
    return "\n".join([head, *(f"  {line}" for line in lines)])
