"""Rows of stored pairs in, what the page shows of them out: marked texts, entries, decisions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from curate.curation.matching.normalize import Normalization
from curate.curation.sampling.sampling import hash_draws, pair_probability, sampling_probability
from curate.pipelines.browse.filters import as_text
from curate.pipelines.browse.indexed.entries import EntryRow
from curate.pipelines.browse.indexed.index import WorkspaceIndex
from curate.pipelines.browse.marks import marks_of
from curate.pipelines.browse.pair_sets import PairSet, Roles
from curate.pipelines.browse.pairs import Place, read_rows
from curate.pipelines.shards.samples import sample_fields

__all__ = ["EntryNames", "PairView", "shown_pairs"]

_FATES = ("kept", "not_sampled", "filtered", "dropped")
_SHORT, _LONG = 400, 20_000  # characters of a text in a list, and of one pair
_ENTRIES = 60  # of a pair, the rarest
_VALUE = 2000  # characters of a value of a column
_JSON, _FIELDS = 1 << 16, 60  # bytes of a sample's JSON that are looked at, and fields of it


class EntryNames(Protocol):
    """Gives entries by their ids."""

    def entries(self, lang: str, entry_ids: list[int]) -> list[EntryRow]:
        """Return entries of a language by their ids."""


class PairView:
    """What pairs are shown with.

    Args:
        index: of the matches; None without one.
        names: of entries; None where there are none.
        t_of: t per language; {} where nothing is balanced.
        seed: of the draws.
        normalization: that the pairs were matched with.
    """

    def __init__(
        self,
        index: WorkspaceIndex | None,
        names: EntryNames | None,
        t_of: Mapping[str, int | None],
        seed: int,
        normalization: Normalization,
    ) -> None:
        self.index, self.names, self.t_of, self.seed = index, names, t_of, seed
        self.normalization = normalization

    def without_index(self) -> "PairView":
        """Return what pairs are shown with that the index does not number, as in shards."""
        return PairView(None, self.names, self.t_of, self.seed, self.normalization)


def shown_pairs(
    pairs: PairSet, places: list[Place], view: PairView, *, is_whole: bool = False
) -> list[dict[str, Any]]:
    """Return pairs as JSON-able values.

    Args:
        pairs: that they are of.
        places: of them.
        view: what they are shown with.
        is_whole: all that is known of them; else what a list shows.

    Returns:
        Of each: at, id, text, marks (start, stop and position in ``entries``, in characters), url,
        lang, score, image, own (values of the input's own columns), entries (id, entry, count),
        and where it is known fate, t (the smallest that keeps it), draw and probability.
    """
    shown = []
    for place, row in read_rows(pairs, places, _columns(pairs, places)):
        roles = pairs.roles(list(row))
        shown.append(_shown(pairs, place, row, roles, view, is_whole=is_whole))
    return shown


def _columns(pairs: PairSet, places: Sequence[Place]) -> list[str] | None:
    """Return what is read of pairs: no images, and nothing that is not shown."""
    names: dict[str, None] = {}
    for number in {place.group for place in places}:
        there = pairs.names_in(number)
        if there is None:
            return None
        roles = pairs.roles(there)
        ours = (roles.text, roles.url, roles.uid, "lang", "lang_score", "entry_ids", "probability",
                "image_size", "json")  # fmt: skip
        names |= dict.fromkeys(n for n in (*ours, *pairs.columns) if n in there)
    return list(names)


def _shown(
    pairs: PairSet,
    place: Place,
    row: Mapping[str, Any],
    roles: Roles,
    view: PairView,
    *,
    is_whole: bool,
) -> dict[str, Any]:
    text = as_text(row.get(roles.text or ""))
    lang = as_text(row.get("lang"))
    pair_id = row.get(roles.uid or "")
    found: dict[str, Any] = {
        "at": str(place), "id": None if pair_id is None else str(pair_id),
        "text": _cut(text, _LONG if is_whole else _SHORT), "url": as_text(row.get(roles.url or "")),
        "lang": lang, "score": _plain(row.get("lang_score")),
        "image": _has_image(pairs, row, pair_id),
        "own": {n: _plain(v) for n, v in _own(pairs, row, roles).items()},
    }  # fmt: skip
    ids = row.get("entry_ids") or []
    if ids and lang and view.names is not None:
        found |= _with_entries(found["text"] or "", lang, [int(i) for i in ids], view)
    if view.index is not None:
        found |= _fate(pairs, place, lang, view.index)
    if pair_id is not None and view.index is not None:
        draw = float(hash_draws(pa.array([str(pair_id)]), view.seed)[0])
        found |= {"draw": draw, "probability": _probability(found.get("entries", ()), ids, lang,
                                                            view)}  # fmt: skip
        if found.get("fate") == "dropped":
            found["probability"] = None
    elif row.get("probability") is not None:
        found["probability"] = _plain(row["probability"])
    return found


def _has_image(pairs: PairSet, row: Mapping[str, Any], pair_id: Any) -> bool:
    if pairs.has_images and pairs.images is not None:
        if "image_size" not in row or bool(row["image_size"]):
            return True
    found = pairs.downloaded
    return found is not None and pair_id is not None and found.place(str(pair_id)) is not None


def _own(pairs: PairSet, row: Mapping[str, Any], roles: Roles) -> dict[str, Any]:
    """Return the values of the input's own columns, and the fields of a tar's JSON."""
    found = {name: row[name] for name in pairs.columns if row.get(name) is not None}
    if isinstance(raw := row.get("json"), bytes) and len(raw) <= _JSON:
        for name, value in sample_fields(raw).items():
            if name not in (roles.url, roles.text, roles.uid) and len(found) < _FIELDS:
                found.setdefault(as_text(name) or "", value)
    return found


def _with_entries(text: str, lang: str, ids: list[int], view: PairView) -> dict[str, Any]:
    assert view.names is not None
    entries = sorted(view.names.entries(lang, ids), key=lambda one: (one.count, one.entry_id))
    marks = marks_of(text, [one.entry for one in entries], view.normalization)
    return {
        "entries": [{"id": one.entry_id, "entry": one.entry, "count": one.count}
                    for one in entries[:_ENTRIES]],
        "num_entries": len(entries),
        "marks": marks,
    }  # fmt: skip


def _fate(pairs: PairSet, place: Place, lang: Any, index: WorkspaceIndex) -> dict[str, Any]:
    number = pairs.groups[place.group].first + place.row
    fate = _FATES[index.pair_fate.at(number)]
    t = None if fate == "dropped" else index.pair_t.at(number)
    found: dict[str, Any] = {"number": number, "t": t, "lang": lang}
    if index.has_fate or fate == "dropped":
        found["fate"] = fate
    return found


def _probability(
    entries: Iterable[Mapping[str, Any]], ids: Sequence[int], lang: Any, view: PairView
) -> float | None:
    """Return a pair's probability at its language's t, by the operations of sampling."""
    t = view.t_of.get(str(lang))
    if t is None or not ids:
        return None
    count_of = {one["id"]: one["count"] for one in entries}
    if any(i not in count_of for i in ids):
        return None
    of_entry = sampling_probability(np.array([count_of[i] for i in ids], np.int64), t)
    own = pa.array([list(range(len(ids)))], pa.list_(pa.uint32()))
    return float(pair_probability(own, of_entry)[0])


def _cut(text: str | None, most: int) -> str | None:
    return text if text is None or len(text) <= most else f"{text[:most]}…"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: a number, or a text that is not too long."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else str(value)
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return _cut(as_text(value), _VALUE)
