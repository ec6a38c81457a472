"""`curate explain`: why a text matches what it matches, and how likely it is kept."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.lid import FastTextIdentifier, default_lid_model
from curation.matching import AhoCorasickMatcher
from curation.normalize import Normalization, normalize_text
from curation.sampling import pair_probability, sampling_probability
from metadata.errors import UsageError
from pipelines import artifacts, storage
from pipelines.matched_plan import MatchedPlan
from pipelines.metadata_store import MetadataStore

__all__ = ["explain_text"]


def explain_text(
    text: str,
    *,
    metadata: str,
    matched: str,
    balanced: str,
    lang: str | None = None,
    lid_model: str | None = None,
    t: int | None = None,
) -> dict[str, Any]:
    """Explain one text: language, entries, counts, probabilities, decision, in both normalizations.

    Args:
        text: an alt-text.
        metadata: folder that `build-metadata` wrote.
        matched: folder that `match` wrote; counts are left out if it is not there.
        balanced: folder that `balance` wrote; its t is used unless `t` is given.
        lang: take the text as this language instead of identifying it.
        lid_model: fastText model; None for lid.176.ftz.
        t: threshold in pairs per entry.

    Returns:
        JSON-able: text, lang, lang_score, t, normalization of the stored matches, and per
        normalization the normalized text, the matches (entry, entry_id, source, spans in the
        normalized text, count, probability), the pair's probability and the decision.

    Raises:
        UsageError: t < 1, or a language without metadata was asked for.
    """
    if t is not None and t < 1:
        raise UsageError(f"--t is {t}; expected at least 1")
    store = MetadataStore.open(metadata)
    score: float | None = None
    if lang is None:
        found = FastTextIdentifier(lid_model or default_lid_model()).identify(pa.array([text]))
        lang, score = found.lang[0].as_py(), round(float(found.score[0]), 6)
    else:
        store.only(lang)
    explained: dict[str, Any] = {"text": text, "lang": lang, "lang_score": score}
    if lang not in store.hashes:
        return {**explained, "decision": f"dropped: there is no metadata for {lang}"}
    table = store.table(lang)
    counts = _counts(matched, lang, store.hashes[lang])
    t = t if t is not None else _balanced_t(balanced, lang)
    both: tuple[Normalization, ...] = ("standard", "metaclip")
    explained["t"] = t
    explained["normalizations"] = {n: _explain(text, table, counts, t, n) for n in both}
    return explained


def _counts(matched: str, lang: str, metadata_hash: str) -> np.ndarray[Any, Any] | None:
    """Return the entry counts of a language, or None where nothing is matched yet."""
    if not storage.exists(storage.join(matched, "plan.json")):
        return None
    plan = MatchedPlan.read(matched)
    artifacts.require_same(
        matched, {"metadata": plan.parameters["metadata"].get(lang)}, {"metadata": metadata_hash}
    )
    if plan.summary() is None:
        return None
    column = artifacts.read_table(plan.counts_path(lang), ["count"]).column("count")
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _balanced_t(balanced: str, lang: str) -> int | None:
    path = storage.join(balanced, "plan.json")
    if not storage.exists(path):
        return None
    t: int | None = storage.read_json(path)["parameters"]["t_of_language"].get(lang)
    return t


def _explain(
    text: str,
    table: pa.Table,
    counts: np.ndarray[Any, Any] | None,
    t: int | None,
    normalization: Normalization,
) -> dict[str, Any]:
    matcher = AhoCorasickMatcher(table.column("entry").to_pylist(), normalization)
    spans: dict[int, list[list[int]]] = {}
    for span in matcher.spans(text):
        spans.setdefault(span.entry_id, []).append([span.start, span.stop])
    ids = sorted(spans)
    rows = table.take(pa.array(ids, pa.int64()))
    matches: list[dict[str, Any]] = [
        {"entry_id": i, "entry": entry, "source": source, "spans": spans[i]}
        for i, entry, source in zip(
            ids, rows.column("entry").to_pylist(), _strings(rows.column("source")), strict=True
        )
    ]
    probability = None
    if counts is not None:
        for match in matches:
            match["count"] = int(counts[match["entry_id"]])
    if counts is not None and t is not None:
        of_entry = sampling_probability(counts[ids], t)
        for match, p in zip(matches, of_entry.tolist(), strict=True):
            match["probability"] = p
        own = pa.array([list(range(len(ids)))], pa.list_(pa.uint32()))
        probability = float(pair_probability(own, of_entry)[0])
    return {
        "normalized": normalize_text(text, normalization),
        "matches": matches,
        "probability": probability,
        "decision": _decision(bool(ids), probability),
    }


def _strings(column: pa.ChunkedArray) -> list[str]:
    strings: list[str] = pc.cast(column, pa.string()).to_pylist()
    return strings


def _decision(matches: bool, probability: float | None) -> str:
    if not matches:
        return "dropped: no entry matches"
    if probability is None:
        return "matched; run `curate match` and give --t for the probability"
    return f"kept with probability {probability:.4g}"
