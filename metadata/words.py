"""Running text in, words out, in runs that punctuation and line ends interrupt."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import regex

from metadata.errors import MissingExtraError
from metadata.languages import is_spaceless

__all__ = ["join_words", "segmenter_name", "split_runs"]

# Letters, marks and digits; an apostrophe or hyphen between two of them belongs to the word.
_WORD = r"[\p{L}\p{M}\p{N}]+(?:['’\-\u2010\u2011\u200c\u200d][\p{L}\p{M}\p{N}]+)*"
_RUN = regex.compile(rf"{_WORD}(?:[ \t\u00a0]+{_WORD})*")
_WORDS = regex.compile(_WORD)
_LETTER = regex.compile(r"[\p{L}\p{N}]")

# Tibetan and Dzongkha mark the ends of syllables, not of words: the syllables are the words here,
# and neighbours are parted by the mark (tsheg), which stands in the text between them.
_SYLLABLE_LANGUAGES = frozenset({"bo", "dz"})
_TSHEG = "\u0f0b"
_SYLLABLE_RUN = regex.compile(rf"{_WORD}(?:[{_TSHEG}\u0f0c \t\u00a0]+{_WORD})*")
_ICU_LOCALES = {"wuu": "zh", "gan": "zh", "mnw": "my", "shn": "my"}


def segmenter_name(lang: str) -> str:
    """Return what splits a language's text into words, for the manifest.

    >>> segmenter_name("de"), segmenter_name("ja"), segmenter_name("bo")
    ('regex', 'icu4py', 'regex (tsheg syllables)')
    """
    if lang in _SYLLABLE_LANGUAGES:
        return "regex (tsheg syllables)"
    return "icu4py" if is_spaceless(lang) else "regex"


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
    if segmenter_name(lang) == "icu4py":
        for line in text.splitlines():
            yield from _segmented_runs(line, lang)
    else:
        pattern = _SYLLABLE_RUN if lang in _SYLLABLE_LANGUAGES else _RUN
        for run in pattern.finditer(text):
            yield _WORDS.findall(run.group())


def join_words(words: Iterable[str], lang: str) -> str:
    """Return neighbouring words as a text of the language has them.

    >>> join_words(["red", "dog"], "en"), join_words(["红", "狗"], "zh")
    ('red dog', '红狗')
    """
    if lang in _SYLLABLE_LANGUAGES:
        return _TSHEG.join(words)
    return ("" if is_spaceless(lang) else " ").join(words)


def _segmented_runs(line: str, lang: str) -> Iterator[list[str]]:
    run: list[str] = []
    for segment in _word_breaker(lang)(line, _ICU_LOCALES.get(lang, lang)):
        if _LETTER.search(segment):
            run.append(segment)
        elif run and segment.strip():
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
