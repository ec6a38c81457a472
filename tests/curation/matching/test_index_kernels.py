"""The loops of the index, apart from it."""

import numpy as np
import pytest

from curate.curation.compiled.unit_keys import SLACK
from curate.curation.matching.index_kernels import _append_sorted


@pytest.mark.parametrize("size", [1, 15, 16, 17, 255, 256, 257, 5000])
@pytest.mark.parametrize("most", [3, 300, 2**32 - 1])
def test_ids_are_appended_ascending_and_once(size, most):
    drawn = np.random.default_rng(size).integers(0, most, size=size + SLACK, dtype=np.uint32)
    values = np.zeros(size + 2, dtype=np.uint32)
    scratch = np.zeros((2, size + SLACK), dtype=np.uint32)
    num = _append_sorted(drawn, 0, size, scratch, values, 1)
    assert np.array_equal(values[1:num], np.unique(drawn[:size]))
