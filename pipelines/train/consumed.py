"""What a run has been trained on: languages and entries of its pairs, and the card of that.

A balanced set says what could be trained on; this says what was: with several epochs, a run that
ended early, online curation or skipped images they differ.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from curate.files import storage
from curate.pipelines.store import artifacts

__all__ = ["Consumed", "entry_names"]

UNKNOWN = "unknown"
_TOP = 50


class Consumed:
    """Counts pairs and matched entries by language; counts of several ranks add up."""

    def __init__(self) -> None:
        self.pairs: Counter[str] = Counter()
        self.entries: dict[str, Counter[int]] = {}
        self.sources: Counter[str] = Counter()

    def add(
        self,
        langs: Sequence[str | None],
        entry_ids: Sequence[Iterable[int] | None],
        sources: Sequence[str] = (),
    ) -> None:
        """Count the pairs of a batch.

        Args:
            langs: of each pair; None where a shard does not say.
            entry_ids: that the alt-text of each pair matched.
            sources: of the text of each pair.
        """
        self.sources.update(sources)
        for lang, ids in zip(langs, entry_ids, strict=True):
            name = lang or UNKNOWN
            self.pairs[name] += 1
            if ids is not None:
                self.entries.setdefault(name, Counter()).update(ids)

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Add the counts of others, as `state` gives them."""
        for state in states:
            self.pairs.update(state["pairs"])
            self.sources.update(state.get("sources", {}))  # none in a checkpoint of version 0.1
            for lang, (ids, counts) in state["entries"].items():
                known = self.entries.setdefault(lang, Counter())
                for entry_id, count in zip(_plain(ids), _plain(counts), strict=True):
                    known[entry_id] += count

    def state(self) -> dict[str, Any]:
        """Return the counts as plain values and tensors, for a checkpoint."""
        import torch

        return {
            "pairs": dict(self.pairs),
            "sources": dict(self.sources),
            "entries": {
                lang: (
                    torch.tensor(list(counts), dtype=torch.int64),
                    torch.tensor(list(counts.values()), dtype=torch.int64),
                )
                for lang, counts in self.entries.items()
            },
        }

    def clear(self) -> None:
        """Forget all counts."""
        self.pairs.clear()
        self.entries.clear()
        self.sources.clear()

    def card(self, names: Callable[[str, Sequence[int]], list[str] | None]) -> dict[str, Any]:
        """Return the counts as `consumed.json` has them.

        Args:
            names: from a language and entry ids to the entries, or to None if they are not known.
        """
        total = sum(self.pairs.values())
        return {
            "schema_version": artifacts.SCHEMA_VERSION,
            "pairs": total,
            "sources": {
                source: {"pairs": num, "share": round(num / total, 6)}
                for source, num in sorted(self.sources.items())
            },
            "languages": {
                lang: {
                    "pairs": num,
                    "share": round(num / total, 6),
                    **self._entries_card(lang, names),
                }
                for lang, num in sorted(self.pairs.items(), key=lambda item: (-item[1], item[0]))
            },
        }

    def _entries_card(
        self, lang: str, names: Callable[[str, Sequence[int]], list[str] | None]
    ) -> dict[str, Any]:
        counts = self.entries.get(lang, Counter[int]())
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP]
        ids = [entry_id for entry_id, _ in top]
        entries: Sequence[str | None] = (names(lang, ids) if ids else None) or [None] * len(ids)
        return {
            "matches": sum(counts.values()),
            "distinct_entries": len(counts),
            "top_entries": [
                {"entry_id": entry_id, **({} if entry is None else {"entry": entry}), "pairs": num}
                for (entry_id, num), entry in zip(top, entries, strict=True)
            ],
        }


def _plain(tensor: Any) -> list[int]:
    values: list[int] = tensor.tolist()
    return values


def entry_names(balanced: str | None) -> Callable[[str, Sequence[int]], list[str] | None]:
    """Return a look-up of entries in a balanced set's probabilities.

    Args:
        balanced: folder that `balance` wrote; None: nothing is known.
    """

    def look_up(lang: str, ids: Sequence[int]) -> list[str] | None:
        if balanced is None:
            return None
        path = storage.join(balanced, "probabilities", f"{lang}.parquet")
        if not storage.exists(path):
            return None
        entries = artifacts.read_table(path, ["entry"]).column("entry")
        return [entries[i].as_py() for i in ids] if max(ids) < len(entries) else None

    return look_up
