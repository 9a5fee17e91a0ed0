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

from results import figures, gallery, plotting, records
from tests import fake_records as fake
from tests.command import PROJECT


@pytest.fixture
def found(tmp_path):
    fake.sweep(tmp_path)
    return records.read_records([tmp_path])


def reptile(found, **keys):
    rows = found.completed
    rows = rows[rows["method"] == "reptile"]
    for key, value in keys.items():
        rows = rows[rows[key] == value]
    return rows


def line(ax, label):
    return next(drawn for drawn in ax.get_lines() if drawn.get_label() == label)


def test_learning_curves_average_seeds_and_show_the_interval_as_a_band(found):
    ax = figures.learning_curves(found.curves)
    curve = line(ax, "meta_iterations 2000")
    # 0.78 - 80/2000 + 0.01 (mean seed) - 30/(i + 50)
    assert curve.get_xdata() == pytest.approx([100, 200, 400])
    assert curve.get_ydata() == pytest.approx([55.0, 63.0, 75 - 3000 / 450])
    band = ax.collections[1].get_paths()[0].vertices[:, 1]
    half_width = 4.302653 / np.sqrt(3)  # percent: seed means are 1 apart
    assert band.min() == pytest.approx(55 - half_width, rel=1e-5)
    assert ax.get_ylabel() == "accuracy (%)\n95 % interval over seeds"


def test_accuracy_against_steps_with_a_level_line_for_what_takes_none(tmp_path):
    rows = [
        fake.evaluation(1, False, value, steps=steps)
        for steps, value in [(0, 0.2), (10, 0.7), (50, 0.8)]
    ]
    near = fake.evaluation(1, False, 0.45, method="nearest_neighbour")
    fake.write(tmp_path, fake.record(evaluations=rows, baselines=[near]))
    ax = figures.against_steps(records.read_records([tmp_path]).completed)
    curve = line(ax, "Reptile")
    assert curve.get_xdata() == pytest.approx([0, 10, 50])
    assert curve.get_ydata() == pytest.approx([20, 70, 80])
    assert line(ax, "nearest neighbour (pixels)").get_ydata() == pytest.approx([45, 45])
    assert ax.get_xlabel() == "adaptation steps"


def test_grid_as_lines_and_as_heat_map_hold_the_same_means(found):
    rows = reptile(found, transductive=False)
    ax = figures.over_grid(rows)
    assert line(ax, "1-shot").get_ydata() == pytest.approx([71, 75])
    texts = [text.get_text() for text in figures.heat_map(rows).texts]
    assert texts == ["71.0\n± 2.5", "83.0\n± 2.5", "75.0\n± 2.5", "87.0\n± 2.5"]


def test_a_heat_map_refuses_to_average_what_varies(found):
    with pytest.raises(ValueError, match="needs one value of transductive"):
        figures.heat_map(reptile(found))


def test_bars_of_gradient_combinations(tmp_path):
    for steps, weights, value in [(2, "all", 0.5), (2, "last", 0.6), (4, "all", 0.7)]:
        row = fake.evaluation(5, False, value, ci95=0.02)
        fake.write(
            tmp_path / f"{steps}{weights}",
            fake.record(
                {"algorithm.inner_steps": steps, "algorithm.step_weights": weights},
                evaluations=[row],
                baselines=[],
            ),
        )
    ax = figures.bars(
        records.read_records([tmp_path]).completed,
        ["algorithm.inner_steps", "algorithm.step_weights"],
    )
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([50, 60, 70])
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "inner_steps 2, step_weights all",
        "inner_steps 2, step_weights last",
        "inner_steps 4, step_weights all",
    ]
    assert ax.get_xlabel() == "accuracy (%), 95 % interval over episodes"


COMBINATIONS = [
    *("g1", "g2", "g1+g2", "mean(g1+g2)", "g3", "g1+g2+g3", "mean(g1+g2+g3)"),
    *("g4", "g1+g2+g3+g4", "mean(g1+g2+g3+g4)"),
]


def test_combinations_share_colour_by_steps_and_dashes_by_kind(tmp_path):
    for name in COMBINATIONS:
        fake.write(tmp_path / name, fake.record({"algorithm.name": name}))
    found = records.read_records([tmp_path])
    ax = figures.learning_curves(found.curves)
    assert ax.get_legend_handles_labels()[1] == COMBINATIONS
    looks = {drawn.get_label(): drawn for drawn in ax.get_lines()}
    for same in (["g3", "g1+g2+g3", "mean(g1+g2+g3)"], ["g4", "mean(g1+g2+g3+g4)"]):
        assert len({(looks[n].get_color(), looks[n].get_marker()) for n in same}) == 1
    dashes = {name: looks[name].get_linestyle() for name in COMBINATIONS}
    assert (dashes["g2"], dashes["g1+g2"], dashes["mean(g1+g2)"]) == ("-", "--", ":")
    in_grey = {(drawn.get_marker(), drawn.get_linestyle()) for drawn in looks.values()}
    assert len(in_grey) == len(COMBINATIONS)


def test_bars_of_combinations_stand_by_steps_with_baselines_last(tmp_path):
    for name in COMBINATIONS:
        rows = [fake.evaluation(5, False, 0.5)]
        near = [fake.evaluation(5, False, 0.5, method="nearest_neighbour")]
        fake.write(
            tmp_path / name,
            fake.record({"algorithm.name": name}, evaluations=rows, baselines=near),
        )
    ax = figures.bars(records.read_records([tmp_path]).completed, ["method"])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [*COMBINATIONS, "nearest neighbour (pixels)"]
    colors = [to_hex(bar.get_facecolor()) for bar in ax.patches]
    assert len(set(colors[4:7])) == 1 and len(set(colors)) == 5


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
def test_an_overlap_sweep_is_a_line_for_each_method_tail_and_way_to_draw(tmp_path, key, values):
    made = gallery.all_figures(overlap(tmp_path, key, values))
    assert list(made) == ["grid"]
    caption, ax = made["grid"]
    assert caption == f"5-way: score over {key.replace('_', ' ')}."
    assert ax.get_legend_handles_labels()[1] == [
        f"{method}, {drawn}"
        for method in ("FOMAML, separate tail", "FOMAML, shared tail", "Reptile")
        for drawn in ("cycling", "replacement")
    ]
    tied = "\n(and with it train shots)" if key == "inner_batch" else ""
    assert ax.get_xlabel() == key.replace("_", " ") + tied
    for drawn in ax.get_lines():
        assert drawn.get_xdata() == pytest.approx(values)
        assert (drawn.get_linestyle() == "--") == ("replacement" in drawn.get_label())
    assert len({drawn.get_color() for drawn in ax.get_lines()}) == 3


def test_as_many_lines_as_a_figure_takes_all_differ(tmp_path):
    for number in range(figures.MOST_CURVES):
        fake.write(tmp_path / str(number), fake.record({"algorithm.name": f"m{number}"}))
    ax = figures.learning_curves(records.read_records([tmp_path]).curves)
    looks = {(drawn.get_marker(), drawn.get_linestyle()) for drawn in ax.get_lines()}
    assert len(looks) == figures.MOST_CURVES


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
    ax = figures.sine_fit(sine_points())
    assert ax.get_legend_handles_labels()[1] == [
        "true curve",
        "before adaptation",
        "after 1 step",
        "after 32 steps",
        "10 sampled points",
    ]
    after = line(ax, "after 32 steps")
    assert after.get_ydata() == pytest.approx(np.sin(after.get_xdata()))


def test_episode_sheet_marks_right_and_wrong_without_colour_alone():
    white = np.ones((28, 28))
    rows = [{"kind": "support", "label": label, "image": white} for label in (0, 1)]
    rows += [
        {"kind": "query", "label": 0, "image": white, "prediction": 0, "probability": 0.9},
        {"kind": "query", "label": 1, "image": white, "prediction": 0, "probability": 0.6},
    ]
    ax = figures.episode_sheet(pd.DataFrame(rows))
    texts = [text.get_text() for text in ax.texts]
    assert "✓ class 0: 90 %" in texts and "✗ class 0: 60 %" in texts
    assert len(ax.images) == 4
    styles = [frame.get_linestyle() for frame in ax.patches]
    assert styles.count("--") == 1


def test_figures_draw_on_given_axes(found):
    ax = figures.new_axes()
    assert figures.learning_curves(found.curves, ax) is ax
    assert figures.sine_fit(sine_points(), ax) is ax


def test_palette_is_distinct_in_grey():
    """Neighbouring curves differ in brightness or marker."""
    assert len(set(figures.MARKERS)) == len(figures.MARKERS) == len(figures.PALETTE)
    assert [to_hex(color).upper() for color in figures.PALETTE] == list(figures.PALETTE)


def test_files_are_vector_and_png_and_repeatable(found, tmp_path):
    with plotting.style():
        for name in ("a", "b"):
            figures.save(figures.learning_curves(found.curves), tmp_path / "new" / name)
    for suffix in ("svg", "pdf", "png"):
        a, b = ((tmp_path / "new" / f"{name}.{suffix}").read_bytes() for name in "ab")
        assert a == b, suffix
    assert (tmp_path / "new" / "a.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_dollar_sign_in_a_configuration_is_drawn_as_it_is(tmp_path):
    for name in ("cost$a$", r"$\frac{$"):
        fake.write(tmp_path / name.encode().hex(), fake.record({"algorithm.name": name}))
    with plotting.style():
        ax = figures.learning_curves(records.read_records([tmp_path]).curves)
        files = figures.save(ax, tmp_path / "figure", ["svg"])
    ElementTree.parse(files[0])


def test_all_figures_are_those_the_records_have_data_for(found, tmp_path):
    assert sorted(gallery.all_figures(found)) == [
        "grid",
        "heat_map_reptile_non-transductive",
        "heat_map_reptile_transductive",
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
    ((caption, ax),) = gallery.all_figures(records.read_records([tmp_path])).values()
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
    ((caption, ax),) = gallery.all_figures(records.read_records([tmp_path])).values()
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
        ax = figures.episode_sheet(pd.DataFrame(images))
        figures.figure_of(ax).canvas.draw()
        below = [t.get_window_extent() for t in ax.texts if "✓" in t.get_text()]
    assert len(below) == 3
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(below))


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"algorithm.meta_iterations": 800}, "meta_iterations"), ({"split": "train"}, "split")],
)
def test_no_curve_joins_what_different_runs_measured(tmp_path, changed, told):
    """Points at other iterations, of another budget or of other classes, are another curve."""
    points = fake.record()["learning_curve"]
    fake.write(tmp_path / "a", fake.record())
    settings = {key: value for key, value in changed.items() if "." in key}
    protocol = {key: value for key, value in changed.items() if "." not in key}
    later = [{**point, "iteration": point["iteration"] + 700, **protocol} for point in points]
    fake.write(tmp_path / "b", fake.record({**settings, "seed": 1}, learning_curve=later))
    ax = figures.learning_curves(records.read_records([tmp_path]).curves)
    assert [list(drawn.get_xdata()) for drawn in ax.get_lines()] in (
        [[100, 200, 400], [800, 900, 1100]],
        [[800, 900, 1100], [100, 200, 400]],
    )
    assert all(told in label for label in ax.get_legend_handles_labels()[1])


def test_the_papers_curves_are_grey_under_ours_and_the_deviation_is_a_number():
    found = records.read_records([PROJECT / "results/published/combinations_40000"])
    caption, ax = gallery.all_figures(found)["paper_figure_3"]
    csv = pd.read_csv(PROJECT / "results/published/paper_figures/figure3.csv")
    grey = [drawn for drawn in ax.get_lines() if to_hex(drawn.get_color()) == "#999999"]
    ours = [drawn for drawn in ax.get_lines() if drawn not in grey]
    assert len(grey) == len(ours) == csv["curve"].nunique() == 10
    of_g1 = csv[csv["curve"] == "g1"]
    assert grey[0].get_ydata() == pytest.approx(100 * of_g1["accuracy"].to_numpy())
    g1 = next(drawn for drawn in ours if drawn.get_label() == "g1")
    own = found.completed[found.completed["method"] == "g1"]["value"].iloc[0]
    assert g1.get_ydata()[-1] == pytest.approx(100 * own)
    worst = max(
        abs(y - float(of_g1.set_index("meta_iteration")["accuracy"][x]) * 100)
        for x, y in zip(g1.get_xdata(), g1.get_ydata(), strict=True)
    )
    assert float(caption.split(" at most")[0].rsplit(" ", 1)[1]) >= round(worst / 100, 3)


def test_a_part_of_the_budget_is_not_drawn_over_the_papers_curves(tmp_path):
    found = records.read_records([PROJECT / "results/published/combinations_4000"])
    assert not [name for name in gallery.all_figures(found) if name.startswith("paper_")]


STRANGE = "figure.facecolor: black\nfont.size: 31\nlines.linewidth: 9\nsvg.fonttype: none\n"


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_figures_do_not_depend_on_the_settings_of_other_programs(tmp_path, backend):
    """The same bytes with a matplotlibrc of the user's and the backend that a notebook names."""
    fake.write(tmp_path / "runs", fake.record())
    (tmp_path / "matplotlibrc").write_text(STRANGE)
    usual = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "MATPLOTLIBRC")}
    other = {**usual, "MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    for name, variables in [("usual", usual), ("other", other)]:
        command = ["-m", "results", str(tmp_path / "runs"), "--figures", str(tmp_path / name)]
        subprocess.run([sys.executable, *command], env=variables, check=True, cwd=PROJECT)
    drawn = [path.name for path in (tmp_path / "usual").iterdir()]
    assert "learning_curves.svg" in drawn
    for name in drawn:
        both = [(tmp_path / folder / name).read_bytes() for folder in ("usual", "other")]
        assert both[0] == both[1], name
