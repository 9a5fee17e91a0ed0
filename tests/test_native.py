"""The native library, in every width that this processor has, against NumPy in float64."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.native import library
from benchmark.native.library import Rule, Shape
from tests import reference

BUILDS = library.builds()
pytestmark = pytest.mark.skipif(not BUILDS, reason="no C++ compiler when the project was installed")
SMALL = Shape(height=9, width=12, colours=1, layers=2, filters=16, ways=3)
RATE = 0.003
BIG_STEP = 1e6  # of SGD: what it moves is the gradient, the parameters that it leaves are nothing
every_build = pytest.mark.parametrize("width", BUILDS)


def shapes_of(shape):
    """Shapes of the variables, in Keras's order."""
    channels, height, width = shape.colours, shape.height, shape.width
    found = []
    for _ in range(shape.layers):
        found += [(3, 3, channels, shape.filters), (shape.filters,), (shape.filters,)]
        channels, height, width = shape.filters, -(-height // 2), -(-width // 2)
    return [*found, (height * width * channels, shape.ways), (shape.ways,)]


def variables_of(shape, params):
    """The [P] vector cut into variables."""
    sizes = [int(np.prod(s)) for s in shapes_of(shape)]
    parts = np.split(params, np.cumsum(sizes)[:-1])
    return [part.reshape(s) for part, s in zip(parts, shapes_of(shape), strict=True)]


def problem(shape, batch, seed=0):
    """Parameters [P], images and labels, no unit so near to its kink that float32 may err.

    A unit on the wrong side of zero changes a gradient by more than any rounding does.
    """
    random = np.random.default_rng(seed)
    while True:
        parts = [random.normal(0, np.prod(s[:-1]) ** -0.5, s) for s in shapes_of(shape)]
        for gamma in parts[1:-2:3]:
            gamma += 1 + gamma
        params = np.concatenate([p.ravel() for p in parts]).astype(np.float32)
        x = random.random((batch, shape.height, shape.width, shape.colours), np.float32)
        y = random.integers(0, shape.ways, batch).astype(np.int32)
        expected = reference.conv_gradient(variables_of(shape, params), x, y, "sum")
        if expected.from_kink > 3e-6:
            return params, x, y


def gradient(width, shape, params, x, y, mean=False):
    """[P] gradient of one mini-batch of all examples, from a step of SGD."""
    rule = Rule(adam=False, mean=mean, rate=BIG_STEP)
    order = np.arange(len(x), dtype=np.int32)[None]
    none = np.zeros_like(params)
    after, _ = library.adapt(BUILDS[width], shape, rule, params, none, 0, x, y, order)
    return (params - after.astype(np.float64)) / BIG_STEP


def apart(found, expected):
    """Distance in units of the length of `expected`."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


networks = st.builds(
    Shape,
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    colours=st.sampled_from([1, 3]),
    layers=st.integers(1, 4),
    filters=st.sampled_from([16, 32, 48, 64, 80, 128]),
    ways=st.integers(2, 20),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(shape=networks, batch=st.integers(2, 8), mean=st.booleans(), seed=st.integers(0, 99))
def test_gradients_of_any_shape(shape, batch, mean, seed):
    params, x, y = problem(shape, batch, seed)
    variables = variables_of(shape, params)
    expected = reference.conv_gradient(variables, x, y, "mean" if mean else "sum").flat
    for width in BUILDS:
        assert apart(gradient(width, shape, params, x, y, mean), expected) < 1e-5, width


def test_the_reference_itself_agrees_with_finite_differences():
    shape = Shape(height=5, width=4, colours=1, layers=2, filters=2, ways=3)
    params, x, y = problem(shape, 3)
    params = params.astype(np.float64)
    slope = reference.finite_differences(
        lambda at: reference.loss(
            reference.conv_network(variables_of(shape, at), x), y, "accuracy", "sum"
        ),
        params,
        1e-6,
    )
    found = reference.conv_gradient(variables_of(shape, params), x, y, "sum").flat
    np.testing.assert_allclose(found, slope, atol=1e-7)


@pytest.mark.parametrize(
    ("ways", "batch"), [(2, 1), (2, 25), (5, 1), (5, 5), (5, 10), (20, 10), (20, 25)]
)
def test_gradients_at_the_papers_size(ways, batch):
    shape = Shape(28, 28, 1, layers=4, filters=64, ways=ways)
    params, x, y = problem(shape, batch)
    expected = reference.conv_gradient(variables_of(shape, params), x, y, "sum").flat
    for width in BUILDS:
        assert apart(gradient(width, shape, params, x, y), expected) < 1e-5, width


def by_hand(shape, params, moment, count, x, y, order, optimizer, reduction):
    """The state after the steps in float64, and how near a unit came to its kink on the way."""
    update = {"adam": reference.adam, "sgd": reference.sgd}[optimizer]
    state, nearest = reference.State(params, moment, count), np.inf
    for rows in order:
        variables = variables_of(shape, state.params)
        found = reference.conv_gradient(variables, x[rows], y[rows], reduction)
        state, nearest = update(state, found.flat, RATE), min(nearest, found.from_kink)
    return state, nearest


def adaptation(shape, images, batch, optimizer, reduction):
    """Arguments of five steps that stay clear of kinks, and the state after them by hand."""
    for seed in range(99):
        params, x, y = problem(shape, images, seed)
        random = np.random.default_rng(seed)
        moment = random.uniform(1e-4, 1e-2, params.size).astype(np.float32)
        order = random.integers(0, images, (5, batch)).astype(np.int32)
        given_ = params, moment, 7, x, y, order
        state, nearest = by_hand(shape, *given_, optimizer, reduction)
        if nearest > 1e-5:
            return given_, state
    raise AssertionError("every seed came near a kink")


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("batch", [1, 2, 5, 25])
def test_parameters_after_five_steps(optimizer, reduction, batch):
    arguments, expected = adaptation(SMALL, 30, batch, optimizer, reduction)
    params, moment = arguments[:2]
    rule = Rule(adam=optimizer == "adam", mean=reduction == "mean", rate=RATE)
    for build in BUILDS.values():
        after, second = library.adapt(build, SMALL, rule, *arguments)
        assert apart(after, expected.params) < 1e-5
        assert apart(after - params, expected.params - params) < 1e-4
        assert apart(second, expected.moment) < 1e-5
        assert (second == moment).all() == (optimizer == "sgd")


@every_build
def test_predictions_agree_with_numpy(width):
    params, x, _ = problem(SMALL, 7)
    variables, support, query = variables_of(SMALL, params), x[:4], x[4:]
    together = reference.conv_network(variables, query)
    found = library.predict(BUILDS[width], SMALL, params, support, query, True)
    np.testing.assert_allclose(found, together, atol=1e-5)
    alone = [reference.conv_network(variables, np.append(support, [q], 0))[-1] for q in query]
    found = library.predict(BUILDS[width], SMALL, params, support, query, False)
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert np.abs(together - alone).max() > 0.01


@every_build
def test_the_same_bits_from_any_number_of_threads(width):
    params, x, y = problem(SMALL, 6)
    rule, order = Rule(True, False, RATE), np.arange(6, dtype=np.int32).reshape(2, 3)
    arguments = [(params * (1 + i / 8), params**2, 3, x, y, order) for i in range(8)]

    def adapted(one):
        return library.adapt(BUILDS[width], SMALL, rule, *one)[0].tobytes()

    alone = [adapted(one) for one in arguments]
    assert len(set(alone)) == len(alone)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(adapted, arguments * 4)) == alone * 4


@every_build
def test_what_is_not_a_number_is_seen_in_all_that_comes_of_it(width):
    params, x, y = problem(SMALL, 4)
    rule, order = Rule(True, False, RATE), np.arange(4, dtype=np.int32)[None]
    for place in (params, x):
        kept, place.flat[3] = place.flat[3], np.nan
        after, _ = library.adapt(BUILDS[width], SMALL, rule, params, params**2, 0, x, y, order)
        assert np.isnan(after).mean() > 0.5
        assert np.isnan(library.predict(BUILDS[width], SMALL, params, x[:1], x, True)).all()
        place.flat[3] = kept


BAD = {
    "parameters": lambda a: {"params": a["params"][:-1], "moment": a["moment"][:-1]},
    "sizes": lambda a: {"moment": a["moment"][:-1]},
    "sizes that": lambda a: {"y": a["y"][:-1]},
    "images of shape": lambda a: {"x": a["x"][:, :-1]},
    "order: must be rows": lambda a: {"order": a["order"] + 1},
    "order: must be": lambda a: {"order": a["order"] - 1},
    "labels: must be at least 0 and below": lambda a: {"y": a["y"] + np.int32(SMALL.ways)},
    "labels: must be": lambda a: {"y": -1 - a["y"]},
}


@every_build
@pytest.mark.parametrize("message", BAD)
def test_what_does_not_fit_is_refused_in_one_line(width, message):
    params, x, y = problem(SMALL, 4)
    good = {"params": params, "moment": params, "count": 0, "x": x, "y": y}
    good["order"] = np.arange(4, dtype=np.int32)[None]
    rule = Rule(True, False, RATE)
    library.adapt(BUILDS[width], SMALL, rule, **good)
    with pytest.raises(ValueError, match=message) as error:
        library.adapt(BUILDS[width], SMALL, rule, **{**good, **BAD[message](good)})
    assert "\n" not in str(error.value)


@every_build
@pytest.mark.parametrize(
    "change", [{"layers": 6}, {"layers": 0}, {"filters": 24}, {"filters": 144}, {"ways": 0}]
)
def test_a_network_that_the_library_does_not_know_is_refused(width, change):
    shape = Shape(**{name: getattr(SMALL, name) for name, _ in Shape._fields_} | change)
    x, none = np.zeros((2, 9, 12, 1), np.float32), np.zeros(10, np.float32)
    with pytest.raises(ValueError, match="not those of the network"):
        library.predict(BUILDS[width], shape, none, x, x, True)
