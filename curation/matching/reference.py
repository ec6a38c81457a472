"""Which entries occur in which texts.

`Matcher` is the seam: anything that turns an Arrow string array into a list array of entry ids.
`AhoCorasickMatcher` is the reference engine on pyahocorasick. Both sides are normalized first
(`normalize`), after which an entry matches iff its string is a substring of the text's.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import ahocorasick
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.matching.normalize import Normalization, normalize_entry, normalize_text

__all__ = ["AhoCorasickMatcher", "LanguageMatches", "Matcher", "Span", "match_by_language"]

ENTRY_IDS = pa.list_(pa.uint32())


class Matcher(Protocol):
    """Anything that finds entries in texts."""

    def match(self, texts: pa.StringArray) -> pa.ListArray:
        """Return the ids of the entries that occur in each text, ascending and unique."""


class Span(NamedTuple):
    """An occurrence of an entry: normalized text ``[start:stop]``, delimiters left out."""

    start: int
    stop: int
    entry_id: int


class AhoCorasickMatcher:
    """The reference engine: one pyahocorasick automaton over the normalized entries.

    Args:
        entries: the entries of one language; the position is the entry_id. Entries that
            normalize to the same string all match; one that normalizes to nothing never does.
        normalization: how entries and texts are normalized.

    >>> matcher = AhoCorasickMatcher(["dog", "red dog", "do"])
    >>> matcher.match(pa.array(["a red dog", "dogma"])).to_pylist()
    [[0, 1], []]
    """

    def __init__(self, entries: Sequence[str], normalization: Normalization = "standard") -> None:
        self._normalization = normalization
        ids_of: dict[str, list[int]] = {}
        for entry_id, entry in enumerate(entries):
            ids_of.setdefault(normalize_entry(entry, normalization), []).append(entry_id)
        ids_of.pop("", None)
        self._automaton: Any = ahocorasick.Automaton()
        for needle, entry_ids in ids_of.items():
            self._automaton.add_word(needle, (needle, tuple(entry_ids)))
        self._automaton.make_automaton()

    def _occurrences(self, haystack: str) -> Iterator[tuple[int, tuple[str, tuple[int, ...]]]]:
        # pyahocorasick refuses to search with an automaton of no words.
        return self._automaton.iter(haystack) if len(self._automaton) else iter(())

    def _entry_ids(self, text: str) -> list[int]:
        haystack = normalize_text(text, self._normalization)
        return sorted({i for _, (_, ids) in self._occurrences(haystack) for i in ids})

    def match(self, texts: pa.StringArray) -> pa.ListArray:
        """Return the ids of the entries that occur in each text.

        Args:
            texts: shape (num_texts,); a null matches nothing.

        Returns:
            list<uint32>, shape (num_texts,), no nulls; each list ascending and unique.
        """
        ids = [[] if text is None else self._entry_ids(text) for text in texts.to_pylist()]
        offsets = np.zeros(len(ids) + 1, dtype=np.int32)
        np.cumsum([len(i) for i in ids], out=offsets[1:])
        values = np.fromiter((i for row in ids for i in row), np.uint32, count=int(offsets[-1]))
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))

    def spans(self, text: str) -> Iterator[Span]:
        """Yield every occurrence in the normalized text, by end, then by entry_id."""
        haystack = normalize_text(text, self._normalization)
        for end, (needle, entry_ids) in self._occurrences(haystack):
            start = end + 1 - len(needle.lstrip(" "))
            stop = end + 1 - (len(needle) - len(needle.rstrip(" ")))
            yield from (Span(start, stop, entry_id) for entry_id in entry_ids)


class LanguageMatches(NamedTuple):
    """What matching gives for texts of known languages.

    Attributes:
        entry_ids: list<uint32>, shape (num_texts,); empty lists for languages without metadata.
        has_metadata: whether there are entries for the text's language; shape (num_texts,).
    """

    entry_ids: pa.ListArray
    has_metadata: NDArray[np.bool_]


def match_by_language(
    texts: pa.StringArray,
    langs: pa.DictionaryArray,
    matcher_of: Callable[[str], Matcher | None],
) -> LanguageMatches:
    """Match each text against the entries of its language.

    Args:
        texts: shape (num_texts,); no nulls.
        langs: metadata language of each text; dictionary<int32, string>.
        matcher_of: the matcher of a language, or None if it has no metadata.
    """
    codes, names = langs.indices.to_numpy(), langs.dictionary.to_pylist()
    has_metadata = np.zeros(len(langs), dtype=bool)
    pieces, rows = [], []
    for code in np.flatnonzero(np.bincount(codes, minlength=len(names))).tolist():
        matcher = matcher_of(names[code])
        if matcher is None:
            continue
        of_language = np.flatnonzero(codes == code)
        has_metadata[of_language] = True
        pieces.append(matcher.match(texts.take(pa.array(of_language))))
        rows.append(of_language)
    without = np.flatnonzero(~has_metadata)
    if len(without):
        offsets = pa.array(np.zeros(len(without) + 1, np.int32))
        pieces.append(pa.ListArray.from_arrays(offsets, pa.array([], pa.uint32())))
        rows.append(without)
    if not pieces:
        return LanguageMatches(pa.array([], ENTRY_IDS), has_metadata)
    if len(pieces) == 1:
        return LanguageMatches(pieces[0], has_metadata)
    back = np.empty(len(langs), np.int64)
    back[np.concatenate(rows)] = np.arange(len(langs))
    return LanguageMatches(pa.concat_arrays(pieces).take(pa.array(back)), has_metadata)
