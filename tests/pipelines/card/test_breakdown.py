"""Columns of whatever type and however many values, counted batch by batch."""

import datetime
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import UsageError
from curate.pipelines.card.counted.breakdown import MOST_VALUES, breakdown, count_values

COLUMNS = {
    "text": (pa.array(["a", None, "a"]), {"a": 2, None: 1}),
    "view": (pa.array(["a", None, "a"], pa.string_view()), {"a": 2, None: 1}),
    "dictionary": (pa.array(["a", None, "a"]).dictionary_encode(), {"a": 2, None: 1}),
    "whole": (pa.array([2**64 - 1, None, 0], pa.uint64()), {str(2**64 - 1): 1, None: 1, "0": 1}),
    "truth": (pa.array([True, None, True]), {"true": 2, None: 1}),
    "day": (pa.array([datetime.date(2020, 1, 2), None, None]), {"2020-01-02": 1, None: 2}),
    "nothing": (pa.array([None, None, None], pa.string()), {None: 3}),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_values_of_any_type_are_counted_with_those_that_are_missing(kind):
    column, expected = COLUMNS[kind]
    counted = Counter()
    keep = np.array([True, False, False])
    count_values(pa.record_batch({"x": column}), ["x"], keep, counted)
    rows = breakdown(counted, ["x"])["x"]
    assert {row["value"]: row["matched"] for row in rows} == expected
    assert sum(row["kept"] for row in rows) == 1
    json.dumps(rows).encode()


def test_values_of_the_json_of_tars_may_be_halves_of_surrogate_pairs_and_no_values_at_all():
    raws = [b'{"x": "\\ud800"}', b'{"x": ["a"]}', b"[1]", None, b'{"x": true}', b"{" * 9999]
    batch = pa.record_batch({"json": pa.array(raws, pa.binary())})
    counted = Counter()
    count_values(batch, ["x"], np.ones(len(raws), bool), counted)
    found = {row["value"]: row["kept"] for row in breakdown(counted, ["x"])["x"]}
    assert found == {"\\ud800": 1, "true": 1, None: 4}


def test_a_column_with_a_few_values_in_each_batch_and_many_in_all_is_refused_on_the_way():
    counted = Counter()
    with pytest.raises(UsageError, match="more than 1,000 values"):
        for at in range(10**6):
            values = pa.array([f"{at}-{i}" for i in range(10)])
            count_values(pa.record_batch({"x": values}), ["x"], np.ones(10, bool), counted)
            assert len(counted) <= 2 * MOST_VALUES
