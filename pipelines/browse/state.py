"""A place in, what is open of it out: pairs, entries, the index, and what is to be known of it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from curate.curation.matching.normalize import Normalization, check_normalization
from curate.errors import ArtifactError, CurateError, InputError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.sizes import several
from curate.metadata.languages import OTHER, english_name, metadata_languages, own_name
from curate.pipelines.browse.indexed.index import Balanced, WorkspaceIndex, open_index
from curate.pipelines.browse.indexed.stored_entries import StoredEntries
from curate.pipelines.browse.indexed.thresholds import WhatIf, what_if
from curate.pipelines.browse.pair_sets import PairSet, parquet_set
from curate.pipelines.browse.places import Place
from curate.pipelines.browse.shown import PairView
from curate.pipelines.browse.tar_samples import tar_set
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.filters_again import filters_again, recorded_filters
from curate.pipelines.matched.image_sources import ImageSources, image_sources
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.thresholds import complete_summary
from curate.pipelines.shards.downloaded import DownloadedImages
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import refuse_half
from curate.pipelines.store.workspace import CARD

__all__ = ["State", "look", "open_state"]

_WATCHED = {
    "matched": ("plan.json", "summary.json", "retracted.parquet", ".next/swap.json"),
    "balanced": ("plan.json", CARD, ".next/swap.json"),
}
_MOST_WATCHED = 64  # files that are no stage's output


@dataclass(kw_only=True)
class State:
    """What is browsed, as it was when it was opened.

    Attributes:
        name: of this state; another one after a change.
        place: what it is of.
        sets: of pairs, by name; the first is shown first.
        index: of the matches; None without them.
        entries: what finds entries without an index; None where there are none.
        balanced: set of the matches, if there is one and it is of these.
        seed: of its draws.
        t_of: t per language of it; {} without one.
        normalization: that pairs were matched with.
        pairs_of: pairs and kept pairs per language, None where they are not known.
        notes: what the user has to know of it.
    """

    name: str
    place: Place
    sets: dict[str, PairSet]
    index: WorkspaceIndex | None = None
    entries: StoredEntries | None = None
    balanced: Balanced | None = None
    seed: int = 0
    t_of: dict[str, int | None]
    normalization: Normalization = "standard"
    pairs_of: dict[str, dict[str, int | None]]
    notes: list[str]

    @cached_property
    def what_if(self) -> WhatIf:
        """What answers for all thresholds.

        Raises:
            InputError: there are no matches.
        """
        if self.index is None:
            raise InputError("what another t would keep is told by the matches, which are not here")
        return what_if(self.index.entries, self.index.steps)

    @cached_property
    def view(self) -> PairView:
        """What pairs are shown with."""
        names = self.index.entries if self.index else self.entries
        reason_of = self._reason_of if self._has_drops else None
        return PairView(self.index, names, self.t_of, self.seed, self.normalization, reason_of)

    @property
    def _has_drops(self) -> bool:
        found = self.pairs_of.values()
        return self.index is not None and self.index.num_pairs > sum(
            one["pairs"] or 0 for one in found
        )

    @cached_property
    def _drops(self) -> Drops:
        return Drops.read(self.place.matched or "")

    def _reason_of(self, pair_id: str) -> str | None:
        code = int(self._drops.found(artifacts.strings([pair_id]))[0])
        return None if code < 0 else self._drops.reasons[code]

    def about(self) -> dict[str, Any]:
        """Return what the page has to know, as JSON-able values."""
        known = {*metadata_languages(), OTHER}
        return {
            "state": self.name,
            "name": self.place.name,
            "kind": self.place.kind,
            "workspace": without_secrets(self.place.path),
            "sets": [
                {"name": one.name, "label": one.label, "pairs": one.num_pairs,
                 "columns": one.columns, "images": one.shows_images}
                for one in self.sets.values()
            ],
            "languages": [
                {"lang": lang, "name": english_name(lang) if lang in known else lang,
                 "own": own_name(lang) if lang in known else lang,
                 "t": self.t_of.get(lang), **found}
                for lang, found in self.pairs_of.items()
            ],
            "entries": self.index.entries.num_entries if self.index else None,
            "has_entries": self.index is not None or self.entries is not None,
            "has_index": self.index is not None,
            "has_fate": self.index is not None and self.index.has_fate,
            "has_drops": self._has_drops,
            "has_metadata": self.place.metadata is not None,
            "has_run": self.place.run is not None,
            "t": self.balanced.parameters["t"] if self.balanced else None,
            "seed": self.seed,
            "notes": self.notes,
        }  # fmt: skip


def open_state(
    place: Place,
    image_roots: Sequence[str],
    filters: Sequence[str],
    progressed: Callable[[str, float], None],
) -> State:
    """Open what there is at a place, and make its index if there is none.

    Args:
        place: to be browsed.
        image_roots: folders that images may be read from.
        filters: of the balanced set, as the user named them again.
        progressed: is told what is made and how much of it is done, 0 to 1.

    Raises:
        CurateError: it cannot be browsed.
    """
    if place.matched is not None:
        return _matched(place, place.matched, image_roots, filters, progressed)
    if place.balanced is not None:
        return _balanced_alone(place, place.balanced)
    name = artifacts.digest(str(look(place)))[:24]
    sets = {}
    if place.run is None:
        found = _of_files(place)
        sets = {found.name: found}
    return State(name=name, place=place, sets=sets, t_of={}, pairs_of={}, notes=[])


def _matched(
    place: Place,
    matched: str,
    image_roots: Sequence[str],
    named: Sequence[str],
    progressed: Callable[[str, float], None],
) -> State:
    refuse_half(matched)
    plan = MatchedPlan.read(matched)
    complete_summary(plan)
    notes: list[str] = []
    balanced = _balanced_of(plan, place.balanced, named, notes)
    index, name = open_index(plan, balanced, place.metadata, progressed)
    try:
        images: ImageSources | None = image_sources(plan, image_roots)
    except InputError as error:
        notes.append(f"Images are not shown: {error}")
        images = None
    pairs = parquet_set(
        "matched", "Matched pairs", [plan.pairs_path(part) for part in range(len(plan.parts))],
        ColumnNames(**plan.parameters["columns"]), images, is_ours=True,
    )  # fmt: skip
    if sum(g.rows for g in pairs.groups) != index.num_pairs:
        raise ArtifactError(f"{matched}: it was changed while it was opened. Try again.")
    pairs.downloaded = _downloaded(place.balanced)
    if left_out := index.num_pairs - int(complete_summary(plan)["matched"]):
        notes.append(f"Lists of what does not count leave {several(left_out, 'pair')} out: no "
                     "entry has them, and they are shown as dropped.")  # fmt: skip
    return State(
        name=name, place=place, sets={"matched": pairs, **_shards_of(place.balanced)}, index=index,
        balanced=balanced, seed=int(balanced.parameters["seed"]) if balanced else 0,
        t_of=balanced.t_of if balanced else {},
        normalization=check_normalization(plan.parameters["normalization"]),
        pairs_of=_pairs_of(plan, index), notes=notes,
    )  # fmt: skip


def _balanced_of(
    plan: MatchedPlan, folder: str | None, named: Sequence[str], notes: list[str]
) -> Balanced | None:
    """Return the balanced set of these matches; None, and a note, where it is of others."""
    path = storage.join(folder, "plan.json") if folder else ""
    if not folder or not storage.exists(path):
        return None
    if not storage.exists(storage.join(folder, CARD)):
        notes.append(f"{folder} is not whole: `curate balance` has not come to its end, so that no "
                     "pair is told to be kept.")  # fmt: skip
        return None
    parameters = artifacts.read_json(path)["parameters"]
    if parameters["matched"] != plan.digest():
        notes.append(f"{folder} was balanced from other matches than these: run `curate balance` "
                     "again to see what is kept.")  # fmt: skip
        return None
    filters: tuple[str, ...] = ()
    if recorded_filters(parameters, folder):
        try:
            filters = filters_again(parameters, named, folder)
        except CurateError as error:
            notes.append(f"Pairs are shown as drawn, without the filters of the set: {error}")
    return Balanced(folder=folder, parameters=dict(parameters), filters=filters)


def _shards_of(balanced: str | None) -> dict[str, PairSet]:
    folder = storage.join(balanced, "shards") if balanced else None
    paths = storage.list_files(folder, ".tar") if folder else []
    return {"shards": tar_set("shards", "Shards", paths)} if paths else {}


def _downloaded(balanced: str | None) -> DownloadedImages | None:
    """Return what `download` fetched for the pairs of a balanced set, if it did."""
    if balanced is None:
        return None
    found = DownloadedImages(storage.join(balanced, "shards"))
    return found if found.are_there else None


def _pairs_of(plan: MatchedPlan, index: WorkspaceIndex) -> dict[str, dict[str, int | None]]:
    languages = complete_summary(plan)["languages"]
    return {
        one["lang"]: {
            "pairs": int(languages.get(one["lang"], {}).get("matched", 0)),
            "kept": index.kept_of[at] if index.has_fate else None,
            "entries": one["size"],
        }
        for at, one in enumerate(index.entries.languages)
    }


def _balanced_alone(place: Place, folder: str) -> State:
    """Open a balanced set without the matches that it was made from."""
    refuse_half(folder)
    if not storage.exists(storage.join(folder, CARD)):
        raise ArtifactError(f"{folder}: balancing has not come to its end; there is no {CARD}")
    parameters = artifacts.read_json(storage.join(folder, "plan.json"))["parameters"]
    card: Mapping[str, Any] = artifacts.read_json(storage.join(folder, CARD))
    sets = _shards_of(folder)
    if paths := storage.list_files(storage.join(folder, "pairs"), ".parquet"):
        sets["balanced"] = parquet_set("balanced", "Kept pairs", paths, ColumnNames(), None,
                                       is_ours=True)  # fmt: skip
        sets["balanced"].downloaded = _downloaded(folder)
    names = storage.list_files(storage.join(folder, "probabilities"), ".parquet")
    langs = [path.rsplit("/", 1)[-1].removesuffix(".parquet") for path in names]
    pairs_of: dict[str, dict[str, int | None]] = {
        lang: {"pairs": one["matched"], "kept": one["kept"], "entries": one["entries"]}
        for lang, one in card["languages"].items() if lang in langs
    }  # fmt: skip
    return State(
        name=artifacts.digest(parameters)[:24], place=place, sets=sets,
        entries=StoredEntries(folder, langs), seed=int(parameters["seed"]),
        t_of=parameters["t_of_language"],
        normalization=check_normalization(card["normalization"]), pairs_of=pairs_of,
        balanced=Balanced(folder=folder, parameters=dict(parameters)),
        notes=["The matches that this set was made from are not here, so that only kept pairs are "
               "shown."],
    )  # fmt: skip


def _of_files(place: Place) -> PairSet:
    if place.kind == "tars":
        return tar_set("files", "Samples", place.files)
    images = ImageSources(tuple((path, "parquet") for path in place.files), (), True)
    return parquet_set("files", "Rows", place.files, ColumnNames(), images, is_ours=False)


def look(place: Place) -> tuple[Any, ...]:
    """Return what tells whether something was changed: size, time and number of what is watched."""
    paths = [
        storage.join(folder, name)
        for kind, names in _WATCHED.items()
        if (folder := getattr(place, kind)) is not None
        for name in names
    ]
    paths += place.files[:_MOST_WATCHED]
    if place.run is not None:
        paths += [storage.join(place.run, name) for name in ("log.jsonl", "modelcard.json")]
    return tuple(_seen(path) for path in paths)


def _seen(path: str) -> Any:
    if not storage.is_local(path):
        return storage.size_and_time(path) if storage.exists(path) else None
    try:
        found = os.stat(storage.local_path(path))
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
