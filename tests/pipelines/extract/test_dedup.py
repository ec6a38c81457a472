from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.curation.hashing.duplicates import KEY, duplicate_keys, later_rows
from curate.errors import UsageError
from curate.pipelines.duplicates import keys as key_files
from curate.pipelines.extract import dedup
from curate.pipelines.store import artifacts

PAIRS = st.tuples(
    st.sampled_from("abc"), st.sampled_from(["A dog", "a  dog!", "cat", "", "!", "?"])
)
FILES = st.lists(st.lists(PAIRS, max_size=8), min_size=1, max_size=5)


def write(folder: Path, files):
    paths = []
    for number, rows in enumerate(files):
        path = str(folder / f"{number}.parquet")
        table = pa.table(
            {
                "url": artifacts.strings(u for u, _ in rows),
                "text": artifacts.strings(t for _, t in rows),
            }
        )
        artifacts.write_table(path, table, {}, "")
        paths.append(path)
    return paths


def first_of(files, mode):
    """The naive version: rows whose key has been seen, by file."""
    keys = {
        "pair": lambda url, text: (url, text),
        "url": lambda url, _: url,
        "near": lambda url, text: (url, " ".join(text.lower().strip("!?").split()) or text),
    }
    seen, later = set(), []
    for rows in files:
        later.append([])
        for row, pair in enumerate(rows):
            key = keys[mode](*pair)
            if key in seen:
                later[-1].append(row)
            seen.add(key)
    return later


@settings(max_examples=40)
@given(FILES, st.sampled_from(sorted(dedup.MODES)), st.integers(1, 3), st.integers(1, 4))
def test_the_first_of_each_pair_stays(tmp_path_factory, files, mode, workers, rows_per_partition):
    folder = tmp_path_factory.mktemp("dedup")
    paths = write(folder, files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_files, "ROWS_PER_PARTITION", rows_per_partition)
        patch.setattr(key_files, "ROWS_PER_RUN", 3)
        found = dedup.find_duplicates(paths, str(folder / "keys"), mode, workers=workers)
    assert [found.rows(i).tolist() for i in range(len(files))] == first_of(files, mode)


def test_keys_are_the_ids_that_pairs_and_images_have():
    urls, texts = pa.array(["https://example.org/0.jpg"]), pa.array(["a dog"])
    (key,) = duplicate_keys(urls, texts, "pair")
    assert f"{key['high']:016x}{key['low']:08x}" == "c32bbadbe22d074c3b2b383b"


def test_near_duplicates_differ_in_case_width_spaces_and_punctuation_only():
    texts = ["A dog.", "a  DOG", "Ａ－ｄｏｇ", "a dogs", "a dóg", "हिंदी", "हिंद", "...", "!"]
    keys = duplicate_keys(pa.array(["u"] * len(texts)), pa.array(texts), "near")
    assert len(np.unique(keys)) == 7


def test_keys_that_agree_in_their_first_64_bits_are_told_apart():
    keys = np.array([(7, 2), (7, 1), (7, 2), (7, 1), (3, 1)], KEY)
    assert later_rows(keys).tolist() == [2, 3]


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--dedup is 'fuzzy'"):
        dedup.find_duplicates([], str(tmp_path), "fuzzy")
