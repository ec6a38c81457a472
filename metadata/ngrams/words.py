"""Running text in, words out, in runs that punctuation and line ends interrupt.

`split_runs` says what the words are. Counting whole Wikipedias does the same in compiled code
(`counter`), out of `character_classes` and, where a segmenter cuts, `cut_segments`.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from curate.errors import MissingExtraError
from curate.metadata.languages import is_spaceless, segmenter_of
from curate.metadata.ngrams.kernels import BREAK, JOINER, SPACE, WORD

__all__ = [
    "character_classes",
    "cut_segments",
    "is_segmented",
    "is_single_kana",
    "join_words",
    "segmenter_name",
    "segmenter_version",
    "split_runs",
]

# Letters, marks and digits; an apostrophe or hyphen between two of them belongs to the word.
_LETTERS = r"\p{L}\p{M}\p{N}"
_JOINERS = "'’\\-\u2010\u2011\u200c\u200d"
_SPACES = " \t\u00a0"
_WORD = rf"[{_LETTERS}]+(?:[{_JOINERS}][{_LETTERS}]+)*"
_RUN = regex.compile(rf"{_WORD}(?:[{_SPACES}]+{_WORD})*")
_WORDS = regex.compile(_WORD)
_LETTER = regex.compile(r"[\p{L}\p{N}]")

# Tibetan and Dzongkha mark the ends of syllables, not of words: unless botok is there, the
# syllables are the words, and neighbours are parted by the mark (tsheg) that stands between them.
_TSHEG = "\u0f0b"
_TSHEGS = _TSHEG + "\u0f0c"
_SYLLABLE_RUN = regex.compile(rf"{_WORD}(?:[{_TSHEGS}{_SPACES}]+{_WORD})*")
_PIECE = regex.compile(rf"{_WORD}|.", regex.DOTALL)
_BOTOK_PACK = Path.home() / "Documents" / "pybo" / "dialect_packs" / "general"
_ICU_LOCALES = {"wuu": "zh", "gan": "zh", "mnw": "my", "shn": "my"}
# ICU's dictionary cuts compounds in katakana into single signs, where Unicode's rule of words (UAX
# 29, WB13) has no cut between two of them: the signs, the length mark, also of half width, and what
# voices them.
_KATAKANA = "\u3031-\u3035\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_KATAKANA_CUT = re.compile(f"(?<=[{_KATAKANA}])\0(?=[{_KATAKANA}])")
_SINGLE_KANA = re.compile(r"[\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9d]"
                          r"[\u3099-\u309c\uff9e\uff9f]?|[\uff9e\uff9f\u3099-\u309c]")  # fmt: skip
_NUM_CODE_POINTS = 0x110000
_PLANE = 0x10000
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001))))
_LINE_ENDS = "".join(c for c in _BLANKS if len(f"a{c}a".splitlines()) > 1)


def segmenter_name(lang: str) -> str:
    """Return what splits a language's text into words, for the manifest.

    >>> segmenter_name("de"), segmenter_name("ja")
    ('regex', 'icu4py')
    """
    if _has_syllables(lang):
        # It fetches its data when it is first used; here it is used if the data are there.
        has_botok = find_spec("botok") is not None and _BOTOK_PACK.is_dir()
        return "botok" if has_botok else "regex (tsheg syllables)"
    return "icu4py" if segmenter_of(lang) == "icu" else "regex"


def _has_syllables(lang: str) -> bool:
    return segmenter_of(lang) == "tsheg"


def segmenter_version(lang: str) -> str | None:
    """Return the version of the package that splits a language's text, None if it is missing."""
    try:
        return version(segmenter_name(lang).partition(" ")[0])
    except PackageNotFoundError:
        return None


def is_segmented(lang: str) -> bool:
    """Tell whether `cut_segments` has to cut a text before it is counted."""
    return segmenter_name(lang) in ("icu4py", "botok")


def split_runs(text: str, lang: str) -> Iterator[list[str]]:
    """Yield runs of neighbouring words; punctuation and line ends part them.

    Args:
        text: running text.
        lang: metadata language.

    Raises:
        MissingExtraError: the language needs a segmenter that is not installed.

    >>> list(split_runs("A T-shirt, don't you see?", "en"))
    [['A', 'T-shirt'], ["don't", 'you', 'see']]
    """
    if is_segmented(lang):
        for line in text.splitlines():
            yield from _segmented_runs(cut_segments(line, lang).split("\0"), _blanks(lang))
    else:
        pattern = _SYLLABLE_RUN if _has_syllables(lang) else _RUN
        for run in pattern.finditer(text):
            yield _WORDS.findall(run.group())


def join_words(words: Iterable[str], lang: str) -> str:
    """Return neighbouring words as a text of the language has them.

    >>> join_words(["red", "dog"], "en"), join_words(["红", "狗"], "zh")
    ('red dog', '红狗')
    """
    if _has_syllables(lang):
        return _TSHEG.join(words)
    return ("" if is_spaceless(lang) else " ").join(words)


def is_single_kana(word: str) -> bool:
    """Tell whether a word is one sign of Japanese, which would match nearly every Japanese text.

    >>> is_single_kana("ー"), is_single_kana("ｶﾞ"), is_single_kana("猫"), is_single_kana("アニメ")
    (True, True, False, False)
    """
    return _SINGLE_KANA.fullmatch(word) is not None


def character_classes(lang: str) -> NDArray[np.uint8]:
    """Return the class of each code point: of `WORD`, `JOINER`, `SPACE`, `BREAK`.

    Raises:
        MissingExtraError: the language needs a segmenter that is not installed.
    """
    if is_segmented(lang):
        _segments("", lang)  # what is missing is told before hours of work
        return _classes(r"[\p{L}\p{N}]+", "", _blanks(lang), _LINE_ENDS)
    spaces = _SPACES + (_TSHEGS if _has_syllables(lang) else "")
    return _classes(rf"[{_LETTERS}]+", _JOINERS.replace("\\", ""), spaces, "")


def _blanks(lang: str) -> str:
    """Return what parts segments without parting the words before and behind it."""
    return _BLANKS + (_TSHEGS if _has_syllables(lang) else "")


@cache
def _classes(letters: str, joiners: str, spaces: str, breaks: str) -> NDArray[np.uint8]:
    classes = np.full(_NUM_CODE_POINTS, BREAK, np.uint8)
    for first in range(0, _NUM_CODE_POINTS, _PLANE):
        for found in regex.finditer(letters, "".join(map(chr, range(first, first + _PLANE)))):
            classes[first + found.start() : first + found.end()] = WORD
    for chars, kind in ((joiners, JOINER), (spaces, SPACE), (breaks, BREAK)):
        classes[[ord(char) for char in chars]] = kind
    classes.flags.writeable = False  # most languages share one
    return classes


def cut_segments(text: str, lang: str) -> str:
    r"""Return a text as segments, each followed by ``\0``; `ngram_kernels` tells the words.

    >>> cut_segments("你 好", "zh")
    '你\x00 \x00好\x00'
    """
    # No segment reaches over a line end.
    cut = "\0".join([*_segments(text.replace("\0", "\n"), lang), ""])
    return cut if _has_syllables(lang) else _KATAKANA_CUT.sub("", cut)


def _segments(text: str, lang: str) -> Iterable[str]:
    if _has_syllables(lang):
        return _botok_segments(text)
    segments: Iterable[str] = _word_breaker(lang)(text, _ICU_LOCALES.get(lang, lang))
    return segments


def _segmented_runs(segments: Iterable[str], blanks: str) -> Iterator[list[str]]:
    run: list[str] = []
    for segment in segments:
        if _LETTER.search(segment):
            run.append(segment)
        elif run and segment.strip(blanks):
            yield run
            run = []
    if run:
        yield run


@cache
def _word_breaker(lang: str) -> Any:
    try:
        from icu4py.breakers import WordBreaker
    except ImportError as error:
        raise MissingExtraError(f"Splitting {lang} into words", "segment") from error
    return WordBreaker


def _botok_segments(text: str) -> Iterator[str]:
    """Yield Tibetan words without the mark behind them, and the rest in pieces."""
    for line in text.splitlines(keepends=True):
        for token in _botok().tokenize(line, split_affixes=False):
            word = token.text.rstrip(_BLANKS + _TSHEGS) if token.chunk_type == "TEXT" else ""
            if word:
                yield word
            yield from _PIECE.findall(token.text[len(word) :])


@cache
def _botok() -> Any:
    botok = import_module("botok")
    return botok.WordTokenizer(config=botok.Config(base_path=_BOTOK_PACK.parent))
