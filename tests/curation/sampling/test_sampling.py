"""Balancing equals the naive formulas, and its statistics are what the formulas promise."""

import math

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from curate.curation.sampling.sampling import (
    count_entries,
    hash_draws,
    pair_probability,
    sampling_probability,
    slots,
    tail_share,
    threshold_for_tail_share,
)
from curate.errors import ArtifactError, ThresholdError
from tests import reference

LISTS = st.lists(st.lists(st.integers(0, 9), unique=True).map(sorted), max_size=20)
COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=20)


def entry_lists(lists: list[list[int]]) -> pa.ListArray:
    return pa.array(lists, pa.list_(pa.uint32()))


@given(LISTS)
def test_counts_equal_the_naive_ones(lists: list[list[int]]) -> None:
    assert count_entries(entry_lists(lists), 10).tolist() == reference.count_entries(lists, 10)


@given(LISTS, LISTS)
def test_counts_of_parts_add_up(one: list[list[int]], other: list[list[int]]) -> None:
    parts = count_entries(entry_lists(one), 10) + count_entries(entry_lists(other), 10)
    assert parts.tolist() == count_entries(entry_lists(one + other), 10).tolist()


@given(COUNTS, st.integers(1, 60))
def test_entry_probabilities_equal_the_naive_ones(counts: list[int], t: int) -> None:
    found = sampling_probability(np.array(counts), t)
    assert found.tolist() == pytest.approx(reference.sampling_probability(counts, t))
    assert all(p == 1.0 for p, c in zip(found, counts, strict=True) if c <= t)


@given(LISTS, st.lists(st.floats(0, 1), min_size=10, max_size=10), st.integers(0, 5))
def test_pair_probabilities_equal_the_naive_ones_bit_for_bit(
    lists: list[list[int]], probability: list[float], skip: int
) -> None:
    found = pair_probability(entry_lists(lists).slice(skip), np.array(probability))
    expected = [reference.pair_probability(ids, probability) for ids in lists[skip:]]
    assert found.tolist() == expected


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=5), st.integers(0, 2**64 - 1))
def test_draws_are_the_contract_s_hash(pair_ids: list[str], seed: int) -> None:
    draws = hash_draws(pa.array(pair_ids, pa.string()), seed).tolist()
    for pair_id, draw in zip(pair_ids, draws, strict=True):
        assert 0.0 <= draw < 1.0
        assert reference.is_kept(pair_id, math.nextafter(draw, 2.0), seed)
        assert not reference.is_kept(pair_id, draw, seed)


def test_draws_are_known_values() -> None:
    # Written down once: if these change, every published subset changes.
    assert hash_draws(pa.array(["a", "0123456789abcdef01234567"]), seed=0).tolist() == DRAWS_SEED_0
    assert hash_draws(pa.array(["a"]), seed=7).tolist() == DRAWS_SEED_7


DRAWS_SEED_0 = [0.9014617628696097, 0.34087433385996635]
DRAWS_SEED_7 = [0.6204457608452096]


def test_kept_share_over_100_seeds_is_the_expected_one() -> None:
    # 2,000 pairs × 100 seeds: draws are independent, so the number kept has mean Σ p_i and
    # variance Σ p_i (1 − p_i), both times 100. Six standard deviations: an honest hash fails
    # with probability 2e-9.
    rng = np.random.default_rng(5)
    lists = [sorted(set(rng.zipf(1.5, 4).clip(1, 10).tolist())) for _ in range(2000)]
    lists = [[i - 1 for i in ids] for ids in lists]
    counts = count_entries(entry_lists(lists), 10)
    p = pair_probability(entry_lists(lists), sampling_probability(counts, 200))
    pair_ids = [f"pair-{i}" for i in range(len(lists))]
    kept = sum(
        int((hash_draws(pa.array(pair_ids, pa.string()), seed) < p).sum()) for seed in range(100)
    )
    bound = 6 * math.sqrt(100 * float((p * (1 - p)).sum()))
    assert 0 < bound < 100 * p.sum() / 20
    assert abs(kept - 100 * p.sum()) < bound


@given(LISTS, st.integers(1, 20), st.integers(0, 20), st.integers(0, 9))
def test_what_a_small_t_keeps_a_larger_t_keeps_too(
    lists: list[list[int]], t: int, more: int, seed: int
) -> None:
    pairs = [(f"{i}", ids) for i, ids in enumerate(lists)]
    small = reference.balance(pairs, 10, t, seed)
    large = reference.balance(pairs, 10, t + more, seed)
    assert set(small) <= set(large)
    counts = count_entries(entry_lists(lists), 10)
    p_small = pair_probability(entry_lists(lists), sampling_probability(counts, t))
    p_large = pair_probability(entry_lists(lists), sampling_probability(counts, t + more))
    draws = hash_draws(pa.array([p for p, _ in pairs], pa.string()), seed)
    assert [p for (p, _), k in zip(pairs, draws < p_small, strict=True) if k] == small
    assert not ((draws < p_small) & ~(draws < p_large)).any()


@given(COUNTS.filter(any), st.integers(1, 60))
def test_tail_share_equals_the_exact_one(counts: list[int], t: int) -> None:
    assert tail_share(np.array(counts), t) == pytest.approx(float(reference.tail_share(counts, t)))


@given(COUNTS.filter(any), st.integers(1, 60))
def test_from_t_to_p_to_t_comes_back_to_the_same_tail(counts: list[int], t: int) -> None:
    entry_count = np.array(counts)
    p = tail_share(entry_count, t)
    back = threshold_for_tail_share(entry_count, p)
    assert back is not None and back >= 1
    assert tail_share(entry_count, back) == p
    if t in counts:
        assert back == t


@given(COUNTS.filter(any), st.floats(0, 1))
def test_the_found_threshold_is_the_largest_within_the_tail_share(
    counts: list[int], p: float
) -> None:
    entry_count = np.array(counts)
    t = threshold_for_tail_share(entry_count, p)
    assert t is not None
    smallest = min(c for c in counts if c)
    assert tail_share(entry_count, t) <= p or t == smallest
    if t <= max(counts):
        assert tail_share(entry_count, t + 1) > p


def test_a_language_without_matches_has_no_threshold() -> None:
    assert threshold_for_tail_share(np.zeros(3, np.int64), 0.5) is None
    assert math.isnan(tail_share(np.zeros(3, np.int64), 5))


def test_a_sparse_language_keeps_a_threshold_of_at_least_one() -> None:
    assert threshold_for_tail_share(np.array([0, 1, 1]), 0.0) == 1


@pytest.mark.parametrize("t", [0, -5])
def test_a_threshold_below_one_is_refused(t: int) -> None:
    with pytest.raises(ThresholdError, match="at least 1"):
        sampling_probability(np.array([1]), t)
    with pytest.raises(ThresholdError):
        tail_share(np.array([1]), t)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_tail_share_outside_0_to_1_is_refused(p: float) -> None:
    with pytest.raises(ThresholdError, match="0 <= p <= 1"):
        threshold_for_tail_share(np.array([1]), p)


def test_slots_count_each_entry_up_to_t() -> None:
    assert slots(np.array([3, 20, 25]), 20) == 43


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=130), max_size=8),
    st.integers(0, 2**64 - 1),
)
def test_draws_of_ids_of_any_length_are_those_of_the_library(ids, seed):
    ids = [*ids, "a" * 24]
    expected = [(xxhash.xxh3_64_intdigest(i.encode(), seed) >> 11) * 2.0**-53 for i in ids]
    assert hash_draws(pa.array(ids, pa.string()), seed).tolist() == expected


@pytest.mark.parametrize("length", range(140))
def test_draws_agree_with_the_library_at_every_length(length):
    ids = ["".join(chr(33 + (7 * i + j) % 90) for j in range(length)) for i in range(3)]
    for seed in (0, 1, 2**64 - 1):
        expected = [(xxhash.xxh3_64_intdigest(i.encode(), seed) >> 11) * 2.0**-53 for i in ids]
        assert hash_draws(pa.array(ids), seed).tolist() == expected


def test_an_entry_id_beyond_the_entries_is_refused() -> None:
    with pytest.raises(ArtifactError, match="beyond the 3 entries"):
        pair_probability(entry_lists([[0], [2, 3]]), np.ones(3))


def test_chosen_rows_get_the_probability_that_they_have_among_all() -> None:
    lists = entry_lists([[0], [0, 1], [], [2]])
    prob = np.array([0.5, 0.25, 0.125])
    rows = np.array([3, 1])
    assert (
        pair_probability(lists, prob, rows).tolist() == pair_probability(lists, prob)[rows].tolist()
    )
    assert pair_probability(lists.slice(1, 2), prob).tolist() == [1 - 0.5 * 0.75, 0.0]
