"""The smallest threshold that keeps a pair, against sampling itself."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.curation.sampling.critical import NEVER, critical_thresholds
from curate.curation.sampling.postings import Buckets, order_bucket, split_matches
from curate.curation.sampling.sampling import pair_probability, sampling_probability
from curate.curation.sampling.tally import EntryRanges
from curate.curation.sampling.yields import pair_yields
from curate.errors import ArtifactError

ONE = np.zeros(1, np.int32)


def ids_of(rows):
    return pa.array(rows, pa.list_(pa.uint32()))


def is_kept(ids, count, t, draw):
    return bool(draw < pair_probability(ids, sampling_probability(count, t))[0])


@given(
    counts=st.lists(st.integers(1, 10**12), min_size=1, max_size=12),
    draw=st.integers(0, 2**53 - 1).map(lambda bits: bits * 2.0**-53),
)
def test_the_critical_threshold_keeps_a_pair_and_the_one_below_does_not(counts, draw):
    count = np.array(counts, np.int64)
    ids = ids_of([list(range(len(counts)))])
    ranges = EntryRanges(np.array([0]), np.array([len(counts)]))
    found = int(critical_thresholds(ids, ONE, ranges, np.array([draw]), count)[0])
    assert 1 <= found <= min(counts)
    assert is_kept(ids, count, found, draw)
    assert found == 1 or not is_kept(ids, count, found - 1, draw)


def test_pairs_at_or_below_a_threshold_are_as_many_as_yield_counts_in_each_language():
    rng = np.random.default_rng(5)
    sizes = np.array([300, 40])
    ranges = EntryRanges(np.array([0, 300]), sizes)
    count = np.maximum(1, 5000 / np.arange(1, 341)).astype(np.int64)
    langs = rng.integers(0, 2, 20_000).astype(np.int32)
    ids = ids_of([np.unique(rng.integers(0, sizes[lang], rng.integers(1, 6))).tolist()
                  for lang in langs])  # fmt: skip
    draws = rng.random(len(langs))
    critical = critical_thresholds(ids, langs, ranges, draws, count)
    grid = np.array([1, 2, 3, 5, 9, 17, 100, 1000, 4999, 5000, 10**6])
    yields = pair_yields(ids, langs, ranges, draws, count, np.stack([grid, grid]))
    for lang in (0, 1):
        mine = critical[langs == lang]
        assert [int((mine <= t).sum()) for t in grid] == yields.kept[lang].tolist()


def test_a_pair_without_entries_is_kept_by_no_threshold():
    ranges = EntryRanges(np.array([0]), np.array([1]))
    found = critical_thresholds(ids_of([[]]), ONE, ranges, np.array([0.0]), np.array([5]))
    assert found.tolist() == [NEVER]


def test_an_entry_beyond_the_counts_is_refused():
    ranges = EntryRanges(np.array([0]), np.array([1]))
    with pytest.raises(ArtifactError, match="beyond the counts"):
        critical_thresholds(ids_of([[1]]), ONE, ranges, np.array([0.0]), np.array([5]))


def test_buckets_give_the_pairs_of_each_entry_in_order():
    rng = np.random.default_rng(7)
    ranges = EntryRanges(np.array([0, 70]), np.array([70, 30]))
    langs = rng.integers(0, 2, 500).astype(np.int32)
    rows = [np.unique(rng.integers(0, ranges.size[lang], 4)).tolist() for lang in langs]
    flat = np.array([ranges.base[lang] + i for lang, row in zip(langs, rows, strict=True)
                     for i in row])  # fmt: skip
    pairs = np.repeat(np.arange(500), [len(row) for row in rows])
    buckets = Buckets(np.array([0, 64, 96, 100]), np.array([0, 0, 1, 2], np.int32), 32)
    kept = rng.random(500) < 0.5
    pieces = [split_matches(ids_of(rows[a:b]), langs[a:b], ranges, buckets, a)
              for a, b in ((0, 200), (200, 500))]  # fmt: skip
    for bucket, (first, stop) in enumerate(((0, 64), (64, 96), (96, 100))):
        entries, found = (
            np.concatenate([p[at][p[2][bucket] : p[2][bucket + 1]] for p in pieces])
            for at in (0, 1)
        )
        sizes = [int((flat == e).sum()) for e in range(first, stop)]
        ordered, num_kept = order_bucket(entries, found, np.array(sizes), kept)
        expected = [pairs[flat == e] for e in range(first, stop)]
        assert ordered.tolist() == np.concatenate(expected).tolist()
        assert num_kept.tolist() == [int(kept[p].sum()) for p in expected]
