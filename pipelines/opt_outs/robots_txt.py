"""A host's robots.txt: which paths a robot may ask for, and for which uses.

Source: RFC 9309; draft-ietf-aipref-attach-05 (2026-08-19), section 3, for `Content-Usage`.

What is not read: `Sitemap`, `Crawl-delay`, and groups for other robots, whatever they are for.
"""

import re
from collections.abc import Iterator
from typing import TypeVar

from curate.pipelines.opt_outs.content_usage import usage_signal
from curate.pipelines.opt_outs.patterns import PathPattern
from curate.pipelines.opt_outs.signals import Signal, Verdict

__all__ = ["RobotsRules"]

_LINE = re.compile(r"\r\n|[\r\n]")
_PRODUCT = re.compile(r"[a-z_-]+")
_KEYS = frozenset(("user-agent", "allow", "disallow", "content-usage"))
_MAX_RULES = 10_000

_Rule = tuple[str, str]
_T = TypeVar("_T")


class RobotsRules:
    """The rules of a robots.txt that are for one robot.

    The groups that name the robot count, all of them together; where none does, those for `*`.

    Args:
        content: of the file, as it came; None if the host has none.
        robot: name of the robot, in lower case.
        is_cut: the file goes on; its last line is then not looked at.
    """

    def __init__(self, content: bytes | None, robot: str, *, is_cut: bool = False) -> None:
        rules = _rules_for(_keyed(content or b"", is_cut=is_cut), robot)[:_MAX_RULES]
        self._access = [(PathPattern(v), key) for key, v in rules if key != "content-usage" and v]
        usage = [_path_and_usage(value) for key, value in rules if key == "content-usage"]
        # Read once: files of thousands of rules for a path cost their time once, not per image.
        self._usage = [
            (PathPattern(path), usage_signal("robots.txt content-usage", value))
            for path, value in usage
        ]

    @property
    def size(self) -> int:
        """How many characters its rules have."""
        return sum(len(pattern.text) for pattern, _ in [*self._access, *self._usage])

    def signals(self, path: str) -> list[Signal]:
        r"""Return what the rules say of a path: of those that fit, the longest.

        Args:
            path: of a URL, with its query, escaped.

        >>> rules = RobotsRules(b"User-agent: *\nContent-Usage: train-ai=n\n"
        ...                     b"Content-Usage: /free/ train-ai=y\nDisallow: /x/", "curate")
        >>> [rules.signals(path)[0].verdict.value for path in ("/a.jpg", "/free/a.jpg")]
        ['deny', 'allow']
        >>> rules.signals("/x/a.jpg")
        [Signal(source='robots.txt disallow', verdict=<Verdict.DENY: 'deny'>, is_malformed=False)]
        """
        access = _longest(self._access, path)
        if access and "allow" not in access:  # of two equally long ones the allowing one counts
            return [Signal("robots.txt disallow", Verdict.DENY)]
        return [signal for signal in {*_longest(self._usage, path)} if signal is not None]


def _longest(rules: list[tuple[PathPattern, _T]], path: str) -> list[_T]:
    found = [(len(p.text), value) for p, value in rules if p.fits(path)]
    longest = max((length for length, _ in found), default=0)
    return [value for length, value in found if length == longest]


def _keyed(content: bytes, *, is_cut: bool) -> Iterator[_Rule]:
    """Yield the lines that are of a key that counts, as the key and its value."""
    text = content.decode("utf-8-sig", "surrogateescape")
    lines = _LINE.split(text)
    for line in lines[:-1] if is_cut else lines:
        key, colon, value = line.partition("#")[0].partition(":")
        key = key.strip().lower()
        if colon and key in _KEYS:
            yield key, value.strip()


def _rules_for(lines: Iterator[_Rule], robot: str) -> list[_Rule]:
    named: list[_Rule] = []
    for_all: list[_Rule] = []
    is_named_at_all = is_named = is_for_all = is_head = False
    for key, value in lines:
        if key == "user-agent":
            if not is_head:
                is_named = is_for_all = False
            is_head = True
            product = _PRODUCT.match(value.lower())
            is_named |= product is not None and product[0] == robot
            is_for_all |= value.startswith("*")
            is_named_at_all |= is_named
            continue
        is_head = False
        if is_named:
            named.append((key, value))
        if is_for_all:
            for_all.append((key, value))
    return named if is_named_at_all else for_all


def _path_and_usage(value: str) -> tuple[str, str]:
    """Return the path of a rule, the root if it has none, and its preference."""
    if not value.startswith("/"):
        return "/", value
    path, *rest = value.split(maxsplit=1)
    return path, rest[0] if rest else ""
