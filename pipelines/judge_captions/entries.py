"""Entries of alt-texts and of captions, by the same metadata: what is kept, gained and lost."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from curate.curation.matching.normalize import Normalization
from curate.curation.matching.reference import Matcher, match_by_language
from curate.pipelines.store.metadata_store import MetadataStore

__all__ = ["EntryTally"]

_LISTED = 50


class EntryTally:
    """Matches alt-texts and captions, and counts the entries of both.

    Args:
        metadata: folder of the entries.
        normalization: of entries and texts.
    """

    def __init__(self, metadata: str, normalization: Normalization) -> None:
        self._store = MetadataStore.open(metadata)
        self._normalization = normalization
        self._matchers: dict[str, Matcher | None] = {}
        self._alt: dict[str, Counter[int]] = {}
        self._caption: dict[str, Counter[int]] = {}

    def add(
        self, alts: Sequence[str], captions: Sequence[str], langs: Sequence[str]
    ) -> list[tuple[set[int], set[int]] | None]:
        """Match texts; return the entries of each alt-text and caption.

        Args:
            alts: shape (n,).
            captions: shape (n,).
            langs: whose entries both are matched against; shape (n,).

        Returns:
            None where there is no metadata of the language.
        """
        both = [self._match(texts, langs) for texts in (alts, captions)]
        found: list[tuple[set[int], set[int]] | None] = []
        for lang, alt, caption in zip(langs, *both, strict=True):
            if self._matcher(lang) is None:
                found.append(None)
                continue
            found.append((set(alt), set(caption)))
            self._alt.setdefault(lang, Counter()).update(alt)
            self._caption.setdefault(lang, Counter()).update(caption)
        return found

    def summary(self, tail_below: int) -> dict[str, Any]:
        """Return, per language, matches of both and the entries that gain and lose most.

        Args:
            tail_below: pairs, in alt-texts, up to which an entry is of the tail.
        """
        return {lang: self._of(lang, tail_below) for lang in sorted(self._alt)}

    def _match(self, texts: Sequence[str], langs: Sequence[str]) -> list[list[int]]:
        column = pa.array(list(langs), pa.string()).dictionary_encode()
        found = match_by_language(pa.array(list(texts), pa.string()), column, self._matcher)
        return [ids or [] for ids in found.entry_ids.to_pylist()]

    def _matcher(self, lang: str) -> Matcher | None:
        if lang not in self._matchers:
            known = lang in self._store.hashes
            self._matchers[lang] = (
                self._store.matcher(lang, self._normalization, "index") if known else None
            )
        return self._matchers[lang]

    def _of(self, lang: str, tail_below: int) -> dict[str, Any]:
        alt, caption = self._alt[lang], self._caption[lang]
        changes = [(i, alt[i], caption[i]) for i in {*alt, *caption}]
        names = self._store.entries(lang)

        def listed(rows: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
            return [{"entry": names[i], "entry_id": i, "alt": a, "caption": c}
                    for i, a, c in rows[:_LISTED]]  # fmt: skip

        gained = sorted((r for r in changes if r[2] > r[1]), key=lambda r: (r[1] - r[2], r[0]))
        lost = sorted((r for r in changes if r[1] > r[2]), key=lambda r: (r[2] - r[1], r[0]))
        tail = [r for r in gained if r[1] < tail_below]
        return {
            "alt_matches": alt.total(), "caption_matches": caption.total(),
            "alt_entries": len(alt), "caption_entries": len(caption),
            "entries_that_gain": len(gained), "entries_that_lose": len(lost),
            "tail_entries_that_gain": len(tail),
            "gained": listed(gained), "lost": listed(lost), "tail_gained": listed(tail),
        }  # fmt: skip
