"""Balanced k-means: sizes are equal, places go to the nearest, and the nearest centre is exact."""

import numpy as np
import pytest

from curate.curation.vectors.balanced import (
    balanced_assignment,
    balanced_centres,
    nearest_centre,
)
from curate.curation.vectors.contrast import over_represented
from curate.curation.vectors.mixture import expert_weights, single_weights


def unit(num, width, seed=0):
    rows = np.random.default_rng(seed).standard_normal((num, width), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def greedy(vectors, centres):
    """Give the nearest pair of a vector and a centre with room to each other, again and again."""
    num = len(centres)
    room = [len(vectors) // num + (c < len(vectors) % num) for c in range(num)]
    apart = ((vectors[:, None] - centres[None]) ** 2).sum(axis=2)
    given = np.full(len(vectors), -1)
    for at in np.argsort(apart, axis=None, kind="stable").tolist():
        row, centre = divmod(at, num)
        if given[row] < 0 and room[centre]:
            given[row], room[centre] = centre, room[centre] - 1
    return given


@pytest.mark.parametrize(("num", "centres"), [(50, 7), (240, 40), (9, 9), (5, 1)])
def test_places_go_to_the_nearest_until_a_centre_has_its_share(num, centres):
    vectors = unit(num, 6)
    found = balanced_assignment(vectors, vectors[:centres])
    assert found.tolist() == greedy(vectors, vectors[:centres]).tolist()
    sizes = np.bincount(found, minlength=centres)
    assert sizes.max() - sizes.min() <= 1 and sizes.sum() == num


def test_centres_are_means_of_equally_many_and_follow_the_data():
    rng = np.random.default_rng(1)
    spots = np.eye(4, 8, dtype=np.float32)
    which = rng.permutation(np.repeat(np.arange(4), 50))
    vectors = (spots[which] + rng.normal(0, 0.02, (200, 8))).astype(np.float32)
    _, first = np.unique(which, return_index=True)
    order = np.r_[first, np.setdiff1d(np.arange(200), first)]  # a first centre in each spot
    centres, given = balanced_centres(vectors[order], 4)
    assert (given == which[order]).all()
    assert np.bincount(given).tolist() == [50] * 4
    np.testing.assert_allclose(centres, spots, atol=0.02)
    means = np.stack([vectors[order][given == c].mean(axis=0) for c in range(4)])
    np.testing.assert_allclose(centres, means, atol=1e-6)


def test_there_are_no_more_centres_than_vectors():
    with pytest.raises(ValueError, match="5 centres of 3 vectors"):
        balanced_centres(unit(3, 4), 5)
    centres, given = balanced_centres(unit(3, 4), 3)
    assert sorted(given.tolist()) == [0, 1, 2] and centres.shape == (3, 4)


def test_the_nearest_centre_is_that_of_double_precision_and_of_two_alike_the_first():
    vectors, centres = unit(3000, 32).astype(np.float16), 0.7 * unit(100, 32, seed=1)
    centres[60] = centres[7]
    apart = vectors.astype(np.float64)[:, None] - centres.astype(np.float64)[None]
    distances = np.sqrt((apart**2).sum(axis=2))
    found, distance = nearest_centre(vectors, centres)
    assert found.tolist() == distances.argmin(axis=1).tolist() and 60 not in found
    np.testing.assert_allclose(distance, distances.min(axis=1), atol=1e-12)
    again = [nearest_centre(vectors[at : at + 7], centres)[1] for at in range(0, 3000, 7)]
    assert np.array_equal(np.concatenate(again), distance)


def test_weights_are_those_of_the_paper_and_of_nobody_where_no_class_is_near():
    cluster, distance = np.array([0, 0, 1, 1, 1]), np.array([0.2, 0.4, 0.3, 0.9, 0.9])
    alpha, beta = np.exp(0.5 - np.sqrt(5)), 5.0
    sums = [np.exp((alpha - distance[cluster == e]) * beta).sum() / 8 for e in (0, 1)]
    expected = np.exp(sums) / np.exp(sums).sum()
    found = expert_weights(cluster, distance, np.array([0, 1, 3]))
    np.testing.assert_allclose(found, [*expected, 0.0])
    many = np.zeros(1200, np.int64), np.full(1200, 0.5)
    assert expert_weights(*many, np.array([0, 1])).tolist() == [1.0, 0.0]
    beta = 5 * np.log10(1000)
    cluster = np.arange(1200) % 2
    distance = np.where(cluster == 0, 0.9, 1.0)
    found = expert_weights(cluster, distance, np.array([0, 1]))
    gap = 600 * (np.exp(-0.9 * beta) - np.exp(-1.0 * beta)) / 8
    np.testing.assert_allclose(found[0] / found[1], np.exp(gap))


def test_adding_an_expert_leaves_the_others_as_they_are_to_each_other():
    rng = np.random.default_rng(0)
    near = rng.integers(0, 4, 40), rng.random(40)
    few, all_ = (expert_weights(*near, np.array(e)) for e in ([2, 0], [1, 2, 0, 3]))
    np.testing.assert_allclose(few[0] / few[1], all_[1] / all_[2])
    assert single_weights(near[0], np.array([2, 0]))[near[0] == 2].tolist()[0] == [1.0, 0.0]


def test_what_a_group_has_more_of_than_its_share():
    counts = np.array([[30, 10], [10, 10], [3, 1], [0, 9]])
    found = over_represented(counts, np.array([100, 100]))
    assert found[0, 0] == pytest.approx(2 * (30 * np.log(1.5) + 10 * np.log(0.5)))
    assert found[0, 0] > found[2, 0] > 0 and found[1].tolist() == [0, 0]
    assert found[0, 1] == 0 and found[3, 1] == pytest.approx(2 * 9 * np.log(2))
