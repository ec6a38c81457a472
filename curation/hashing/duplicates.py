"""Which pairs are the same: keys of pairs, and among many keys the rows that come again.

A key has 96 bits. Those of pairs are of SHA-224, the bits that ids of pairs and images are made of:
two pairs are the same if and only if their ids are. Those of ids are of XXH3, which is quick.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.hashing.ids import quick_hashes, short_hashes

__all__ = ["KEY", "duplicate_keys", "equal_neighbours", "fold_texts", "later_rows", "string_keys"]

KEY = np.dtype([("high", "<u8"), ("low", "<u4")])

# What near-duplicates differ in: everything that is no letter, mark or digit.
_BETWEEN_WORDS = r"[^\p{L}\p{M}\p{N}]+"


def duplicate_keys(urls: pa.StringArray, texts: pa.StringArray, mode: str) -> NDArray[np.void]:
    """Return the key of each pair.

    Args:
        urls: shape (num_pairs,).
        texts: shape (num_pairs,).
        mode: ``pair``: the same URL and text; ``url``: the same URL; ``near``: the same URL, and
            the same text but for case, width, spaces and punctuation.

    Returns:
        Of type KEY, shape (num_pairs,).

    >>> urls, texts = pa.array(["a", "a"]), pa.array(["A dog!", "a  dog"])
    >>> [len(np.unique(duplicate_keys(urls, texts, mode))) for mode in ("pair", "url", "near")]
    [2, 1, 1]
    """
    if mode == "url":
        hashes = short_hashes(urls)
    else:
        hashes = short_hashes(urls, fold_texts(texts) if mode == "near" else texts)
    digits = np.frombuffer(hashes.buffers()[2] or b"", np.uint8)[: 24 * len(urls)]
    nibbles = (digits & 15) + 9 * (digits >> 6)  # "a" is 0x61
    octets = (nibbles[0::2] << 4 | nibbles[1::2]).reshape(-1, 12)
    keys = np.empty(len(urls), KEY)
    keys["high"] = np.ascontiguousarray(octets[:, :8]).view(">u8")[:, 0]
    keys["low"] = np.ascontiguousarray(octets[:, 8:]).view(">u4")[:, 0]
    return keys


def string_keys(strings: pa.StringArray) -> NDArray[np.void]:
    """Return the key of each string, without nulls; of type KEY, shape (num_strings,)."""
    keys = np.empty(len(strings), KEY)
    keys["high"] = quick_hashes(strings, 0)
    keys["low"] = quick_hashes(strings, 1).astype(np.uint32)
    return keys


def fold_texts(texts: pa.StringArray) -> pa.StringArray:
    """Return texts without what near-duplicates differ in; one of nothing else stays as it is.

    >>> fold_texts(pa.array(["Ｒｅｄ  dog!", "!?"])).to_pylist()
    ['red dog', '!?']
    """
    folded = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    folded = pc.utf8_trim_whitespace(pc.replace_substring_regex(folded, _BETWEEN_WORDS, " "))
    return pc.if_else(pc.equal(pc.binary_length(folded), 0), texts, folded)


def later_rows(keys: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the positions of the keys that have stood before, in ascending order.

    >>> keys = np.array([(1, 1), (2, 1), (1, 1), (1, 2)], KEY)
    >>> later_rows(keys).tolist()
    [2]
    """
    order, same = equal_neighbours(keys)
    return np.sort(order[1:][same])


def equal_neighbours(keys: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return an order in which equal keys stand side by side, in the order in which they came.

    Returns:
        The order, shape (num,); and of each key but the first whether it equals the one before
        it there, shape (num - 1,). Both are empty where no two agree in their first 64 bits.

    >>> order, same = equal_neighbours(np.array([(1, 1), (2, 1), (1, 1), (1, 2)], KEY))
    >>> order.tolist(), same.tolist()
    ([0, 2, 3, 1], [True, False, False])
    """
    high, low = keys["high"], keys["low"]
    ascending = np.sort(high)
    if not (ascending[1:] == ascending[:-1]).any():  # a tenth of the time of sorting places
        return np.zeros(0, np.int64), np.zeros(0, bool)
    order = np.argsort(high, kind="stable")
    same_high = high[order][1:] == high[order][:-1]
    same = same_high & (low[order][1:] == low[order][:-1])
    if not np.array_equal(same, same_high):  # two keys agree in 64 bits but not in 96
        order = np.lexsort((low, high))
        same = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
    return order, same
