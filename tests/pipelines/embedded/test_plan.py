"""Columns of vectors as arrays: whole, finite, zeros where there is none."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError
from curate.pipelines.embedded.plan import vectors_of

KIND = pa.list_(pa.float16(), 2)
ROWS = [[1.0, -0.5], None, [65504.0, 0.0], [-65504.0, 6e-8], None]


def column(rows, *, stored):
    found = pa.array([None if row is None else np.float16(row) for row in rows], KIND)
    if not stored:
        return found
    file = io.BytesIO()
    pq.write_table(pa.table({"image": found}), file)
    return pq.read_table(file).column("image").combine_chunks().cast(KIND)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("first, num", [(0, 5), (1, 1), (1, 3), (2, 2), (4, 1), (5, 0)])
def test_vectors_are_those_of_a_loop(stored, first, num):
    found, is_there = vectors_of(column(ROWS, stored=stored).slice(first, num), "a.parquet")
    rows = ROWS[first : first + num]
    assert is_there.tolist() == [row is not None for row in rows]
    assert found.dtype == np.float16 and found.shape == (num, 2)
    assert found.tolist() == [np.float16(row or [0, 0]).tolist() for row in rows]


def test_what_stands_under_a_null_is_not_looked_at():
    values = pa.array(np.float16([1, 2, np.nan, np.inf]))
    whole = pa.FixedSizeListArray.from_arrays(values, 2, mask=pa.array([False, True]))
    found, is_there = vectors_of(whole, "a.parquet")
    assert found.tolist() == [[1, 2], [0, 0]] and is_there.tolist() == [True, False]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused(stored, number):
    with pytest.raises(ArtifactError, match=r"a\.parquet is damaged: a vector in it is not finite"):
        vectors_of(column([*ROWS, [0.0, number]], stored=stored), "a.parquet")


def test_a_vector_that_lacks_a_number_is_refused():
    values = pa.array([1.0, None, 2.0, 3.0], pa.float32()).cast(pa.float16())
    whole = pa.FixedSizeListArray.from_arrays(values, 2)
    with pytest.raises(ArtifactError, match="a vector in it lacks a number"):
        vectors_of(whole, "a.parquet")
    with pytest.raises(ArtifactError, match="its vectors are list"):
        vectors_of(pa.array([[1.0]]), "a.parquet")
