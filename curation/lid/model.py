"""A fastText classifier, read from its bytes into arrays that compiled code evaluates.

Both ``.bin`` and ``.ftz`` (quantised, pruned), with hierarchical softmax, softmax or one-vs-all.

Source: Joulin et al. 2016, arXiv:1607.01759 (classifier), arXiv:1612.03651 (quantisation); the file
format is that of version 12 of the fastText library.
"""

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.curation.compiled.intrinsics import LANES
from curate.curation.compiled.unit_keys import SLACK
from curate.curation.lid.vocabulary import build_vocabulary
from curate.errors import InputError

__all__ = ["HIERARCHICAL_SOFTMAX", "ONE_VS_ALL", "SOFTMAX", "FastTextModel", "read_fasttext_model"]

_MAGIC = 793712314
_VERSION = 12
_SUPERVISED = 3
HIERARCHICAL_SOFTMAX, SOFTMAX, ONE_VS_ALL = 1, 3, 4
_MAX_NGRAM = 32
_NUM_CENTROIDS = 256
_LINE = 64  # bytes of the cache that are loaded at once
TOP_NODES = 64  # whose products with a text are computed all at once
_HEAVIEST = 10**15  # stands for a node that is not made yet


class FastTextModel(NamedTuple):
    """What decides a prediction.

    Attributes:
        labels: without their prefix, by frequency.
        loss: HIERARCHICAL_SOFTMAX, SOFTMAX or ONE_VS_ALL.
        min_ngram: characters of the shortest n-grams; 0 for none.
        max_ngram: characters of the longest n-grams.
        word_ngrams: words of the longest word n-grams; 1 for words alone.
        bucket: number of hash buckets of n-grams.
        num_words: words of the vocabulary; labels come after them in `strings`.
        strings: words and labels, one after the other, and SLACK; uint8.
        string_offsets: int64, shape (num_words + num_labels + 1,).
        vocabulary: of the strings, as `build_vocabulary` makes it.
        is_there: a bit for each bucket whose n-grams were not pruned, 32 in the lower half of a
            word, and in the upper half how many are set before these; uint64, shape
            (bucket / 32 + 1,); shape (0,) if nothing was pruned.
        rows: of the input matrix; float32, shape (num_rows, dim): of words, then of n-grams in
            the order of their buckets.
        outputs: float32, shape (num_labels, dim).
        top: rows of the outputs that belong to the nodes next to the root, each a column here, the
            root's last; float32, shape (dim, at most TOP_NODES, a multiple of LANES).
        tree: children of each node, −1 at leaves; int32, shape (2 · num_labels − 1, 2).
    """

    labels: tuple[str, ...]
    loss: int
    min_ngram: int
    max_ngram: int
    word_ngrams: int
    bucket: int
    num_words: int
    strings: NDArray[np.uint8]
    string_offsets: NDArray[np.int64]
    vocabulary: NDArray[np.uint64]
    is_there: NDArray[np.uint64]
    rows: NDArray[np.float32]
    outputs: NDArray[np.float32]
    top: NDArray[np.float32]
    tree: NDArray[np.int32]


class _Reader:
    """Takes values off the front of a buffer, and never beyond its end."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer
        self.at = 0

    def values(self, layout: str) -> tuple[Any, ...]:
        """Return little-endian values, as `struct` describes them."""
        found = struct.unpack_from(f"<{layout}", self._buffer, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return found

    def array(self, kind: Any, length: int) -> NDArray[Any]:
        """Return numbers, without copying them where they are aligned."""
        size = length * np.dtype(kind).itemsize
        if length < 0 or self.at + size > len(self._buffer):
            raise ValueError(f"{size} bytes are announced at byte {self.at}")
        found: NDArray[Any] = np.frombuffer(self._buffer, kind, length, self.at)
        self.at += size
        return found if found.flags.aligned else found.copy()

    def string(self) -> bytes:
        """Return the bytes up to the next 0."""
        stop = self._buffer.find(b"\0", self.at)
        if stop < 0:
            raise ValueError(f"a word without end begins at byte {self.at}")
        found = bytes(self._buffer[self.at : stop])
        self.at = stop + 1
        return found


def read_fasttext_model(buffer: Any, name: str) -> FastTextModel:
    """Read a model.

    Args:
        buffer: bytes, or a memory map, of the whole file.
        name: of the file, for messages.

    Raises:
        InputError: it is cut off, damaged, or no classifier.
    """
    try:
        return _read(_Reader(buffer))
    except (struct.error, ValueError, UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise InputError(
            f"{name}: not a fastText language identification model ({error}); expected a whole "
            ".bin or .ftz classifier such as lid.176.ftz. Download it again."
        ) from error


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _read(reader: _Reader) -> FastTextModel:
    magic, version = reader.values("ii")
    _expect((magic, version) == (_MAGIC, _VERSION), f"it begins with {magic}, version {version}")
    dim, _, _, _, _, word_ngrams, loss, model, bucket, minn, maxn, _ = reader.values("12i")
    reader.values("d")
    _expect(model == _SUPERVISED, "it is no classifier")
    _expect(loss in (HIERARCHICAL_SOFTMAX, SOFTMAX, ONE_VS_ALL), f"its loss is number {loss}")
    _expect(0 < dim <= 4096 and 0 < word_ngrams <= 16, "its dimensions are out of range")
    _expect(0 <= maxn <= _MAX_NGRAM and 0 <= bucket < 2**31, "its n-grams are out of range")
    num_strings, num_words, num_labels, _, num_pruned = reader.values("iiiqq")
    _expect(0 < num_labels and 0 <= num_words, "it has no labels")
    _expect(num_strings == num_words + num_labels, "its vocabulary does not add up")
    _expect(bucket > 0 or (maxn == 0 and word_ngrams == 1), "it has n-grams and no buckets")
    strings, counts = _strings(reader, num_strings, num_words)
    is_there, row_of_ngram = _buckets(reader, bucket, num_pruned)
    is_quantised = reader.values("?")[0]
    rows = _matrix(reader, dim, quantised=is_quantised)
    is_quantised = reader.values("?")[0] and is_quantised
    outputs = _matrix(reader, dim, quantised=is_quantised)
    if row_of_ngram is None:
        _expect(len(rows) >= num_words + bucket, "its input matrix has too few rows")
    else:
        num_rows = num_words + int(row_of_ngram.max(initial=-1)) + 1
        _expect(len(rows) >= num_rows, "its input matrix has too few rows")
        rows = np.concatenate([rows[:num_words], rows[num_words:][row_of_ngram]])
    _expect(len(outputs) == num_labels, "its output matrix has a row for something else")
    offsets = np.zeros(num_strings + 1, dtype=np.int64)
    np.cumsum([len(s) for s in strings], out=offsets[1:])
    joined = np.frombuffer(b"".join([*strings, bytes(SLACK)]), np.uint8)
    return FastTextModel(
        labels=tuple(s.decode().removeprefix("__label__") for s in strings[num_words:]),
        loss=loss,
        min_ngram=max(1, minn),
        max_ngram=maxn,
        word_ngrams=word_ngrams,
        bucket=bucket,
        num_words=num_words,
        strings=joined,
        string_offsets=offsets,
        vocabulary=build_vocabulary(joined, offsets),
        is_there=_with_number_before(is_there),
        rows=_on_lines(rows) if is_quantised else np.ascontiguousarray(rows),
        outputs=outputs,
        top=np.ascontiguousarray(_rows_of_top(outputs).T),
        tree=_huffman_tree(counts[num_words:]),
    )


def _on_lines(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy that begins where a line of the cache does: a row of sixteen is one line."""
    room = np.empty(values.nbytes + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    found: NDArray[np.float32] = room[first : first + values.nbytes].view(np.float32)
    found = found.reshape(values.shape)
    found[:] = values
    return found


def _strings(reader: _Reader, num: int, num_words: int) -> tuple[list[bytes], list[int]]:
    strings, counts = [], []
    for i in range(num):
        strings.append(reader.string())
        count, kind = reader.values("qb")
        _expect(kind == (i >= num_words), f"word {i} is of kind {kind}")
        _expect(0 <= count < _HEAVIEST, f"word {i} occurs {count} times")
        counts.append(count)
    return strings, counts


def _buckets(
    reader: _Reader, bucket: int, num_pruned: int
) -> tuple[NDArray[np.uint32], NDArray[np.int32] | None]:
    """Return `is_there`, and the row of each of its n-grams; None where nothing was pruned.

    The number is −1 where nothing was pruned, and 0 where all n-grams were.
    """
    _expect(-1 <= num_pruned <= bucket, f"{num_pruned} of its n-grams are kept")
    if num_pruned < 0:
        return np.zeros(0, np.uint32), None
    pairs = reader.array(np.int32, 2 * num_pruned).reshape(-1, 2)
    _expect(not len(pairs) or 0 <= pairs.min(), "one of its n-grams is negative")
    _expect(not len(pairs) or pairs[:, 0].max() < bucket, "one of its n-grams is in no bucket")
    # Of a bucket that is named twice the library takes the last row.
    places, last = np.unique(pairs[::-1, 0], return_index=True)
    is_there = np.zeros(bucket // 32 + 1, dtype=np.uint32)
    np.bitwise_or.at(is_there, places >> 5, np.uint32(1) << (places & 31).astype(np.uint32))
    return is_there, pairs[::-1, 1][last]


def _with_number_before(is_there: NDArray[np.uint32]) -> NDArray[np.uint64]:
    bits = np.unpackbits(is_there.view(np.uint8)).reshape(-1, 32).sum(axis=1, dtype=np.uint64)
    before = np.cumsum(bits, dtype=np.uint64) - bits
    return np.asarray(before << np.uint64(32) | is_there, dtype=np.uint64)


def _matrix(reader: _Reader, dim: int, *, quantised: bool) -> NDArray[np.float32]:
    if not quantised:
        num_rows, num_columns = reader.values("qq")
        _expect(num_columns == dim and 0 <= num_rows < 2**40, "a matrix has another width")
        dense: NDArray[np.float32] = reader.array(np.float32, num_rows * dim).reshape(-1, dim)
        return dense
    has_norms, num_rows, num_columns, num_codes = reader.values("?qqi")
    _expect(num_columns == dim and 0 <= num_rows < 2**40, "a matrix has another width")
    codes = reader.array(np.uint8, num_codes)
    values = _quantised(reader, codes, num_rows, dim)
    if has_norms:
        norm_codes = reader.array(np.uint8, num_rows)
        values *= _quantised(reader, norm_codes, num_rows, 1)
    return values


def _quantised(
    reader: _Reader, codes: NDArray[np.uint8], num_rows: int, dim: int
) -> NDArray[np.float32]:
    """Return the values behind the codes of a product quantiser that is read here."""
    width, num_parts, part, last_part = reader.values("4i")
    _expect(width == dim and 0 < num_parts <= dim and 0 < part <= dim, "a quantiser is damaged")
    _expect((num_parts - 1) * part + last_part == dim and 0 < last_part <= part, "nor does it add")
    _expect(len(codes) == num_rows * num_parts, "a quantised matrix has too few codes")
    centroids = reader.array(np.float32, dim * _NUM_CENTROIDS)
    by_part = codes.reshape(num_rows, num_parts)
    values = np.empty((num_rows, dim), dtype=np.float32)
    for i in range(num_parts):
        size = last_part if i == num_parts - 1 else part
        first = i * part * _NUM_CENTROIDS
        table = centroids[first : first + size * _NUM_CENTROIDS].reshape(_NUM_CENTROIDS, size)
        values[:, i * part : i * part + size] = table[by_part[:, i]]
    return values


def _rows_of_top(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows of the last inner nodes: they are made in the order of their weight."""
    num = min(TOP_NODES, (len(outputs) - 1) // LANES * LANES)
    return outputs[len(outputs) - 1 - num : len(outputs) - 1]


def _huffman_tree(counts: list[int]) -> NDArray[np.int32]:
    """Return the children of each node of the tree of labels; the last node is the root.

    Labels are sorted by count, so the two smallest of leaves and inner nodes are found at the ends
    of two queues.
    """
    num = len(counts)
    weight = [*counts, *[_HEAVIEST] * (num - 1)]
    children = np.full((2 * num - 1, 2), -1, dtype=np.int32)
    leaf, node = num - 1, num
    for new in range(num, 2 * num - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and weight[leaf] < weight[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        children[new] = pair
        weight[new] = weight[pair[0]] + weight[pair[1]]
    return children
