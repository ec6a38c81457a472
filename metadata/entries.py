"""Scored candidates in, a language's entries out: caps, order, duplicates and the hash."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import UsageError

__all__ = [
    "SCHEMA",
    "SOURCES",
    "Candidate",
    "Thresholds",
    "assemble_entries",
    "entry_table",
    "limit_of",
    "metadata_hash",
    "problem_with",
    "rank",
    "union_entries",
]

SOURCES = ("number", "wordnet", "unigram", "bigram", "title")
NUMBERS = tuple(str(n) for n in range(100))

SCHEMA = pa.schema(
    {
        "entry": pa.string(),
        "source": pa.dictionary(pa.int8(), pa.string()),
        "score": pa.float64(),
    }
)

Candidate = tuple[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What is kept of each source; None sets no limit.

    Attributes:
        unigram_min_count: words seen less often are left out.
        unigram_top_share: share of the distinct words, by count, that may be kept; 0 to 1.
        unigram_max: words at most.
        bigram_min_count: pairs seen less often are left out; PMI ranks rare accidents first.
        bigram_min_pmi: bits. PMI cannot exceed log2 of the number of words, so v1's 30 empties
            every Wikipedia under 1.07 billion words; hence no limit by default, but a rank.
        bigram_max_share: pairs at most, as a share of the kept words; 0 to 1.
        bigram_max: pairs at most.
        title_min_views: titles viewed less often are left out.
        title_top_share: share of the viewed titles, by views, that may be kept; 0 to 1.
        title_max: titles at most.
        max_entry_characters: longer entries are left out.

    Source: Xu et al. 2023, arXiv:2309.16671, section 3.1; Chuang et al. 2025, arXiv:2507.22062,
    section 3.2. Deviation: bigrams are ranked by PMI instead of cut at PMI 30.
    """

    unigram_min_count: int = 1
    unigram_top_share: float | None = 0.10
    unigram_max: int | None = 251_465
    bigram_min_count: int = 5
    bigram_min_pmi: float | None = None
    bigram_max_share: float | None = 0.40
    bigram_max: int | None = 100_646
    title_min_views: int | None = None
    title_top_share: float | None = 0.76
    title_max: int | None = 61_235
    max_entry_characters: int = 256

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _range(field.name)
            if value is not None and not low <= value <= high:
                raise UsageError(
                    f"--{field.name.replace('_', '-')} is {value}; expected {low} to {high}"
                )

    @classmethod
    def for_language(cls, lang: str, **overrides: Any) -> "Thresholds":
        """Return MetaCLIP v1's thresholds for English and v2's for all other languages.

        >>> Thresholds.for_language("en").unigram_min_count
        100
        """
        english: dict[str, Any] = {
            "unigram_min_count": 100,
            "unigram_top_share": None,
            "title_min_views": 70,
            "title_top_share": None,
        }
        return cls(**{**(english if lang == "en" else {}), **overrides})


def _range(name: str) -> tuple[float, float]:
    if name == "bigram_min_pmi":
        return float("-inf"), float("inf")
    if name.endswith("share"):
        return 0, 1
    return 1 if name in ("unigram_min_count", "bigram_min_count") else 0, float("inf")


def rank(candidates: Iterable[Candidate], limits: Sequence[float | None]) -> list[Candidate]:
    """Return the best candidates: by score descending, then by entry, up to the smallest limit.

    >>> rank([("b", 1.0), ("a", 1.0), ("c", 2.0)], [2, None])
    [('c', 2.0), ('a', 1.0)]
    """
    ordered = sorted(candidates, key=lambda c: (-c[1], c[0]))
    bounds = [int(limit) for limit in limits if limit is not None]
    return ordered[: min(bounds)] if bounds else ordered


def limit_of(share: float | None, num: int, most: int | None) -> int | None:
    """Return the smaller of a share of a number and a maximum; None if neither limits.

    >>> limit_of(0.1, 25, None), limit_of(0.1, 90, 5), limit_of(None, 9, None)
    (2, 5, None)
    """
    limits = [most] if share is None else [int(share * num), most]
    return min((limit for limit in limits if limit is not None), default=None)


def problem_with(entry: str, max_characters: int) -> str | None:
    r"""Say why a string cannot be an entry, or None if it can.

    Symbols and lone marks count as punctuation.

    >>> problem_with("St. John", 256), problem_with("?!", 256), problem_with("a\tb", 256)
    (None, 'punctuation_only', 'control_character')
    """
    if len(entry) > max_characters:
        return "too_long"
    categories = {unicodedata.category(char) for char in entry}
    if not categories.isdisjoint({"Cc", "Cs", "Zl", "Zp"}):  # control characters, line ends
        return "control_character"
    if all(category[0] in "PSZCM" for category in categories):
        return "punctuation_only"
    return None


def assemble_entries(
    candidates: Mapping[str, Sequence[Candidate]], max_characters: int
) -> tuple[pa.Table, dict[str, int]]:
    """Put the candidates of all sources together: numbers 0–99 first, each entry once.

    Args:
        candidates: (entry, score) by source; numbers are added here.
        max_characters: longer entries are left out.

    Returns:
        The table with columns entry, source, score, by source, then score descending, then entry
        in code point order; and the number of candidates left out, by reason. Numbers and WordNet
        have no score: it is 0, so they stand in code point order.
    """
    seen: set[str] = set()
    rows: list[tuple[str, str, float]] = []
    left_out: Counter[str] = Counter()
    for source in SOURCES:
        own = [(n, 0.0) for n in NUMBERS] if source == "number" else candidates.get(source, ())
        for entry, score in rank(own, []):
            problem = problem_with(entry, max_characters)
            problem = problem or ("duplicate" if entry in seen else None)
            if problem:
                left_out[problem] += 1
                continue
            seen.add(entry)
            rows.append((entry, source, score))
    return entry_table(rows), dict(sorted(left_out.items()))


def entry_table(rows: Sequence[tuple[str, str, float]]) -> pa.Table:
    """Return entries with source and score, in order, as the table that is stored."""
    entries, sources, scores = zip(*rows, strict=True) if rows else ((), (), ())
    indices = pa.array([SOURCES.index(s) for s in sources], pa.int8())
    source = pa.DictionaryArray.from_arrays(indices, pa.array(SOURCES, pa.string()))
    arrays = [pa.array(entries, pa.string()), source, pa.array(scores, pa.float64())]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def union_entries(tables: Sequence[pa.Table]) -> pa.Table:
    """Unite the entries of several languages, in the order of one; the first source wins."""
    best: dict[str, tuple[int, float]] = {}
    for table in tables:
        columns = (table.column(name).to_pylist() for name in SCHEMA.names)
        for entry, source, score in zip(*columns, strict=True):
            key = (SOURCES.index(source), -score)
            best[entry] = min(best.get(entry, key), key)
    ordered = sorted(best.items(), key=lambda item: (*item[1], item[0]))
    return entry_table([(entry, SOURCES[source], -score) for entry, (source, score) in ordered])


def metadata_hash(entries: Iterable[str] | pa.ChunkedArray) -> str:
    """Return the sha256 of the entries in order, each in UTF-8 and followed by a line feed.

    >>> metadata_hash(["a", "b"])[:12]
    '911169ddaaf1'
    """
    column = entries if isinstance(entries, pa.ChunkedArray) else _column(entries)
    digest = sha256()
    for chunk in column.chunks:
        wide = pa.large_string()
        nothing, end = pa.scalar("", wide), pa.scalar("\n", wide)
        lines = pc.binary_join_element_wise(chunk.cast(wide), nothing, end)
        offsets = np.frombuffer(lines.buffers()[1], np.int64, len(lines) + 1, 8 * lines.offset)
        data = lines.buffers()[2]
        if data is not None:
            digest.update(data[offsets[0] : offsets[-1]])
    return digest.hexdigest()


def _column(entries: Iterable[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(list(entries), pa.large_string())])
