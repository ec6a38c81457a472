"""What content says of itself: headers of an answer and meta elements of a page in, signals out.

No draft defines a preference at a single image of a page, neither by `rel` nor by attributes
(draft-ietf-aipref-attach-05, section 1.3, leaves it open), so none is read.
"""

from collections.abc import Callable, Iterable, Sequence

from curate.pipelines.opt_outs.content_usage import usage_signal
from curate.pipelines.opt_outs.robots_words import header_words, meta_words, word_signals
from curate.pipelines.opt_outs.signals import Signal, Verdict
from curate.pipelines.opt_outs.tdm import reservation_signals

__all__ = ["HEADERS", "META_NAMES", "ROBOT", "header_signals", "meta_signals"]

ROBOT = "curate"
_MOST_VALUES = 64  # of a header; an honest answer has one
HEADERS = ("x-robots-tag", "content-usage", "tdm-reservation")
META_NAMES = ("robots", ROBOT, "tdm-reservation")


def header_signals(values_of: Callable[[str], Sequence[str]], robot: str = ROBOT) -> list[Signal]:
    """Return what the headers of an answer say.

    Args:
        values_of: gives the values of the headers of a name of HEADERS, each by itself. Of two
            headers that disagree the stricter holds.
        robot: name that directives may be addressed to, in lower case.

    >>> sent = {"x-robots-tag": ["noai"], "content-usage": ["train-ai=y"]}
    >>> [signal.verdict.value for signal in header_signals(lambda name: sent.get(name, []))]
    ['deny', 'allow']
    """
    robots, usage, tdm = map(values_of, HEADERS)
    found = [usage_signal("content-usage", value) for value in usage[:_MOST_VALUES]]
    if len(usage) > _MOST_VALUES:
        found.append(Signal("content-usage", Verdict.UNKNOWN, is_malformed=True))
    return [
        *word_signals("x-robots-tag", header_words(list(robots), robot)),
        *(signal for signal in found if signal is not None),
        *(s for value in tdm for s in reservation_signals("tdm-reservation", value)),
    ]


def meta_signals(metas: Iterable[tuple[str, str]]) -> list[Signal]:
    """Return what the meta elements of a page say.

    Args:
        metas: names, in lower case, and contents.

    >>> [signal.source for signal in meta_signals([("robots", "noai, nofollow")])]
    ['meta robots noai']
    """
    found: list[Signal] = []
    for name, content in metas:
        if name == "tdm-reservation":
            found += reservation_signals("meta tdm-reservation", content)
        elif name in META_NAMES:
            found += word_signals("meta robots", meta_words(content))
    return found
