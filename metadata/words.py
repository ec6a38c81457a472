"""Running text in, words out, in runs that punctuation and line ends interrupt."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import regex

from metadata.errors import MissingExtraError
from metadata.languages import is_spaceless

__all__ = ["segmenter_name", "split_runs"]

# Letters, marks and digits; an apostrophe or hyphen between two of them belongs to the word.
_WORD = r"[\p{L}\p{M}\p{N}]+(?:['’\-\u2010\u2011\u200c\u200d][\p{L}\p{M}\p{N}]+)*"
_RUN = regex.compile(rf"{_WORD}(?:[ \t\u00a0]+{_WORD})*")
_WORDS = regex.compile(_WORD)
_LETTER = regex.compile(r"[\p{L}\p{N}]")

# Tibetan and Dzongkha mark the ends of syllables, not of words: the syllables are the words here.
_SYLLABLE_LANGUAGES = frozenset({"bo", "dz"})
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
            yield from _segmented_runs(line, _ICU_LOCALES.get(lang, lang))
    else:
        for run in _RUN.finditer(text):
            yield _WORDS.findall(run.group())


def _segmented_runs(line: str, locale: str) -> Iterator[list[str]]:
    run: list[str] = []
    for segment in _word_breaker()(line, locale):
        if _LETTER.search(segment):
            run.append(segment)
        elif run and segment.strip():
            yield run
            run = []
    if run:
        yield run


@cache
def _word_breaker() -> Any:
    try:
        from icu4py.breakers import WordBreaker
    except ImportError as error:
        raise MissingExtraError(
            "Word segmentation of languages without spaces", "segment"
        ) from error
    return WordBreaker
