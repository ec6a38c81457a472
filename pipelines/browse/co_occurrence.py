"""An entry in, the entries that occur in the same pairs out, counted over some of its pairs."""

from typing import Any

import numpy as np
import pyarrow.compute as pc

from curate.pipelines.browse.indexed.index import WorkspaceIndex
from curate.pipelines.browse.pair_sets import PairSet

__all__ = ["entries_with"]

_GROUPS = 8  # that are looked into
_PAIRS = 20_000
_SHOWN = 24


def entries_with(index: WorkspaceIndex, pairs: PairSet, lang: str, entry_id: int) -> dict[str, Any]:
    """Return the entries that most often match the pairs of an entry.

    Args:
        index: of the matches.
        pairs: matched ones.
        lang: of the entry.
        entry_id: of it.

    Returns:
        ``together``: id, entry, count and number of shared pairs, the most first; ``looked``: how
        many of its pairs that is counted over, the first ones of the files.
    """
    postings = index.postings(lang, entry_id)
    num_entries = int(index.entries.language(lang)["size"])
    shared: dict[int, int] = {}
    looked = groups = 0
    for number, group in enumerate(pairs.groups):
        if groups == _GROUPS or looked >= _PAIRS or looked == len(postings):
            break
        rows = postings.between(group.first, group.first + group.rows, _PAIRS - looked)
        if not len(rows):
            continue
        groups += 1
        looked += len(rows)
        lists = pairs.table(number, ["entry_ids"]).column(0).take(rows - group.first)
        ids = pc.list_flatten(lists).to_numpy()
        found, counts = np.unique(ids[ids < num_entries], return_counts=True)
        for i, n in zip(found.tolist(), counts.tolist(), strict=True):
            shared[i] = shared.get(i, 0) + n
    shared.pop(entry_id, None)
    best = sorted(shared.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    rows_of = index.entries.entries(lang, [i for i, _ in best])
    return {
        "together": [{"id": one.entry_id, "entry": one.entry, "count": one.count, "pairs": n}
                     for one, (_, n) in zip(rows_of, best, strict=True)],
        "looked": looked,
    }  # fmt: skip
