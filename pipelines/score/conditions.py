"""Scores and conditions in; the pairs that do not meet them, and why, out.

Scores are read part by part, and counted where an order is wanted, so that memory does not grow
with the pairs.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.pipelines.embedded.scores import ScoredPlan
from curate.pipelines.score.options import Condition

__all__ = ["below_conditions", "quantiles"]

_COMPARE = {">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less}
_HALF = 1 << 16  # values of half of the bits of a score
Thresholds = list[dict[str, float]]


def quantiles(scores: ScoredPlan, num_parts: int, conditions: Sequence[Condition]) -> Thresholds:
    """Return the threshold of each condition, by language; "" stands for all others.

    A quantile q is the smallest score of the language that at least a share q of its scores do not
    exceed. Pairs that are in no language are one of their own.
    """
    return [
        _quantile_by_language(scores, num_parts, condition.column, condition.value)
        if condition.is_quantile else {"": condition.value}
        for condition in conditions
    ]  # fmt: skip


def _quantile_by_language(
    scores: ScoredPlan, num_parts: int, column: str, share: float
) -> dict[str, float]:
    """Return a quantile of the scores of each language that has any, to the bit.

    It is found by counting scores by the upper half of their bits, then those that share the
    quantile's upper half by the lower one.
    """
    num_by_upper: dict[str, NDArray[np.int64]] = {}
    for lang, keys in _ordered(scores, num_parts, column):
        counts = np.bincount(keys >> 16, minlength=_HALF)
        num_by_upper[lang] = num_by_upper.get(lang, 0) + counts
    rank, upper, num_by_lower = {}, {}, {}
    for lang, counts in num_by_upper.items():
        rank[lang] = max(0, math.ceil(int(counts.sum()) * share - 1))
        upper[lang], rank[lang] = _counted_to(counts, rank[lang])
        num_by_lower[lang] = np.zeros(_HALF, np.int64)
    for lang, keys in _ordered(scores, num_parts, column):
        lower = keys[keys >> 16 == upper[lang]] & (_HALF - 1)
        num_by_lower[lang] += np.bincount(lower, minlength=_HALF)
    return {
        lang: _score_of(upper[lang] << 16 | _counted_to(counts, rank[lang])[0])
        for lang, counts in sorted(num_by_lower.items())
    }


def _counted_to(counts: NDArray[np.int64], rank: int) -> tuple[int, int]:
    """Return the value that has a rank, counted from 0, and its rank among those of that value."""
    ends = np.cumsum(counts)
    at = int(np.searchsorted(ends, rank, side="right"))
    return at, rank - int(ends[at] - counts[at])


def _ordered(
    scores: ScoredPlan, num_parts: int, column: str
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield languages and the scores of some of their pairs, as integers of the same order."""
    for part in range(num_parts):
        table = scores.part(part, ["lang", column])
        names, codes = _langs(table)
        values = table.column(column).to_numpy().astype(np.float32)
        is_there = np.isfinite(values)
        bits = (values + np.float32(0.0)).view(np.uint32).astype(np.int64)  # of zeros there is one
        keys = np.where(bits >> 31, (1 << 32) - 1 - bits, bits | 1 << 31)
        for code, name in enumerate(names):
            of_lang = keys[is_there & (codes == code)]
            if len(of_lang):
                yield name, of_lang


def _score_of(key: int) -> float:
    """Return the score that an integer of `_ordered` stands for."""
    bits = key & ~(1 << 31) if key >> 31 else (1 << 32) - 1 - key
    return float(np.array(bits, np.uint32).view(np.float32))


def _langs(table: pa.Table) -> tuple[list[str], NDArray[np.int64]]:
    """Return the languages of a table, "" for none, and the place of each row's."""
    langs = pc.fill_null(table.column("lang").cast(pa.string()), "").combine_chunks()
    found = langs.dictionary_encode()
    return found.dictionary.to_pylist(), found.indices.to_numpy().astype(np.int64)


def below_conditions(
    scores: ScoredPlan, num_parts: int, conditions: Sequence[Condition], thresholds: Thresholds,
    fallen: Counter[str],
) -> Iterator[tuple[pa.StringArray, pa.Array]]:  # fmt: skip
    """Yield, part by part, the ids of pairs that miss a condition, and the name of the first one.

    A pair without the score misses it, under `no_<name>`.

    Args:
        scores: of the pairs.
        num_parts: of them.
        conditions: all have to hold.
        thresholds: as `quantiles` gives them.
        fallen: is added to: pairs that miss one, by its name.
    """
    columns = list(dict.fromkeys(condition.column for condition in conditions))
    reasons = [name for column in columns for name in (column, f"no_{column}")]
    for part in range(num_parts):
        table = scores.part(part, ["pair_id", "lang", *columns])
        names, codes = _langs(table)
        missed = np.full(table.num_rows, -1, np.int32)
        for condition, of_lang in zip(conditions, thresholds, strict=True):
            values = table.column(condition.column).to_numpy().astype(np.float32)
            limits = np.array(
                [of_lang.get(name, of_lang.get("", np.nan)) for name in names], np.float32
            )[codes]  # fmt: skip
            is_there, is_open = np.isfinite(values), missed < 0
            meets = _COMPARE[condition.sign](values, limits)
            place = 2 * columns.index(condition.column)
            missed[is_open & is_there & ~meets] = place
            missed[is_open & ~is_there] = place + 1
        falls = missed >= 0
        numbers = np.bincount(missed[falls], minlength=len(reasons)).tolist()
        fallen.update({name: num for name, num in zip(reasons, numbers, strict=True) if num})
        ids = table.column("pair_id").combine_chunks().filter(pa.array(falls))
        yield ids, pa.DictionaryArray.from_arrays(missed[falls], pa.array(reasons, pa.string()))
