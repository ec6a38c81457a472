"""A subset as DataComp's resharder takes it: the uids of its pairs, sorted, in a `.npy` file.

DataComp's uids are 32 hexadecimal digits; the file holds them as two unsigned numbers of 64 bits,
the upper one first (dtype ``u8,u8``), in ascending order.

Source: Gadre et al. 2023, arXiv:2304.14108; `resharder.py` of mlfoundations/datacomp.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.compiled.arrow_buffers import string_buffers
from curate.errors import InputError
from curate.files import storage
from curate.files.remedies import suggest

__all__ = ["UID_DTYPE", "parse_uids", "write_uid_file"]

UID_DTYPE = np.dtype("u8,u8")
_DIGITS = 32
_BUCKETS = 256
_CHUNK = 1 << 20


def parse_uids(pair_ids: pa.StringArray) -> NDArray[np.void]:
    """Return ids of 32 hexadecimal digits as pairs of numbers, in the same order.

    Args:
        pair_ids: shape (num_pairs,).

    Returns:
        dtype ``u8,u8``, shape (num_pairs,).

    Raises:
        InputError: an id is none of DataComp's.

    >>> parse_uids(pa.array(["000000000000000a" + "ff" * 8])).tolist()
    [(10, 18446744073709551615)]
    """
    is_uid = pc.match_substring_regex(pair_ids, "^[0-9a-fA-F]{32}$")
    if not pc.all(is_uid, min_count=0).as_py():
        other = pair_ids.filter(pc.invert(is_uid))[0].as_py()
        raise InputError(
            f"pair {other!r} has no uid of DataComp's: expected 32 hexadecimal digits. Name the "
            f"column that has them with `{suggest('match', '--uid-column')}`."
        )
    data, offsets = string_buffers(pair_ids)
    digits = np.asarray(data[offsets[0] : offsets[-1]]).reshape(-1, _DIGITS)
    values = np.where(digits <= ord("9"), digits - ord("0"), (digits | 32) - ord("a") + 10)
    raw = (values[:, 0::2] << 4 | values[:, 1::2]).astype(np.uint8)
    return np.ascontiguousarray(raw).view(">u8").astype("u8").view(UID_DTYPE).reshape(-1)


def write_uid_file(path: str, pair_ids: Iterable[pa.StringArray]) -> int:
    """Write the sorted uids of pairs; memory does not grow with their number.

    They are put into buckets by their first byte, on disk, and each bucket is sorted.

    Args:
        path: of the `.npy` file.
        pair_ids: in any order.

    Returns:
        How many there are.

    Raises:
        InputError: an id is none of DataComp's.
    """
    with tempfile.TemporaryDirectory(prefix="curate-uids-") as folder:
        unsorted, num = Path(folder, "unsorted"), np.zeros(_BUCKETS, np.int64)
        with unsorted.open("wb") as file:
            for ids in pair_ids:
                uids = parse_uids(ids)
                num += np.bincount(_bucket(uids), minlength=_BUCKETS)
                file.write(uids.tobytes())
        sorted_file = Path(folder, "sorted.npy")
        _sort(unsorted, sorted_file, num)
        with storage.publish(path) as published, sorted_file.open("rb") as file:
            shutil.copyfileobj(file, published, _CHUNK)
    return int(num.sum())


def _bucket(uids: NDArray[np.void]) -> NDArray[np.int64]:
    return (uids["f0"] >> np.uint64(56)).astype(np.int64)


def _sort(source: Path, target: Path, num: NDArray[np.int64]) -> None:
    total = int(num.sum())
    if not total:
        np.save(target, np.zeros(0, UID_DTYPE))
        return
    out = np.lib.format.open_memmap(target, "w+", UID_DTYPE, (total,))
    starts = np.concatenate([[0], np.cumsum(num)])
    at = starts[:-1].copy()
    uids = np.memmap(source, UID_DTYPE, "r")
    for first in range(0, total, _CHUNK):
        chunk = np.asarray(uids[first : first + _CHUNK])
        buckets = _bucket(chunk)
        order = np.argsort(buckets, kind="stable")
        for bucket, members in _runs(buckets[order], order):
            out[at[bucket] : at[bucket] + len(members)] = chunk[members]
            at[bucket] += len(members)
    for first, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        piece = out[first:stop]
        out[first:stop] = piece[np.lexsort((piece["f1"], piece["f0"]))]
    out.flush()


def _runs(
    buckets: NDArray[np.int64], order: NDArray[np.int64]
) -> list[tuple[int, NDArray[np.int64]]]:
    """Return each bucket that occurs and the positions of its members."""
    cuts = np.flatnonzero(np.diff(buckets)) + 1
    pieces = np.split(order, cuts)
    return [(int(buckets[i]), p) for i, p in zip([0, *cuts.tolist()], pieces, strict=True)]
