"""What balancing did, as numbers and as text: the data card.

`language_card` sums up one language; `render_markdown` writes the whole card for people. Both take
counts and give values; `pipelines.cards` puts them into files.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.sampling import slots, tail_share

__all__ = ["kl_to_uniform", "language_card", "render_markdown"]

NUM_TOP = 20


def kl_to_uniform(entry_count: NDArray[np.float64]) -> float:
    """Divergence, in nats, of the distribution of matches over matched entries from the uniform.

    0 means that every entry that matches at all has the same number of pairs.

    >>> round(kl_to_uniform(np.array([1.0, 1.0, 0.0])), 6)
    0.0
    """
    count = entry_count[entry_count > 0]
    if not len(count):
        return 0.0
    share = count / count.sum()
    return max(0.0, float((share * np.log(share * len(count))).sum()))


def language_card(
    entries: Sequence[str],
    entry_count: NDArray[np.int64],
    t: int | None,
    records: Mapping[str, Any],
    *,
    kept: int,
    expected: float,
) -> dict[str, Any]:
    """Sum up one language.

    Args:
        entries: shape (num_entries,).
        entry_count: pairs matched per entry; shape (num_entries,).
        t: threshold in pairs; None if nothing matched.
        records: read, matched, and dropped by reason.
        kept: pairs kept.
        expected: Σ of the probabilities of the matched pairs.

    Returns:
        JSON-able: t; achieved tail share p; pairs read, matched, kept, not sampled, expected, and
        dropped by reason; entries, matched entries, head entries; matches, their share in the
        head, slots Σ min(count, t); KL to uniform of counts before and of slots after; the most
        frequent entries.
    """
    head = entry_count >= t if t is not None else np.zeros(len(entry_count), bool)
    matches = int(entry_count.sum())
    order = np.argsort(-entry_count, kind="stable")[:NUM_TOP]
    after = np.minimum(entry_count, t) if t is not None else entry_count
    return {
        "t": t,
        "p": tail_share(entry_count, t) if t is not None else None,
        "read": records["read"],
        "matched": records["matched"],
        "kept": kept,
        "not_sampled": records["matched"] - kept,
        "expected": round(expected, 3),
        "dropped": dict(records["dropped"]),
        "entries": len(entries),
        "entries_matched": int((entry_count > 0).sum()),
        "entries_head": int(head.sum()),
        "matches": matches,
        "head_share": float(entry_count[head].sum() / matches) if matches else None,
        "slots": slots(entry_count, t) if t is not None else 0,
        "kl_before": round(kl_to_uniform(entry_count.astype(np.float64)), 6),
        "kl_after": round(kl_to_uniform(after.astype(np.float64)), 6),
        "top_entries": [
            {"entry": entries[i], "count": int(entry_count[i]), "slots": int(after[i])}
            for i in order.tolist()
            if entry_count[i]
        ],
    }


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else _inert(str(value))


def _inert(text: str) -> str:
    """Escape what Markdown or HTML would act on, so that any entry is shown as it is."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    for char, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(char, escaped)
    return "".join("\\" + c if c in "\\`*_{}[]()#+!|~$" else c for c in shown)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    r"""Write a Markdown table; all columns but the first are numbers.

    >>> print(_table(["entry", "pairs"], [["a|b", 1200]]))
    | entry | pairs |
    |---|---:|
    | a\|b | 1,200 |
    """
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(_cell(v) for v in row) + " |" for row in rows]
    return "\n".join(lines)


def render_markdown(card: Mapping[str, Any]) -> str:
    """Write the data card as Markdown.

    Args:
        card: as `pipelines.cards` puts it together.
    """
    languages = card["languages"]
    total = card["total"]
    flow = [["read", total["read"]]]
    flow += [[f"dropped: {r}", n] for r, n in total["dropped"].items()]
    flow += [[k.replace("_", " "), total[k]] for k in ("matched", "not_sampled", "kept")]
    names = ("t", "p", "read", "matched", "kept", "expected", "entries", "entries_matched",
             "entries_head", "matches", "head_share", "slots", "kl_before", "kl_after")  # fmt: skip
    rows = [[lang or "(none)", *(card_[n] for n in names)] for lang, card_ in languages.items()]
    parts = [
        "# Data card",
        f"{total['kept']:,} pairs kept of {total['matched']:,} matched and {total['read']:,} read. "
        f"Expected {total['expected']:,.1f}; slots Σ min(count, t) {total['slots']:,}: one pair "
        "fills a slot of every entry it matches, so pairs are fewer than slots.",
        "## From records to pairs",
        _table(["", "records"], flow),
        "## Languages",
        _table(["language", *(n.replace("_", " ") for n in names)], rows),
        *_top_entries(languages),
        "## How to make it again",
        f"```\n{card['command']}\n```",
        f"Seed {card['seed']}; metadata sha256 `{card['metadata_hash']}`; "
        f"matches sha256 `{card['matched']}`. Inputs:",
        _table(
            ["file", "bytes", "sha256"],
            [[i["path"], i["size_bytes"], i["sha256"]] for i in card["inputs"]],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _top_entries(languages: Mapping[str, Any]) -> list[str]:
    parts = []
    for lang, card in languages.items():
        if card["top_entries"]:
            rows = [[e["entry"], e["count"], e["slots"]] for e in card["top_entries"]]
            parts += [f"### Most frequent entries: {lang}",
                      _table(["entry", "count", "slots"], rows)]  # fmt: skip
    return ["## Entries", *parts] if parts else []
