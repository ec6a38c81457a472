"""Ids are those of hashlib, whatever the length and the neighbours of a string."""

import random
from hashlib import sha224

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.curation.hashing.ids import short_hashes
from curate.curation.hashing.sha224_kernels import MAX_LENGTH


def expected(*parts):
    return sha224("\t".join(parts).encode()).hexdigest()[:24]


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), max_size=40))
def test_ids_are_those_of_hashlib(pairs):
    first, second = ([p[i] for p in pairs] for i in range(2))
    found = short_hashes(pa.array(first, pa.string()), pa.array(second, pa.string()))
    assert found.to_pylist() == [expected(*p) for p in pairs]
    alone = short_hashes(pa.array(first, pa.large_string()))
    assert alone.to_pylist() == [expected(f) for f in first]


def test_every_length_around_a_block_and_the_limit_is_right():
    lengths = [*range(260), *range(MAX_LENGTH - 70, MAX_LENGTH + 70), 100_000]
    random.Random(0).shuffle(lengths)
    texts = ["x" * n for n in lengths]
    assert short_hashes(pa.array(texts)).to_pylist() == [expected(t) for t in texts]
    both = short_hashes(pa.array(texts), pa.array(texts))
    assert both.to_pylist() == [expected(t, t) for t in texts]


@pytest.mark.parametrize("num", [0, 1, 15, 16, 17])
def test_slices_and_nulls_are_understood(num):
    texts = pa.array(["skipped", None, *(str(i) for i in range(num))])
    assert short_hashes(texts.slice(2)).to_pylist() == [expected(str(i)) for i in range(num)]
    assert short_hashes(texts.slice(1, 1)).to_pylist() == [expected("")]


def test_numbers_of_strings_that_differ_are_refused():
    with pytest.raises(ValueError, match="3 strings and 1 others"):
        short_hashes(pa.array(["a", "b", "c"]), pa.array(["x"]))
