"""What a usage preference of the IETF's AI Preferences says of training.

Source: draft-ietf-aipref-vocab-08 (2026-09-14), sections 5 and 6, on RFC 9651's dictionaries.
"""

from typing import Any

from http_sf import StructuredFieldError, Token, parse

from curate.pipelines.opt_outs.signals import Signal, Verdict

__all__ = ["usage_signal"]

_OURS = "train-ai"
_SAID = {"y": Verdict.ALLOW, "n": Verdict.DENY}
_MAX_CHARACTERS = 8192


def usage_signal(source: str, value: str) -> Signal | None:
    """Return what a preference says of training; None if it is empty.

    `train-ai` alone decides. The vocabulary is still a draft: any other word, one of a later
    version as well, is unknown and never permission. As the draft has it, the last value of a key
    counts, one that is no token `y` or `n` is unknown, and so is what is no dictionary.

    Args:
        source: of the signal.
        value: of one header, or of one rule; longer than 8,192 characters is malformed.

    >>> usage_signal("content-usage", "train-ai=n, search=y").verdict.value
    'deny'
    >>> usage_signal("content-usage", "train-all=y").verdict.value
    'unknown'
    >>> usage_signal("content-usage", "Train-AI=n").is_malformed
    True
    """
    malformed = Signal(source, Verdict.UNKNOWN, is_malformed=True)
    if len(value) > _MAX_CHARACTERS:
        return malformed
    try:
        found: Any = parse(value.encode("utf-8", "surrogateescape"), tltype="dictionary")
    except (StructuredFieldError, UnicodeEncodeError):
        return malformed
    if not found:
        return None
    said = found.get(_OURS, (None,))[0]
    verdict = _SAID.get(str(said), Verdict.UNKNOWN) if isinstance(said, Token) else Verdict.UNKNOWN
    return Signal(source, verdict)
