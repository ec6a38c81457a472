"""Records for each part in, a file that each part reads its own piece of out.

The file begins with, of each part in 24 bytes, where its records begin, how many they are, and the
xxh3_64 of their bytes; then come the records. Numbers are of 8 bytes, little-endian.
"""

from collections.abc import Callable

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.files import storage
from curate.files.remedies import damaged

__all__ = ["Records", "read_piece", "write_pieces"]

_PLACE = np.dtype([("start", "<u8"), ("num", "<u8"), ("sum", "<u8")])

Records = NDArray[np.void]


def write_pieces(path: str, num_parts: int, piece: Callable[[int], Records]) -> None:
    """Publish records.

    Args:
        path: of the file.
        num_parts: of the plan.
        piece: gives the records of a part; called twice for those that have some.
    """
    head = np.zeros(num_parts, _PLACE)
    at = head.nbytes
    for index in range(num_parts):
        records = piece(index)
        head[index] = at, len(records), xxhash.xxh3_64_intdigest(records.tobytes())
        at += records.nbytes
    with storage.publish(path) as file:
        file.write(head.tobytes())
        for index in np.flatnonzero(head["num"]).tolist():
            file.write(piece(index).tobytes())


def read_piece(path: str, index: int, kind: np.dtype[np.void]) -> Records:
    """Return the records of a part.

    Raises:
        ArtifactError: they are not what was written.
        InputError: there is no such file.
    """
    with storage.open_read(path) as file:
        end = file.seek(0, 2)
        file.seek(index * _PLACE.itemsize)
        head = np.frombuffer(file.read(_PLACE.itemsize).ljust(_PLACE.itemsize), _PLACE)
        start, num, expected = head[0].tolist()
        content = b""
        if start + num * kind.itemsize <= end:
            file.seek(start)
            content = file.read(num * kind.itemsize)
    if xxhash.xxh3_64_intdigest(content) != expected:
        damaged(path, f"what it has for part {index} is not what was written")
    return np.frombuffer(content, kind)
