"""What a site says about the use of its content for training: one signal, and several together.

A signal that says nothing about training (`nofollow`, `search=n` alone) is unknown, or none at all;
one that cannot be read is unknown and malformed. No signal allows what another denies.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "SOURCES",
    "Signal",
    "Verdict",
    "count_signals",
    "denied_by",
    "opt_outs_line",
    "opted_out",
    "written",
]

# What is read, and in which text of it, with its date. Of drafts another version may say otherwise.
SOURCES = {
    "Content-Usage": "IETF drafts draft-ietf-aipref-attach-05 (2026-08-19) and "
    "draft-ietf-aipref-vocab-08 (2026-09-14): header and rules of robots.txt",
    "robots.txt": "RFC 9309 (2022-09)",
    "TDMRep": "W3C Community Group Final Report, TDM Reservation Protocol (2024-05-10): header, "
    "meta element, tdmrep.json",
    "noai, noimageai": "a convention that DeviantArt began in 2022-11, no standard",
    "noindex, noimageindex, none": "Google's robots meta tag and X-Robots-Tag specification",
}


class Verdict(StrEnum):
    """What a signal says of training."""

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"


class Signal(NamedTuple):
    """What one source says.

    Attributes:
        source: its name, `x-robots-tag noai`: what carries it, and which word where there are
            several.
        verdict: allow, deny or unknown.
        is_malformed: it could not be read; then the verdict is unknown.
    """

    source: str
    verdict: Verdict
    is_malformed: bool = False


def opted_out(signals: Iterable[Signal]) -> bool:
    """Tell whether content must be left out: one denial is enough, whatever others allow.

    >>> yes, no = Signal("content-usage", Verdict.ALLOW), Signal("robots.txt", Verdict.DENY)
    >>> opted_out([yes, no]), opted_out([yes]), opted_out([])
    (True, False, False)
    """
    return any(signal.verdict == Verdict.DENY for signal in signals)


def denied_by(signals: Iterable[Signal]) -> str:
    """Return the sources that deny, as words; empty if none does."""
    return ", ".join(sorted({s.source for s in signals if s.verdict == Verdict.DENY}))


def count_signals(counts: Counter[str], signals: Iterable[Signal], num: int) -> None:
    """Count pairs that signals touch, once for each name of `written`."""
    for name in written(signals):
        counts[name] += num


def written(signals: Iterable[Signal]) -> list[str]:
    """Return signals as words for counts, each once: what they say, and of which source.

    >>> written([Signal("tdmrep.json", Verdict.UNKNOWN, True), Signal("meta noai", Verdict.DENY)])
    ['deny: meta noai', 'malformed: tdmrep.json']
    """
    return sorted(
        {f"{'malformed' if s.is_malformed else s.verdict.value}: {s.source}" for s in signals}
    )


def opt_outs_line(what: str, counts: Mapping[str, int]) -> str:
    r"""Say in a line how many pairs signals touch; nothing if none does.

    >>> opt_outs_line("pages", {"deny: meta robots noai": 1200})
    'signals on the use of pages, by pairs: deny: meta robots noai 1,200\n'
    """
    named = ", ".join(f"{name} {num:,}" for name, num in counts.items())
    return f"signals on the use of {what}, by pairs: {named}\n" if named else ""
