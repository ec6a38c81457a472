"""Keys that several files share: the first lends, the later ones borrow, as a naive loop says."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.curation.hashing.duplicates import KEY, string_keys
from curate.pipelines.duplicates import keys as key_files
from curate.pipelines.duplicates import shared
from curate.pipelines.duplicates.shared import find_shared, image_keys
from curate.pipelines.store import artifacts

NAMES = "abcdefgh"
FILES = st.lists(st.lists(st.sampled_from([*NAMES, None]), max_size=8), min_size=1, max_size=6)
KEYS = string_keys(pa.array(list(NAMES)))
NAME_OF = {(int(key["high"]), int(key["low"])): name
           for key, name in zip(KEYS, NAMES, strict=True)}  # fmt: skip


def write(folder, files):
    paths = [str(folder / f"{number}.parquet") for number in range(len(files))]
    for path, names in zip(paths, files, strict=True):
        artifacts.write_table(path, pa.table({"image_id": pa.array(names, pa.string())}), {}, "")
    return paths


@settings(max_examples=60)
@given(FILES, st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.data())
def test_the_first_file_lends_to_each_later_one_once(
    tmp_path_factory, files, workers, rows, together, data
):
    folder = tmp_path_factory.mktemp("shared")
    borrowers = data.draw(st.sets(st.integers(0, len(files) - 1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_files, "ROWS_PER_PARTITION", rows)
        patch.setattr(key_files, "ROWS_PER_RUN", 3)
        patch.setattr(shared, "_SORTED_TOGETHER", together)
        found = find_shared(
            write(folder, files), str(folder / "keys"), image_keys, borrowers, workers=workers
        )
    expected = [set() for _ in files]
    for name in NAMES:
        owner, *later = [number for number, names in enumerate(files) if name in names] or [0]
        for borrower in borrowers & {*later}:
            expected[owner].add((borrower, name, True))
            expected[borrower].add((owner, name, False))
    for number, shares in enumerate(expected):
        mine = found.of(number).tolist()
        told = [(other, NAME_OF[high, low], lends) for _, other, high, low, lends in mine]
        assert len(told) == len(set(told)) and set(told) == shares
        assert {file for file, *_ in mine} <= {number}
        assert found.lent[number] == sum(lends for *_, lends in shares)
        assert found.borrowed[number] == sum(not lends for *_, lends in shares)


def test_keys_that_agree_in_their_first_64_bits_are_told_apart(tmp_path):
    of_files = [[(7, 2), (7, 1)], [(7, 3)], [(7, 1), (7, 3)]]
    paths = write(tmp_path, [["x"] * len(keys) for keys in of_files])
    left = iter(of_files)

    def keys(_):
        yield np.array(next(left), KEY)

    found = find_shared(paths, str(tmp_path / "keys"), keys, range(3))
    assert found.lent.tolist() == [1, 1, 0] and found.borrowed.tolist() == [0, 0, 2]
    assert sorted(found.of(2)[["other", "low"]].tolist()) == [(0, 1), (1, 3)]
