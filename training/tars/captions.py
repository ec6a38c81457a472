"""What a sample's caption is: one rule for `match`, `train` and `eval`.

Of the members `.txt`, `.text` and `.caption`, the first that is not blank; else of the JSON's
fields `text`, `TEXT`, `caption`, `alt` and `alt_text`, the first that is a string and not blank. A
blank `.txt` so says nothing where the JSON says something. Several captions (`texts` in the JSON)
are another matter: `train` draws one of them.
"""

import json
from collections.abc import Mapping
from typing import Any

from curate.training.tars.names import TEXT_SUFFIXES

__all__ = ["JSON_TEXTS", "TEXT_SUFFIXES", "caption_of", "json_caption", "json_object"]

JSON_TEXTS = ("text", "TEXT", "caption", "alt", "alt_text")


def caption_of(members: Mapping[str, bytes], about: Mapping[str, Any]) -> bytes | None:
    r"""Return a sample's caption, as UTF-8 where it is from the JSON; else as it stands.

    Args:
        members: content by suffix, in lower case; those of `TEXT_SUFFIXES` are looked at.
        about: the sample's JSON.

    Returns:
        None without any; a blank one where there is nothing but blank ones.

    >>> caption_of({"txt": b"a dog"}, {"text": "a cat"}), caption_of({"txt": b" \n"}, {"alt": "x"})
    (b'a dog', b'x')
    >>> caption_of({}, {"text": None}), caption_of({"txt": b""}, {})
    (None, b'')
    """
    texts = [members[suffix] for suffix in TEXT_SUFFIXES if suffix in members]
    found = next((text for text in texts if text.strip()), None)
    if found is None and (said := json_caption(about)) is not None:
        found = said.encode()
    return found if found is not None else next(iter(texts), None)


def json_caption(about: Mapping[str, Any]) -> str | None:
    """Return the caption that a sample's JSON has in a field; None without any."""
    values = (about.get(name) for name in JSON_TEXTS)
    return next((v for v in values if isinstance(v, str) and v.strip() and _is_utf8(v)), None)


def json_object(content: bytes | None) -> dict[str, Any]:
    """Return a sample's JSON; one that is no object says nothing."""
    try:
        value = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_utf8(value: str) -> bool:
    """Tell whether a string has no lone surrogates, which JSON can spell and UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
