"""`curate retract`: take pairs out of matches, counts and the balanced set, for good.

The way through: a list of pair ids and URLs → tombstones → parts without them → counts → the
balanced set anew, with the options it was made with. What is left is what a run from scratch would
give that knew the tombstones.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.curation.hashing.ids import short_hash
from curate.errors import InputError
from curate.files import storage
from curate.files.parquet.one_thread import open_unsealed
from curate.pipelines.balance import BalanceOptions, balance_pairs
from curate.pipelines.embedded.plan import PLAN as EMBEDDED_PLAN
from curate.pipelines.embedded.purge import current_parts, purge_embedded
from curate.pipelines.executor.lease import driving
from curate.pipelines.extract import purge_extracted
from curate.pipelines.match import finish_matched
from curate.pipelines.matched.filters_again import filters_again, refuse_unused
from curate.pipelines.matched.notes import same_folder
from curate.pipelines.matched.plan import REWRITTEN, MatchedPlan
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.retract.check import Wanted, places_of, require_gone
from curate.pipelines.retract.find import find_ids
from curate.pipelines.retract.shards import purge_shards
from curate.pipelines.retract.tables import purge_tables, tables_of
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.store.metadata_store import MetadataStore
from curate.pipelines.store.swap import forget_added, forget_next
from curate.pipelines.store.workspace import Workspace
from curate.pipelines.views.progress import log

__all__ = ["retract_pairs"]

_COLUMNS = ("pair_id", "uid", "url", "URL", "id")
_SHOWN = 5


def retract_pairs(
    listing: str,
    *,
    matched: str,
    metadata: str,
    balanced: Sequence[str],
    workspace: str | None = None,
    ignore_missing: bool = False,
    filters: Sequence[str] = (),
    image_roots: Sequence[str] = (),
    downloaded: str | None = None,
    check: bool = False,
    workers: int = 1,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Retract the pairs that a list names, or look whether they are gone.

    Args:
        listing: a text file with a pair id or a URL on each line, or a Parquet file with a column
            pair_id or url.
        matched: folder that `match` wrote.
        metadata: folder that it was matched with.
        balanced: folders that `balance` wrote from these matches; made anew where they are there.
        workspace: folder below which nothing may hold them afterwards; None for `matched` and
            `balanced` alone.
        ignore_missing: keep out also what is not there now.
        filters: those that the balanced sets were made with, named again where a plan alone is not
            to be trusted: functions, and filters that read a file.
        image_roots: folders that images may be read from, as for `balance`.
        downloaded: folder of the images of all matched pairs; None without one.
        check: change nothing; only look whether anything holds them.
        workers: threads.
        dry_run: only say what would go.
        quiet: no progress.

    Returns:
        asked, removed, already_retracted and missing, which add up; retracted (pairs that go now),
        matched and kept (left, in all of `balanced`), extracted (pairs that went there). With
        `check`: asked, and files that were looked at.

    Raises:
        InputError: the list is empty or unreadable, or names what is not there.
        ArtifactError: matching is not complete, or a balanced set was made with a filter that is
            not named, and nothing is taken out then; or something holds them still, as a set that
            cannot be made anew does: the message names it, and how many were removed.
        UsageError: a filter is not one of a set.
    """
    asked = _read_list(listing)
    wanted = Wanted(asked)
    places = places_of(matched, balanced, workspace)
    if check:
        if not any(storage.is_folder(place) for place in places):
            raise InputError(
                f"nothing to check: {' and '.join(places)} {'is' if len(places) == 1 else 'are'} "
                "not there. Name the workspace with -w, or the matches with --matched."
            )
        require_gone(places, wanted, {"asked": len(asked)}, listing)
        return {"asked": len(asked), "held": 0}
    # Before anything is taken out: a set that cannot be remade would hold it still.
    specs_of = _filters_of_sets(balanced, filters)
    if dry_run:
        _, _, _, result = _find(_whole_plan(matched), asked, listing, ignore_missing, quiet)
        return result
    # The plan is read by the only one who may change it: a `match` could add to it meanwhile.
    with driving(matched, "retract"):
        forget_next(matched)
        forget_added(matched)  # it may hold them too
        plan = _whole_plan(matched)
        known, new, ids, result = _find(plan, asked, listing, ignore_missing, quiet)
        _tell_of_stale(plan, specs_of, quiet)
        store = MetadataStore.open(metadata)
        current = set[int]()
        if workspace is not None:
            # Before the matches: afterwards nothing tells the pairs of an image.
            of_pairs = known | new | Tombstones(artifacts.strings(ids))
            for folder in tables_of(Workspace(workspace)):
                purge_tables(output=folder, tombstones=of_pairs, quiet=quiet)
            current = current_parts(Workspace(workspace).folder("embeddings"), plan)
        result["matched"] = _take_out(plan, known | new, store, workers, quiet)
        if workspace is not None:
            result["extracted"] = _purge_extracted(plan, workspace, known | new)
    for folder in balanced:
        _purge_downloads(storage.join(folder, "shards"), known | new, quiet)
    if workspace is not None:
        _purge_vectors(plan, Workspace(workspace), known | new, current, quiet)
    if downloaded is not None:
        purge_shards(output=downloaded, tombstones=known | new, quiet=quiet)
    kept = [
        _balance_again(matched, b, specs, tuple(image_roots), downloaded, workers, quiet)["total"][
            "kept"
        ]
        for b, specs in specs_of.items()
    ]
    if kept:
        result["kept"] = sum(kept)
    require_gone(places, wanted, result, listing)
    return result


def _purge_vectors(
    plan: MatchedPlan, place: Workspace, tombstones: Tombstones, current: set[int], quiet: bool
) -> None:
    folder = place.folder("embeddings")
    if storage.exists(storage.join(folder, EMBEDDED_PLAN)):
        purge_embedded(
            output=folder, tombstones=tombstones, matched=plan, current=current, quiet=quiet
        )


def _purge_extracted(plan: MatchedPlan, workspace: str, tombstones: Tombstones) -> int:
    """Take pairs out of what `extract` found; the plan takes its files for those it was made of."""
    num, files = purge_extracted(Workspace(workspace).pairs, tombstones)
    is_changed = False
    for one in plan.inputs:
        if not any(same_folder(one["path"], file) for file in files):
            continue
        now = storage.size_and_time(one["path"])
        if now != (one["size_bytes"], one["modified"]):
            one["size_bytes"], one["modified"] = now
            one[REWRITTEN] = storage.file_sha256(one["path"])
            is_changed = True
    if is_changed:
        plan.write()
    return num


def _filters_of_sets(balanced: Sequence[str], filters: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the balanced sets that are there, each with its filters as `--filter` takes them."""
    found = {}
    for folder in balanced:
        path = storage.join(folder, PLAN)
        if storage.exists(path):
            found[folder] = filters_again(artifacts.read_json(path)["parameters"], filters, folder)
    refuse_unused(filters, [spec for specs in found.values() for spec in specs])
    return found


def _tell_of_stale(plan: MatchedPlan, balanced: Iterable[str], quiet: bool) -> None:
    """Say of which sets more than the retracted pairs will be others."""
    for folder in balanced:
        made_of = artifacts.read_json(storage.join(folder, PLAN))["parameters"].get("matched")
        if made_of != plan.digest():
            log(
                f"{folder} was balanced before pairs of {plan.folder} were added, dropped or "
                "counted again: it is made anew of those that count now",
                quiet=quiet,
            )


def _whole_plan(matched: str) -> MatchedPlan:
    """Read the plan of matches that are whole, or that a retraction was cut short at.

    Raises:
        ArtifactError: there is none, or matching has not come to its end.
    """
    plan = MatchedPlan.read(matched)
    plan.require_all_parts()
    return plan


def _take_out(
    plan: MatchedPlan, tombstones: Tombstones, store: MetadataStore, workers: int, quiet: bool
) -> int:
    """Take pairs out of the matches and the counts; return how many are left."""
    tombstones.write(plan.folder)
    plan.retracted = tombstones.digest()
    plan.write()
    lang = plan.parameters["lang"]
    summary = finish_matched(
        plan, store.only(lang) if lang else store, max_bad=1.0, workers=workers, quiet=quiet
    )
    return int(summary["matched"])


def _read_list(path: str) -> list[str]:
    """Return the ids and URLs of a list, each once."""
    if path.endswith(".parquet"):
        with open_unsealed(path) as file:
            name = next((c for c in _COLUMNS if c in file.schema_arrow.names), None)
            if name is None:
                raise InputError(
                    f"{path}: expected a column {' or '.join(_COLUMNS)}; it has "
                    f"{', '.join(file.schema_arrow.names)}"
                )
            column = file.read([name]).column(name)
            try:
                values = pc.cast(column, pa.string()).drop_null().to_pylist()
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise InputError(
                    f"{path}: column {name} is {column.type}; expected texts: {error}"
                ) from error
    else:
        if not storage.exists(path):
            raise InputError(
                f"{path}: there is no such file; expected a list of pair ids or URLs, one a line, "
                "or Parquet"
            )
        with storage.open_read(path, decompress=True) as lines:
            values = lines.read().decode("utf-8-sig", "replace").splitlines()
    found = list(dict.fromkeys(value.strip() for value in values if value.strip()))
    if not found:
        raise InputError(f"{path}: there is nothing in it; expected pair ids or URLs, one a line")
    return found


def _find(
    plan: MatchedPlan, asked: list[str], listing: str, ignore_missing: bool, quiet: bool
) -> tuple[Tombstones, Tombstones, set[str], dict[str, Any]]:
    """Return the tombstones that are there, those to add, the ids of all their pairs, and numbers.

    Each is looked for as a URL and as an id: either may look like the other.

    Raises:
        InputError: the list names what is not there.
    """
    known = Tombstones.read(plan.folder)
    image_of = {one: short_hash(one) for one in asked}
    wanted = Tombstones() | Tombstones(
        artifacts.strings(asked), artifacts.strings(image_of.values())
    )
    there = find_ids(plan, wanted, quiet=quiet)
    pairs, images, num_pairs = there.pairs, there.images, there.num_pairs
    old_pairs, old_images = known.known_ids(), set(known.image_ids.to_pylist())
    missing = [
        one
        for one in asked
        if one not in pairs | there.names | old_pairs
        and image_of.get(one) not in images | old_images
    ]
    if missing and not ignore_missing:
        raise InputError(
            f"{listing}: {len(missing)} of {len(asked)} are not in {plan.folder}: "
            f"{', '.join(missing[:_SHOWN])}{', …' if len(missing) > _SHOWN else ''}. "
            "Correct the list, or keep them out of later files too with --ignore-missing."
        )
    # What is not there may come as either; but nobody's id is a whole address.
    pairs |= {one for one in missing if "://" not in one}
    images |= {image_of[one] for one in missing}
    adds = [one for one in asked if one in (pairs | there.names) - old_pairs
            or one in there.names and not there.keys <= known.keys
            or image_of.get(one) in images - old_images]  # fmt: skip
    new = Tombstones() | Tombstones(
        artifacts.strings(pairs - set(known.pair_ids.to_pylist())),
        artifacts.strings(images - old_images),
        frozenset(there.keys),
        frozenset(there.names),
    )
    return known, new, there.ids, {
        "asked": len(asked),
        "removed": len(set(adds) - set(missing)),
        "already_retracted": len(set(asked) - set(adds) - set(missing)),
        "missing": len(missing),
        "retracted": num_pairs,
    }  # fmt: skip


def _purge_downloads(shards: str, tombstones: Tombstones, quiet: bool) -> None:
    """Take pairs out of downloaded images; the others stay, however long they took to come."""
    if not storage.exists(storage.join(shards, PLAN)):
        return
    num = purge_shards(output=shards, tombstones=tombstones, quiet=quiet)
    log(
        f"{shards}: {num} pairs are taken out of the downloaded images, which are those of the set "
        "before. What the new set keeps in addition, `curate download -o` fetches elsewhere.",
        quiet=quiet,
    )


def _balance_again(
    matched: str,
    balanced: str,
    filters: tuple[str, ...],
    image_roots: tuple[str, ...],
    downloaded: str | None,
    workers: int,
    quiet: bool,
) -> dict[str, Any]:
    """Make a balanced set anew with the options it was made with."""
    made_with = artifacts.read_json(storage.join(balanced, PLAN))["parameters"]
    size = made_with["pairs_per_shard"]
    options = BalanceOptions(
        t=None if made_with["target_pairs"] else made_with["t"],
        target_pairs=made_with["target_pairs"],
        exact=bool(made_with.get("exact")),
        reference_lang=made_with["reference_lang"],
        seed=made_with["seed"],
        output_format=made_with["format"],
        filters=filters,
        image_roots=image_roots,
        **(
            {"pairs_per_shard": size, "shards": ShardOptions.from_dict(made_with["shards"])}
            if size
            else {}
        ),
    )
    return balance_pairs(
        matched=matched, output=balanced, options=options, workers=workers, overwrite=True,
        downloaded=downloaded if "downloaded" in made_with else None, keep_downloads=True,
        quiet=quiet,
    )  # fmt: skip
