"""Counts before and after balancing in, figures of a card out: of all languages, and of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.curves import (
    CountGroups,
    cumulative_curve,
    group_counts,
    merge_groups,
)
from curate.curation.sampling.datacard import (
    Divergence,
    divergence,
    entry_lists,
    growing_steps,
    kl_to_uniform,
    language_card,
    sum_cards,
)
from curate.pipelines.card.examples import pair_examples, rarest
from curate.pipelines.card.tally import Tally
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts

__all__ = ["card_figures"]

NUM_TOP = 20
NUM_TAIL = 12
NUM_POINTS = 160  # of the curve of all languages
_NOTHING: dict[str, Any] = {"read": 0, "matched": 0, "dropped": {}}


def card_figures(
    plan: MatchedPlan,
    counts: Mapping[str, NDArray[np.int64]],
    t_of: Mapping[str, int | None],
    tally: Tally,
    summary: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of all languages together, and of each."""
    num_languages = max(1, sum(bool(t) for t in t_of.values()))
    few = NUM_TOP if num_languages <= 40 else NUM_TOP // 2
    cards: dict[str, dict[str, Any]] = {}
    groups: list[CountGroups] = []
    sums: list[tuple[Divergence, Divergence]] = []
    lists: dict[str, dict[str, list[dict[str, Any]]]] = {}
    entry_of: dict[tuple[str, int], str] = {}
    pairs = tally.pairs.summary
    none, no_entries = np.zeros(0, np.int64), artifacts.strings([])
    for lang in sorted({*counts, *summary["languages"]}):
        t = t_of.get(lang)
        count, kept = counts.get(lang, none), tally.kept_count.get(lang, none)
        entries = no_entries
        if t is not None:
            entries = artifacts.read_table(plan.counts_path(lang), ["entry"]).column("entry")
        cards[lang] = language_card(
            count, kept, t, summary["languages"].get(lang, _NOTHING),
            kept=pairs.kept[lang], expected=pairs.expected.get(lang, 0.0),
            certain=tally.pairs.certain[lang], filtered=pairs.filtered[lang],
        )  # fmt: skip
        groups.append(group_counts(count, kept, t))
        sums.append((divergence(count, count > 0), divergence(kept, count > 0)))
        if t is not None:
            points = max(24, NUM_POINTS // num_languages)
            cards[lang]["curve"] = cumulative_curve(groups[-1], points)
            lists[lang] = entry_lists(
                entries, count, kept, t, num_top=NUM_TOP, num_tail=min(few, NUM_TAIL)
            )
            entry_of |= _entries_of_examples(lang, tally, count, entries)
    examples = pair_examples(plan, tally, counts, entry_of)
    total = {
        **sum_cards(list(cards.values())),
        "dropped": summary["dropped"],
        "kl_before_bits": _kl([before for before, _ in sums]),
        "kl_after_bits": _kl([after for _, after in sums]),
        "curve": cumulative_curve(merge_groups(groups), NUM_POINTS),
        **_merged(lists),
    }
    for lang, found in lists.items():
        cards[lang].update({name: rows[:few] for name, rows in found.items()})
        cards[lang]["examples"] = examples.get(lang, {})
    return total, cards


def _entries_of_examples(
    lang: str, tally: Tally, count: NDArray[np.int64], entries: pa.ChunkedArray
) -> dict[tuple[str, int], str]:
    """Return the entries that examples of a language are shown with, by language and id."""
    chosen = [c for (where, _), found in tally.chosen.items() if where == lang for c in found]
    return {(lang, i): entries[i].as_py() for c in chosen for i in rarest(c, count)}


def _merged(lists: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """Return the lists of entries of all languages: the largest, with their language."""
    merged: dict[str, Any] = {}
    for name, key in (("top_entries", "count"), ("top_entries_after", "kept")):
        rows = [{"lang": lang, **row} for lang, found in lists.items() for row in found[name]]
        merged[name] = sorted(rows, key=lambda row: -row[key])[:NUM_TOP]
    tails = [
        {"lang": lang, **row} for lang, found in lists.items() for row in found["tail_entries"]
    ]
    tails.sort(key=lambda row: -row["count"])
    steps = growing_steps(len(tails), NUM_TAIL)
    return {**merged, "tail_entries": [tails[i] for i in steps.tolist()]}


def _kl(sums: Sequence[Divergence]) -> float:
    entries, total, logs = (sum(s[at] for s in sums) for at in range(3))
    return round(kl_to_uniform(Divergence(int(entries), int(total), float(logs))), 6)
