"""Directives for robots, in headers `X-Robots-Tag` and `<meta name="robots">`: what they deny."""

import re
from collections.abc import Iterator

from curate.pipelines.opt_outs.signals import Signal, Verdict

__all__ = ["header_words", "meta_words", "word_signals"]

_DENYING = frozenset(("noai", "noimageai", "noindex", "noimageindex", "none"))
# Directives with a value, so that what stands before their colon is no robot's name.
_VALUED = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))
_PARTING = re.compile(r"[\s,;]+")


def word_signals(source: str, words: Iterator[str]) -> list[Signal]:
    """Return a denial for each of the words that is one; others say nothing about training.

    >>> word_signals("meta robots", iter(["nofollow", "noai"]))[0].source
    'meta robots noai'
    """
    return [Signal(f"{source} {w}", Verdict.DENY) for w in sorted({*words} & _DENYING)]


def header_words(values: list[str], robot: str) -> Iterator[str]:
    """Yield the directives of headers X-Robots-Tag that are meant for a robot.

    Args:
        values: one for each such header.
        robot: name that directives may be addressed to; those for others do not count.

    >>> list(header_words(["noai, nofollow", "otherbot: noindex"], "curate"))
    ['noai', 'nofollow']

    Source: Google's robots meta tag specification; noai and noimageai as DeviantArt began them.
    """
    for value in values:
        is_meant = True
        for directive in value.lower().split(","):
            name, colon, rest = directive.partition(":")
            word = name.strip()
            if colon and word not in _VALUED:
                is_meant, word = word in ("*", robot), rest.strip()
            if is_meant:
                yield word


def meta_words(content: str) -> Iterator[str]:
    """Yield the directives of a meta element, parted as they are found in the wild.

    >>> list(meta_words("NoAI noimageai,max-snippet:-1"))
    ['noai', 'noimageai', 'max-snippet:-1']
    """
    yield from filter(None, _PARTING.split(content.lower()))
