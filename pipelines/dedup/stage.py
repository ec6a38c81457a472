"""`curate dedup`: `embeddings/` → `deduped/`, the pairs that fall, out of the counts.

The way through: rows → things (an image with its pairs) → links of things of the same bytes → of
those that are left, links of near hashes → of those, links of near vectors → what stays at the end
of each link → the table → a list of drops in `matched/`, whose counts are made anew. What each
step found stays in `.working` until all is done, so that a run that was killed goes on there.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.vectors.links import follow_links
from curate.errors import UsageError
from curate.files import storage
from curate.files.remedies import suggest
from curate.files.sizes import several
from curate.pipelines.dedup.best import best_of
from curate.pipelines.dedup.hashes import exact_links, hash_distances, perceptual_links
from curate.pipelines.dedup.options import METHODS, DedupOptions
from curate.pipelines.dedup.semantic import semantic_links
from curate.pipelines.dedup.things import Things, read_things
from curate.pipelines.dedup.write import REASONS, Fallen, write_fallen
from curate.pipelines.embedded.plan import EmbeddedPlan, require_matched
from curate.pipelines.executor.lease import driven
from curate.pipelines.match import enter_drops, remove_drops
from curate.pipelines.matched.drops import Drops
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import part_name, refuse_foreign
from curate.pipelines.views.progress import log

__all__ = ["LIST", "dedup_pairs", "undo_dedup"]

PLAN, SUMMARY, LIST = artifacts.PLAN, "summary.json", "duplicates"
_WORKING = ".working"
_ENTRIES = ("pairs", SUMMARY, PLAN)


@driven("dedup")
def dedup_pairs(
    *,
    embeddings: str,
    output: str,
    options: DedupOptions,
    matched: str | None = None,
    metadata: str | None = None,
    scores: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Find images that are there more than once, and have all but the best of each not count.

    Args:
        embeddings: folder that `embed` wrote.
        output: the folder `deduped/`.
        options: what decides the result.
        matched: folder of the matches that they are not to count in; None for a table alone.
        metadata: folder that it was matched with; None for the one that is noted.
        scores: folder that `score` wrote, where the best are kept by one of its columns.
        workers: threads; or jobs, where a cluster does the work.
        overwrite: begin anew, replacing what the folder holds.
        dry_run: say what would be compared; nothing is written.
        quiet: no progress.

    Returns:
        read = kept + Σ fallen by reason, in pairs; images_fallen, by reason; not_compared: images
        without a hash or vector; matched: pairs that count now, None without `matched`.

    Raises:
        ArtifactError: the vectors are not whole, or of other pairs than the matches have.
        UsageError: the vectors do not allow a method.
        MissingExtraError: faiss is not installed.
    """
    plan = EmbeddedPlan.read(embeddings)
    plan.whole_summary()
    methods = _methods(plan, options)
    if matched is not None:
        require_matched(plan, matched)
    best = best_of(plan, options.keep_best, scores)
    parameters = {
        "embedded": plan.digest(), **options.as_dict(), "methods": list(methods),
        "scores": None if best is None else best.made_from,
    }  # fmt: skip
    if dry_run:
        summary = plan.whole_summary()
        return {"pairs": summary["pairs"], "parts": summary["parts"], "methods": list(methods)}
    refuse_foreign(output, PLAN)
    with folder_to_fill(
        output, overwrite=overwrite, marker=PLAN, sign=SUMMARY, gone=_ENTRIES
    ) as folder:
        artifacts.begin_output(folder, parameters, anew=folder != output)
        done = storage.join(folder, SUMMARY)
        if storage.exists(done):
            summary = dict(artifacts.read_json(done))
            summary.pop("checksum", None)
        else:
            things = read_things(plan, options.seed, with_vectors="semantic" in methods, best=best)
            summary = _find(plan, things, options, methods, folder, parameters, workers, quiet)
            artifacts.write_json(done, summary)
        storage.remove(storage.join(folder, _WORKING))
    left = None
    if matched is not None:
        others, in_vain = Drops.read(matched, without=LIST), Counter[str]()
        fallen = _fallen_pairs(output, len(plan.sources), others, in_vain)
        left = enter_drops(
            matched, LIST, fallen, about=artifacts.digest(parameters),
            metadata=metadata, workers=workers, quiet=quiet,
        )["matched"]  # fmt: skip
        if in_vain:
            shown = ", ".join(f"{reason} {num:,}" for reason, num in sorted(in_vain.items()))
            log(
                f"{matched}: {several(in_vain.total(), 'pair')} fell for an image that stays while "
                f"its pair does not count itself ({shown}), so that none of them does. Where a "
                f"score decides, `{suggest('dedup', '--keep-best', 'SCORE', '--overwrite')}` has "
                "the one stay that has the best.",
                quiet=quiet,
            )
    return {**summary, "matched": left}


def undo_dedup(*, matched: str, metadata: str | None, workers: int, quiet: bool) -> dict[str, Any]:
    """Have duplicates count again.

    Returns:
        counted_again: pairs; matched: pairs that count now.
    """
    return remove_drops(matched, LIST, metadata=metadata, workers=workers, quiet=quiet)


def _methods(plan: EmbeddedPlan, options: DedupOptions) -> tuple[str, ...]:
    """Return what is compared: what was asked for, else what the vectors allow.

    Raises:
        UsageError: they do not allow it.
    """
    if not plan.has_images:
        raise UsageError(
            f"{plan.folder}: only texts were embedded. Run `{suggest('embed')}` without --kinds "
            "text first."
        )
    allowed = METHODS if plan.width("image") is not None else METHODS[:2]
    asked = options.methods or allowed
    if set(asked) - set(allowed):
        raise UsageError(
            f"{plan.folder}: it has no vectors of images, which --methods semantic compares. Run "
            f"`{suggest('embed', 'RUN')}` with a model, or leave semantic out."
        )
    return tuple(method for method in METHODS if method in asked)


def _find(
    plan: EmbeddedPlan, things: Things, options: DedupOptions, methods: tuple[str, ...],
    folder: str, parameters: dict[str, Any], workers: int, quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    """Find what falls, write the table, and return the summary."""
    working = storage.join(folder, _WORKING)
    stamp = {"parameters": artifacts.digest(parameters)}
    fallen, clusters = _fallen(plan, things, options, methods, working, stamp, workers, quiet)
    counts = write_fallen(
        plan, things, fallen, folder=folder, stamp=stamp, seed=options.seed, workers=workers,
        quiet=quiet,
    )  # fmt: skip
    read, num = int(things.pairs.sum()), counts.total()
    if num != int(things.pairs[fallen.reason >= 0].sum()):
        raise AssertionError(f"{num} pairs fall, which are not those of {fallen}")
    has_bytes = things.exact.view(np.uint64).reshape(-1, 2).any(axis=1)
    lacks = {"exact": ~has_bytes, "perceptual": ~things.has_hash, "semantic": ~things.has_vector}
    images = np.bincount(fallen.reason[fallen.reason >= 0], minlength=len(REASONS)).tolist()
    asked = [METHODS.index(method) for method in methods]
    return {
        "schema_version": artifacts.SCHEMA_VERSION,
        "plan": artifacts.digest(parameters),
        "read": read,
        "kept": read - num,
        "images": len(things),
        "fallen": {REASONS[at]: counts[REASONS[at]] for at in asked},
        "images_fallen": {REASONS[at]: images[at] for at in asked},
        "not_compared": {m: int(lacks[m].sum()) for m in methods if lacks[m].any()},
        "clusters": clusters,
    }


def _fallen(
    plan: EmbeddedPlan, things: Things, options: DedupOptions, methods: tuple[str, ...],
    working: str, stamp: dict[str, str], workers: int, quiet: bool,
) -> tuple[Fallen, int]:  # fmt: skip
    reason, like, distance = _by_hashes(things, options, methods, working, stamp, quiet)
    clusters = 0
    if "semantic" in methods:
        links, cosines, clusters = semantic_links(
            plan, things, reason < 0, epsilon=options.epsilon, seed=options.seed, folder=working,
            stamp=stamp, workers=workers, quiet=quiet,
        )  # fmt: skip
        falls = np.flatnonzero((links >= 0) & (reason < 0))
        reason[falls], like[falls] = METHODS.index("semantic"), links[falls]
        distance[falls] = 1.0 - cosines[falls]
    kept = follow_links(np.where(reason >= 0, like, -1))
    if (reason[kept] >= 0).any():
        raise AssertionError("something falls for what falls itself")
    return Fallen(reason=reason, like=like, kept=kept, distance=distance), clusters


def _by_hashes(
    things: Things, options: DedupOptions, methods: tuple[str, ...], working: str,
    stamp: dict[str, str], quiet: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
    """Return reason, like and distance, as in `Fallen`, by bytes and hashes; found once."""
    path = storage.join(working, "hashes.parquet")
    if storage.exists(path) and artifacts.read_stamp(path) == stamp:
        reason, like, distance = (
            column.to_numpy().copy() for column in artifacts.read_table(path).columns
        )
        return reason, like, distance
    num = len(things)
    reason, like, distance = np.full(num, -1, np.int64), np.arange(num), np.zeros(num)

    def note(method: str, links: NDArray[np.int64]) -> NDArray[np.int64]:
        falls = np.flatnonzero((links >= 0) & (reason < 0))
        reason[falls] = METHODS.index(method)
        like[falls] = links[falls]
        return falls

    if "exact" in methods:
        note("exact", exact_links(things))
    if "perceptual" in methods:
        links = perceptual_links(
            things, reason < 0, distance=options.distance, turned=options.turned, quiet=quiet
        )
        falls = note("perceptual", links)
        distance[falls] = hash_distances(things, falls, like[falls], turned=options.turned)
    table = pa.table({"reason": reason, "like": like, "distance": distance})
    artifacts.write_table(path, table, stamp, "")
    return reason, like, distance


def _fallen_pairs(
    folder: str, num_parts: int, others: Drops, in_vain: Counter[str]
) -> Iterator[tuple[pa.StringArray, pa.Array]]:
    """Yield the ids of all pairs that fall, and the reason of each, part by part.

    Args:
        folder: with the tables of them.
        num_parts: of it.
        others: what does not count for other reasons.
        in_vain: is added to: pairs that count but for what stays, which does not, by its reason.
    """
    for part in range(num_parts):
        path = storage.join(folder, "pairs", part_name(part, "parquet"))
        table = artifacts.read_table(path, ["pair_id", "reason", "kept_pair_id"]).combine_chunks()
        ids, reasons, kept = (column.combine_chunks() for column in table.columns)
        codes = others.found(kept.fill_null(""))
        codes = codes[(codes >= 0) & (others.found(ids) < 0)]
        numbers = np.bincount(codes, minlength=len(others.reasons)).tolist()
        in_vain.update({r: n for r, n in zip(others.reasons, numbers, strict=True) if n})
        yield ids, reasons
