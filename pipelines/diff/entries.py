"""The counts of entries on two sides in; which entries gain and lose most, by name, out."""

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.shift import align_counts, largest_changes, shares
from curate.pipelines.diff.sides import Side
from curate.pipelines.store import artifacts

__all__ = ["Counts", "EntryChanges", "entries_of", "gains_and_losses"]

Counts = NDArray[np.int64]
_SCHEMA = pa.schema(
    {
        "lang": pa.dictionary(pa.int32(), pa.string()), "entry": pa.string(),
        "count_a": pa.uint64(), "count_b": pa.uint64(), "is_tail": pa.bool_(),
    }
)  # fmt: skip


def gains_and_losses(
    count_a: Counts, count_b: Counts, is_tail: NDArray[np.bool_]
) -> dict[str, int]:
    """Return how many entries gain and lose matches from A to B, and how many of the tail gain."""
    gains = count_b > count_a
    return {
        "entries_that_gain": int(np.count_nonzero(gains)),
        "entries_that_lose": int(np.count_nonzero(count_b < count_a)),
        "tail_entries_that_gain": int(np.count_nonzero(gains & is_tail)),
    }


def entries_of(side: Side, lang: str) -> pa.Array:
    """Return the entries of a side's language, none where it has no such language."""
    return side.entries(lang) if lang in side.counted else pa.array([], pa.string())


class EntryChanges:
    """Entries of two sides by name, with both counts.

    Args:
        a: a side.
        b: another one.
        aligned: counts of the entries of both, per language.
        comparable: languages whose entries are the same on both sides.
        is_tail: tells of a language and its number of aligned entries which are of A's tail.
    """

    def __init__(
        self, a: Side, b: Side, aligned: Mapping[str, tuple[Counts, Counts]], comparable: Set[str],
        is_tail: Callable[[str, int], NDArray[np.bool_]],
    ) -> None:  # fmt: skip
        self._a, self._b, self._aligned, self._comparable = a, b, aligned, comparable
        self._is_tail = is_tail
        self._names: dict[str, pa.Array] = {}

    def largest(self, whole: list[Counts], num: int) -> list[dict[str, Any]]:
        """Return the entries whose share of all matches changes most, the largest first.

        Args:
            whole: the counts of all languages, one behind the other.
            num: of entries, at most.
        """
        chosen = largest_changes(whole[0], whole[1], num)
        share_a, share_b = shares(whole[0]), shares(whole[1])
        ends = np.cumsum([len(counts[0]) for counts in self._aligned.values()])
        rows = []
        for place in chosen.tolist():
            index = int(np.searchsorted(ends, place, side="right"))
            lang = list(self._aligned)[index]
            at = place - int(ends[index]) + len(self._aligned[lang][0])
            row = self._row(lang, at)
            rows.append({**row, "share_a": float(share_a[place]), "share_b": float(share_b[place])})
        return rows

    def gained_in_tail(self, num: int) -> list[dict[str, Any]]:
        """Return the entries of A's tail that gain most matches, the largest gain first."""
        found: list[tuple[int, str, int]] = []
        for lang, (count_a, count_b) in self._aligned.items():
            gain = np.where(self._is_tail(lang, len(count_a)), count_b - count_a, 0)
            for at in np.argsort(-gain, kind="stable")[:num].tolist():
                if gain[at] > 0:
                    found.append((-int(gain[at]), lang, at))
        return [self._row(lang, at) for _, lang, at in sorted(found)[:num]]

    def write(self, path: str) -> None:
        """Write all entries whose counts differ to a Parquet file."""
        made_from = {"a": self._a.parameters, "b": self._b.parameters}
        with artifacts.parquet_writer(path, _SCHEMA) as writer:
            for batch in self._batches():
                writer.write(batch)
            writer.close(made_from, "")

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for lang, (count_a, count_b) in self._aligned.items():
            at = np.flatnonzero(count_a != count_b)
            langs = pa.DictionaryArray.from_arrays(np.zeros(len(at), np.int32), [lang])
            columns = [
                langs, self._names_of(lang).take(pa.array(at)), pa.array(count_a[at], pa.uint64()),
                pa.array(count_b[at], pa.uint64()),
                pa.array(self._is_tail(lang, len(count_a))[at]),
            ]  # fmt: skip
            yield pa.record_batch(columns, schema=_SCHEMA)

    def _row(self, lang: str, at: int) -> dict[str, Any]:
        count_a, count_b = self._aligned[lang]
        return {"lang": lang, "entry": self._names_of(lang)[at].as_py(),
                "count_a": int(count_a[at]), "count_b": int(count_b[at])}  # fmt: skip

    def _names_of(self, lang: str) -> pa.Array:
        if lang not in self._names:
            entries_a, entries_b = entries_of(self._a, lang), entries_of(self._b, lang)
            if lang in self._comparable:
                self._names[lang] = entries_a
            else:
                zeros = [np.zeros(len(one), np.int64) for one in (entries_a, entries_b)]
                self._names[lang] = align_counts(entries_a, zeros[0], entries_b, zeros[1])[0]
        return self._names[lang]
