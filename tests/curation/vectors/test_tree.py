"""Budgets down a tree, against the definition; and clusters of clusters that even density out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.curation.vectors.tree import Level, fit_tree, leaf_budgets, share_out, sizes_of_levels


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.floats(0, 400))
def test_a_budget_is_shared_out_evenly_and_grows_with_itself(sizes, budget):
    sizes = np.array(sizes)
    found = share_out(sizes, budget)
    assert found.sum() == pytest.approx(min(budget, sizes.sum()))
    assert (found <= sizes + 1e-9).all() and (found >= 0).all()
    full = found >= sizes - 1e-9
    if not full.all():  # those that have more all get the same, and no full one gets more
        even = found[~full]
        assert np.ptp(even) < 1e-9 and (found[full] <= even[0] + 1e-9).all()
    assert (share_out(sizes, budget * 1.3) >= found - 1e-9).all()


def test_leaves_share_what_their_cluster_gets():
    centres = np.zeros((5, 2), np.float32)
    levels = [Level(centres, np.array([0, 0, 0, 1, 1])), Level(centres[:2], np.array([0, 0])),
              Level(centres[:1], np.array([0]))]  # fmt: skip
    sizes = np.array([1000, 500, 3, 4, 0])
    assert [one.tolist() for one in sizes_of_levels(levels, sizes)] == [
        [1000, 500, 3, 4, 0], [1503, 4], [1507],
    ]  # fmt: skip
    assert leaf_budgets(levels, sizes, 47.0).tolist() == [20.0, 20.0, 3.0, 4.0, 0.0]
    assert leaf_budgets(levels, sizes, 1e9).tolist() == sizes.tolist()


def test_clusters_of_clusters_give_rare_regions_more_than_clusters_do():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(30, 32))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    region = rng.permutation(np.repeat(np.arange(30), [1000] * 3 + [30] * 27))
    rows = means[region] + 0.05 * rng.normal(size=(len(region), 32))
    sample = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    shares = []
    for nums in ((150,), (150, 12), (150, 50, 12)):
        levels = fit_tree(sample, nums, seed=0)
        assert [one.centres.shape for one in levels] == [(num, 32) for num in nums]
        leaf = (sample @ levels[0].centres.T).argmax(axis=1)
        sizes = np.bincount(leaf, minlength=150)
        budgets = leaf_budgets(levels, sizes, 400.0)
        probability = np.divide(budgets, sizes, out=np.zeros(150), where=sizes > 0)[leaf]
        assert probability.sum() == pytest.approx(400.0)
        shares.append(probability[region >= 3].sum() / 400.0)
    # They are 0.21 of the pool.
    assert 0.21 < shares[0] < 0.5 < min(shares[1:])
    again = fit_tree(sample, (150, 12), seed=0, resample=1)
    assert all(np.isfinite(one.centres).all() and len(one.parent) for one in again)
    for one, other in zip(again, fit_tree(sample, (150, 12), seed=0, resample=1), strict=True):
        assert np.array_equal(one.centres, other.centres)
