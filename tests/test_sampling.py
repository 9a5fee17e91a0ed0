"""Episodes and mini-batches: pure functions of a seed, without repeats, leaks or bias."""

from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf

from tasks.checks import ConfigError
from tasks.episode import Episode
from tasks.image_set import rotated, stacked
from tasks.sampling import (
    ImageDistribution,
    batch_order,
    choose,
    fold_in,
    hold_back,
    integers,
    split_seed,
    uniform,
)
from tasks.seeding import stateless_key
from tests.toy import coded_images, decode

KEY = stateless_key(0, "sampling")


def seed(index):
    return fold_in(KEY, tf.constant(index, tf.int64))


def distribution(classes=12, examples=8, **options):
    sets = {"train": coded_images(classes, examples), "test": coded_images(classes, examples)}
    return ImageDistribution(sets, **options)


def bits(episode):
    return [np.asarray(part).tobytes() for part in episode]


def chi_square(counts):
    """Per degree of freedom; 1 on average for fair draws."""
    expected = np.mean(counts)
    return float(np.sum((counts - expected) ** 2 / expected) / (len(counts) - 1))


def test_an_episode_is_a_function_of_its_seed():
    images = distribution()
    first, again = (images.sample("test", seed(3), 5, 2, 1) for _ in range(2))
    assert bits(first) == bits(again)
    assert bits(first) != bits(images.sample("test", seed(4), 5, 2, 1))


def test_an_episode_in_a_graph_is_the_episode_outside_it():
    images = distribution()
    inside = tf.function(lambda s: images.sample("test", s, 5, 2, 1))(seed(3))
    outside = images.sample("test", seed(3), 5, 2, 1)
    assert decode(inside.support_x) == decode(outside.support_x)
    assert decode(inside.query_x) == decode(outside.query_x)


def test_shapes_pixels_and_dtypes_are_those_promised():
    episode = distribution().sample("test", seed(0), 5, 3, 2)
    assert episode.support_x.shape == (15, 28, 28, 1) and episode.query_x.shape == (10, 28, 28, 1)
    assert episode.support_x.dtype == tf.float32 and episode.support_y.dtype == tf.int32
    white = stacked(np.full((3, 4, 28, 28), 255, np.uint8), np.zeros(3, np.int32))
    paper = ImageDistribution({"test": white}).sample("test", seed(0), 2, 1, 1)
    assert np.unique(paper.support_x).tolist() == [1.0]


def test_an_episode_repeats_no_class_and_no_drawing_and_labels_them_class_by_class():
    images = distribution()
    for index in range(30):
        episode = images.sample("test", seed(index), 5, 3, 2)
        support, query = decode(episode.support_x), decode(episode.query_x)
        assert episode.support_y.numpy().tolist() == np.repeat(range(5), 3).tolist()
        assert episode.query_y.numpy().tolist() == np.repeat(range(5), 2).tolist()
        assert len(set(support) | set(query)) == 25
        class_of = [support[3 * label][0] for label in range(5)]
        assert len(set(class_of)) == 5
        assert [c for c, _ in support] == np.repeat(class_of, 3).tolist()
        assert [c for c, _ in query] == np.repeat(class_of, 2).tolist()


def test_all_classes_and_all_drawings_can_be_asked_for():
    episode = distribution(classes=5, examples=6).sample("test", seed(0), 5, 5, 1)
    drawn = decode(episode.support_x) + decode(episode.query_x)
    assert sorted(drawn) == [(c, e) for c in range(5) for e in range(6)]


def test_fewer_shots_are_a_subset_of_more_with_the_same_queries():
    images = distribution()
    few, many = (images.sample("test", seed(5), 4, shots, 2) for shots in (1, 5))
    assert decode(few.query_x) == decode(many.query_x)
    assert set(decode(few.support_x)) < set(decode(many.support_x))


def test_holding_back_makes_queries_of_the_last_shots_of_each_class():
    labels = np.repeat([0, 1, 2], 4)
    episode = Episode(np.arange(12.0)[:, None], labels, np.zeros((0, 1)), labels[:0])
    held = hold_back(episode, ways=3, shots=1)
    assert held.support_x.numpy().ravel().tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert held.query_x.numpy().tolist() == [[3], [7], [11]]
    assert held.support_y.numpy().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert held.query_y.numpy().tolist() == [0, 1, 2]


def test_every_class_and_every_drawer_is_as_likely_as_any_other():
    images = distribution()
    draw = tf.function(lambda s: images.sample("test", s, 3, 1, 1))
    episodes = [draw(seed(index)) for index in range(400)]
    shown = [pair for episode in episodes for pair in decode(episode.query_x)]
    classes = np.bincount([c for c, _ in shown], minlength=12)
    drawers = np.bincount([e for _, e in shown], minlength=8)
    first = np.bincount([decode(episode.query_x)[0][0] for episode in episodes], minlength=12)
    for counts in (classes, drawers, first):
        assert counts.min() > 0 and chi_square(counts) < 2.5  # p < 0.005 at 11 degrees


def test_within_alphabet_draws_from_one_large_enough_alphabet():
    chosen = coded_images(12, 4)
    alphabet = np.array([0] * 2 + [1] * 4 + [2] * 5 + [3], np.int32)  # only 1 and 2 have four
    images = ImageDistribution({"test": chosen._replace(alphabet=alphabet)}, within_alphabet=True)
    seen, classes = set(), set()
    for index in range(60):
        shown = [c for c, _ in decode(images.sample("test", seed(index), 4, 1, 1).support_x)]
        assert len(set(shown)) == 4
        assert len({int(alphabet[c]) for c in shown}) == 1
        seen.add(int(alphabet[shown[0]]))
        classes.update(shown)
    assert seen == {1, 2}
    assert classes == set(range(2, 11))


def test_more_classes_than_the_largest_alphabet_has_are_refused():
    chosen = coded_images(9, 2)
    alphabet = np.array([0] * 2 + [1] * 7, np.int32)
    images = ImageDistribution({"train": chosen._replace(alphabet=alphabet)}, within_alphabet=True)
    rule = "at most 7 with task.within_alphabet=true, the classes of the largest alphabet of the"
    with pytest.raises(ConfigError, match=f"^ways=8: must be {rule} train split$"):
        images.sample("train", seed(0), 8, 1, 1)


def test_the_alphabets_of_a_draw_are_equally_likely_whatever_their_size():
    chosen = coded_images(9, 2)
    alphabet = np.array([0] * 2 + [1] * 7, np.int32)
    images = ImageDistribution({"test": chosen._replace(alphabet=alphabet)}, within_alphabet=True)
    draw = tf.function(lambda s: images.choose_classes("test", s, 2, images=2)[0])
    small = np.mean([alphabet[int(draw(seed(i)))] == 0 for i in range(300)])
    assert 0.38 < small < 0.62  # four standard errors


def unequal(counts, **fields):
    """Classes of so many images; the first pixel is the class, the second the image."""
    coded = coded_images(len(counts), max(counts))
    rows = np.concatenate([c * max(counts) + np.arange(n) for c, n in enumerate(counts)])
    starts = (np.cumsum(counts) - counts).astype(np.int32)
    names = tuple(f"class{c}" for c in range(len(counts)))
    return coded._replace(
        images=coded.images[rows], starts=starts, counts=np.int32(counts), names=names, **fields
    )


def test_classes_with_too_few_images_are_not_drawn_and_said_once(caplog):
    counts = [3, 9, 4, 2, 6, 5]
    images = ImageDistribution({"test": unequal(counts)})
    with caplog.at_level("INFO"):
        episodes = [images.sample("test", seed(i), 3, 3, 1) for i in range(60)]
    shown = [decode(e.support_x) + decode(e.query_x) for e in episodes]
    assert all(len(set(pairs)) == 12 for pairs in shown)
    assert {c for pairs in shown for c, _ in pairs} == {1, 2, 4, 5}
    for c in (1, 2, 4, 5):  # each image of them, and no other class's
        assert {e for pairs in shown for d, e in pairs if d == c} == set(range(counts[c]))
    (said,) = [record.message for record in caplog.records]
    assert said == "test episodes of 4 images a class leave out class0 (3), class3 (2)"


def test_images_of_a_class_are_equally_likely_whatever_the_size_of_others():
    images = ImageDistribution({"test": unequal([2, 6, 12, 6])})
    draw = tf.function(lambda s: images.sample("test", s, 3, 2, 2))
    shown = [pair for i in range(300) for pair in decode(draw(seed(i)).query_x)]
    for c, count in ((1, 6), (2, 12)):
        assert chi_square(np.bincount([e for d, e in shown if d == c], minlength=count)) < 2.7


def test_an_alphabet_needs_enough_classes_with_enough_images():
    alphabet = np.array([0, 0, 0, 1, 1, 1], np.int32)
    chosen = unequal([4, 4, 2, 4, 4, 4], alphabet=alphabet)
    images = ImageDistribution({"test": chosen}, within_alphabet=True)
    for index in range(20):
        assert {c for c, _ in decode(images.sample("test", seed(index), 3, 2, 1).query_x)} == {
            3,
            4,
            5,
        }


def test_images_of_any_shape_come_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 7, 3), np.uint8)
    images = ImageDistribution({"test": stacked(pixels, np.zeros(3, np.int32))})
    episode = images.sample("test", seed(0), 3, 3, 1)
    assert episode.support_x.shape == (9, 5, 7, 3)
    drawn = np.concatenate([episode.support_x, episode.query_x])
    expected = {image.tobytes() for image in pixels.reshape(12, 5, 7, 3)}
    assert {np.rint(image * 255).astype(np.uint8).tobytes() for image in drawn} == expected


def test_splits_share_one_array_in_memory():
    chosen = coded_images(6, 2)
    parts = {"train": chosen.select(np.array([0, 2, 4])), "test": chosen.select(np.array([5, 3]))}
    images = ImageDistribution(parts)
    assert images.pixels["train"] is images.pixels["test"]
    assert {c for c, _ in decode(images.sample("test", seed(0), 2, 1, 1).query_x)} == {3, 5}


def test_rotated_classes_are_classes_of_their_own_beside_the_upright_ones():
    chosen = coded_images(3, 2, alphabets=2)
    turned = rotated(chosen)
    assert turned.classes == 12 and turned.images.shape == (24, 28, 28, 1)
    assert turned.alphabet.tolist() == [0, 1, 0] * 4
    for turn in range(4):
        for c in range(3):
            upright = np.rot90(turned.of(3 * turn + c), -turn, axes=(1, 2))
            np.testing.assert_array_equal(upright, chosen.of(c))
    corners = np.stack([turned.of(c)[0, ..., 0] for c in range(2, 12, 3)])[
        :, [0, 27, 27, 0], [0, 0, 27, 27]
    ]
    np.testing.assert_array_equal(corners, 2 * np.eye(4, dtype=np.uint8))  # anticlockwise


def test_rotated_images_are_in_memory_once():
    turned = rotated(coded_images(3, 2))
    pixels = ImageDistribution({"train": turned}).pixels["train"]
    turned.images[5, 3, 4] = 77
    assert pixels[5, 3 * 28 + 4] == 77


def test_choose_gives_a_random_order_without_repeats_and_longer_draws_begin_alike():
    rows = choose(seed(0), 10, 10, rows=50).numpy()
    assert (np.sort(rows, 1) == np.arange(10)).all()
    np.testing.assert_array_equal(choose(seed(0), 10, 3, rows=50), rows[:, :3])
    firsts = choose(seed(1), 10, 1, rows=2000).numpy().ravel()
    assert chi_square(np.bincount(firsts, minlength=10)) < 2.7


@pytest.mark.parametrize(("size", "steps", "batch"), [(12, 3, 4), (12, 9, 4), (5, 7, 3), (4, 2, 9)])
def test_cycling_batches_cover_each_example_once_a_pass(size, steps, batch):
    order = batch_order(seed(0), size, steps, batch, replacement=False).numpy()
    assert order.shape == (steps, batch) and order.dtype == np.int32
    walk = order.ravel()
    for start in range(0, len(walk), size):
        whole = walk[start : start + size]
        assert len(set(whole)) == len(whole)
        assert set(whole) <= set(range(size))


def test_cycling_reshuffles_at_each_pass():
    walk = batch_order(seed(0), 12, 6, 12, replacement=False).numpy()
    assert len({tuple(row) for row in walk}) == 6


def test_a_batch_may_straddle_two_passes():
    """Five examples in batches of three: passes end within batches 2 and 4 of five."""
    order = batch_order(seed(2), 5, 5, 3, replacement=False).numpy()
    passes = choose(seed(2), 5, 5, rows=3).numpy()
    by_hand = [
        [passes[0][0], passes[0][1], passes[0][2]],
        [passes[0][3], passes[0][4], passes[1][0]],
        [passes[1][1], passes[1][2], passes[1][3]],
        [passes[1][4], passes[2][0], passes[2][1]],
        [passes[2][2], passes[2][3], passes[2][4]],
    ]
    assert order.tolist() == by_hand


def test_a_longer_walk_begins_with_the_shorter():
    """Scores after few steps must not depend on how many steps follow."""
    long = batch_order(seed(3), 7, 20, 3, replacement=False).numpy()
    for steps in (1, 2, 5, 19):
        short = batch_order(seed(3), 7, steps, 3, replacement=False).numpy()
        np.testing.assert_array_equal(short, long[:steps])


def test_batches_with_replacement_repeat_nothing_within_but_examples_between():
    order = batch_order(seed(0), 6, 40, 4, replacement=True).numpy()
    assert all(len(set(row)) == 4 for row in order)
    assert len({tuple(row) for row in order}) > 30
    joint = [len(set(a) & set(b)) for a, b in pairwise(order)]
    assert 2.3 < np.mean(joint) < 3.0  # 4 * 4 / 6 for independent draws
    assert chi_square(np.bincount(order.ravel(), minlength=6)) < 2.5


def drawn_here(seed):
    numbers = integers(seed, [5, 3]), uniform(seed, [4], -2, 3.1)
    return *numbers, tf.stack(split_seed(seed, 3)), fold_in(seed, tf.constant(7, tf.int64))


def drawn_by_tensorflow(seed):
    return (
        tf.random.stateless_uniform([5, 3], seed, None, None, tf.int32, alg="philox"),
        tf.random.stateless_uniform([4], seed, -2.0, 3.1, alg="philox"),
        tf.random.split(seed, 3, alg="philox"),
        tf.random.fold_in(seed, tf.constant(7, tf.int64), alg="philox"),
    )


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_draws_are_those_of_tensorflows_philox(dtype, jit):
    ours, theirs = (tf.function(f, jit_compile=jit) for f in (drawn_here, drawn_by_tensorflow))
    for pair in np.random.default_rng(0).integers(-(2**31), 2**31, [50, 2]):
        for here, there in zip(
            ours(tf.constant(pair, dtype)), theirs(tf.constant(pair, dtype)), strict=True
        ):
            assert here.dtype == there.dtype
            np.testing.assert_array_equal(here, there)


def test_seeds_of_one_seed_differ_from_it_and_from_each_other():
    parts = split_seed(seed(0), 3)
    drawn = {tuple(np.asarray(part).tolist()) for part in (seed(0), *parts)}
    assert len(drawn) == 4
    assert len({tuple(seed(i).numpy().tolist()) for i in range(100)}) == 100
