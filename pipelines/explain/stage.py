"""`curate explain`: why a text matches what it matches, and whether its pair is kept.

The way through: a text, or a stored pair's id → language → entries by the index, in both
normalizations → counts of those entries alone → probability → the pair's draw → decision. Nothing
is read whole: of entries and counts only the row groups that hold the ones that matched.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.curation.hashing.ids import short_hash
from curate.curation.lid.identify import default_lid_model
from curate.curation.matching.normalize import Normalization, normalize_text
from curate.curation.matching.reference import AhoCorasickMatcher
from curate.curation.sampling.sampling import (
    check_threshold,
    hash_draws,
    pair_probability,
    sampling_probability,
)
from curate.errors import ArtifactError, UsageError
from curate.files.remedies import suggest
from curate.pipelines.explain.language import FoundLanguage, identified
from curate.pipelines.explain.stages import Stages
from curate.pipelines.lid.options import LidOptions
from curate.pipelines.matched.exact import ExactCut
from curate.pipelines.matched.find_pair import StoredPair
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore
from curate.training.captions.mix import ALT

__all__ = ["explain_text"]

_BOTH: tuple[Normalization, ...] = ("standard", "metaclip")
_OF_CAPTION = (
    "the stored entries are those of this pair's caption of {source}: it was matched with "
    "--captions. What is said here is of its alt-text."
)


def explain_text(
    text: str | None = None,
    *,
    pair_id: str | None = None,
    url: str | None = None,
    metadata: str,
    matched: str,
    balanced: str,
    lang: str | None = None,
    lid_model: str | None = None,
    lid: str | None = None,
    second_opinion: str | None = None,
    t: int | None = None,
) -> dict[str, Any]:
    """Explain a text or a stored pair: language, entries, counts, probabilities, decision.

    Args:
        text: an alt-text; None if a pair is named.
        pair_id: of a pair in `matched`, or in `balanced` where `matched` is not there.
        url: of the text's image, which makes its pair id known, and with it the draw.
        metadata: folder that `build-metadata` wrote.
        matched: folder that `match` wrote; counts are left out if it is not there.
        balanced: folder that `balance` wrote; its seed, and its t unless `t` is given.
        lang: take the text as this language instead of identifying it.
        lid_model: fastText model; None for lid.176.ftz.
        lid: ``steps`` or ``published``; None for what the matches were made with.
        second_opinion: as in `LidOptions`; None for what the matches were made with.
        t: threshold in pairs per entry.

    Returns:
        JSON-able: text, lang, lang_score, lang_steps (how the language was found, in words),
        pair_id, url, stored (path, row, entry_ids), t, seed, draw, normalization (of the stored
        matches), and per normalization the normalized text, the matches (entry, entry_id, source,
        spans in the normalized text, count, probability), the pair's probability, a status and the
        decision in words; status and decision of the stored normalization; notes.

    Raises:
        UsageError: t < 1, neither or both of text and pair_id, or an unknown language.
        InputError: there is no such pair.
    """
    _check(text, pair_id, url, t)
    store, stages = MetadataStore.open(metadata), Stages.open(matched, balanced)
    pair = stages.find(pair_id) if pair_id is not None else None
    explained: dict[str, Any] = {"text": pair.text if pair else text}
    if text is not None and url is not None:
        pair_id = short_hash(f"{url}\t{text}")
    explained |= {"pair_id": pair_id, "url": pair.url if pair else url}
    if pair is None and text is None:
        return {**explained, **_outcome("retracted", None, None)}
    if pair:
        explained["stored"] = {"path": pair.path, "row": pair.row, "entry_ids": pair.entry_ids}
    if not pc.utf8_trim_whitespace(str(explained["text"])).as_py():
        return {**explained, **_outcome("empty_text", None, None)}
    model = lid_model or default_lid_model()
    lid_options = stages.lid_options(lid, second_opinion)
    found = _language(str(explained["text"]), pair, lang, model, lid_options, url, store)
    lang, score, is_identified = found.lang, found.score, found.is_identified
    notes = stages.lid_notes(lid_options) if is_identified else []
    explained |= {"lang": lang, "lang_score": score, "lang_steps": found.steps}
    if lang is None:
        return {**explained, **_outcome("no_language", None, None), "notes": notes}
    if lang not in store.hashes:
        outcome = _outcome("no_metadata", None, None)
        ways = "; ".join(store.ways_to_build(lang))
        decision = f"{outcome['decision']} for {lang}. {ways[:1].upper()}{ways[1:]}"
        return {**explained, **outcome, "decision": decision, "notes": notes}
    explained |= _explain_all(str(explained["text"]), pair_id, url, lang, t, store, stages)
    if pair is not None and pair.text_source != ALT:
        notes.append(_OF_CAPTION.format(source=pair.text_source))
    explained["notes"] = notes + stages.notes(model if is_identified else None)
    return explained


def _check(text: str | None, pair_id: str | None, url: str | None, t: int | None) -> None:
    if (text is None) == (pair_id is None):
        raise UsageError('give either a text, curate explain "a red dog", or --pair-id')
    if url is not None and text is None:
        raise UsageError("--url goes with a text; a stored pair has its own")
    for value in (text, pair_id, url):
        try:
            (value or "").encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{value!r} is not valid UTF-8: {error.reason}") from error
    if t is not None and t < 1:
        raise UsageError(f"--t is {t}; expected at least 1")
    if t is not None:
        check_threshold(t)


def _language(
    text: str,
    pair: StoredPair | None,
    lang: str | None,
    model: str,
    options: LidOptions,
    url: str | None,
    store: MetadataStore,
) -> FoundLanguage:
    """Return the language: as told, as stored, or identified here."""
    if lang is not None:
        store.only(lang)
        return FoundLanguage(lang, None, False, [])
    if pair is not None:
        score = None if pair.lang_score is None else round(pair.lang_score, 6)
        return FoundLanguage(pair.lang, score, False, [])
    return identified(text, url, model, options, store.hashes)


def _explain_all(
    text: str,
    pair_id: str | None,
    url: str | None,
    lang: str,
    t: int | None,
    store: MetadataStore,
    stages: Stages,
) -> dict[str, Any]:
    """Return t, seed, draw, and what both normalizations make of a text."""
    counts = stages.counts_path(lang, store.hashes[lang])
    exact = stages.exact() if t is None else None
    t = t if t is not None else stages.t_of(lang)
    seed = int((stages.parameters or {}).get("seed", 0))
    draw = None if pair_id is None else float(hash_draws(pa.array([pair_id]), seed)[0])
    is_retracted = pair_id in stages.tombstones.known_ids() or (
        url is not None and short_hash(url) in stages.tombstones.image_ids.to_pylist()
    )
    dropped_as = stages.dropped_as(pair_id)
    found = {}
    for name in _BOTH:
        values = _explain(text, lang, store, name, counts, t)
        status = _status(values, draw, is_retracted)
        if dropped_as is not None and status not in ("no_match", "retracted"):
            why = f"dropped: {dropped_as}, so that it does not count"
            found[name] = {**values, "probability": None, "status": "dropped", "decision": why}
            continue
        if status == "kept" and exact and not _is_exactly_kept(values, draw, exact, lang):
            status = "beyond_exact"
        found[name] = {
            **values,
            **_outcome(status, values["probability"], draw, exact, is_counted=counts is not None),
        }
    chosen = stages.normalization()
    lower: list[str] = []
    if not found[chosen]["matches"] and text != text.lower():
        in_lower = _explain(text.lower(), lang, store, chosen, None, None)["matches"]
        lower = [match["entry"] for match in in_lower]
    return {
        "t": t,
        "seed": seed,
        "draw": draw,
        "normalization": chosen,
        "normalizations": found,
        **({"in_lower_case": lower} if lower else {}),
        "status": found[chosen]["status"],
        "decision": found[chosen]["decision"],
    }


def _explain(
    text: str,
    lang: str,
    store: MetadataStore,
    normalization: Normalization,
    counts: str | None,
    t: int | None,
) -> dict[str, Any]:
    found = store.matcher(lang, normalization, "index").match(pa.array([text]))[0].as_py()
    ids = np.array(found, dtype=np.int64)
    store.num_entries(lang)  # the file is the one that the manifest names
    rows = _rows(store.path(lang), ids, ["entry", "source"])
    spans: dict[int, list[list[int]]] = {}
    for span in AhoCorasickMatcher([row["entry"] for row in rows], normalization).spans(text):
        spans.setdefault(int(ids[span.entry_id]), []).append([span.start, span.stop])
    matches = [
        {"entry_id": i, **row, "spans": spans[i]} for i, row in zip(ids.tolist(), rows, strict=True)
    ]
    probability = None
    if counts is not None:
        counted = [int(row["count"]) for row in _rows(counts, ids, ["count"])]
        matches = [{**m, "count": c} for m, c in zip(matches, counted, strict=True)]
        if t is not None:
            of_entry = sampling_probability(np.array(counted, dtype=np.int64), t)
            matches = [
                {**m, "probability": p} for m, p in zip(matches, of_entry.tolist(), strict=True)
            ]
            own = pa.array([list(range(len(ids)))], pa.list_(pa.uint32()))
            probability = float(pair_probability(own, of_entry)[0])
    normalized = normalize_text(text, normalization)
    return {"normalized": normalized, "matches": matches, "probability": probability}


def _rows(path: str, ids: np.ndarray[Any, Any], columns: list[str]) -> list[dict[str, Any]]:
    """Return rows of one of our files by number, ascending, from the row groups that hold them."""
    found: list[dict[str, Any]] = []
    first = 0
    with artifacts.open_parquet(path) as file:
        for group in range(file.num_row_groups):
            stop = first + file.metadata.row_group(group).num_rows
            inside = ids[(ids >= first) & (ids < stop)] - first
            if len(inside):
                table = file.read_row_group(group, columns=columns)
                found += table.take(pa.array(inside)).to_pylist()
            first = stop
    if len(found) != len(ids):
        raise ArtifactError(
            f"{path}: it has {first} rows, but entry {int(ids.max())} matches. Its files were made "
            f"at different times: run `{suggest('build-metadata', '--reindex')}`, then match again."
        )
    return found


def _status(values: dict[str, Any], draw: float | None, is_retracted: bool) -> str:
    """Return the reason a record is dropped for, kept, not_sampled, or matched if undecided."""
    if not values["matches"]:
        return "no_match"
    if is_retracted:
        return "retracted"
    if values["probability"] is None or draw is None:
        return "matched"
    return "kept" if draw < values["probability"] else "not_sampled"


def _is_exactly_kept(
    values: dict[str, Any], draw: float | None, exact: ExactCut, lang: str
) -> bool:
    """Tell whether a pair that t keeps is among the first as many as were asked for."""
    t, below = exact.below.get(lang), np.zeros(1)
    if t is not None:
        counted = np.array([m["count"] for m in values["matches"]], dtype=np.int64)
        own = pa.array([list(range(len(counted)))], pa.list_(pa.uint32()))
        below = pair_probability(own, sampling_probability(counted, t))
    keeps = exact.keeps(np.array([draw]), np.array([values["probability"]]), below)
    return bool(keeps[0])


def _outcome(
    status: str,
    probability: float | None,
    draw: float | None,
    exact: ExactCut | None = None,
    *,
    is_counted: bool = False,
) -> dict[str, str]:
    """Return a status and what it means."""
    pairs = f"{exact.pairs:,}" if exact else ""
    p = "" if probability is None else f"{probability:.4g}"
    words = {
        "empty_text": "dropped: the text is empty",
        "no_language": "dropped: it is a text in no language that is known; --no-language of "
        "`match` says what becomes of such texts",
        "no_metadata": "dropped: there is no metadata",
        "no_match": "dropped: no entry matches",
        "retracted": "retracted: it was taken out by `curate retract` and stays out",
        "kept": f"kept: its draw {draw} is below its probability {p}",
        "not_sampled": f"not sampled: its draw {draw} is not below its probability {p}",
        "beyond_exact": f"not sampled: its draw {draw} is below its probability {p}, but exactly "
        f"{pairs} pairs are kept, and others come first: those that a smaller t keeps, and then "
        "those whose draws are a smaller share of their probability",
        "matched": f"kept with probability {p}"
        if p
        else "matched; give --t, or balance, for the probability"
        if is_counted
        else f"matched; run `{suggest('match')}` and give --t for the probability",
    }
    shown = "not_sampled" if status == "beyond_exact" else status
    return {"status": shown, "decision": words[status]}
