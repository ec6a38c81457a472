"""The naive versions that the fast code is checked against: a few lines each, no cleverness."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import xxhash

from curate.curation.matching.normalize import (
    Normalization,
    normalize_entry,
    normalize_text,
    tokens,
)


def match_text(entries: Sequence[str], text: str, normalization: Normalization) -> list[int]:
    """An entry matches iff its normalized form is a substring of the text's."""
    haystack = normalize_text(text, normalization)
    needles = [normalize_entry(entry, normalization) for entry in entries]
    return [i for i, needle in enumerate(needles) if needle and needle in haystack]


def match_tokens(entries: Sequence[str], text: str) -> list[int]:
    """`standard`, said in another way: the entry's tokens stand next to each other in the text."""
    haystack, found = tokens(text), []
    for i, entry in enumerate(entries):
        needle = tokens(entry)
        starts = range(len(haystack) - len(needle) + 1)
        if needle and any(haystack[s : s + len(needle)] == needle for s in starts):
            found.append(i)
    return found


def count_entries(entry_ids: Sequence[Sequence[int]], num_entries: int) -> list[int]:
    return [sum(i in ids for ids in entry_ids) for i in range(num_entries)]


def sampling_probability(entry_count: Sequence[int], t: int) -> list[float]:
    return [min(1.0, t / count) if count else 1.0 for count in entry_count]


def pair_probability(ids: Sequence[int], probability: Sequence[float]) -> float:
    return 1.0 - math.prod(1.0 - probability[i] for i in ids)


def is_kept(pair_id: str, probability: float, seed: int) -> bool:
    return (xxhash.xxh3_64_intdigest(pair_id.encode(), seed) >> 11) * 2.0**-53 < probability


def tail_share(entry_count: Sequence[int], t: int) -> Fraction:
    return Fraction(sum(c for c in entry_count if c < t), sum(entry_count))


def metaclip_spacing(text: str) -> str:
    """The released text normalization, character by character."""
    spaced = f" {text} "
    for mark in ",.;:?!`":
        spaced = spaced.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        spaced = spaced.replace(blank, " ")
    return spaced


def balance(pairs: Sequence[Any], num_entries: int, t: int, seed: int) -> list[str]:
    """Keep pairs given as (pair_id, entry_ids) of one language."""
    counts = count_entries([ids for _, ids in pairs], num_entries)
    probability = sampling_probability(counts, t)
    return [p for p, ids in pairs if is_kept(p, pair_probability(ids, probability), seed)]
