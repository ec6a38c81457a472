"""Entries of alt-texts and of captions, by the same metadata: what is kept, gained and lost."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.matching.normalize import Normalization
from curate.curation.matching.reference import Matcher, match_by_language
from curate.files import storage
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore

__all__ = ["EntryMatcher", "write_changes"]

_LISTED = 50
_COLUMNS = ["pair_lang", "alt_entry_ids", "entry_ids"]

Counts = NDArray[np.int64]


class EntryMatcher:
    """Matches alt-texts and captions against the entries of one language.

    Args:
        metadata: folder of the entries.
        normalization: of entries and texts.
        hashes: of the languages, as they were when the work began; None: as they are.
    """

    def __init__(
        self, metadata: str, normalization: Normalization, hashes: dict[str, str] | None = None
    ) -> None:
        self._store = (
            MetadataStore.open(metadata) if hashes is None else MetadataStore(metadata, hashes)
        )
        self._normalization = normalization
        self._matchers: dict[str, Matcher | None] = {}

    def match(
        self, alts: Sequence[str], captions: Sequence[str], langs: Sequence[str]
    ) -> list[tuple[list[int], list[int]] | None]:
        """Return the entries of each alt-text and of each caption, ascending.

        Args:
            alts: shape (n,).
            captions: shape (n,).
            langs: whose entries both are matched against; shape (n,).

        Returns:
            None where there is no metadata of the language.
        """
        both = [self._entries(texts, langs) for texts in (alts, captions)]
        return [
            None if self._matcher(lang) is None else (alt, caption)
            for lang, alt, caption in zip(langs, *both, strict=True)
        ]

    def _entries(self, texts: Sequence[str], langs: Sequence[str]) -> list[list[int]]:
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


def write_changes(
    paths: Iterable[str], store: MetadataStore, folder: str, tail_below: int, stamp: dict[str, Any]
) -> dict[str, Any]:
    """Count entries in judged captions; write `entries/<lang>.parquet`, return what changes most.

    The files hold every entry that an alt-text or a caption has: its id, itself, and in how many
    of the captions' alt-texts and captions it is.

    Args:
        paths: files of judged captions, those that were dropped too.
        store: of the entries.
        folder: of the result.
        tail_below: pairs, in alt-texts, below which an entry is of the tail.
        stamp: of the files.

    Returns:
        Per language: matches of both, entries that gain and lose, and the first of these.
    """
    found = {}
    for lang, (alt, caption) in sorted(_counts(paths, store).items()):
        occurs = np.flatnonzero((alt > 0) | (caption > 0))
        names = store.table(lang).column("entry").take(pa.array(occurs)).combine_chunks()
        table = pa.table({
            "entry_id": pa.array(occurs, pa.uint32()), "entry": names,
            "alt": pa.array(alt[occurs], pa.uint64()),
            "caption": pa.array(caption[occurs], pa.uint64()),
        })  # fmt: skip
        path = storage.join(folder, "entries", f"{lang}.parquet")
        artifacts.write_table(path, table, {**stamp, "lang": lang}, store.hashes[lang])
        found[lang] = _changes(table, alt[occurs], caption[occurs], tail_below)
    return found


def _counts(paths: Iterable[str], store: MetadataStore) -> dict[str, tuple[Counts, Counts]]:
    """Return in how many alt-texts and captions each entry is, per language."""
    found: dict[str, tuple[Counts, Counts]] = {}
    for lang, *entries in _rows(paths):
        if lang not in found:
            num = store.num_entries(lang)
            found[lang] = (np.zeros(num, np.int64), np.zeros(num, np.int64))
        for count, ids in zip(found[lang], entries, strict=True):
            count += np.bincount(ids, minlength=len(count))
    return found


def _rows(paths: Iterable[str]) -> Iterator[tuple[str, Counts, Counts]]:
    """Yield the entries of alt-texts and of captions of a language, some rows together."""
    for path in paths:
        with artifacts.open_parquet(path) as file:
            for batch in file.iter_batches(1 << 14, columns=_COLUMNS):
                batch = batch.filter(batch.column("entry_ids").is_valid())
                langs = batch.column("pair_lang").cast(pa.string())
                for lang in langs.unique().to_pylist():
                    of_lang = batch.filter(pa.compute.equal(langs, lang))
                    yield lang, *(of_lang.column(name).flatten().to_numpy().astype(np.int64)
                                  for name in _COLUMNS[1:])  # fmt: skip


def _changes(table: pa.Table, alt: Counts, caption: Counts, tail_below: int) -> dict[str, Any]:
    gain = caption - alt
    gained, lost = (np.argsort(-sign * gain, kind="stable") for sign in (1, -1))
    gained, lost = gained[gain[gained] > 0], lost[gain[lost] < 0]
    tail = gained[alt[gained] < tail_below]

    def listed(rows: Counts) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = table.take(pa.array(rows[:_LISTED])).to_pylist()
        return found

    return {
        "alt_matches": int(alt.sum()), "caption_matches": int(caption.sum()),
        "alt_entries": int(np.count_nonzero(alt)),
        "caption_entries": int(np.count_nonzero(caption)),
        "entries_that_gain": len(gained), "entries_that_lose": len(lost),
        "tail_entries_that_gain": len(tail),
        "gained": listed(gained), "lost": listed(lost), "tail_gained": listed(tail),
    }  # fmt: skip
