"""The fast engine: entries → an index → the entries that occur in the texts of an Arrow array.

`build_index` gives the index of one language and normalization as a few arrays, `pack_index` as
bytes, and `unpack_index` reads them back without copying, so that a memory-mapped file is an
index. `IndexMatcher` matches with it, and finds exactly what `AhoCorasickMatcher` finds.
"""

import json
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from curate.curation.compiled.arrow_buffers import string_buffers
from curate.curation.compiled.parallel import in_threads
from curate.curation.matching.character_table import character_table
from curate.curation.matching.entry_kernels import split_metaclip_entries, split_standard_entries
from curate.curation.matching.index_kernels import match_metaclip, match_standard
from curate.curation.matching.kernels import needs_composition
from curate.curation.matching.normalize import (
    Normalization,
    check_normalization,
    compose,
    normalize_entry,
)
from curate.curation.matching.prefix_table import Needles, PrefixTable, build_table, empty_table
from curate.curation.matching.unit_hashes import hash_fingerprint
from curate.errors import ArtifactError
from curate.files.remedies import suggest

__all__ = ["IndexMatcher", "MatchIndex", "build_index", "pack_index", "unpack_index"]

MAGIC = b"CURATEIX"
VERSION = 4
_ALIGNMENT = 64
_KINDS = (np.uint64, np.uint64, np.uint64, np.uint32) * 2  # of the arrays of the two tables


class MatchIndex(NamedTuple):
    """What the fast engine looks entries up in.

    Attributes:
        normalization: of the entries.
        num_entries: of the language.
        units: needles that stand between delimiters: tokens (`standard`), or space-delimited
            pieces (`metaclip`).
        characters: `metaclip` needles that may stand inside a word, by characters.
    """

    normalization: Normalization
    num_entries: int
    units: PrefixTable
    characters: PrefixTable


def _composed(texts: pa.StringArray) -> pa.StringArray:
    """Replace the texts that NFC may change by their folded and composed form."""
    data, offsets = string_buffers(texts)
    if not len(texts) or data[offsets[0] : offsets[-1]].max(initial=0) < 0x80:
        return texts
    mask = np.zeros(len(texts), dtype=bool)
    if not needs_composition(data, offsets, *character_table(), mask):
        return texts
    changed = pa.array(mask)
    replaced = [compose(text) for text in texts.filter(changed).to_pylist()]
    return pc.replace_with_mask(texts, changed, pa.array(replaced, texts.type))


def build_index(entries: Sequence[str] | pa.Array, normalization: Normalization) -> MatchIndex:
    """Build the index of a language's entries.

    Args:
        entries: shape (num_entries,); the position is the entry_id.
        normalization: of entries and texts.

    Returns:
        The index; entries that normalize to nothing are not in it.
    """
    strings = entries if isinstance(entries, pa.Array) else pa.array(entries, pa.large_string())
    strings = strings.cast(pa.large_string())
    if normalization == "standard":
        table = character_table()
        data, offsets = string_buffers(_composed(strings))
        needles = Needles(*split_standard_entries(data, offsets, table.classes, table.folded))
        return MatchIndex(normalization, len(strings), build_table(needles), empty_table())
    spaced = pa.array(
        [normalize_entry(e, normalization) for e in strings.to_pylist()], pa.large_string()
    )
    between, inside = split_metaclip_entries(*string_buffers(spaced))
    tables = (build_table(Needles(*between)), build_table(Needles(*inside)))
    return MatchIndex(normalization, len(strings), *tables)


def pack_index(index: MatchIndex, metadata_hash: str) -> bytes:
    """Return an index as the bytes of a file: magic, header, arrays at multiples of 64 bytes."""
    arrays: list[NDArray[Any]] = [*index.units, *index.characters]
    header: dict[str, Any] = {
        "version": VERSION,
        "hashes": hash_fingerprint(),
        "normalization": index.normalization,
        "num_entries": index.num_entries,
        "metadata_hash": metadata_hash,
        "shapes": [list(a.shape) for a in arrays],
        "checksums": [xxhash.xxh3_64_hexdigest(a.data) for a in arrays],
    }
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-(len(MAGIC) + 16 + len(text)) % _ALIGNMENT)
    pieces = [MAGIC, len(text).to_bytes(8, "little"), xxhash.xxh3_64_digest(text), text]
    for array in arrays:
        raw = array.tobytes()
        pieces += [raw, b"\0" * (-len(raw) % _ALIGNMENT)]
    return b"".join(pieces)


def unpack_index(
    buffer: Any, name: str, metadata_hash: str | None = None, *, threads: int = 1
) -> "IndexMatcher":
    """Return the matcher of a packed index; its arrays are views of the buffer.

    The header is checked at once, the arrays when they are first used.

    Args:
        buffer: bytes, or a memory map.
        name: of the file, for messages.
        metadata_hash: of the entries that it has to be of; None for any.
        threads: that it matches in.

    Raises:
        ArtifactError: it is cut off, damaged, no index, of another version or other entries.
    """
    header, at = _header(buffer, name)
    if metadata_hash is not None and header["metadata_hash"] != metadata_hash:
        raise _unusable(
            name, f"it is of entries with sha256 {header['metadata_hash'][:12]}…, "
            f"expected {metadata_hash[:12]}…"
        )  # fmt: skip
    arrays: list[NDArray[Any]] = []
    for shape, kind in zip(header["shapes"], _KINDS, strict=True):
        length = math.prod(shape)
        size = length * np.dtype(kind).itemsize
        if at + size > len(buffer):
            raise _unusable(name, f"it is cut off at {len(buffer)} bytes")
        arrays.append(np.frombuffer(buffer, kind, length, at).reshape(shape))
        at += size + -size % _ALIGNMENT
    index = MatchIndex(
        check_normalization(header["normalization"]), header["num_entries"],
        PrefixTable(*arrays[:4]), PrefixTable(*arrays[4:]),
    )  # fmt: skip
    return IndexMatcher(index, name, tuple(header["checksums"]), threads=threads)


def _header(buffer: Any, name: str) -> tuple[dict[str, Any], int]:
    start = len(MAGIC) + 16
    if len(buffer) < start or bytes(buffer[: len(MAGIC)]) != MAGIC:
        raise _unusable(name, "it is no index")
    stop = start + int.from_bytes(buffer[len(MAGIC) : len(MAGIC) + 8], "little")
    text = bytes(buffer[start:stop])
    if stop > len(buffer) or xxhash.xxh3_64_digest(text) != bytes(buffer[start - 8 : start]):
        raise _unusable(name, "its header is cut off or damaged")
    header: dict[str, Any] = json.loads(text)
    if header.get("version") != VERSION:
        raise _unusable(name, f"it is of version {header.get('version')}, expected {VERSION}")
    if header.get("hashes") != hash_fingerprint():
        raise _unusable(name, "it was built with other hashes")
    return header, stop


def _unusable(name: str, why: str) -> ArtifactError:
    return ArtifactError(
        f"{name}: not a usable index: {why}. Build it anew with: "
        + suggest("build-metadata", "--reindex")
    )


class IndexMatcher:
    """The fast engine.

    Args:
        index: of one language and normalization.
        name: of its file, for messages.
        checksums: xxh3_64 of its arrays, compared before they are used; empty for one in memory.
        threads: that texts are shared out to; the interpreter's lock is released.

    >>> matcher = IndexMatcher(build_index(["dog", "red dog", "do"], "standard"))
    >>> matcher.match(pa.array(["a red dog", "dogma"])).to_pylist()
    [[0, 1], []]
    """

    def __init__(
        self,
        index: MatchIndex,
        name: str = "index",
        checksums: tuple[str, ...] = (),
        *,
        threads: int = 1,
    ) -> None:
        self._index = index
        self._threads = threads
        self._name = name
        self._checksums = checksums

    @property
    def normalization(self) -> Normalization:
        """How entries and texts are normalized."""
        return self._index.normalization

    def check(self) -> None:
        """Compare the arrays with their checksums now, as `match` does when it is first called.

        Raises:
            ArtifactError: the index is damaged.
        """
        _ = self._checked

    @cached_property
    def _checked(self) -> MatchIndex:
        """The index, its arrays compared with their checksums: compiled code trusts them."""
        arrays: list[NDArray[Any]] = [*self._index.units, *self._index.characters]
        for array, expected in zip(arrays, self._checksums, strict=bool(self._checksums)):
            if xxhash.xxh3_64_hexdigest(array.data) != expected:
                raise _unusable(self._name, "it is damaged (a checksum differs)")
        return self._index

    def match(self, texts: pa.StringArray) -> pa.ListArray:
        """Return the ids of the entries that occur in each text.

        Args:
            texts: string or large_string; a null matches nothing.

        Returns:
            list<uint32>, shape (num_texts,), no nulls; each list ascending and unique.

        Raises:
            ArtifactError: the index is damaged.
        """
        index = self._checked
        if index.normalization == "standard":
            texts = _composed(texts)
        data, offsets = string_buffers(texts)
        pieces = np.array_split(np.arange(len(texts)), max(1, min(self._threads, len(texts))))
        found = in_threads(lambda piece: self._match_rows(index, data, offsets, piece), pieces)
        return pa.concat_arrays(found)

    def _match_rows(
        self, index: MatchIndex, data: Any, offsets: Any, rows: NDArray[np.int64]
    ) -> pa.ListArray:
        if index.normalization == "standard":
            table = character_table()
            values, ends = match_standard(
                data, offsets, rows, table.classes, table.folded, *index.units
            )
        else:
            values, ends = match_metaclip(data, offsets, rows, *index.units, *index.characters)
        if ends[-1] >= 2**31:
            raise ValueError(f"{ends[-1]} entries in one array; match fewer texts at once")
        return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(values.copy()))
