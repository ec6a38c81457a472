import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.curation.sampling.curves import cumulative_curve, group_counts, merge_groups
from curate.curation.sampling.datacard import divergence, entry_lists, kl_to_uniform
from curate.errors import ArtifactError
from curate.pipelines.store.artifacts import strings

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=80)


def make(counts, t):
    count = np.array(counts, np.int64)
    return count, np.minimum(count, t + count // 7)


@given(COUNTS, st.integers(1, 40), st.integers(1, 30))
def test_every_point_is_the_sum_over_the_entries_up_to_a_count(counts, t, num_points):
    count, kept = make(counts, t)
    curve = cumulative_curve(group_counts(count, kept, t), num_points)
    assert len(curve["entries"]) <= num_points + 1
    for at, entries in enumerate(curve["entries"]):
        bound = np.sort(count)[entries - 1] if entries else -1
        chosen = count <= bound
        assert entries == chosen.sum()
        assert curve["matches"][at] == count[chosen].sum()
        assert curve["slots"][at] == np.minimum(count[chosen], t).sum()
        assert curve["kept"][at] == kept[chosen].sum()
    assert curve["entries"][0] == 0 and curve["entries"][-1] == len(count)


@given(COUNTS, COUNTS, st.integers(1, 40))
def test_merged_groups_are_those_of_the_entries_of_both(one, other, t):
    (a, kept_a), (b, kept_b) = make(one, t), make(other, t)
    merged = merge_groups([group_counts(a, kept_a, t), group_counts(b, kept_b, t)])
    together = group_counts(np.r_[a, b], np.r_[kept_a, kept_b], t)
    assert all((x == y).all() for x, y in zip(merged, together, strict=True))


def test_large_counts_are_grouped_like_small_ones():
    count = np.array([70_000, 3, 1 << 40, 65_535, 65_536, 70_000, 0])
    groups = group_counts(count, count // 2, 66_000)
    assert groups.counts.tolist() == [0, 3, 65_535, 65_536, 70_000, 1 << 40]
    assert groups.entries.tolist() == [1, 1, 1, 1, 2, 1]
    assert groups.slots.tolist() == [0, 3, 65_535, 65_536, 132_000, 66_000]
    assert groups.kept.tolist() == [0, 1, 32_767, 32_768, 70_000, 1 << 39]


def test_a_curve_of_nothing_is_the_origin():
    assert cumulative_curve(merge_groups([]), 5)["matches"] == [0]


def test_long_curves_keep_their_ends_and_their_steps_even():
    count = (1e6 / np.arange(1, 200_001)).astype(np.int64)
    curve = cumulative_curve(group_counts(count, np.minimum(count, 50), 50), 40)
    assert 20 <= len(curve["entries"]) <= 41
    for name in ("entries", "matches", "kept"):
        steps = np.diff(curve[name]) / curve[name][-1]
        # A step along the way is 4 / 40 of it; a group of equal entries cannot be cut.
        largest = max(np.bincount(count)[:50].max() / len(count), count.max() / count.sum())
        assert steps.max() <= 0.1 + largest


def test_the_divergence_is_that_of_the_formula():
    count = np.array([0, 1, 3, 12, 0])
    q = np.array([1, 3, 12]) / 16
    assert kl_to_uniform(divergence(count, count > 0)) == pytest.approx((q * np.log2(q * 3)).sum())
    assert kl_to_uniform(divergence(count, np.ones(5, bool))) == pytest.approx(
        (q * np.log2(q * 5)).sum()
    )
    assert kl_to_uniform(divergence(np.zeros(3, np.int64), np.zeros(3, bool))) == 0.0


def test_lists_of_entries_are_sorted_and_the_tail_is_below_t():
    count = np.array([4, 90, 0, 30, 2, 30, 1])
    kept = np.array([4, 9, 0, 10, 2, 11, 1])
    found = entry_lists(strings("abcdefg"), count, kept, 10, num_top=3, num_tail=2)
    assert [e["entry"] for e in found["top_entries"]] == ["b", "d", "f"]
    assert [e["entry"] for e in found["top_entries_after"]] == ["f", "d", "b"]
    assert [(e["entry"], e["count"]) for e in found["tail_entries"]] == [("a", 4), ("g", 1)]
    assert found["top_entries"][0] == {"entry": "b", "count": 90, "slots": 10, "kept": 9}


def test_entry_ids_beyond_their_language_are_refused():
    import pyarrow as pa

    from curate.curation.sampling.tally import EntryRanges, probabilities_of_pairs

    ranges = EntryRanges(np.array([0, 2]), np.array([2, 1]))
    ids = pa.array([[0, 1]], pa.list_(pa.uint32()))
    assert probabilities_of_pairs(ids, np.zeros(1, np.int32), ranges, np.ones(3)).tolist() == [1.0]
    with pytest.raises(ArtifactError, match="beyond the entries"):
        probabilities_of_pairs(ids, np.ones(1, np.int32), ranges, np.ones(3))
