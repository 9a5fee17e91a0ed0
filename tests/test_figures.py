"""Figures: the numbers drawn are the numbers given, and files come out readable."""

import itertools
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from results import records
from results.__main__ import main
from results.pictures import curves, figures, gallery, palette, panels, plotting
from tests import fake_records as fake
from tests.command import PROJECT


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return records.read_records([fake.sweep(tmp_path_factory.mktemp("sweep"))])


def reptile(found, **keys):
    rows = found.completed
    rows = rows[rows["method"] == "reptile"]
    for key, value in keys.items():
        rows = rows[rows[key] == value]
    return rows


BLUE, VERMILLION, SKY, ORANGE = "#0072B2", "#D55E00", "#56B4E9", "#E69F00"
BLACK, GREY = "#000000", "#767676"


def shown(figure):
    """Panel -> name -> (colour, dashes, x, y) of each line; a level line has no x."""
    return {
        ax.get_title(loc="left"): {line.get_label(): data_of(line) for line in lines_in(ax)}
        for ax in figure.axes
    }


def lines_in(ax):
    return [line for line in ax.get_lines() if line.get_label() != "_interval"]


def data_of(line):
    x, y = list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))
    x, y = ([], y[:1]) if x == [0, 1] else (x, y)
    return to_hex(line.get_color()).upper(), line.get_linestyle(), x, pytest.approx(y)


def bands(ax):
    return [part for part in ax.collections if len(part.get_paths()[0].vertices) > 2]


def bars_at_ends(ax):
    return [line for line in ax.get_lines() if line.get_label() == "_interval"]


# --- golden: which line holds which numbers, in which colour --------------------------------------


def test_learning_curves_of_one_method_are_tints_of_its_colour_with_their_intervals(found):
    figure = curves.learning_curves(found.curves)
    lines = {  # 0.78 - 80/budget + 0.01 (mean seed) - 30/(i + 50)
        "Reptile, 1000 meta-iterations": ("#8CC0DC", "-", [100, 200, 400], [51, 59, 71 - 20 / 3]),
        "Reptile, 2000 meta-iterations": (BLUE, "-", [100, 200, 400], [55, 63, 75 - 20 / 3]),
    }
    assert shown(figure) == {"": lines}
    (ax,) = figure.axes
    band = bands(ax)[1].get_paths()[0].vertices[:, 1]
    half_width = 4.302653 / np.sqrt(3)  # percent: seed means are 1 apart
    assert band.min() == pytest.approx(55 - half_width, rel=1e-5)
    assert ax.get_ylabel() == "accuracy (%)\n95 % interval over seeds"
    assert not figure.texts


def test_a_grid_has_a_panel_for_each_number_of_shots_and_grey_lines_to_compare_with(found):
    figure = curves.over_grid(found.completed)
    budgets = [1000, 2000]
    assert shown(figure) == {
        "1-shot": {
            "Reptile": (BLUE, "-", budgets, [71, 75]),
            "Reptile, transductive": (BLUE, "--", budgets, [76, 80]),
            "nearest neighbour": (GREY, "-", [], [45]),
            "from scratch": (GREY, "-", [], [40]),
        },
        "5-shot": {
            "Reptile": (BLUE, "-", budgets, [83, 87]),
            "Reptile, transductive": (BLUE, "--", budgets, [86, 90]),
        },
    }
    first, second = figure.axes
    assert (first.get_ylim(), first.get_xlim()) == (second.get_ylim(), second.get_xlim())
    names = [text.get_text().replace("\n", " ") for text in first.texts]
    assert names == list(shown(figure)["1-shot"])
    assert len(bands(first)) == len(bands(second)) == 2
    assert len(bars_at_ends(first)) == 2 and not bars_at_ends(second)


def test_heat_maps_hold_the_same_means_on_one_scale(found):
    figure = figures.heat_maps(reptile(found))
    plain, transductive = (ax for ax in figure.axes if ax.texts)
    assert [text.get_text() for text in plain.texts] == [
        *("71.0\n± 2.5", "83.0\n± 2.5", "75.0\n± 2.5", "87.0\n± 2.5")
    ]
    assert plain.get_title(loc="left") == "Reptile"
    assert transductive.get_title(loc="left") == "Reptile, transductive"
    for ax in (plain, transductive):
        assert ax.images[0].get_clim() == pytest.approx((71, 90))


def test_a_heat_map_refuses_to_average_what_varies(found):
    other = reptile(found).assign(**{"algorithm.inner_steps": [5] * 4 + [8] * 20})
    with pytest.raises(panels.CannotShow, match=r"needs one value of algorithm\.inner_steps"):
        figures.heat_maps(other)


def test_accuracy_against_steps_with_a_level_line_for_what_takes_none(tmp_path):
    rows = [
        fake.evaluation(1, False, value, steps=steps)
        for steps, value in [(0, 0.2), (10, 0.7), (50, 0.8)]
    ]
    near = fake.evaluation(1, False, 0.45, method="nearest_neighbour")
    fake.write(tmp_path, fake.record(evaluations=rows, baselines=[near]))
    figure = curves.against_steps(records.read_records([tmp_path]).completed)
    reptile = (BLUE, "-", [0, 10, 50], [20, 70, 80])
    assert shown(figure) == {"": {"Reptile": reptile, "nearest neighbour": (GREY, "-", [], [45])}}
    assert figure.axes[0].get_xlabel() == "adaptation steps"


COMBINATIONS = [
    *("g1", "g2", "g1+g2", "mean(g1+g2)", "g3", "g1+g2+g3", "mean(g1+g2+g3)"),
    *("g4", "g1+g2+g3+g4", "mean(g1+g2+g3+g4)"),
]


@pytest.fixture(scope="module")
def combinations(tmp_path_factory):
    """Records of all ten, the k-th of them at 50 + k percent after training."""
    directory = tmp_path_factory.mktemp("combinations")
    for number, name in enumerate(COMBINATIONS):
        rows = [fake.evaluation(5, False, 0.5 + number / 100)]
        near = [fake.evaluation(5, False, 0.5, method="nearest_neighbour")]
        document = fake.record({"algorithm.name": name}, evaluations=rows, baselines=near)
        fake.write(directory / name, document)
    return records.read_records([directory])


def test_combinations_have_a_panel_for_each_number_of_steps(combinations):
    lines = shown(curves.learning_curves(combinations.curves))
    assert {title: list(inside) for title, inside in lines.items()} == {
        "1 inner step": ["g1"],
        "2 inner steps": COMBINATIONS[1:4],
        "3 inner steps": COMBINATIONS[4:7],
        "4 inner steps": COMBINATIONS[7:],
    }
    assert lines["1 inner step"]["g1"] == (BLACK, "-", [100, 200, 400], [60, 68, 80 - 20 / 3])
    assert [line[0] for line in lines["4 inner steps"].values()] == [VERMILLION, BLUE, SKY]


def test_bars_of_combinations_stand_by_steps_with_baselines_last(combinations):
    (ax,) = figures.bars(combinations.completed, ["method"]).axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [*COMBINATIONS, "nearest neighbour (pixels)"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([*range(50, 60), 50])
    colors = [to_hex(bar.get_facecolor()).upper() for bar in ax.patches]
    assert colors == [BLACK, *[VERMILLION, BLUE, SKY] * 3, GREY]


def test_bars_tell_what_else_varies(tmp_path):
    for steps, weights, value in [(2, "all", 0.5), (2, "last", 0.6), (4, "all", 0.7)]:
        settings = {"algorithm.inner_steps": steps, "algorithm.step_weights": weights}
        rows = [fake.evaluation(5, False, value, ci95=0.02)]
        document = fake.record(settings, evaluations=rows, baselines=[])
        fake.write(tmp_path / f"{steps}{weights}", document)
    rows = records.read_records([tmp_path]).completed
    (ax,) = figures.bars(rows, ["algorithm.inner_steps", "algorithm.step_weights"]).axes
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([50, 60, 70])
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "2 inner steps, step weights all",
        "2 inner steps, step weights last",
        "4 inner steps, step weights all",
    ]
    assert ax.get_xlabel() == "accuracy (%), 95 % interval over episodes"


def overlap(directory, key, values):
    """A sweep of section 6.3: Reptile and both kinds of FOMAML, cycling and with replacement."""
    for name, separate in [("reptile", False), ("fomaml", False), ("fomaml", True)]:
        for replacement, value in itertools.product([False, True], values):
            settings = {
                "algorithm.name": name,
                "algorithm.replacement": replacement,
                "algorithm.inner_batch": 25,
                f"algorithm.{key}": value,
            }
            tail = settings["algorithm.inner_batch"] // 5 if separate else 0
            settings |= {"algorithm.tail_shots": tail, "task.train_shots": 20 + tail}
            row = fake.evaluation(5, False, 0.5 + value / 1000)
            document = fake.record(settings, evaluations=[row], baselines=[], learning_curve=[])
            fake.write(directory / f"{name}{tail}{replacement}{value}", document)
    return records.read_records([directory])


@pytest.mark.parametrize(
    ("key", "values"), [("inner_steps", [2, 3, 4, 5, 6, 8]), ("inner_batch", [10, 20, 25, 30, 50])]
)
def test_an_overlap_sweep_has_a_panel_for_each_way_to_draw(tmp_path, key, values):
    caption, figure = gallery.all_figures(overlap(tmp_path, key, values))["grid"]
    assert caption == f"5-way: score over {key.replace('_', ' ')}."
    scores = [50 + value / 10 for value in values]
    lines = {
        "FOMAML, separate tail": (ORANGE, "-", values, scores),
        "FOMAML, shared tail": (VERMILLION, "-", values, scores),
        "Reptile": (BLUE, "-", values, scores),
    }
    assert shown(figure) == {"cycling": lines, "replacement": lines}
    tied = "\n(and with it train shots)" if key == "inner_batch" else ""
    assert figure.axes[0].get_xlabel() == key.replace("_", " ") + tied


# --- what is told apart, and what is not shown ----------------------------------------------------


def many_methods(directory, number):
    for name in range(number):
        rows = [fake.evaluation(1, False, 0.5 + name / 100, steps=steps) for steps in (1, 5)]
        settings = {"algorithm.name": f"m{name:02}"}
        document = fake.record(settings, evaluations=rows, baselines=[], learning_curve=[])
        fake.write(directory / str(name), document)
    return records.read_records([directory])


def test_many_lines_all_differ_with_bars_for_bands_and_names_that_do_not_overlap(tmp_path):
    found = many_methods(tmp_path, panels.MOST_LINES)
    with plotting.style():
        figure = curves.against_steps(found.completed)
        figure.draw_without_rendering()
        (ax,) = figure.axes
        boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    lines, bars = lines_in(ax), bars_at_ends(ax)
    looks = {(to_hex(line.get_color()), line.get_marker()) for line in lines}
    assert len(looks) == len(lines) == len(bars) == len(boxes) == panels.MOST_LINES
    assert not bands(ax)
    assert all(
        below.y0 + below.height * 0.8 < above.y0 for below, above in itertools.pairwise(boxes)
    )
    for bar, line in zip(bars, lines, strict=True):
        low, high = bar.get_ydata()
        end = line.get_ydata()[-1]
        assert (low, high) == pytest.approx((end - 1.7, end + 1.7))


def test_what_is_too_much_for_a_figure_is_said_in_a_line(tmp_path):
    found = many_methods(tmp_path, panels.MOST_LINES + 1)
    with pytest.raises(panels.TooMuch, match=r"^13 lines in one panel, which holds 12$"):
        curves.against_steps(found.completed)
    made = gallery.all_figures(found)
    assert list(made) == ["methods"]
    colors = {bar.get_facecolor() for bar in made["methods"][1].axes[0].patches}
    assert len(colors) == len(palette.COLORS)
    said = "no figure steps: 13 lines in one panel, which holds 12; --where chooses"
    assert found.notes[-1] == said


@pytest.mark.parametrize(
    ("wanted", "heights", "places"),
    [
        ([0.5, 0.5, 0.5], [0.1, 0.1, 0.1], [0.4, 0.5, 0.6]),
        ([0.3, 0.9, 0.2], [0.2, 0.1, 0.1], [0.325, 0.9, 0.175]),
        ([0.0, 1.0, 1.0], [0.2, 0.1, 0.1], [0.1, 0.85, 0.95]),
        ([0.7], [0.1], [0.7]),
    ],
)
def test_names_are_moved_apart_and_no_further(wanted, heights, places):
    assert panels.apart(wanted, heights) == pytest.approx(places)


@pytest.mark.parametrize(
    ("metric", "ends", "middle"),
    [("mse", (4.0, 0.02), np.sqrt(0.08)), ("accuracy", (0.2, 0.99), 100 - np.sqrt(80))],
)
def test_errors_near_zero_have_a_logarithmic_axis(tmp_path, metric, ends, middle):
    rows = [
        fake.evaluation(1, False, value, steps=steps, metric=metric, ci95=0.01)
        for steps, value in zip((0, 8), ends, strict=True)
    ]
    fake.write(tmp_path, fake.record(evaluations=rows, baselines=[]))
    (ax,) = curves.against_steps(records.read_records([tmp_path]).completed).axes
    drawn = [*ax.get_lines()[0].get_ydata(), middle]
    first, last, between = ax.transData.transform([(1, y) for y in drawn])[:, 1]
    assert between == pytest.approx((first + last) / 2)
    ticks = zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    assert all(float(label.get_text()) == pytest.approx(tick) for tick, label in ticks)


@pytest.mark.parametrize(
    ("along", "other"),
    [
        ("algorithm.meta_iterations", "seed"),
        ("algorithm.inner_steps", "algorithm.meta_iterations"),
        ("algorithm.inner_steps", "task.split_seed"),
    ],
)
def test_points_of_different_seeds_budgets_and_splits_are_never_joined(tmp_path, along, other):
    for value in (10, 20):
        settings = {along: value, other: value}
        fake.write(tmp_path / str(value), fake.record(settings, learning_curve=[], baselines=[]))
    found = records.read_records([tmp_path])
    with pytest.raises(panels.CannotShow, match="no configuration was measured at two"):
        curves.over_grid(found.completed, along)


def test_a_line_is_over_the_seeds_that_all_its_points_have(tmp_path):
    fake.sweep(tmp_path, seeds=(0, 1))
    settings = {"algorithm.meta_iterations": 2000, "seed": 2}
    fake.write(tmp_path / "more", fake.record(settings, accuracy=0.9))
    rows = reptile(records.read_records([tmp_path]), shots=1, transductive=False)
    figure = curves.over_grid(rows)
    assert shown(figure)[""]["Reptile"][3] == [70.5, 74.5]
    assert "Over the seeds that all points of a line have." in figure.texts[-1].get_text()


def test_a_configuration_with_one_value_is_left_out_and_counted(found, tmp_path):
    alone = fake.record({"algorithm.name": "fomaml"}, learning_curve=[], baselines=[])
    fake.write(tmp_path, alone)
    figure = curves.over_grid(records.read_records([tmp_path, *found.runs["run"]]).completed)
    assert not any("FOMAML" in name for lines in shown(figure).values() for name in lines)
    assert "Left out: 4 configurations" in figure.texts[-1].get_text()


def test_a_setting_that_one_run_lacks_is_another_configuration(tmp_path):
    for seed, settings in enumerate([{}, {"model.initializer": "fan_in"}]):
        fake.write(tmp_path / str(seed), fake.record(settings))
    lines = shown(curves.learning_curves(records.read_records([tmp_path]).curves))
    assert set(lines[""]) == {"Reptile, initializer -", "Reptile, initializer fan_in"}


def test_published_numbers_are_grey_lines_beside_runs_with_their_settings():
    found = records.read_records([PROJECT / "results/published/omniglot_5way"])
    levels = gallery.published_levels(found.completed)
    numbers = levels.set_index(["method", "shots", "transductive"])["published"]
    assert numbers.loc["reptile", 1, True] == 97.68 and "fomaml" not in numbers.index
    curve = found.curves.assign(split="test", shots=1)  # as if it were measured so
    lines = shown(curves.learning_curves(curve, published=levels))[""]
    assert lines["Reptile, published"] == (GREY, "-", [], [95.39])
    assert lines["Reptile, published, transductive"] == (GREY, "--", [], [97.68])
    assert "FOMAML" in lines and "FOMAML, published" not in lines


def test_records_of_several_studies_have_no_loose_dots():
    studies = ["overlap_batch_2000", "omniglot_5way_maml_2000", "main_glyphs", "sine"]
    found = records.read_records([PROJECT / "results/published" / study for study in studies])
    made = gallery.all_figures(found)
    drawn = [fig.axes for name, (_, fig) in made.items() if name.startswith(("lear", "grid", "st"))]
    lines = [line for axes in drawn for ax in axes for line in lines_in(ax)]
    assert len(lines) > 25 and all(len(line.get_xdata()) > 1 for line in lines)
    assert {"learning_curves_accuracy", "steps_mse_1way"} <= set(made)


def sine_points():
    x = np.linspace(-5, 5, 50)
    parts = [
        pd.DataFrame({"kind": "true", "x": x, "y": np.sin(x)}),
        pd.DataFrame({"kind": "sample", "x": x[::5], "y": np.sin(x[::5])}),
    ]
    parts += [
        pd.DataFrame({"kind": "prediction", "x": x, "y": np.sin(x) * steps / 32, "steps": steps})
        for steps in (0, 1, 32)
    ]
    return pd.concat(parts)


def test_sine_figure_shows_truth_samples_and_each_number_of_steps():
    (ax,) = figures.sine_fit(sine_points()).axes
    names = ["true curve", "before adaptation", "after 1 step", "after 32 steps"]
    assert [text.get_text() for text in ax.texts] == names
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["10 sampled points"]
    after = line(ax, "after 32 steps")
    assert after.get_ydata() == pytest.approx(np.sin(after.get_xdata()))


def line(ax, label):
    return next(drawn for drawn in ax.get_lines() if drawn.get_label() == label)


def test_episode_sheet_marks_right_and_wrong_without_colour_alone():
    white = np.ones((28, 28))
    rows = [{"kind": "support", "label": label, "image": white} for label in (0, 1)]
    rows += [
        {"kind": "query", "label": 0, "image": white, "prediction": 0, "probability": 0.9},
        {"kind": "query", "label": 1, "image": white, "prediction": 0, "probability": 0.6},
    ]
    (ax,) = figures.episode_sheet(pd.DataFrame(rows)).axes
    texts = [text.get_text() for text in ax.texts]
    assert "✓ class 0: 90 %" in texts and "✗ class 0: 60 %" in texts
    assert len(ax.images) == 4
    styles = [frame.get_linestyle() for frame in ax.patches]
    assert styles.count("--") == 1


def test_files_are_vector_and_png_and_repeatable(found, tmp_path):
    with plotting.style():
        for name in ("a", "b"):
            figures.save(curves.learning_curves(found.curves), tmp_path / "new" / name)
    for suffix in ("svg", "pdf", "png"):
        a, b = ((tmp_path / "new" / f"{name}.{suffix}").read_bytes() for name in "ab")
        assert a == b, suffix
    assert (tmp_path / "new" / "a.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_dollar_sign_in_a_configuration_is_drawn_as_it_is(tmp_path):
    for name in ("cost$a$", r"$\frac{$"):
        fake.write(tmp_path / name.encode().hex(), fake.record({"algorithm.name": name}))
    with plotting.style():
        ax = curves.learning_curves(records.read_records([tmp_path]).curves)
        files = figures.save(ax, tmp_path / "figure", ["svg"])
    ElementTree.parse(files[0])


def test_all_figures_are_those_the_records_have_data_for(found, tmp_path):
    assert sorted(gallery.all_figures(found)) == [
        "grid",
        "heat_map",
        "learning_curves",
    ]
    fake.write(tmp_path / "one", fake.record(learning_curve=[], baselines=[]))
    assert gallery.all_figures(records.read_records([tmp_path / "one"])) == {}


def test_names_tell_ways_and_metrics_apart(tmp_path):
    sine = [
        fake.evaluation(10, False, 0.5 / (1 + steps), metric="mse", ways=1, steps=steps)
        for steps in (0, 8)
    ]
    fake.write(
        tmp_path / "sine",
        fake.record({"task.name": "sinusoid", "task.ways": 1}, evaluations=sine, baselines=[]),
    )
    for ways in (5, 20):
        for budget in (1000, 2000):
            fake.write(
                tmp_path / f"{ways}_{budget}",
                fake.record({"task.ways": ways, "algorithm.meta_iterations": budget}),
            )
    names = set(gallery.all_figures(records.read_records([tmp_path])))
    assert {"grid_accuracy_5way", "grid_accuracy_20way", "steps_mse_1way"} <= names


# --- figures of recorded predictions --------------------------------------------------------------


def classified(ways=2, shots=3, wrong=(1,)):
    """An episode as a run records it; the queries in `wrong` are taken for class 0."""
    outputs = np.full((2, ways, ways), 0.2, np.float32)  # two numbers of steps: 0 and 50
    for query in range(ways):
        outputs[1, query, 0 if query in wrong else query] = 0.8
    return {
        "support_x": np.linspace(0, 1, ways * shots * 784).reshape(-1, 28, 28, 1),
        "support_y": np.repeat(np.arange(ways), shots),
        "query_x": np.ones((ways, 28, 28, 1)),
        "query_y": np.arange(ways),
        "steps": np.array([0, 50]),
        "outputs": outputs,
    }


def fitted():
    """A sine task as a run records it."""
    x = np.linspace(-5, 5, 50)[:, None]
    return {
        "support_x": x[::10],
        "support_y": np.sin(x[::10]),
        "query_x": x,
        "query_y": np.sin(x),
        "steps": np.array([0, 8, 32]),
        "outputs": np.stack([0 * x, np.sin(x) / 2, np.sin(x)]),
    }


def with_predictions(directory, *episodes, **changes):
    """A run directory with a record and the episodes' predictions."""
    fake.write(directory, fake.record(learning_curve=[], baselines=[], **changes))
    arrays = {f"{n}/{k}": v for n, episode in enumerate(episodes) for k, v in episode.items()}
    np.savez(directory / "predictions.npz", **arrays)


def test_predictions_of_images_become_an_episode_sheet(tmp_path):
    with_predictions(tmp_path, classified())
    ((caption, figure),) = gallery.all_figures(records.read_records([tmp_path])).values()
    (ax,) = figure.axes
    assert caption == (
        "Reptile, seed 0, unseen task 0: predicted class and its probability "
        "after 50 adaptation steps."
    )
    texts = [text.get_text() for text in ax.texts]
    assert "✓ class 0: 80 %" in texts and "✗ class 0: 80 %" in texts
    assert len(ax.images) == 2 * 3 + 2
    drawn = np.stack([image.get_array() for image in ax.images[:6]])
    np.testing.assert_allclose(drawn, classified()["support_x"][..., 0])


def test_predictions_of_a_sine_become_curves_before_and_after(tmp_path):
    with_predictions(tmp_path, fitted())
    ((caption, figure),) = gallery.all_figures(records.read_records([tmp_path])).values()
    (ax,) = figure.axes
    assert "before and after adaptation" in caption
    assert line(ax, "before adaptation").get_ydata() == pytest.approx(np.zeros(50))
    x = np.linspace(-5, 5, 50)
    assert line(ax, "after 8 steps").get_ydata() == pytest.approx(np.sin(x) / 2)
    assert line(ax, "true curve").get_ydata() == pytest.approx(np.sin(x))
    assert len(ax.collections[0].get_offsets()) == 5


def test_every_run_has_its_turn_before_a_second_episode_is_drawn(tmp_path):
    for seed in range(3):
        with_predictions(tmp_path / str(seed), *[classified()] * 3, overrides={"seed": seed})
    captions = [c for c, _ in gallery.all_figures(records.read_records([tmp_path])).values()]
    told = [caption.split(":")[0].removeprefix("Reptile, ") for caption in captions[-4:]]
    assert told == [f"seed {s}, unseen task {n}" for n, s in [(0, 0), (0, 1), (0, 2), (1, 0)]]


def test_runs_without_predictions_do_not_use_up_the_room(tmp_path):
    for number in range(5):
        fake.write(tmp_path / f"a{number}", fake.record({"seed": number}, learning_curve=[]))
    with_predictions(tmp_path / "b", classified())
    assert "episode_1" in gallery.all_figures(records.read_records([tmp_path]))


@pytest.mark.parametrize("damage", ["cut", "names"])
def test_damaged_predictions_become_a_line(tmp_path, damage):
    with_predictions(tmp_path, {"query_x": np.ones(3)} if damage == "names" else classified())
    if damage == "cut":
        (tmp_path / "predictions.npz").write_bytes(b"PK")
    found = records.read_records([tmp_path])
    assert gallery.all_figures(found) == {}
    assert len(found.problems) == 1 and "predictions.npz" in found.problems[0]


def test_predictions_that_are_no_pictures_are_passed_over(tmp_path):
    points = classified() | {"support_x": np.ones((6, 3)), "query_x": np.ones((2, 3))}
    with_predictions(tmp_path, points)
    found = records.read_records([tmp_path])
    assert gallery.all_figures(found) == {} and found.problems == []


def test_several_queries_leave_room_for_what_stands_below_them():
    images = [
        {"kind": "support", "label": 0, "image": np.ones((28, 28))},
        *[
            {
                "kind": "query",
                "label": 0,
                "image": np.ones((28, 28)),
                "prediction": 0,
                "probability": 1,
            }
            for _ in range(3)
        ],
    ]
    with plotting.style():
        (ax,) = figures.episode_sheet(pd.DataFrame(images)).axes
        ax.figure.canvas.draw()
        below = [t.get_window_extent() for t in ax.texts if "✓" in t.get_text()]
    assert len(below) == 3
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(below))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"algorithm.meta_iterations": 800}, "800 meta-iterations"),
        ({"split": "train"}, "train classes"),
        ({}, "seed 1"),
    ],
)
def test_no_curve_joins_what_different_runs_measured(tmp_path, changed, told):
    """Points at other iterations, of another budget or of other classes, are another curve."""
    points = fake.record()["learning_curve"]
    fake.write(tmp_path / "a", fake.record())
    settings = {key: value for key, value in changed.items() if "." in key}
    protocol = {key: value for key, value in changed.items() if "." not in key}
    later = [{**point, "iteration": point["iteration"] + 700, **protocol} for point in points]
    fake.write(tmp_path / "b", fake.record({**settings, "seed": 1}, learning_curve=later))
    figure = curves.learning_curves(records.read_records([tmp_path]).curves)
    lines = [line[2] for inside in shown(figure).values() for line in inside.values()]
    assert sorted(lines) == [[100, 200, 400], [800, 900, 1100]]
    names = [" ".join([title, *inside]) for title, inside in shown(figure).items()]
    assert told in " ".join(names)


def test_the_papers_curves_are_grey_under_ours_and_the_deviation_is_a_number():
    found = records.read_records([PROJECT / "results/published/combinations_40000"])
    caption, figure = gallery.all_figures(found)["paper_figure_3"]
    csv = pd.read_csv(PROJECT / "results/published/paper_figures/figure3.csv")
    lines = {name: line for inside in shown(figure).values() for name, line in inside.items()}
    grey = {name for name, line in lines.items() if line[0] == GREY}
    assert grey == {f"{name}, paper" for name in csv["curve"]} and len(lines) == 2 * len(grey)
    of_g1 = csv[csv["curve"] == "g1"]
    assert lines["g1, paper"][3] == list(100 * of_g1["accuracy"])
    g1 = line(figure.axes[0], "g1")
    own = found.completed[found.completed["method"] == "g1"]["value"].mean()  # over the seeds
    assert g1.get_ydata()[-1] == pytest.approx(100 * own)
    worst = max(
        abs(y - float(of_g1.set_index("meta_iteration")["accuracy"][x]) * 100)
        for x, y in zip(g1.get_xdata(), g1.get_ydata(), strict=True)
    )
    assert float(caption.split(" at most")[0].rsplit(" ", 1)[1]) >= round(worst / 100, 3)


@pytest.mark.parametrize("kinds", [["episodes"], ["seeds"], ["episodes", "seeds"]])
def test_beside_the_paper_the_axis_names_every_kind_of_interval_that_is_drawn(kinds):
    points = pd.DataFrame({"curve": "g1", "x": [1.0, 2.0], "paper": 0.5, "mean": 0.6, "ci95": 0.1})
    ours = points.assign(interval_over=[kinds[0], kinds[-1]])
    (ax,) = curves.beside_the_paper(ours, "inner steps").axes
    assert ax.get_ylabel() == f"accuracy (%)\n95 % interval over {' or '.join(kinds)}"


def test_another_inner_rate_has_a_picture_of_its_own():
    found = records.read_records([PROJECT / "results/published/combinations_40000_rate_0.001"])
    pictures = gallery.of_the_paper(found)
    assert list(pictures) == ["paper_figure_3_with_an_inner_rate_of_0_001"]
    ((caption, _),) = pictures.values()
    assert caption.startswith("The paper's figure 3, thin and grey, and ours, with an inner rate")


def test_a_part_of_the_budget_is_not_drawn_over_the_papers_curves(tmp_path):
    found = records.read_records([PROJECT / "results/published/combinations_4000"])
    assert not [name for name in gallery.all_figures(found) if name.startswith("paper_")]


STRANGE = "figure.facecolor: black\nfont.size: 31\nlines.linewidth: 9\nsvg.fonttype: none\n"


def test_figures_do_not_depend_on_the_settings_of_other_programs(tmp_path):
    """The same bytes with a matplotlibrc of the user's and the backend that a notebook names."""
    fake.write(tmp_path / "runs", fake.record())
    (tmp_path / "matplotlibrc").write_text(STRANGE)
    strange = os.environ | {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    inline = strange | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    settings = {"inline": inline, "nonsense": strange | {"MPLBACKEND": "nonsense"}}
    for name, variables in settings.items():
        command = ["-m", "results", str(tmp_path / "runs"), "--figures", str(tmp_path / name)]
        subprocess.run([sys.executable, *command], env=variables, check=True, cwd=PROJECT)
    assert main([str(tmp_path / "runs"), "--figures", str(tmp_path / "usual")]) == 0
    drawn = [path.name for path in (tmp_path / "usual").iterdir()]
    assert "learning_curves.svg" in drawn
    for name in drawn:
        files = {(tmp_path / folder / name).read_bytes() for folder in ("usual", *settings)}
        assert len(files) == 1, name
