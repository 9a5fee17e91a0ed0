"""Outer updates against independent NumPy ones, and training as a pure function of its seed."""

from dataclasses import fields, replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmark.algorithms import OUTER_OPTIMIZERS, Algorithm, runs_of_equal
from benchmark.outer_loop import MetaState, meta_iteration, training_tasks
from benchmark.outer_optimizer import outer_optimizer
from benchmark.progress import Progress
from benchmark.studies.tutorial import SharedCopy
from benchmark.training import Diverged, Trainer
from tasks.checks import ConfigError
from tasks.sampling import batch_order, fold_in, split_seed
from tasks.seeding import stateless_key
from tests import reference
from tests.toy import SIZES, Clouds, algorithm, cloud_network, learner, network_of, settings

TASK = Clouds()  # 3 ways, 4 shots: 12 support examples
KEY = stateless_key(0, "training")
TINY = dict(meta_batch=3, inner_steps=4, inner_batch=5, meta_iterations=10)
SGD = dict(inner_optimizer="sgd", inner_learning_rate=0.05)


@pytest.fixture(scope="module")
def network():
    return cloud_network()


@pytest.fixture(scope="module")
def state(network):
    """A meta-training under way: the optimiser has seen 20 steps."""
    moment = np.random.default_rng(0).uniform(1e-4, 0.01, len(network.initial)).astype(np.float32)
    return MetaState(learner(network.initial, moment, 20))


def outer(network, chosen, state, iteration=0, task=TASK):
    """One meta-iteration of ours."""
    inner, move = chosen.inner_loop(network, task.metric), outer_of(network, chosen)
    number = tf.constant(iteration, tf.int64)
    learn = training_tasks(chosen, inner, task.load(), task, KEY)
    return meta_iteration(chosen, learn, move, number, state)


def outer_of(network, chosen):
    return outer_optimizer(chosen.outer_optimizer, chosen.outer_step, network.initial)


def seeds(chosen, iteration=0):
    """Seeds of (episode, batches) of each task of a meta-iteration."""
    numbers = [iteration * chosen.meta_batch + i for i in range(chosen.meta_batch)]
    return [split_seed(fold_in(KEY, tf.constant(number, tf.int64)), 2) for number in numbers]


def tasks_of(chosen, iteration=0, queries=0):
    """Support x, support y, batch order and queries of each task of a meta-iteration."""
    found = []
    for for_episode, for_batches in seeds(chosen, iteration):
        episode = TASK.sample("train", for_episode, TASK.ways, TASK.train_shots, queries)
        order = order_of(chosen, for_batches)
        parts = (episode.support_x, episode.support_y, episode.query_x, episode.query_y)
        x, y, *query = map(np.asarray, parts)
        found.append((x, y, order, *query))
    return found


def order_of(chosen, seed):
    """The rows of the support set that each step learns from, of different length with a tail."""
    tail = getattr(chosen, "tail_shots", 0)
    rows = np.arange(12).reshape(3, 4)  # ways and shots of TASK
    heads, tails = rows[:, : 4 - tail].ravel(), rows[:, 4 - tail :].ravel()
    steps = chosen.inner_steps - (tail > 0)
    order = batch_order(seed, len(heads), steps, chosen.inner_batch, chosen.replacement).numpy()
    return [*heads[order], *([tails] if tail else [])]


def by_hand(chosen, state, weights, step, iteration=0):
    """The same meta-iteration in NumPy."""
    params, moment, count = (np.asarray(part) for part in state.learner)
    return reference.meta_iteration(
        reference.State(params.astype(np.float64), moment.astype(np.float64), int(count)),
        [task[:3] for task in tasks_of(chosen, iteration)],
        weights,
        step,
        chosen.serial,
        sizes=SIZES,
        optimizer=chosen.inner_optimizer,
        rate=chosen.inner_learning_rate,
        reduction=chosen.loss_reduction,
    )


def assert_equal(mine, expected, moved_from):
    np.testing.assert_allclose(mine.learner.params, expected.params, atol=2e-6)
    np.testing.assert_allclose(mine.learner.moment, expected.moment, atol=1e-6)
    assert mine.learner.count.numpy() == expected.count
    assert np.abs(mine.learner.params - moved_from.learner.params).max() > 3e-4


@pytest.mark.parametrize("inner", [{}, SGD], ids=["adam", "sgd"])
@pytest.mark.parametrize("serial", [False, True], ids=["side by side", "serial"])
def test_reptile_moves_to_the_mean_of_the_adapted_weights(network, state, inner, serial):
    chosen = algorithm("reptile", **TINY, **inner, serial=serial)
    mine = outer(network, chosen, state)
    assert_equal(mine, by_hand(chosen, state, [1, 1, 1, 1], 1.0), state)
    steps_behind = {False: 4, True: 4 * 3}[serial]
    assert mine.learner.count.numpy() == 20 + steps_behind


@pytest.mark.parametrize(
    ("step_weights", "weights"),
    [
        ("all", [1, 1, 1, 1]),
        ("average", [0.25, 0.25, 0.25, 0.25]),
        ("last", [0, 0, 0, 1]),
        ([1.0, 0.0, -0.5, 2.0], [1, 0, -0.5, 2]),
        ([0.0, 1.0, 1.0, 0.0], [0, 1, 1, 0]),
    ],
)
def test_step_weights_choose_the_gradients_that_enter(network, state, step_weights, weights):
    chosen = algorithm("reptile", **TINY, **SGD, step_weights=step_weights)
    assert_equal(outer(network, chosen, state), by_hand(chosen, state, weights, 1.0), state)


@pytest.mark.parametrize("replacement", [False, True], ids=["cycling", "replacement"])
def test_fomaml_moves_along_the_last_inner_step(network, state, replacement):
    chosen = algorithm("fomaml", **TINY, replacement=replacement)
    assert_equal(outer(network, chosen, state), by_hand(chosen, state, [0, 0, 0, 1], 1.0), state)


@pytest.mark.parametrize("weights", ["last", "all"])
@pytest.mark.parametrize(("steps", "batch", "tail"), [(4, 3, 1), (4, 5, 1), (2, 4, 2), (1, 5, 1)])
def test_a_separate_tail_is_a_last_step_on_all_that_is_held_back(
    network, state, steps, batch, tail, weights
):
    """Whatever the size of the other batches; the only step where there is but one."""
    sizes = TINY | dict(inner_steps=steps, inner_batch=batch, tail_shots=tail)
    chosen = algorithm("fomaml", **sizes, step_weights=weights)
    entering = [float(weights == "all")] * (steps - 1) + [1.0]
    assert_equal(outer(network, chosen, state), by_hand(chosen, state, entering, 1.0), state)


@pytest.mark.parametrize("replacement", [False, True], ids=["cycling", "replacement"])
def test_the_other_steps_walk_through_what_the_tail_leaves(replacement):
    """Three ways of four shots, one shot a class held back: nine in batches of three."""
    sizes = dict(inner_steps=5, inner_batch=3, tail_shots=1, replacement=replacement)
    chosen = algorithm("fomaml", **sizes)
    for index in range(10):
        order = chosen.order(TASK, fold_in(KEY, tf.constant(index, tf.int64))).numpy()
        assert order.shape == (4, 3)
        assert set(order.ravel()) <= set(range(9))
        if not replacement:  # one pass and a third
            assert sorted(order[:3].ravel()) == list(range(9))


def test_the_shared_tail_of_a_cycling_walk_is_fresh_until_the_examples_are_used_up():
    """Twelve examples in batches of four: the third batch is new, the fourth is not."""
    for steps, overlap in ((3, 0), (4, 4)):
        chosen = algorithm("fomaml", inner_steps=steps, inner_batch=4)
        order = chosen.order(TASK, fold_in(KEY, tf.constant(0, tf.int64))).numpy()
        assert len(set(order[-1]) & set(order[:-1].ravel())) == overlap


def test_one_inner_step_makes_reptile_fomaml_and_joint_training_the_same(network, state):
    one = TINY | dict(inner_steps=1)
    found = [
        outer(network, algorithm(name, **one, **SGD), state).learner.params.numpy()
        for name in ("reptile", "fomaml", "joint")
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    chosen = algorithm("joint", **one, **SGD)
    params = state.learner.params.numpy().astype(np.float64)
    gradients = [
        reference.mlp_gradient(params, x[rows[0]], y[rows[0]], SIZES, "accuracy", "sum")
        for x, y, rows, *_ in tasks_of(chosen)
    ]
    np.testing.assert_allclose(found[0], params - 0.05 * np.mean(gradients, 0), atol=1e-6)


def test_every_iteration_and_every_place_in_the_meta_batch_has_a_task_of_its_own(network, state):
    chosen = algorithm("reptile", **TINY)
    firsts = {float(task[0][0, 0]) for i in range(4) for task in tasks_of(chosen, i)}
    assert len(firsts) == 4 * 3
    later = outer(network, chosen, state, iteration=2)
    expected = by_hand(chosen, state, [1] * 4, step=0.8, iteration=2)
    assert_equal(later, expected, state)


@pytest.mark.parametrize(
    ("first", "final", "at"),
    [(1.0, 0.0, (1.0, 0.5, 0.1)), (0.25, 0.25, (0.25,) * 3), (2.0, 1.0, (2.0, 1.5, 1.1))],
)
def test_the_outer_step_falls_linearly(first, final, at):
    """Ten iterations, 0 to 9: the final step is what an eleventh would have (the authors' code)."""
    chosen = algorithm("reptile", meta_iterations=10, outer_step=first, outer_step_final=final)
    steps = [float(chosen.step_size(tf.constant(i, tf.int64))) for i in (0, 5, 9)]
    np.testing.assert_allclose(steps, at, rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", {"class_name": "SGD", "config": {"momentum": 0.9}}])
def test_an_outer_optimiser_takes_phi_minus_the_adapted_weights_as_its_gradient(network, name):
    rates = dict(outer_step=0.01, outer_step_final=0.01, outer_optimizer=name)
    chosen = algorithm("reptile", **TINY, **SGD, **rates)
    mine = MetaState(learner(network.initial), outer_of(network, chosen).initial)
    theirs = keras.optimizers.get(name)
    theirs.learning_rate = 0.01
    phi = keras.Variable(network.initial)
    theirs.build([phi])
    for iteration in range(3):
        expected = by_hand(chosen, mine, [1] * 4, 1.0, iteration)
        gradient = mine.learner.params.numpy() - expected.params
        theirs.apply_gradients([(tf.constant(gradient, tf.float32), phi)])
        mine = outer(network, chosen, mine, iteration)
        np.testing.assert_allclose(mine.learner.params, phi.numpy(), atol=2e-5)
    assert np.abs(phi.numpy() - network.initial).max() > 3e-3


def test_annealing_scales_the_step_of_an_outer_optimiser(network):
    """Adam's first step is its learning rate along the sign, here at half way through."""
    rates = dict(outer_step=0.01, outer_step_final=0.0, outer_optimizer="adam")
    chosen = algorithm("reptile", **TINY, **SGD, **rates)
    start = MetaState(learner(network.initial), outer_of(network, chosen).initial)
    moved = outer(network, chosen, start, iteration=5).learner.params.numpy() - network.initial
    np.testing.assert_allclose(np.abs(moved), 0.005, rtol=0.01)


@pytest.mark.parametrize("name", OUTER_OPTIMIZERS)
def test_every_outer_optimiser_that_is_accepted_moves_the_initialisation(name):
    initial = np.ones(4, np.float32)
    optimizer = outer_optimizer(name, 0.1, initial)
    assert type(optimizer.optimizer).__name__.lower() == name
    moved, state = optimizer.update(tf.constant(initial), -tf.ones(4), 0.1, optimizer.initial)
    assert (moved.numpy() < initial).all() and len(state) == len(optimizer.initial)


@pytest.mark.parametrize("own", [{"nope": 1}, {"beta_1": "high"}])
def test_an_outer_optimiser_with_settings_that_it_does_not_know_is_refused(network, own):
    chosen = algorithm("reptile", outer_optimizer={"class_name": "adam", "config": own})
    with pytest.raises(ConfigError, match=r"algorithm\.outer_optimizer=\{.*\}: must be null or an"):
        outer_of(network, chosen)


def maml(**changes):
    """Three steps of 0.2, and an outer step that is the whole displacement."""
    rates = dict(inner_learning_rate=0.2, outer_step=1.0, outer_step_final=1.0)
    sizes = TINY | dict(inner_steps=3, train_queries_per_class=2, outer_optimizer=None)
    return algorithm("maml", **sizes, **rates, **changes)


def adapted_by_hand(params, task, reduction, adapted=1.0):
    """Parameters after the inner steps of `maml`, `adapted` [P] being 1 for those that move."""
    x, y, order, *_ = task
    for rows in order:
        slope = reference.mlp_gradient(params, x[rows], y[rows], SIZES, "accuracy", reduction)
        params = params - 0.2 * adapted * slope
    return params


def meta_gradient(params, tasks, reduction, adapted=1.0):
    """[P] finite differences of the mean query loss after adaptation."""

    def objective(phi):
        losses = []
        for task in tasks:
            outputs = reference.mlp(adapted_by_hand(phi, task, reduction, adapted), task[3], SIZES)
            losses.append(reference.loss(outputs, task[4], "accuracy", reduction))
        return np.mean(losses)

    return reference.finite_differences(objective, params, h=1e-5)


def query_gradient(params, tasks, reduction, adapted=1.0):
    """[P] mean gradient of the query loss at the adapted parameters."""
    slopes = [
        reference.mlp_gradient(
            adapted_by_hand(params, task, reduction, adapted),
            *task[3:],
            SIZES,
            "accuracy",
            reduction,
        )
        for task in tasks
    ]
    return np.mean(slopes, axis=0)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_mamls_displacement_is_the_finite_difference_of_its_meta_objective(
    network, state, reduction
):
    chosen = maml(loss_reduction=reduction)
    tasks, params = tasks_of(chosen, queries=2), state.learner.params.numpy()
    slope = meta_gradient(params.astype(np.float64), tasks, reduction)
    mine = outer(network, chosen, state)
    scale = np.abs(slope).max()
    np.testing.assert_allclose(params - mine.learner.params, slope, atol=1e-4 * scale)
    np.testing.assert_allclose(mine.learner.moment, state.learner.moment, rtol=1e-6)
    first_order = query_gradient(params.astype(np.float64), tasks, reduction)
    assert np.abs(first_order - slope).max() > 0.02 * scale  # the second order is really there


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_first_order_maml_takes_the_query_gradient_where_the_inner_loop_arrived(
    network, state, reduction
):
    chosen = maml(loss_reduction=reduction, first_order=True)
    tasks, params = tasks_of(chosen, queries=2), state.learner.params.numpy()
    slope = query_gradient(params.astype(np.float64), tasks, reduction)
    mine = outer(network, chosen, state)
    np.testing.assert_allclose(params - mine.learner.params, slope, atol=1e-5)
    assert np.abs(slope).max() > 0.05


@pytest.mark.parametrize(
    ("first_order", "gradient"), [(False, meta_gradient), (True, query_gradient)]
)
def test_maml_learns_parameters_that_the_inner_loop_does_not_adapt(first_order, gradient):
    network = cloud_network()
    network.adapted = np.ones_like(network.initial)
    network.adapted[12:16] = 0  # the first bias
    chosen = maml(loss_reduction="mean", first_order=first_order)
    tasks = tasks_of(chosen, queries=2)
    slope = gradient(network.initial.astype(np.float64), tasks, "mean", network.adapted)
    mine = outer(network, chosen, MetaState(learner(network.initial)))
    moved = network.initial - mine.learner.params
    np.testing.assert_allclose(moved, slope, atol=1e-4 * np.abs(slope).max())
    assert np.abs(moved[12:16]).max() > 1e-3


def test_the_other_algorithms_refuse_parameters_that_the_inner_loop_does_not_adapt(network):
    shifts = cloud_network()
    shifts.adapted = np.zeros_like(shifts.initial)
    with pytest.raises(
        ConfigError, match=r"^model=\S+: must be adapted as a whole by the inner loop"
    ):
        algorithm("reptile").inner_loop(shifts, "accuracy")


def test_equal_weights_share_one_loop():
    assert runs_of_equal([0, 0, 1]) == [(0, 2, 0), (2, 3, 1)]
    assert runs_of_equal([1.0]) == [(0, 1, 1.0)]
    assert runs_of_equal([1, 2, 2, 1]) == [(0, 1, 1), (1, 3, 2), (3, 4, 1)]


def test_an_algorithm_of_ones_own_needs_learn_task_alone(network, state):
    class Still(Algorithm):
        def learn_task(self, inner, learner, distribution, task, seed):
            return tf.ones_like(learner.params), learner

    base = settings().algorithm
    settings_of = {field.name: getattr(base, field.name) for field in fields(Algorithm)}
    moved = outer(network, Still(**settings_of), state).learner.params - state.learner.params
    np.testing.assert_allclose(moved, 1.0, atol=1e-6)


def test_the_program_as_printed_takes_one_step_on_each_of_many_tasks(network, state):
    chosen = SharedCopy(**vars(algorithm("reptile", **TINY | dict(meta_batch=1), **SGD)))
    number = tf.constant(0, tf.int64)
    now = state.learner.params.numpy().astype(np.float64)
    for each in split_seed(fold_in(KEY, number), chosen.inner_steps):
        for_episode, for_batch = split_seed(each, 2)
        x, y, *_ = TASK.sample("train", for_episode, TASK.ways, TASK.train_shots, 0)
        (rows,) = order_of(replace(chosen, inner_steps=1), for_batch)
        batch = x.numpy()[rows], y.numpy()[rows]
        now = now - 0.05 * reference.mlp_gradient(now, *batch, SIZES, "accuracy", "sum")
    mine = outer(network, chosen, state)
    np.testing.assert_allclose(mine.learner.params, now, atol=2e-6)


# --- Training as a whole ---

SMALL = (
    "task.classes=6",
    "task.test_classes=6",
    "task.alphabets=2",
    "task.drawers=6",
    "task.train_shots=4",
    "task.ways=3",
    "algorithm.meta_iterations=7",
    "algorithm.meta_batch=2",
    "algorithm.inner_steps=2",
    "algorithm.inner_batch=5",
    "evaluation.shots=[1]",
)
CONV = ("model.layers=2", "model.filters=3")
DENSE = ("model=mlp", "model.hidden=[8]")
CASES = {
    "reptile": CONV,
    "serial fomaml with a tail and outer adam": (
        *DENSE,
        "algorithm=fomaml",
        "algorithm.tail_shots=1",
        "algorithm.serial=true",
        "algorithm.outer_optimizer=adam",
        "algorithm.outer_step=0.01",
    ),
    "maml": (*DENSE, "algorithm=maml", "algorithm.inner_learning_rate=0.05"),
}


def trainer_of(chosen):
    inner = chosen.algorithm.inner_loop(network_of(chosen), chosen.task.metric)
    return Trainer(chosen, inner, chosen.task.load())


def trained(trainer, stops):
    """Progress after meta-iterations up to each of `stops`, one call of the graph for each."""
    progress = Progress.fresh(network_of(trainer.settings).initial, trainer.initial_outer_state)
    for stop in stops:
        trainer.advance(progress, stop)
    return progress


def bits(progress):
    return [np.asarray(part).tobytes() for part in (*progress.learner, *progress.outer)]


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES.keys())
def test_training_is_bit_identical_from_the_same_seed_and_however_it_is_cut(overrides):
    chosen = settings(*overrides, *SMALL)
    first, again = trainer_of(chosen), trainer_of(chosen)
    whole = trained(first, [7])
    assert whole.iteration == 7
    assert bits(whole) == bits(trained(again, [7])), "the same seed twice"
    assert bits(whole) == bits(trained(first, [1, 3, 4, 7])), "cut elsewhere"


def test_another_seed_trains_from_other_weights_on_other_tasks():
    chosen = settings(*DENSE, *SMALL)
    here, there = trainer_of(chosen), trainer_of(replace(chosen, seed=1))
    assert bits(trained(here, [])) != bits(trained(there, []))
    same_start = trained(here, [])
    there.advance(same_start, 7)
    assert bits(same_start) != bits(trained(here, [7]))


def test_a_training_is_its_meta_iterations_one_after_the_other():
    chosen = replace(settings(*DENSE, *SMALL), task=TASK)
    network = network_of(chosen)
    now = MetaState(learner(network.initial))
    for iteration in range(7):
        now = outer(network, chosen.algorithm, now, iteration)
    done = trained(trainer_of(chosen), [7])
    np.testing.assert_allclose(done.learner[0], now.learner.params, atol=1e-5)
    assert done.learner[2] == now.learner.count.numpy() == 7 * 2


def test_the_loop_takes_curve_points_and_checkpoints_at_their_iterations():
    rhythm = ("curve_points=3", "curve_episodes=2", "checkpoint_every=2")
    trainer = trainer_of(settings(*DENSE, *SMALL, *(f"training.{key}" for key in rhythm)))
    progress, due = trained(trainer, []), []
    trainer.train(progress, lambda now, save: due.append(now.iteration) if save else None)
    assert progress.iteration == 7
    assert due == [2, 4, 6]
    assert sorted({p["iteration"] for p in progress.curve}) == [3, 5, 7]  # thirds, rounded up
    shown = {(p["split"], p["transductive"]) for p in progress.curve}
    assert shown == {("train", False), ("train", True)}
    assert bits(progress) == bits(trained(trainer, [7]))


def test_diverging_is_told_with_the_iterations_it_happened_in():
    steps = ("algorithm.outer_step=1e30", "algorithm.inner_learning_rate=1e20")
    trainer = trainer_of(settings(*DENSE, *SMALL, *steps))
    with pytest.raises(Diverged, match="no longer finite between meta-iterations 0 and 7"):
        trained(trainer, [7])


@pytest.mark.parametrize(
    ("learnt", "found"),
    [
        (lambda params, now: (tf.reduce_mean(params), now), r"\(\) of float32, Learner"),
        (lambda params, now: (params[:1], now), r"\(1,\) of float32, Learner"),
        (lambda params, now: (tf.cast(params, "float64"), now), r"\(\d+,\) of float64, Learner"),
        (lambda params, now: (params, None), r"\(\d+,\) of float32, NoneType"),
        (lambda params, now: params, "EagerTensor"),
        (lambda params, now: None, "NoneType"),
    ],
)
def test_a_displacement_of_another_kind_is_refused_in_one_line(network, state, learnt, found):
    class Mine:
        name = "mine"

        def learn_task(self, inner, learner, *_):
            return learnt(learner.params, learner)

    learn = training_tasks(Mine(), None, TASK, TASK, KEY)
    with pytest.raises(ConfigError, match=rf"^algorithm=mine: learn_task must .*, not {found}$"):
        learn(tf.constant(0, tf.int64), state.learner)


def test_weights_of_zero_move_nothing(network, state):
    still = algorithm("fomaml", step_weights=[0.0] * TINY["inner_steps"], **TINY, **SGD)
    learn = training_tasks(still, still.inner_loop(network, "accuracy"), TASK, TASK, KEY)
    displacement, _ = learn(tf.constant(0, tf.int64), state.learner)
    assert not displacement.numpy().any() and displacement.shape == network.initial.shape
