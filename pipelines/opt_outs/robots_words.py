"""Directives for robots, in headers `X-Robots-Tag` and `<meta name="robots">`: what they deny."""

import re
from collections.abc import Iterator

from curate.pipelines.opt_outs.signals import Signal, Verdict

__all__ = ["WRITTEN", "header_words", "meta_words", "word_signals"]

DENYING = frozenset(("noai", "noimageai", "noindex", "noimageindex", "none"))
# What signals of content, headers and pages, are written as in counts (`signals.written`).
WRITTEN = frozenset(
    f"{said}: {source}"
    for source in (
        "content-usage", "tdm-reservation", "meta tdm-reservation",
        *(f"{carrier} {word}" for carrier in ("x-robots-tag", "meta robots") for word in DENYING),
    )
    for said in (*Verdict, "malformed")
)  # fmt: skip
# Directives with a value, so that what stands before their colon is no robot's name.
_VALUED = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))
_KNOWN = DENYING | _VALUED | frozenset((
    "all", "follow", "index", "indexifembedded", "noarchive", "nocache", "nofollow",
    "noodp", "nositelinkssearchbox", "nosnippet", "notranslate", "noydir",
))  # fmt: skip
_ROBOT = re.compile(r"[a-z0-9][a-z0-9._/-]*|\*")
_PARTING = re.compile(r"[\s,;]+")


def word_signals(source: str, words: Iterator[str]) -> list[Signal]:
    """Return a denial for each of the words that is one; others say nothing about training.

    >>> word_signals("meta robots", iter(["nofollow", "noai"]))[0].source
    'meta robots noai'
    """
    return [Signal(f"{source} {w}", Verdict.DENY) for w in sorted({*words} & DENYING)]


def header_words(values: list[str], robot: str) -> Iterator[str]:
    """Yield the directives of headers X-Robots-Tag that are meant for a robot.

    They are parted at commas by the specification, and at semicolons and spaces in the wild. What
    stands before a colon is a robot's name if directives that are known follow it; else it is a
    directive with a value that is not, and switches nothing off.

    Args:
        values: one for each such header.
        robot: name that directives may be addressed to; those for others do not count.

    >>> list(header_words(["noai, nofollow", "otherbot: noindex"], "curate"))
    ['noai', 'nofollow']
    >>> list(header_words(["noai noimageai", "max-age: 1, noindex"], "curate"))
    ['noai', 'noimageai', 'max-age:', '1', 'noindex']

    Source: Google's robots meta tag specification; noai and noimageai as DeviantArt began them.
    """
    for value in values:
        is_meant = True
        for directive in re.split("[,;]", value.lower()):
            name, colon, rest = directive.partition(":")
            name, words = name.strip(), rest.split()
            is_known = any(word.partition(":")[0] in _KNOWN for word in words)
            if colon and name not in _VALUED and _ROBOT.fullmatch(name) and is_known:
                is_meant = name in ("*", robot)
            else:
                words = directive.split()
            if is_meant:
                yield from words


def meta_words(content: str) -> Iterator[str]:
    """Yield the directives of a meta element, parted as they are found in the wild.

    >>> list(meta_words("NoAI noimageai,max-snippet:-1"))
    ['noai', 'noimageai', 'max-snippet:-1']
    """
    yield from filter(None, _PARTING.split(content.lower()))
