"""What can be said of a caption by its words alone, and beside its alt-text's."""

from collections.abc import Sequence

__all__ = ["repetition", "units"]

_GRAM = 3
_FEWEST = 8  # units: a shorter text has too few n-grams to tell


def units(text: str) -> list[str]:
    """Return a text's words; of one that is hardly parted by spaces, its characters.

    >>> units("a red dog"), len(units("赤い犬が庭で遊んでいる様子です"))
    (['a', 'red', 'dog'], 15)
    """
    words = text.split()
    if len(text) > 8 * max(1, len(words)) and max(map(len, words), default=0) > 12:
        return [char for char in text if not char.isspace()]
    return words


def repetition(found: Sequence[str]) -> float:
    """Return the share of a text's trigrams that it has had before; 0 of a short one.

    >>> repetition("a dog runs and a cat sits on the mat".split())
    0.0
    >>> round(repetition(("a red dog " * 6).split()), 2)
    0.81
    """
    if len(found) < _FEWEST:
        return 0.0
    grams = [tuple(found[i : i + _GRAM]) for i in range(len(found) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams)
