"""A text and the entries that match it in, where they stand in the text as it is out."""

from collections.abc import Sequence

from curate.curation.matching.normalize import Normalization, token_places
from curate.curation.matching.reference import AhoCorasickMatcher

__all__ = ["marks_of"]

_LONGEST = 4000  # characters of a text that are looked at


def marks_of(
    text: str, entries: Sequence[str], normalization: Normalization
) -> list[tuple[int, int, int]]:
    """Return where entries stand in a text: start, stop, and which one; overlaps included.

    Args:
        text: as it is.
        entries: that match it.
        normalization: that they match by.

    >>> marks_of("A red  dog.", ["red dog", "dog"], "standard")
    [(2, 10, 0), (7, 10, 1)]
    >>> marks_of("St. John", ["John"], "metaclip")
    [(4, 8, 0)]
    """
    text = text[:_LONGEST]
    places = token_places(text) if normalization == "standard" else None
    if places is None:
        found = ((text.find(entry), number, entry) for number, entry in enumerate(entries))
        return sorted((at, at + len(e), n) for at, n, e in found if at >= 0 and e)
    # Where each token begins and ends in the normalized text, in which spans are counted.
    starts, stops, at = {}, {}, 1
    for start, stop, length in places:
        starts[at], stops[at + length] = start, stop
        at += length + 1
    spans = AhoCorasickMatcher(list(entries), normalization).spans(text)
    return sorted(
        (starts[s.start], stops[s.stop], s.entry_id)
        for s in spans
        if s.start in starts and s.stop in stops
    )
