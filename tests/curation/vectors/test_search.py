"""Banded search, links and near-duplicates, each against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.curation.vectors import alike, hamming
from curate.curation.vectors.alike import fall_for_earlier
from curate.curation.vectors.hamming import near_hashes
from curate.curation.vectors.links import Components, follow_links, link_groups
from curate.curation.vectors.members import fit_clusters, principal_axes
from curate.curation.vectors.nearest import (
    fit_centres,
    nearest_centres,
    num_clusters,
)


def pairs_of(hashes, probes, distance, bits):
    found = {}
    for left, right, differ in near_hashes(hashes, probes, distance, bits):
        found |= dict(zip(zip(left.tolist(), right.tolist(), strict=True), differ.tolist(),
                          strict=True))  # fmt: skip
    return found


def noisy(num, copies, flips, seed=0):
    """Return random hashes and, for each, copies with some bits flipped."""
    rng = np.random.default_rng(seed)
    hashes = [rng.integers(0, 256, (num, 32), np.uint8)]
    for _ in range(copies):
        bits = np.unpackbits(hashes[0], axis=1)
        for row in bits:
            row[rng.choice(256, flips, replace=False)] ^= 1
        hashes.append(np.packbits(bits, axis=1))
    return np.concatenate(hashes)


def test_all_pairs_that_differ_in_few_bits_are_found_and_no_others():
    hashes = noisy(300, 2, 12)
    bits = np.unpackbits(hashes, axis=1).astype(int)
    differ = (bits[:, None] != bits[None]).sum(axis=2)
    expected = {(i, j): differ[i, j] for i, j in np.argwhere(np.triu(differ <= 24, 1)).tolist()}
    found = pairs_of(hashes, hashes, 24, 8)
    assert found.items() <= expected.items()
    assert len(expected) == 900 and len(found) >= 0.99 * len(expected)


def test_a_band_of_one_hash_gives_all_pairs_also_where_the_output_is_short(monkeypatch):
    hashes = np.zeros((40, 32), np.uint8)
    whole = pairs_of(hashes, hashes, 0, 8)
    assert len(whole) == 40 * 39 // 2
    monkeypatch.setattr(hamming, "_MOST", 7)
    assert pairs_of(hashes, hashes, 0, 8) == whole


def test_probes_may_be_other_hashes_of_the_same_things():
    hashes = noisy(200, 0, 0)
    probes = np.roll(hashes, -1, axis=0)  # thing i, turned, looks as thing i + 1 does
    found = pairs_of(hashes, probes, 0, 8)
    # 0 < 199 is the one pair whose smaller thing is the one that is not turned.
    assert found == {(0, 199): 0}


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_components_are_those_of_a_walk_through_the_pairs(pairs):
    rank = np.random.default_rng(len(pairs)).permutation(20)
    left, right = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    near = {i: {i} for i in range(20)}
    for a, b in pairs:
        whole = near[a] | near[b]
        for one in whole:
            near[one] = whole
    best = np.array([min(near[i], key=lambda one: rank[one]) for i in range(20)])
    components = Components(rank)
    components.join(left[:9], right[:9])
    components.join(left[9:], right[9:])
    links = components.links()
    assert links.tolist() == np.where(best == np.arange(20), -1, best).tolist()
    assert follow_links(links).tolist() == best.tolist()


def test_groups_link_to_their_first():
    group = np.array([7, -1, 7, 3, 7, -1])
    assert link_groups(np.array([4, 1, 0, 3, 2, 5]), group).tolist() == [4, -1, 4, -1, -1, -1]


def clouds(num, copies, width=32, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(num, width))
    rows = np.concatenate([base] + [base + noise * rng.normal(size=base.shape)
                                    for _ in range(copies)])  # fmt: skip
    rows = rows[rng.permutation(len(rows))]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def naive_falls(vectors, least):
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    falls = np.full(len(exact), -1)
    for row in range(len(exact)):
        alike = [k for k in range(row) if falls[k] < 0 and exact[k] @ exact[row] >= least]
        falls[row] = alike[0] if alike else -1
    return falls


@pytest.mark.parametrize("axes", [0, 3, 31])
@pytest.mark.parametrize("num, copies, noise, least", [
    (20, 3, 0.02, 0.97), (700, 2, 0.02, 0.97), (700, 2, 0.1, 0.9), (900, 1, 0.4, 0.0),
    (6, 100, 0.01, 0.5), (1, 600, 0.001, 0.99),
])  # fmt: skip
def test_each_falls_for_the_first_kept_one_that_it_is_like(
    monkeypatch, num, copies, noise, least, axes
):
    monkeypatch.setattr(alike, "_BLOCK", 128)
    monkeypatch.setattr(alike, "_KEPT", 300)
    vectors = clouds(num, copies, noise=noise)
    falls, cosines = fall_for_earlier(vectors, least, principal_axes(vectors, axes))
    assert falls.tolist() == naive_falls(vectors, least).tolist()
    assert (cosines[falls >= 0] >= least).all() and (cosines[falls < 0] == 0).all()
    assert (falls >= 0).sum() >= num * copies * 0.2


def test_members_do_not_depend_on_the_size_of_a_batch_and_neighbours_meet():
    rng = np.random.default_rng(0)
    vectors = clouds(9000, 1, width=160, noise=0.1)
    found = fit_clusters(vectors[:2000], 20, rows=18_000, most_rows=2000, seed=0)
    assert found.axes.shape == (160, 127) and len(found.centres) >= 20
    assert (found.centres == np.rint(found.centres)).all()
    rows, clusters = found.members(vectors, 0.95)
    sizes = [1, 255, 256, 300, 5000, 18_000 - 5812]
    for size, begin in zip(sizes, np.cumsum([0, *sizes]).tolist(), strict=False):
        of_piece = (rows >= begin) & (rows < begin + size)
        again = found.members(vectors[begin : begin + size], 0.95)
        assert (again[0] + begin == rows[of_piece]).all()
        assert (again[1] == clusters[of_piece]).all()
    in_clusters = np.zeros((len(vectors), len(found.centres)), bool)
    in_clusters[rows, clusters] = True
    assert in_clusters.any(axis=1).all() and in_clusters.sum(axis=1).max() <= 4
    left = rng.choice(len(vectors), 1000, replace=False)
    exact = vectors[left].astype(np.float32) @ vectors.astype(np.float32).T
    row, other = np.nonzero((exact >= 0.95) & (np.arange(len(vectors)) != left[:, None]))
    assert len(row) > 500
    assert (in_clusters[left[row]] & in_clusters[other]).any(axis=1).mean() >= 0.99


def test_clusters_that_are_far_larger_than_the_mean_are_divided():
    rng = np.random.default_rng(0)
    spots = rng.normal(size=(20, 24))[np.minimum(rng.geometric(0.4, 4000) - 1, 19)]
    vectors = (spots + 0.3 * rng.normal(size=spots.shape)).astype(np.float64)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    whole = fit_clusters(vectors, 10, rows=4000, most_rows=10**9, seed=0)
    divided = fit_clusters(vectors, 10, rows=4000, most_rows=400, seed=0)
    sizes = [np.bincount((vectors @ one.axes @ one.centres.T).argmax(axis=1)) for one in
             (whole, divided)]  # fmt: skip
    assert len(whole.centres) == 10 and sizes[0].max() > 900
    assert sizes[1].max() <= 500


def test_what_is_the_same_is_one_cluster_however_large():
    same = np.tile(np.float16([0.6, 0.8]), (500, 1))
    assert len(fit_clusters(same, 4, rows=500, most_rows=10, seed=0).centres) == 4


def test_the_nearest_centres_are_the_nearest():
    vectors, centres = clouds(300, 0), clouds(40, 0, seed=1).astype(np.float32)
    found, cosines = nearest_centres(vectors, centres, 3)
    exact = vectors.astype(np.float64) @ centres.astype(np.float64).T
    assert found.tolist() == np.argsort(-exact, axis=1, kind="stable")[:, :3].tolist()
    np.testing.assert_allclose(cosines, -np.sort(-exact, axis=1)[:, :3])
    assert nearest_centres(vectors, centres[:1], 2)[0].tolist() == [[0]] * 300


def test_centres_are_of_unit_length_the_same_each_time_and_no_more_than_vectors():
    sample = clouds(40, 9, noise=0.1).astype(np.float32)
    centres = fit_centres(sample, 40, seed=0)
    assert centres.shape == (40, 32)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    assert (centres == fit_centres(sample, 40, seed=0)).all()
    assert (nearest_centres(sample.astype(np.float16), centres, 1)[1] > 0.5).all()
    assert fit_centres(sample[:3], 40, seed=0).shape == (3, 32)
    assert fit_centres(sample, 1, seed=0).shape == (1, 32)
    assert num_clusters(10) == 1
