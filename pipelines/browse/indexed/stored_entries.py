"""Entries of a balanced set that stands alone, without the matches that it was made from.

There is no index of them: they are read from `probabilities/`, a language at a time.
"""

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import UsageError
from curate.files import storage
from curate.pipelines.browse.indexed.entries import MOST_ROWS, WAYS, EntryRow, FoundEntries
from curate.pipelines.store import artifacts

__all__ = ["StoredEntries"]


class StoredEntries:
    """Entries with counts, as `balance` stores them.

    Args:
        balanced: folder.
        langs: codes of its languages.
    """

    def __init__(self, balanced: str, langs: list[str]) -> None:
        self._balanced = balanced
        self.langs = langs
        self._lock = threading.Lock()
        self._last: tuple[str, pa.Table] | None = None

    def _table(self, lang: str) -> pa.Table:
        """Read the entries of a language; the last one is kept."""
        if lang not in self.langs:
            raise UsageError(f"there are no entries of language {lang!r}")
        with self._lock:
            if self._last is None or self._last[0] != lang:
                path = storage.join(self._balanced, "probabilities", f"{lang}.parquet")
                self._last = lang, artifacts.read_table(path, ["entry", "count"])
            return self._last[1]

    def entry(self, lang: str, entry_id: int) -> EntryRow:
        """Return an entry by its id.

        Raises:
            UsageError: there is no such entry.
        """
        return self.entries(lang, [entry_id])[0]

    def entries(self, lang: str, entry_ids: list[int]) -> list[EntryRow]:
        """Return entries of a language by their ids.

        Raises:
            UsageError: there is none of an id.
        """
        table = self._table(lang)
        if any(not 0 <= i < table.num_rows for i in entry_ids):
            raise UsageError(f"{lang} has {table.num_rows:,} entries; one of those is none of them")
        rows = table.take(entry_ids).to_pylist()
        return [EntryRow(lang, i, row["entry"], "", int(row["count"]), None)
                for i, row in zip(entry_ids, rows, strict=True)]  # fmt: skip

    def search(
        self, text: str, *, way: str = "contains", lang: str | None = None, sort: str = "count",
        t_of: dict[str, int | None] | None = None, first: int = 0, num: int = 50,
    ) -> FoundEntries:  # fmt: skip
        """Return the entries of a language that hold a string, as `EntryIndex.search` does."""
        del t_of
        if way not in WAYS or sort not in ("count", "slots", "language"):
            raise UsageError(f"expected one of {', '.join(WAYS)}, sorted by count")
        if not 0 <= first <= first + num <= MOST_ROWS:
            raise UsageError(f"a search goes down to {MOST_ROWS:,} entries; ask for fewer")
        chosen = lang or (self.langs[0] if len(self.langs) == 1 else None)
        if chosen is None:
            raise UsageError("without the matches, entries are searched in one language: choose it")
        table = self._table(chosen)
        rows: Any = np.arange(table.num_rows)
        if text:
            match = {"contains": pc.match_substring, "begins": pc.starts_with}.get(way)
            if match is not None:
                mask = match(table["entry"], text, ignore_case=True)
            else:
                mask = pc.equal(pc.utf8_lower(table["entry"]), text.lower())
            rows = np.flatnonzero(mask.to_numpy())
        counts = table["count"].to_numpy().astype(np.int64)[rows]
        order = np.lexsort((rows, -counts))[first : first + num]
        return FoundEntries(self.entries(chosen, rows[order].tolist()), len(rows), True)
