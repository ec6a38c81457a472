"""What is no text in any language, and how texts are normalized for identification: arrays only.

An alt-text is often what a camera or a content system named a file: `IMG_1234`, a hash, a size.
A model of languages has an answer to those too, and with high scores (lid.176 takes `IMG_1234` for
Hebrew), so that they swamp languages with few captions. A file name that is made of words is a
text, and is identified by them.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.lid.marks import (
    DIGIT,
    DOT,
    JOINER,
    LETTER,
    LOWER,
    MAYBE_CASED,
    SPACE,
    WIDE_SPACE,
    Marks,
    marks_of,
)

__all__ = ["KINDS", "kinds_of", "normalized", "vowel_shares"]

# What a text may be instead of a text; the first that fits counts.
KINDS = ("text", "no_letters", "dimensions", "hash", "file_name")

_EXTENSION = r"(?:\.(?i:jpe?g|jfif|png|gif|webp|bmp|tiff?|svg|heic|avif|ico|psd))"
_UNIT = r'(?i:px|pixels?|cm|mm|in|inch|m|ft|dpi|")?'
_SIZE = rf"\d+(?:[.,]\d+)?\s*{_UNIT}"
_DIMENSIONS = rf"^\s*[\[(]?\s*{_SIZE}(?:\s*[xX×*]\s*{_SIZE})+\s*[\])]?\s*{_EXTENSION}?\s*$"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HASH = rf"^\s*(?i:{_UUID}|[0-9a-f]{{12,}}){_EXTENSION}?\s*$"
_CAMERA = (
    r"^\s*(?i:img|dsc|dscn|dscf|sam|pict?|mvi|gopr|pxl|cimg|imag|hpim|wp|vid|p|image|photo|picture"
    r"|screenshot|scan|unnamed|untitled)s?[\s_-]?[\s_()-]*\d[\d\s_().-]*"
    rf"(?:[xX]\d+)?{_EXTENSION}?\s*$"
)
_IS_FILE = rf"^\s*\S+{_EXTENSION}\s*$"
# Two words, or one in a script without spaces or of syllables: nothing names files so by itself.
_WORDS = (
    r"(?:[\p{L}\p{M}]{3,}[^\p{L}\p{M}].*?[\p{L}\p{M}]{3,}"
    r"|[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]{2,})"
)
_ASCII_WORDS = r"(?:[A-Za-z]{3,}[^A-Za-z].*?[A-Za-z]{3,})"  # the same in texts of ASCII
_JOINED = r"_|-.+-|%20|\+"  # words that something else than spaces is between
# White space that fastText does not part words at (it knows the ASCII ones alone).
_SPACES = r"[\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
_MOST_BYTES = 32  # of a size or a camera's name


def _matches(texts: pa.StringArray, pattern: str) -> NDArray[np.bool_]:
    if not len(texts):  # nor is the pattern compiled
        return np.zeros(0, dtype=bool)
    found: NDArray[np.bool_] = pc.match_substring_regex(texts, pattern).to_numpy(
        zero_copy_only=False
    )
    return found


def _is_one_word(texts: pa.StringArray) -> NDArray[np.bool_]:
    has_space: NDArray[np.bool_] = pc.match_substring(texts, " ").to_numpy(zero_copy_only=False)
    return ~has_space


def _has_letters(texts: pa.StringArray) -> NDArray[np.bool_]:
    has = _matches(texts, "[A-Za-z]")  # nearly all, and quickly found
    rest = np.flatnonzero(~has)
    has[rest] = _matches(texts.take(pa.array(rest)), r"\p{L}")
    return has


def kinds_of(texts: pa.StringArray, marks: Marks | None = None) -> NDArray[np.uint8]:
    """Return the place in KINDS of each text.

    Args:
        texts: shape (num_texts,); no nulls.
        marks: of them, if they are known.

    >>> found = kinds_of(pa.array(["a dog", "♥ 24", "300 x 250 px", "IMG_1234", "shinseki.JPG",
    ...                            "red-leather-sofa.jpg", "a3a9ab5b7645", "犬"]))
    >>> [KINDS[i] for i in found]
    ['text', 'no_letters', 'dimensions', 'file_name', 'file_name', 'text', 'hash', 'text']
    """
    marks = marks or marks_of(texts)
    kinds = np.zeros(len(texts), dtype=np.uint8)
    may_be_none = ~marks.has(LETTER)
    short = pc.less_equal(pc.binary_length(texts), _MOST_BYTES).to_numpy(zero_copy_only=False)
    may_be_none |= (short | ~marks.has(SPACE)) & marks.has(DIGIT | DOT)
    rows = np.flatnonzero(may_be_none)
    kinds[rows] = _looked_at(texts.take(pa.array(rows)), marks.has(LETTER)[rows])
    return kinds


def _looked_at(
    texts: pa.StringArray, lettered: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Return the place in KINDS of texts, of which some are known to have letters, by patterns."""
    kinds = np.zeros(len(texts), dtype=np.uint8)
    open_ = np.arange(len(texts)) if lettered is None else np.flatnonzero(~lettered)
    without = ~_has_letters(texts.take(pa.array(open_)))
    kinds[open_[without]] = KINDS.index("no_letters")
    # Whatever else is no text is one word, or short, and has a digit or an extension.
    short = pc.less_equal(pc.binary_length(texts), _MOST_BYTES).to_numpy(zero_copy_only=False)
    open_ = np.flatnonzero((kinds == 0) & (short | _is_one_word(texts)))
    some = texts.take(pa.array(open_))
    open_ = open_[_matches(some, "[0-9]") | _matches(some, _EXTENSION)]
    some = _with_ascii_spaces(texts.take(pa.array(open_)))
    for name, pattern in (("file_name", _CAMERA), ("hash", _HASH), ("dimensions", _DIMENSIONS)):
        found = np.flatnonzero(_matches(some, pattern))
        if name == "hash":
            found = found[_matches(some.take(pa.array(found)), r"\d.*\d")]
        kinds[open_[found]] = KINDS.index(name)
    is_file = np.flatnonzero(_matches(some, _IS_FILE) & (kinds[open_] == 0))
    without = ~_has_words(some.take(pa.array(is_file)))
    kinds[open_[is_file[without]]] = KINDS.index("file_name")
    return kinds


def _has_words(names: pa.StringArray) -> NDArray[np.bool_]:
    """Tell which names of files are made of words; compiling _WORDS takes 10 ms."""
    is_ascii = pc.string_is_ascii(names).to_numpy(zero_copy_only=False)
    has = np.zeros(len(names), dtype=bool)
    for kind, words in ((is_ascii, _ASCII_WORDS), (~is_ascii, _WORDS)):
        rows = np.flatnonzero(kind)
        has[rows] = _matches(names.take(pa.array(rows)), rf"{words}.*{_EXTENSION}")
    return has


def normalized(texts: pa.StringArray, marks: Marks | None = None) -> pa.StringArray:
    r"""Return texts as models are asked for their language; they are matched as they are.

    Every white space of Unicode parts words; where all letters that have a case are capitals they
    are lowered; words of one piece, as in file names, are parted, and their extension goes.

    Args:
        texts: shape (num_texts,); no nulls.
        marks: of them, if they are known.

    >>> normalized(pa.array(["ein\u00a0Hund", "A RED DOG", "red_leather-sofa.jpg"])).to_pylist()
    ['ein Hund', 'a red dog', 'red leather sofa']
    """
    marks = marks or marks_of(texts)
    may_change = marks.has(WIDE_SPACE) | (~marks.has(SPACE) & marks.has(DOT | JOINER))
    may_change |= ~marks.has(LOWER) & marks.has(MAYBE_CASED)
    if not may_change.any():
        return texts
    mask = pa.array(may_change)
    return pc.replace_with_mask(texts, mask, _rewritten(texts.filter(mask)))


def _rewritten(texts: pa.StringArray) -> pa.StringArray:
    """Return texts as `normalized` has them, by regular expressions."""
    texts = _with_ascii_spaces(texts)
    is_joined = np.flatnonzero(_is_one_word(texts))
    some = texts.take(pa.array(is_joined))
    is_file = _matches(some, _IS_FILE)
    parted = is_joined[is_file | _matches(some, _JOINED)]
    mask = np.zeros(len(texts), dtype=bool)
    mask[parted] = True
    texts = _replaced(texts, mask, rf"{_EXTENSION}\s*$|[_+-]|%20")
    return _without_capitals(texts)


def _with_ascii_spaces(texts: pa.StringArray) -> pa.StringArray:
    """Return texts with a space for every white space that is none of ASCII."""
    others = np.flatnonzero(~pc.string_is_ascii(texts).to_numpy(zero_copy_only=False))
    mask = np.zeros(len(texts), dtype=bool)
    mask[others] = _matches(texts.take(pa.array(others)), _SPACES)
    return _replaced(texts, mask, _SPACES)


def _without_capitals(texts: pa.StringArray) -> pa.StringArray:
    """Return texts in lower case where all letters that have a case are capitals.

    lid.176 has seen little text in capitals: it takes English ones for Marathi or Japanese.

    >>> _without_capitals(pa.array(["A RED DOG 24", "A Red DOG", "東京 USA", "24"])).to_pylist()
    ['a red dog 24', 'A Red DOG', '東京 usa', '24']
    """
    in_capitals = pc.utf8_is_upper(texts)
    if not pc.any(in_capitals).as_py():
        return texts
    return pc.if_else(in_capitals, pc.utf8_lower(texts), texts)


def _replaced(texts: pa.StringArray, mask: NDArray[np.bool_], pattern: str) -> pa.StringArray:
    """Put a space in the place of a pattern in some texts."""
    if not mask.any():
        return texts
    some = pc.replace_substring_regex(texts.filter(pa.array(mask)), pattern, " ")
    some = pc.utf8_trim_whitespace(some)
    return pc.replace_with_mask(texts, pa.array(mask), some)


def vowel_shares(texts: pa.StringArray) -> NDArray[np.float64]:
    """Return the share of vowels among the letters of ASCII of each text; 0 without any.

    Args:
        texts: shape (num_texts,); no nulls.

    >>> vowel_shares(pa.array(["He whare", "strengths", "犬"])).round(2).tolist()
    [0.43, 0.11, 0.0]
    """
    marks = marks_of(texts)
    return np.asarray(marks.vowels / np.maximum(marks.letters, 1), dtype=np.float64)
