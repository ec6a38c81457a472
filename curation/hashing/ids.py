"""Strings in, hashes out: a short SHA-224, which ids of pairs and images are, or XXH3."""

from hashlib import sha224

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curate.curation.compiled.arrow_buffers import string_buffers
from curate.curation.hashing.sha224_kernels import HEX_DIGITS, hash_messages

__all__ = ["quick_hashes", "short_hash", "short_hashes"]


def short_hash(text: str) -> str:
    """Return the first 24 hexadecimal digits of the SHA-224 of a string, as UTF-8."""
    return _short_hash(text.encode())


def _short_hash(message: bytes) -> str:
    return sha224(message).hexdigest()[:HEX_DIGITS]


def short_hashes(first: pa.StringArray, second: pa.StringArray | None = None) -> pa.StringArray:
    r"""Return the first 24 hexadecimal digits of the SHA-224 of each string, as UTF-8.

    Args:
        first: shape (num_strings,); a null is as an empty string.
        second: likewise; if given, what is hashed is ``first \t second``.

    Returns:
        Shape (num_strings,), no nulls.

    Raises:
        ValueError: there are not as many of both.

    >>> short_hashes(pa.array(["https://example.org/0.jpg"]), pa.array(["a dog"])).to_pylist()
    ['c32bbadbe22d074c3b2b383b']
    """
    num = len(first)
    if second is not None and len(second) != num:
        raise ValueError(f"{num} strings and {len(second)} others; expected as many")
    data, offsets = string_buffers(first)
    more, more_offsets = (
        string_buffers(second)
        if second is not None
        else (np.zeros(1, np.uint8), np.zeros(0, np.int64))
    )
    digits = np.empty(num * HEX_DIGITS, dtype=np.uint8)
    is_long = np.empty(num, dtype=bool)
    if hash_messages(data, offsets, more, more_offsets, digits, is_long):
        for i in np.flatnonzero(is_long).tolist():
            message = data[offsets[i] : offsets[i + 1]].tobytes()
            if second is not None:
                message += b"\t" + more[more_offsets[i] : more_offsets[i + 1]].tobytes()
            digest = np.frombuffer(_short_hash(message).encode(), np.uint8)
            digits[i * HEX_DIGITS : (i + 1) * HEX_DIGITS] = digest
    ends = np.arange(0, (num + 1) * HEX_DIGITS, HEX_DIGITS, dtype=np.int32)
    return pa.StringArray.from_buffers(num, pa.py_buffer(ends), pa.py_buffer(digits))


def quick_hashes(strings: pa.StringArray, seed: int) -> NDArray[np.uint64]:
    """Return the xxh3_64 of each string, as UTF-8; shape (num_strings,).

    Args:
        strings: without nulls.
        seed: 0 <= seed < 2^64.
    """
    from curate.curation.hashing.xxh3_kernels import MAX_LENGTH, MIN_LENGTH, hash_strings

    data, offsets = string_buffers(strings)
    hashes = np.empty(len(strings), dtype=np.uint64)
    if hash_strings(data, offsets, np.uint64(seed), hashes):
        lengths = np.diff(offsets)
        others = np.flatnonzero((lengths < MIN_LENGTH) | (lengths > MAX_LENGTH))
        raw = strings.take(pa.array(others)).cast(pa.binary()).to_pylist()
        hashes[others] = [xxhash.xxh3_64_intdigest(i, seed) for i in raw]
    return hashes
