"""Generated entries and texts: words by Zipf's law, with and without spaces between them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["SPACELESS", "TEXT_CHARACTERS", "english", "english_one_by_one", "generate"]

TEXT_CHARACTERS = 72
_BLOCK = 100_000  # texts whose words are drawn at once

# Characters of a caption, and what words are made of, a piece a time; shares of word lengths.
SPACELESS: dict[str, tuple[int, list[str], list[float]]] = {
    "Chinese": (22, [chr(c) for c in range(0x4E00, 0x4E00 + 6000)], [0.02, 0.6, 0.22, 0.16]),
    "Japanese": (
        30,
        [*(chr(c) for c in range(0x3042, 0x3094)), *(chr(c) for c in range(0x30A2, 0x30F5)),
         *(chr(c) for c in range(0x4E00, 0x4E00 + 2000))],
        [0.02, 0.38, 0.3, 0.2, 0.1],
    ),
    "Thai": (
        40,
        [chr(c) + m for c in range(0x0E01, 0x0E2F)
         for m in ("", "\u0e31", "\u0e34", "\u0e35", "\u0e38", "\u0e39\u0e49", "\u0e48", "\u0e32")],
        [0.02, 0.3, 0.34, 0.2, 0.14],
    ),
}  # fmt: skip


def generate(kind: str, num_entries: int, num_texts: int) -> tuple[list[str], list[str]]:
    """Return entries and texts of a kind: English, or one of SPACELESS."""
    make: Callable[..., Any] = english if kind == "English" else _spaceless
    entries, texts = make(*(() if kind == "English" else (kind,)), num_entries, num_texts)
    return entries, texts


def _vocabulary(num: int, rng: np.random.Generator) -> list[str]:
    """Return words of syllables, short ones first as in a language."""
    syllables = [c + v for c in "b c d f g h k l m n p r s t v w sh th st tr".split()
                 for v in "a e i o u ai ea ou er in on".split()]  # fmt: skip
    words: dict[str, None] = {}
    while len(words) < num:
        sizes = np.minimum(4, 1 + np.log1p(len(words) + np.arange(num)) // 3.6).astype(int)
        for size in sizes.tolist():
            words["".join(rng.choice(syllables, size))] = None
            if len(words) == num:
                break
    return list(words)


def _zipf(
    num_words: int, num: int, rng: np.random.Generator, exponent: float = 1.0
) -> np.ndarray[Any, Any]:
    """Return ranks drawn by Zipf's law."""
    share = np.cumsum(np.arange(1, num_words + 1) ** -exponent)
    return np.searchsorted(share / share[-1], rng.random(num))


def english(num_entries: int, num_texts: int) -> tuple[list[str], list[str]]:
    """Return entries (half words, the rest pairs and titles) and texts of about 72 characters."""
    entries, texts = english_one_by_one(num_entries, num_texts)
    return entries, list(texts)


def english_one_by_one(num_entries: int, num_texts: int) -> tuple[list[str], Iterator[str]]:
    """Return the same as `english`, the texts as they are made."""
    rng = np.random.default_rng(0)
    words = _vocabulary(max(2000, num_entries), rng)
    entries = dict.fromkeys(words[: num_entries // 2])
    while len(entries) < num_entries:
        drawn = _zipf(len(words), 3 * num_entries, rng)
        for a, b, c in drawn.reshape(-1, 3).tolist():
            pair = f"{words[a]} {words[b]}" if a % 2 else f"{words[a].title()} {words[c].title()}"
            entries[pair] = None
            if len(entries) == num_entries:
                break
    return list(entries), _english_texts(words, num_texts, rng)


def _english_texts(words: list[str], num: int, rng: np.random.Generator) -> Iterator[str]:
    for first in range(0, num, _BLOCK):
        rows = min(_BLOCK, num - first)
        drawn = _zipf(len(words), 16 * rows, rng).reshape(rows, 16)
        for i, row in enumerate(drawn.tolist(), first):
            text = " ".join(words[r] for r in row)[:TEXT_CHARACTERS].rsplit(" ", 1)[0]
            yield f"{text.capitalize()}." if i % 3 == 0 else text.replace(" ", ", ", i % 2)


def _spaceless(kind: str, num_entries: int, num_texts: int) -> tuple[list[str], list[str]]:
    """Return words of one piece to some, and texts made of them."""
    num_characters, pieces, shares = SPACELESS[kind]
    rng = np.random.default_rng(1)
    entries: dict[str, None] = {}
    while len(entries) < num_entries:
        sizes = rng.choice(1 + np.arange(len(shares)), num_entries, p=shares)
        drawn = iter(_zipf(len(pieces), int(sizes.sum()), rng, 0.6).tolist())
        for size in sizes.tolist():
            entries["".join(pieces[next(drawn)] for _ in range(size))] = None
            if len(entries) == num_entries:
                break
    words = list(entries)
    drawn = _zipf(len(words), 20 * num_texts, rng).reshape(num_texts, 20)
    return words, ["".join(words[r] for r in row)[:num_characters] for row in drawn.tolist()]
