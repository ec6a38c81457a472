"""Which of the pairs that were found have stood before, by URL and text."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.curation.hashing.duplicates import duplicate_keys
from curate.errors import UsageError
from curate.pipelines.duplicates.rows import Duplicates, find_later_rows

__all__ = ["MODES", "Duplicates", "find_duplicates"]

MODES = {"pair": "duplicate_pair", "near": "near_duplicate", "url": "duplicate_url"}

_BATCH_ROWS = 1 << 16


def find_duplicates(
    paths: list[str], folder: str, mode: str, *, workers: int = 1, quiet: bool = True
) -> Duplicates:
    """Find the rows of stamped Parquet files whose pair has stood before.

    Args:
        paths: in the order that decides which of them is the first; with columns `url` and `text`.
        folder: local, for the keys; emptied by the caller.
        mode: one of MODES.
        workers: threads.
        quiet: no progress.

    Raises:
        DiskSpaceError: the keys do not fit on the disk.
        UsageError: there is no such mode.
    """
    if mode not in MODES:
        raise UsageError(f"--dedup is {mode!r}; expected one of {', '.join(MODES)}, none")
    return find_later_rows(paths, folder, partial(_keys, mode), workers=workers, quiet=quiet)


def _keys(mode: str, file: pq.ParquetFile) -> Iterator[NDArray[np.void]]:
    for batch in file.iter_batches(_BATCH_ROWS, columns=["url", "text"]):
        urls, texts = (_plain(batch.column(name)) for name in ("url", "text"))
        yield duplicate_keys(urls, texts, mode)


def _plain(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
