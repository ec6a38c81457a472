"""Texts and entries in, delimited strings out: what "an entry occurs in a text" means.

Both normalizations turn a text and an entry into strings such that the entry matches if and only
if its string is a substring of the text's. Everything that matches (the reference engine, the
fast one, ``explain``) works on these strings and has no rules of its own.

``standard`` (the default) splits text and entry into the same tokens and joins them with single
spaces, so an entry matches iff its tokens stand next to each other in the text:

- a run of word characters is a token; an apostrophe or hyphen between two of them belongs to it
  (``don't``, ``T-shirt``), and so does a point or comma between two digits (``3.14``);
- a letter of a script without spaces is a token by itself, with its combining marks;
- every other visible character is a token by itself, so ``(dog)`` holds ``dog`` and
  ``U.S.`` is ``U . S .``.

``metaclip`` is what the released MetaCLIP code computes (Xu et al. 2023, arXiv:2309.16671, section
3.2; Chuang et al. 2025, arXiv:2507.22062), kept bit for bit for reproduction.
"""

import re
import string
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Literal, get_args

from curate.curation.matching.unicode_ranges import character_class
from curate.errors import UsageError

__all__ = [
    "Normalization", "check_normalization", "normalize_entry", "normalize_text", "token_places",
    "tokens",
]  # fmt: skip

Normalization = Literal["standard", "metaclip"]

# UAX #44 Default_Ignorable_Code_Point: invisible, so they must not part what looks equal. The two
# joiners U+200C and U+200D are ignorable too, but distinguish words; they stay inside words.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff"
)
_APOSTROPHES = "\u2019\u02bc"
_HYPHENS = "\u2010\u2011\ufe63"
_FULLWIDTH = "\uff01-\uffee\u3000"


def _code_points(inside: str) -> frozenset[int]:
    """Return the code points of the inside of a ``[...]``, with ranges."""
    found: set[int] = set()
    for match in re.finditer("(.)(?:-(.))?", inside, re.DOTALL):
        found.update(range(ord(match[1]), ord(match[2] or match[1]) + 1))
    return frozenset(found)


# Every code point that folding may change.
FOLDED = _code_points(f"{_IGNORABLE}{_APOSTROPHES}{_HYPHENS}{_FULLWIDTH}")


def _fold(match: re.Match[str]) -> str:
    return fold_character(match.group())


def fold_character(char: str) -> str:
    """Fold one of FOLDED: full and half width forms, apostrophes, hyphens, ignorables.

    >>> fold_character("Ａ"), fold_character("’"), fold_character("\u00ad")
    ('A', "'", '')
    """
    if char in _APOSTROPHES:
        return "'"
    if char in _HYPHENS:
        return "-"
    kind, _, code = unicodedata.decomposition(char).partition(" ")
    return chr(int(code, 16)) if kind in ("<wide>", "<narrow>") else _kept_or_dropped(char)


def _kept_or_dropped(char: str) -> str:
    return char if "\uff01" <= char <= "\uffee" else ""


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of characters to fold, of tokens, and of tokens of ASCII texts."""
    word = f"[{character_class('word', without='spaceless')}]+"
    spaceless = f"[{character_class('spaceless')}][{character_class('mark')}]*"
    digit = f"[{character_class('digit')}]"
    # U+17D2 and U+1039 stack the next consonant under the last one: still the same letter.
    stacked = f"{spaceless}(?:(?<=[\u17d2\u1039]){spaceless})*"
    joined = rf"{word}(?:(?:['\-\u200c\u200d]|(?<={digit})[.,](?={digit})){word})*"
    visible = r"[^\s\x00-\x1f\x7f-\x9f\u200c\u200d]"
    ascii_joined = r"[0-9A-Za-z_]+(?:(?:['\-]|(?<=[0-9])[.,](?=[0-9]))[0-9A-Za-z_]+)*"
    return (
        re.compile(f"[{_IGNORABLE}{_APOSTROPHES}{_HYPHENS}{_FULLWIDTH}]"),
        re.compile(f"{stacked}|{joined}|{visible}"),
        re.compile(rf"{ascii_joined}|[!-~]", re.ASCII),
    )


def compose(text: str) -> str:
    """Return a text folded and in NFC: what `tokens` splits.

    >>> compose("ｶﾞ Ｔ‐shirt")
    'ガ T-shirt'
    """
    return unicodedata.normalize("NFC", _patterns()[0].sub(_fold, text))


def tokens(text: str) -> list[str]:
    """Split a text or an entry into the tokens of the `standard` normalization.

    >>> tokens('A T-shirt (red), U.S. size 3.5')
    ['A', 'T-shirt', '(', 'red', ')', ',', 'U', '.', 'S', '.', 'size', '3.5']
    >>> tokens("東京のｶﾒﾗ")
    ['東', '京', 'の', 'カ', 'メ', 'ラ']
    """
    _, token, ascii_token = _patterns()
    return ascii_token.findall(text) if text.isascii() else token.findall(compose(text))


def token_places(text: str) -> list[tuple[int, int, int]] | None:
    """Return where each token of a text begins and ends in it, and how long the token is.

    Returns:
        None where folding or composing changes the text, so that places would be of another one.

    >>> token_places("a T-shirt."), token_places("ｶﾒﾗ")
    ([(0, 1, 1), (2, 9, 7), (9, 10, 1)], None)
    """
    _, token, ascii_token = _patterns()
    if not text.isascii() and compose(text) != text:
        return None
    found = (ascii_token if text.isascii() else token).finditer(text)
    return [(one.start(), one.end(), one.end() - one.start()) for one in found]


def _standard(text: str) -> str:
    joined = " ".join(tokens(text))
    return f" {joined} " if joined else ""


_METACLIP_SPACING = str.maketrans(
    {**{c: f" {c} " for c in ",.;:?!`"}, "\t": " ", "\n": " ", "\r": " "}
)

# The released table: no kana, no U+3005, no half-width kana (a known defect, kept on purpose).
_METACLIP_SPACELESS = re.compile(
    "[\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)


def _metaclip_text(text: str) -> str:
    return f" {text} ".translate(_METACLIP_SPACING)


def _undelimited(char: str) -> bool:
    return (
        char in string.punctuation
        or unicodedata.category(char).startswith("P")
        or _METACLIP_SPACELESS.match(char) is not None
    )


def _metaclip_entry(entry: str) -> str:
    if not entry:
        return ""
    before = "" if _undelimited(entry[0]) else " "
    after = "" if _undelimited(entry[-1]) else " "
    return f"{before}{entry}{after}"


_TEXT: dict[str, Callable[[str], str]] = {"standard": _standard, "metaclip": _metaclip_text}
_ENTRY: dict[str, Callable[[str], str]] = {"standard": _standard, "metaclip": _metaclip_entry}


def check_normalization(name: str) -> Normalization:
    """Return the name if it is one of the two normalizations.

    Raises:
        UsageError: it is not.
    """
    for known in get_args(Normalization):
        if name == known:
            return name  # type: ignore[return-value]
    raise UsageError(
        f"unknown normalization {name!r}; expected one of {', '.join(get_args(Normalization))}"
    )


def normalize_text(text: str, normalization: Normalization = "standard") -> str:
    """Return the string in which entries are looked for.

    >>> normalize_text("St. John's, «chien»")
    " St . John's , « chien » "
    >>> normalize_text("St. John", "metaclip")
    ' St .  John '
    """
    return _TEXT[normalization](text)


def normalize_entry(entry: str, normalization: Normalization = "standard") -> str:
    """Return the string that is looked for; empty if the entry can never match.

    >>> normalize_entry("St. John"), normalize_entry("St. John", "metaclip")
    (' St . John ', ' St. John ')
    >>> normalize_entry("北京", "metaclip")
    '北京'
    """
    return _ENTRY[normalization](entry)
