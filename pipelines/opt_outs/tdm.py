"""The TDM Reservation Protocol: values of headers and meta elements, and a host's `tdmrep.json`.

Where a page, its header and the host's file disagree, the protocol lets the nearer one win; here
the stricter one holds, as with all signals. A policy (`tdm-policy`) offers a licence, which nobody
has taken here: a reservation with one is a reservation.

Source: W3C Community Group Final Report of 2024-05-10, sections on the file, headers and HTML.
"""

import json
from typing import Any

from curate.pipelines.opt_outs.patterns import PathPattern
from curate.pipelines.opt_outs.signals import Signal, Verdict

__all__ = ["TdmRules", "reservation_signals"]

_SAID = {"0": Verdict.ALLOW, "1": Verdict.DENY}
_MAX_RULES = 10_000


def reservation_signals(source: str, value: str) -> list[Signal]:
    """Return what a value of `tdm-reservation` says; of several in one, each.

    >>> [s.verdict.value for s in reservation_signals("tdm-reservation", "1")]
    ['deny']
    >>> reservation_signals("tdm-reservation", "yes")[0].is_malformed
    True
    """
    words = [word.strip() for word in value.split(",")]
    return [_signal(source, word) for word in dict.fromkeys(words)]


def _signal(source: str, word: str) -> Signal:
    verdict = _SAID.get(word)
    return Signal(source, verdict or Verdict.UNKNOWN, is_malformed=verdict is None)


class TdmRules:
    """The rules of a host's `/.well-known/tdmrep.json`.

    Args:
        content: of the file, as it came; None if the host has none.
        is_cut: it is longer than what was read.
    """

    def __init__(self, content: bytes | None, *, is_cut: bool = False) -> None:
        self._rules: list[tuple[PathPattern, Signal]] = []
        self._is_malformed = False
        if content is None:
            return
        try:
            rules = None if is_cut else json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            rules = None
        if not isinstance(rules, list) or len(rules) > _MAX_RULES:
            self._is_malformed = True
            return
        for rule in rules:
            self._add(rule)

    def _add(self, rule: Any) -> None:
        location = rule.get("location") if isinstance(rule, dict) else None
        if not isinstance(location, str):
            self._is_malformed = True
            return
        said = rule.get("tdm-reservation")
        is_number = isinstance(said, (int, str)) and not isinstance(said, bool)
        signal = _signal("tdmrep.json", str(said).strip() if is_number else "")
        self._rules.append((PathPattern(location), signal))

    @property
    def size(self) -> int:
        """How many characters its locations have."""
        return sum(len(pattern.text) for pattern, _ in self._rules)

    def signals(self, path: str) -> list[Signal]:
        """Return what the rules with the longest location that fits a path say.

        Args:
            path: of a URL, with its query, escaped.

        >>> rules = TdmRules(b'[{"location": "/", "tdm-reservation": 1}, '
        ...                  b'{"location": "/free/*", "tdm-reservation": 0}]')
        >>> [rules.signals(path)[0].verdict.value for path in ("/a.jpg", "/free/a.jpg")]
        ['deny', 'allow']
        """
        found = [(len(p.text), s) for p, s in self._rules if p.fits(path)]
        longest = max((length for length, _ in found), default=0)
        signals = [signal for length, signal in found if length == longest]
        if self._is_malformed:
            signals.append(Signal("tdmrep.json", Verdict.UNKNOWN, is_malformed=True))
        return signals
