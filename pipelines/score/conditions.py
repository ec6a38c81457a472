"""Scores and conditions in; the pairs that do not meet them, and why, out."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.pipelines.embedded.scores import ScoredPlan
from curate.pipelines.score.options import Condition

__all__ = ["below_conditions", "quantiles"]

_COMPARE = {">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less}
Thresholds = list[dict[str, float]]


def quantiles(scores: ScoredPlan, num_parts: int, conditions: Sequence[Condition]) -> Thresholds:
    """Return the threshold of each condition, by language; "" stands for all others.

    A quantile q is the smallest score of the language that at least a share q of its scores do not
    exceed. Pairs that are in no language are one of their own.
    """
    found: Thresholds = []
    for condition in conditions:
        if not condition.is_quantile:
            found.append({"": condition.value})
            continue
        langs: list[pa.Array] = []
        values: list[NDArray[np.float32]] = []
        for part in range(num_parts):
            table = scores.part(part, ["lang", condition.column])
            score = table.column(condition.column).combine_chunks()
            there = score.is_valid()
            values.append(score.filter(there).to_numpy(zero_copy_only=False))
            langs.append(_langs(table).filter(there))
        whole = pa.chunked_array(langs, pa.string()).combine_chunks().dictionary_encode()
        codes, numbers = whole.indices.to_numpy(), np.concatenate([*values, np.zeros(0)])
        found.append({
            lang: float(np.quantile(numbers[codes == code], condition.value, method="inverted_cdf"))
            for code, lang in enumerate(whole.dictionary.to_pylist())
        })  # fmt: skip
    return found


def _langs(table: pa.Table) -> pa.Array:
    return pc.fill_null(table.column("lang").cast(pa.string()), "").combine_chunks()


def below_conditions(
    scores: ScoredPlan, num_parts: int, conditions: Sequence[Condition], thresholds: Thresholds
) -> Iterator[tuple[pa.Array, list[str]]]:
    """Yield, part by part, the ids of pairs that miss a condition, and the name of the first one.

    A pair without the score misses it, under `no_<name>`.
    """
    columns = list(dict.fromkeys(condition.column for condition in conditions))
    for part in range(num_parts):
        table = scores.part(part, ["pair_id", "lang", *columns])
        langs = np.array(_langs(table).to_pylist(), dtype=object)
        reasons = np.full(table.num_rows, None, dtype=object)
        for condition, of_lang in zip(conditions, thresholds, strict=True):
            values = table.column(condition.column).to_numpy()
            limits = np.array([of_lang.get(lang, of_lang.get("", np.nan)) for lang in langs])
            is_there, is_open = np.isfinite(values), reasons == None  # noqa: E711  of each element
            meets = _COMPARE[condition.sign](values.astype(np.float32), limits.astype(np.float32))
            reasons[is_open & ~is_there] = f"no_{condition.column}"
            reasons[is_open & is_there & ~meets] = condition.column
        falls = np.array([reason is not None for reason in reasons], bool)
        ids = table.column("pair_id").combine_chunks().filter(pa.array(falls))
        yield ids, reasons[falls].tolist()
