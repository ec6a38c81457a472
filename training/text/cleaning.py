"""What published tokenizers do to a text before it is cut into tokens, as weights were trained.

Out of a text comes a text. Which one a tokenizer has travels with it, as a name.
"""

import html
import re
import string
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from curate.errors import InputError, MissingExtraError

__all__ = ["CLEANINGS", "clean_clip", "clean_siglip", "cleaning_of"]

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SPACE = re.compile(r"\s+")


@cache
def _ftfy() -> Any:
    try:
        return import_module("ftfy")
    except ImportError as error:
        raise MissingExtraError("CLIP's English tokenizer", "train") from error


def clean_clip(text: str) -> str:
    """Mend broken encodings, undo HTML entities twice, and cut white space at both ends off.

    Source: Radford et al. 2021, arXiv:2103.00020: the published tokenizer, which uses ftfy.

    >>> clean_clip(" the caf\u00c3\u00a9 &amp;amp; bar ")
    'the café & bar'
    """
    if text.isascii() and text.isprintable() and "&" not in text:
        return text.strip()  # ftfy changes nothing of such a text
    mended: str = _ftfy().fix_text(text)
    return html.unescape(html.unescape(mended)).strip()


def clean_siglip(text: str) -> str:
    """Take ASCII punctuation out, and make white space single spaces.

    Source: the documentation of SigLIP's tokenizer in transformers.

    >>> clean_siglip(" A dog's  (red) ball! ")
    'A dogs red ball'
    """
    return _SPACE.sub(" ", text.replace("\u2581", " ").translate(_NO_PUNCTUATION)).strip()


CLEANINGS: dict[str, Callable[[str], str]] = {
    "clip": clean_clip,
    "siglip": clean_siglip,
    "siglip-lower": lambda text: clean_siglip(text.lower()),
}


def cleaning_of(name: str | None) -> Callable[[str], str] | None:
    """Return what a name stands for; None for nothing.

    Raises:
        InputError: there is no such cleaning.
        MissingExtraError: it needs ftfy, which is not installed.
    """
    if name is None:
        return None
    if name not in CLEANINGS:
        raise InputError(
            f"texts are cleaned as {name!r}; this version knows {', '.join(CLEANINGS)}. "
            "Update curate."
        )
    if name == "clip":
        _ftfy()
    return CLEANINGS[name]
