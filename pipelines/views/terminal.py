"""Texts of strangers on a terminal: nothing in them is obeyed; colour where it is wanted."""

import os
import sys
from typing import IO

from curate.files.addresses import hide_secrets

__all__ = ["Inert", "colour_wanted", "inert", "inert_json", "inert_lines"]

# Format characters that words are made of (Persian, Indic scripts, emoji); they move nothing.
_JOINERS = "\u200c\u200d"


class Inert(str):
    """A text with escapes of our own, all of whose other parts were made inert one by one."""

    __slots__ = ()


def inert_lines(text: str) -> str:
    r"""Return a text of several lines made inert, and without secrets in addresses.

    Unless its parts were made inert one by one.

    What is written to a terminal goes through here, so that no view has to remember it.

    >>> inert_lines("one\n\x1btwo"), inert_lines(Inert("\x1b[1mbold"))
    ('one\n\\x1btwo', '\x1b[1mbold')
    """
    return text if isinstance(text, Inert) else inert(hide_secrets(text), allowed="\n")


def inert(text: str, allowed: str = "") -> str:
    r"""Return a text with escapes in place of control characters, direction overrides and the like.

    Args:
        text: of anyone.
        allowed: characters that are left as they are, such as a line feed of our own.

    >>> inert("a\x1b[31m b\u202ec\x7f"), inert("one\ntwo", allowed="\n")
    ('a\\x1b[31m b\\u202ec\\x7f', 'one\ntwo')
    """
    return "".join(
        c if c.isprintable() or c in _JOINERS or c in allowed else _escaped(c) for c in text
    )


def _escaped(char: str) -> str:
    return (
        char.encode("ascii", "backslashreplace").decode() if ord(char) > 127 else repr(char)[1:-1]
    )


def inert_json(document: str) -> str:
    r"""Return a JSON document with JSON's own escapes for what a terminal could obey.

    Only the content of strings can hold such characters, so that it means the same as before.

    >>> inert_json('{"text": "a\x9b31m \u202e"}')
    '{"text": "a\\u009b31m \\u202e"}'
    """
    return "".join(c if c.isprintable() or c in _JOINERS else _json_escaped(c) for c in document)


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def colour_wanted(stream: IO[str] | None = None) -> bool:
    """Tell whether a stream is a terminal that shows colours, and nobody forbade them.

    Source: https://no-color.org.
    """
    chosen = stream or sys.stdout
    forbidden = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return chosen.isatty() and not forbidden
