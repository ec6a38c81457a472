"""What if t were another: kept pairs and slots of every t at once, from the index alone.

Equal to what `curate yield` says without filters: each pair's smallest t was computed with the very
operations of sampling (`curate.curation.sampling.critical`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.curation.sampling.sampling import check_threshold
from curate.errors import UsageError
from curate.pipelines.browse.indexed.columns import Column
from curate.pipelines.browse.indexed.entries import EntryIndex

__all__ = ["Steps", "what_if"]

_POINTS = 72  # of the curve of kept pairs over t
_ENTRY_POINTS = 96  # of the curve of entries


class Steps:
    """How many pairs of a language each t keeps.

    Args:
        folder: of the index.
        langs: in its order.
    """

    def __init__(self, folder: Path, langs: list[str]) -> None:
        self._edges = np.fromfile(folder / "step_edges", np.int64)
        self._t, self._kept = (Column(folder / f"step_{n}", np.uint64) for n in ("t", "kept"))
        self._at = {lang: at for at, lang in enumerate(langs)}
        self._loaded: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}

    def close(self) -> None:
        """Close the files."""
        self._t.close()
        self._kept.close()

    def of(self, lang: str) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return thresholds, ascending, and the pairs that each of them keeps."""
        if lang not in self._loaded:
            at = self._at[lang]
            start, stop = int(self._edges[at]), int(self._edges[at + 1])
            self._loaded[lang] = self._t.read(start, stop), self._kept.read(start, stop)
        return self._loaded[lang]

    def kept(self, lang: str, thresholds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many pairs of a language thresholds keep."""
        steps, kept = self.of(lang)
        at = np.searchsorted(steps, thresholds.astype(np.uint64), side="right")
        return np.asarray(np.r_[0, kept.astype(np.int64)][at], np.int64)


class _Counts:
    """How many entries of a language are counted so often; ascending, zeros left out."""

    def __init__(self, entries: EntryIndex, lang: str) -> None:
        one = entries.language(lang)
        rows = (one["first"], one["first"] + one["size"])
        values = entries.counts.read(*rows)
        values = values[values > 0].astype(np.int64)[::-1]  # they stand from the largest on
        first = np.flatnonzero(np.r_[np.ones(min(1, len(values)), bool), values[1:] != values[:-1]])
        self.count = values[first].copy()
        self.number = np.diff(np.r_[first, len(values)]).astype(np.int64)


class WhatIf:
    """Kept pairs, slots and curves for thresholds of all languages.

    Args:
        entries: of the index.
        steps: of the index.
    """

    def __init__(self, entries: EntryIndex, steps: Steps) -> None:
        self.steps = steps
        self._counts = {one["lang"]: _Counts(entries, one["lang"]) for one in entries.languages}
        self.matched = {
            lang: int(steps.of(lang)[1][-1]) for lang in self._counts if len(steps.of(lang)[1])
        }
        self.largest = max((int(c.count[-1]) for c in self._counts.values() if len(c.count)),
                           default=1)  # fmt: skip

    def at(self, t: int, own: Mapping[str, int], lang: str | None = None) -> dict[str, Any]:
        """Return what thresholds keep.

        Args:
            t: of all languages that have none of their own.
            own: t of some languages.
            lang: the curves are of this language alone; None for all.

        Returns:
            kept, matched, slots and matches in all and per language; curves: ``yield``, kept pairs
            over t, where languages with a t of their own stay at it; ``entries``, cumulated counts
            and slots over entries, the rarest first.

        Raises:
            UsageError: a language has no matches.
            ThresholdError: a threshold is out of range.
        """
        for value in (t, *own.values()):
            check_threshold(value)
        chosen = [lang] if lang else list(self.matched)
        for name in (*own, *chosen):
            if name not in self.matched:
                raise UsageError(f"nothing matched in language {name!r}")
        languages = {}
        for name in self.matched:
            mine, counts = own.get(name, t), self._counts[name]
            languages[name] = {
                "t": mine,
                "kept": int(self.steps.kept(name, np.array([mine]))[0]),
                "matched": self.matched[name],
                "slots": int((np.minimum(counts.count, mine) * counts.number).sum()),
                "matches": int((counts.count * counts.number).sum()),
            }
        total = {
            key: sum(one[key] for one in languages.values())
            for key in ("kept", "matched", "slots", "matches")
        }
        return {
            "t": t, "largest": self.largest, "total": total, "languages": languages,
            "yield": self._curve(chosen, own), "entries": self._entries(chosen, t, own),
        }  # fmt: skip

    def _curve(self, chosen: list[str], own: Mapping[str, int]) -> list[list[int]]:
        grid = np.unique(np.geomspace(1, max(2, self.largest), _POINTS).astype(np.int64))
        kept = np.zeros(len(grid), np.int64)
        for lang in chosen:
            kept += self.steps.kept(lang, np.full(len(grid), own[lang]) if lang in own else grid)
        return [grid.tolist(), kept.tolist()]

    def _entries(self, chosen: list[str], t: int, own: Mapping[str, int]) -> list[list[int]]:
        nothing = [np.zeros(0, np.int64)]
        counts = np.concatenate([self._counts[lang].count for lang in chosen] or nothing)
        numbers = np.concatenate([self._counts[lang].number for lang in chosen] or nothing)
        limits = np.concatenate(
            [np.full(len(self._counts[lang].count), own.get(lang, t)) for lang in chosen] or nothing
        )
        order = np.argsort(counts, kind="stable")
        counts, numbers, limits = counts[order], numbers[order], limits[order]
        entries = np.r_[0, np.cumsum(numbers)]
        matches = np.r_[0, np.cumsum(counts * numbers)]
        slots = np.r_[0, np.cumsum(np.minimum(counts, limits) * numbers)]
        most = int(entries[-1])
        # Steps grow towards the frequent entries, where the curve bends.
        wanted = most - np.r_[np.geomspace(max(1, most), 1, _ENTRY_POINTS), 0]
        at = np.unique(np.searchsorted(entries, wanted).clip(0, len(entries) - 1))
        return [column[at].astype(np.int64).tolist() for column in (entries, matches, slots)]


def what_if(entries: EntryIndex, steps: Steps) -> WhatIf:
    """Return what answers for all thresholds; it reads the counts of all entries once."""
    return WhatIf(entries, steps)
