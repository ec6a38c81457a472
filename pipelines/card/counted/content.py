"""Notes of kept pairs in, what the card says of texts and URLs out: lengths, domains, copies."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from curate.curation.sampling.content import Estimate, duplicate_share, share_interval
from curate.pipelines.matched.facts import ContentNote

__all__ = ["content_facts", "content_lines", "percent"]

NUM_DOMAINS = 20
# Ends of the bars of text lengths, in characters.
LENGTH_EDGES = (0, 10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000)
_QUANTILES = {"p5": 0.05, "median": 0.5, "p95": 0.95}


def content_facts(notes: Iterable[Mapping[str, Any]], num_kept: int) -> dict[str, Any]:
    """Return what is known of the kept pairs' texts and URLs.

    Args:
        notes: of parts or shards, as `ContentNote.as_dict` gives them.
        num_kept: pairs that the notes have to be of.

    Returns:
        ``sample``: share and number of the pairs looked at; ``texts``: characters at some
        quantiles, mean, and a histogram; ``domains``: the most frequent hosts with the share of
        pairs that they have, and its interval; ``duplicates``: of texts and URLs, which share are
        copies, with its interval. Intervals are of 95 %. {} where not every pair was noted.
    """
    total = ContentNote.sum(notes)
    if total is None or total.pairs != num_kept or not total.sampled:
        return {}
    found: dict[str, Any] = {
        "sample": {"share": total.share, "pairs": total.sampled},
        "texts": _lengths(total.chars),
        "domains": [],
        "duplicates": {"text": _copies(total, "texts", total.pairs)},
    }
    if total.with_url:
        found["duplicates"]["url"] = _copies(total, "urls", total.with_url)
        of = total.hosts.total()
        first = sorted(total.hosts.items(), key=lambda one: (-one[1], one[0]))[:NUM_DOMAINS]
        found["domains"] = [
            {"domain": host, **_rounded(share_interval(num, of, total.share))}
            for host, num in first
        ]
        found["num_domains"] = len(total.hosts)
    return found


def _copies(total: ContentNote, name: str, num: int) -> dict[str, Any]:
    distinct = total.num_distinct(name)
    return {"of": num, **_rounded(duplicate_share(distinct, total.share, num))}


def _rounded(estimate: Estimate) -> dict[str, float]:
    return {name: round(value, 6) for name, value in estimate._asdict().items()}


def _lengths(counted: Counter[str]) -> dict[str, Any]:
    chars = np.array(sorted(map(int, counted)), np.int64)
    num = np.array([counted[str(c)] for c in chars.tolist()], np.int64)
    upto, total = np.cumsum(num), int(num.sum())
    at = {name: int(chars[np.searchsorted(upto, q * total)]) for name, q in _QUANTILES.items()}
    edges = [*LENGTH_EDGES, max(LENGTH_EDGES[-1] + 1, int(chars[-1]) + 1)]
    bars = np.histogram(chars, bins=np.array(edges), weights=num)[0]
    return {
        **at,
        "mean": round(float((chars * num).sum() / total), 1),
        "longest": int(chars[-1]),
        "edges": list(LENGTH_EDGES),
        "shares": [round(float(b) / total, 6) for b in bars],
    }


def percent(one: Mapping[str, float]) -> str:
    """Write a share, with its interval where it was estimated.

    >>> percent({"share": 0.1234, "low": 0.12, "high": 0.13})
    '12.34 % (12.00 to 13.00 %)'
    >>> percent({"share": 0.5, "low": 0.5, "high": 0.5})
    '50.00 %'
    """
    text = f"{100 * one['share']:.2f} %"
    if one["low"] == one["high"]:
        return text
    return f"{text} ({100 * one['low']:.2f} to {100 * one['high']:.2f} %)"


def content_lines(card: Mapping[str, Any]) -> list[str]:
    """Say in sentences how long texts are, and how many texts and URLs are copies.

    Args:
        card: as `curate.pipelines.card.write` puts it together.
    """
    if not (found := card.get("content")):
        return []
    sample, texts = found["sample"], found["texts"]
    copies = [f"{percent(one)} of {one['of']:,} {name}s"
              for name, one in (("text", found["duplicates"]["text"]),
                                ("URL", found["duplicates"].get("url"))) if one]  # fmt: skip
    looked = (
        "All kept pairs were looked at."
        if sample["share"] >= 1
        else f"Estimated from {sample['pairs']:,} of the kept pairs and as large a share of all "
        "hashes of texts and of URLs; the 95 % intervals are in brackets."
    )
    return [
        looked,
        f"Texts have {texts['median']:,} characters in the middle, nine in ten of them "
        f"{texts['p5']:,} to {texts['p95']:,}; {texts['mean']:,} on average.",
        f"Copies of one that stands elsewhere among the kept pairs: {' and '.join(copies)}.",
    ]
