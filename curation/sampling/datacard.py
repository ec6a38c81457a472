"""What balancing did, as numbers: the figures of a data card for one language and for all.

Counts before and after balancing come in, JSON-able values go out; the stage `card`
puts them into files.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.sampling import slots, tail_share

__all__ = [
    "Divergence",
    "divergence",
    "entry_lists",
    "growing_steps",
    "kl_to_uniform",
    "language_card",
    "sum_cards",
]


_NEAR = 64  # entries that are looked at for one with letters


class Divergence(NamedTuple):
    """Sums that Kullback-Leibler divergences to the uniform are computed from; they add up.

    Attributes:
        entries: that the uniform spreads over.
        total: Σ counts.
        weighted_logs: Σ count · log2 count.
    """

    entries: int
    total: int
    weighted_logs: float


def divergence(entry_count: NDArray[np.int64], support: NDArray[np.bool_]) -> Divergence:
    """Return the sums over the entries of a support; counts outside of it are 0."""
    count = entry_count[entry_count > 0].astype(np.float64)
    logs = float((count * np.log2(count)).sum())
    return Divergence(int(np.count_nonzero(support)), int(entry_count.sum()), logs)


def kl_to_uniform(sums: Divergence) -> float:
    """Divergence, in bits, of the distribution of matches over entries from the uniform.

    Σ q log2(q · n) with q = count / total over n entries. 0 means that every entry of the support
    has the same number of pairs.

    >>> round(kl_to_uniform(divergence(np.array([1, 1, 0]), np.array([True, True, False]))), 6)
    0.0
    """
    if not sums.total:
        return 0.0
    return max(
        0.0,
        sums.weighted_logs / sums.total + float(np.log2(sums.entries)) - float(np.log2(sums.total)),
    )


def language_card(
    entry_count: NDArray[np.int64],
    kept_count: NDArray[np.int64],
    t: int | None,
    records: Mapping[str, Any],
    *,
    kept: int,
    expected: float,
    certain: int,
    filtered: int = 0,
) -> dict[str, Any]:
    """Sum up one language.

    Args:
        entry_count: pairs matched per entry; shape (num_entries,).
        kept_count: kept pairs per entry; same shape.
        t: threshold in pairs; None if nothing matched.
        records: read, matched, and dropped by reason.
        kept: pairs kept.
        expected: Σ of the probabilities of the matched pairs.
        certain: matched pairs whose probability is 1, most of them for an entry of the tail.
        filtered: pairs that were drawn, but that a filter dropped.

    Returns:
        JSON-able: t; achieved tail share p; pairs read, matched, kept, not sampled, filtered,
        expected, certain, and dropped by reason; entries, matched entries, head entries; matches
        before and after, their share in the head, slots Σ min(count, t); KL to uniform over
        matched entries, of counts before and after; the same sums for head and tail.
    """
    matched = entry_count > 0
    head = entry_count >= t if t is not None else np.zeros(len(entry_count), bool)
    matches = int(entry_count.sum())
    parts = {
        name: _part(entry_count, kept_count, t, chosen)
        for name, chosen in (("head", head), ("tail", matched & ~head))
    }
    return {
        "t": t,
        "p": tail_share(entry_count, t) if t is not None else None,
        "read": records["read"],
        "matched": records["matched"],
        "kept": kept,
        "not_sampled": records["matched"] - kept - filtered,
        "num_filtered": filtered,
        "expected": round(expected, 3),
        "certain": certain,
        "dropped": dict(records["dropped"]),
        "entries": len(entry_count),
        "entries_matched": int(matched.sum()),
        "entries_head": int(head.sum()),
        "matches": matches,
        "matches_kept": int(kept_count.sum()),
        "head_share": parts["head"]["matches"] / matches if matches else None,
        "slots": slots(entry_count, t) if t is not None else 0,
        "kl_before_bits": round(kl_to_uniform(divergence(entry_count, matched)), 6),
        "kl_after_bits": round(kl_to_uniform(divergence(kept_count, matched)), 6),
        **parts,
    }


def _part(
    entry_count: NDArray[np.int64],
    kept_count: NDArray[np.int64],
    t: int | None,
    chosen: NDArray[np.bool_],
) -> dict[str, int]:
    count = entry_count[chosen]
    return {
        "entries": len(count),
        "matches": int(count.sum()),
        "slots": slots(count, t) if t is not None else 0,
        "kept": int(kept_count[chosen].sum()),
    }


def sum_cards(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up what adds up of several languages."""
    names = ("read", "matched", "kept", "not_sampled", "num_filtered", "certain", "entries",
             "entries_matched", "entries_head", "matches", "matches_kept", "slots")  # fmt: skip
    total: dict[str, Any] = {name: sum(card[name] for card in cards) for name in names}
    total["expected"] = round(sum(card["expected"] for card in cards), 3)
    for part in ("head", "tail"):
        keys = ("entries", "matches", "slots", "kept")
        total[part] = {key: sum(card[part][key] for card in cards) for key in keys}
    matches = total["matches"]
    total["head_share"] = total["head"]["matches"] / matches if matches else None
    return total


def entry_lists(
    entries: pa.StringArray | pa.ChunkedArray,
    entry_count: NDArray[np.int64],
    kept_count: NDArray[np.int64],
    t: int | None,
    *,
    num_top: int,
    num_tail: int,
) -> dict[str, list[dict[str, Any]]]:
    """Return the entries that a card shows, each with its count, slots and kept pairs.

    Args:
        entries: string, shape (num_entries,).
        entry_count: pairs matched per entry; shape (num_entries,).
        kept_count: kept pairs per entry; same shape.
        t: threshold in pairs; None if nothing matched.
        num_top: most frequent entries, at most.
        num_tail: tail entries, at most.

    Returns:
        top_entries: most frequent before balancing; top_entries_after: in the kept pairs;
        tail_entries: tail entries at growing steps from the most frequent to the rarest, words
        rather than numbers where there are some near a step.
    """
    tail = np.flatnonzero((entry_count > 0) & (entry_count < (t or 0)))
    tail = tail[np.argsort(-entry_count[tail], kind="stable")]
    steps = growing_steps(len(tail), num_tail)
    chosen = {
        "top_entries": _largest(entry_count, num_top),
        "top_entries_after": _largest(kept_count, num_top),
        "tail_entries": _with_letters(entries, tail, steps),
    }
    return {
        name: [
            {
                "entry": entries[i].as_py(),
                "count": int(entry_count[i]),
                "slots": int(min(entry_count[i], t or 0)),
                "kept": int(kept_count[i]),
            }
            for i in ids.tolist()
        ]
        for name, ids in chosen.items()
    }


def _with_letters(
    entries: pa.StringArray | pa.ChunkedArray, ids: NDArray[np.int64], steps: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the entry at each step, or in its stead the next one before another that has letters.

    >>> names = pa.array(["7", "red", "8", "9"])
    >>> _with_letters(names, np.array([0, 1, 2, 3]), np.array([0, 2])).tolist()
    [1, 2]
    """
    stops = [*steps[1:].tolist(), len(ids)]
    found = []
    for step, stop in zip(steps.tolist(), stops, strict=False):
        near = ids[step : min(stop, step + _NEAR)].tolist()
        found.append(next((i for i in near if any(map(str.isalpha, entries[i].as_py()))), near[0]))
    return np.array(found, np.int64)


def growing_steps(num: int, num_steps: int) -> NDArray[np.int64]:
    """Return at most `num_steps` positions among `num`, the first and the last with them.

    >>> growing_steps(100, 4).tolist(), growing_steps(0, 4).tolist()
    ([0, 4, 21, 99], [])
    """
    if not num:
        return np.zeros(0, np.int64)
    return np.unique(np.geomspace(1, num, num_steps).round().astype(np.int64)) - 1


def _largest(count: NDArray[np.int64], num: int) -> NDArray[np.int64]:
    """Return the positions of the largest counts, descending; of equal ones, the first."""
    bound = int(count.max(initial=0))
    while bound > 1 and np.count_nonzero(count >= bound) < num:
        bound //= 2
    candidates = np.flatnonzero(count >= max(1, bound))
    return candidates[np.argsort(-count[candidates], kind="stable")][:num]
