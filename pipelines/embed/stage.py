"""`curate embed`: `matched/` or shards → `embeddings/`: a row a pair with vectors and fingerprints.

The way through: parts of matched pairs, or shards → which of them share images → chunks of rows →
batches of images and of texts → vectors of unit length → what parts lend → `pairs/NNNNN.parquet`.
Each part's stamp says what it was made from: the model by the hash of its tensors, and the part's
source by its checksum. So a run that was killed goes on, pairs that `match` added since are made in
addition, and parts that `retract` changed anew.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from curate.errors import InputError, UsageError
from curate.files import storage
from curate.files.remedies import suggest
from curate.files.sizes import several
from curate.pipelines.duplicates.keys import KEYS
from curate.pipelines.embed.borrow import borrow_images
from curate.pipelines.embed.lend import lend_images
from curate.pipelines.embed.models import Encoders, ModelSpec, load_encoders
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.part import embed_part
from curate.pipelines.embed.rows import MatchedRows, ShardRows, matched_rows, shard_rows
from curate.pipelines.embed.shares import plan_shares, working_path
from curate.pipelines.embed.worker import EmbedJob, EmbedWorker
from curate.pipelines.embedded.figures import (
    PartFigures,
    count_repeated,
    journal_of,
    noted_figures,
    write_summary,
)
from curate.pipelines.embedded.plan import (
    PLAN,
    SUMMARY,
    WORKING,
    EmbeddedPlan,
    Source,
    known_crops,
)
from curate.pipelines.executor.cluster import current_cluster
from curate.pipelines.executor.journal import JOURNAL, PARTS
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import log, progress
from curate.training import require_packages

__all__ = ["embed_pairs"]

_ENTRIES = ("pairs", JOURNAL, PARTS, KEYS, SUMMARY, PLAN, WORKING)
# Two at once, so that one is read while another is computed; threads share the batches of both.
_PARTS_AT_ONCE = 2


@driven("embed")
def embed_pairs(
    *,
    output: str,
    options: EmbedOptions,
    matched: str | None = None,
    shards: str | None = None,
    image_roots: Sequence[str] = (),
    downloaded: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Make the vectors and fingerprints of pairs.

    Args:
        output: the folder `embeddings/`.
        options: what decides the result.
        matched: folder that `match` wrote; or
        shards: folder, pattern or path of tars.
        image_roots: folders that images may be read from, as for `balance`.
        downloaded: folder that `download --from matched` wrote, with the images of `matched`.
        workers: threads; or jobs, where a cluster does the work.
        overwrite: begin anew, replacing what the folder holds.
        dry_run: plan only; nothing is written.
        quiet: no progress.

    Returns:
        The summary, as in `summary.json`; with dry_run, how many parts there are to do.

    Raises:
        ArtifactError: the folder holds vectors of another model, or matching is not complete.
        InputError: there are no shards, a model cannot be loaded, an image's file was changed, or
            only images are to be looked at and not one pair comes with one.
        MissingExtraError: packages are not installed.
    """
    require_packages("curate embed")
    if (matched is None) == (shards is None):
        raise UsageError("embed either matched pairs or shards")
    spec = _models(options)
    rows: MatchedRows | ShardRows
    if shards is not None:
        rows, sources = shard_rows(shards)
    else:
        rows, sources = matched_rows(
            matched or "", image_roots, with_images=options.wants_images, downloaded=downloaded
        )
        if options.wants_images and downloaded is None:
            _require_images(matched or "", options, quiet=quiet)
    try:
        encoders = load_encoders(spec)
        parameters = _parameters(
            options, spec, encoders, matched=shards is None, downloaded=downloaded is not None
        )
        if dry_run:
            return _planned(output, parameters, sources, anew=overwrite)
        refuse_foreign(output, PLAN)
        with folder_to_fill(
            output, overwrite=overwrite, marker=PLAN, sign=SUMMARY, gone=_ENTRIES
        ) as folder:
            plan = _begin(folder, parameters, sources, anew=folder != output)
            is_local = current_cluster().kind == "local"
            job = EmbedJob(
                output=folder, parameters=artifacts.digest(parameters),
                sources=tuple(plan.sources), rows=rows, models=spec, columns=encoders.columns,
                batch_size=options.batch_size, decoder=parameters["decoder"],
                threads=workers if is_local else 1, crops=known_crops(parameters),
            )  # fmt: skip
            at_once = min(_PARTS_AT_ONCE, workers) if is_local else workers
            return _fill(plan, job, workers=at_once, quiet=quiet)
    finally:
        load_encoders.cache_clear()


def _models(options: EmbedOptions) -> ModelSpec:
    from curate.training.embedding.encoders import resolve_precision, torch_device

    device = torch_device(options.device)
    return ModelSpec(
        run=options.run, model=options.model, tokenizer=options.tokenizer,
        text_encoder=options.text_encoder, wants_images=options.wants_images,
        wants_texts=options.wants_texts, device=str(device),
        precision=resolve_precision(options.precision, device),
    )  # fmt: skip


def _require_images(matched: str, options: EmbedOptions, *, quiet: bool) -> None:
    """Refuse pairs without any image where nothing else is embedded; else say that they have none.

    Raises:
        InputError: there would be nothing to embed.
    """
    summary = MatchedPlan.read(matched).summary()
    if summary is None or summary["with_image"] or not summary["matched"]:
        return
    told = (
        f"{matched}: not one of {several(summary['matched'], 'pair')} comes with an image. "
        f"`{suggest('download', '--from', 'matched')}` fetches them by their URLs, and `embed` "
        "takes them from there"
    )
    if not options.wants_texts:
        raise InputError(f"{told}. Run it first.")
    log(f"{told}; texts alone have vectors now", quiet=quiet)


def _parameters(
    options: EmbedOptions, spec: ModelSpec, encoders: Encoders, *, matched: bool, downloaded: bool
) -> dict[str, Any]:
    from curate.training.data.images import resolve_decoder

    has_vectors = bool(encoders.columns)
    return {
        "source": "matched" if matched else "shards",
        "columns": encoders.columns,
        "fingerprints": options.wants_images,
        "precision": spec.precision if has_vectors else None,
        "batch_size": options.batch_size if has_vectors else None,
        "decoder": resolve_decoder(options.decoder),
        **({"downloaded": True} if downloaded and options.wants_images else {}),
        **({"crops": {"num": options.crops, "seed": options.crop_seed}} if options.crops else {}),
    }


def _stale_parts(before: Sequence[Source], now: Sequence[Source]) -> list[int]:
    """Return the parts whose source is another one than when they were made."""
    return [i for i, (old, new) in enumerate(zip(before, now, strict=False)) if old != new]


def _planned(
    output: str, parameters: dict[str, Any], sources: list[Source], *, anew: bool
) -> dict[str, Any]:
    to_do = len(sources)
    if storage.exists(storage.join(output, PLAN)) and not anew:
        plan = EmbeddedPlan.read(output)
        artifacts.require_same(output, plan.parameters, parameters)
        stale = set(_stale_parts(plan.sources, sources))
        to_do = len(stale | set(journal_of(plan, len(sources)).missing()))
    return {"parts": len(sources), "parts_to_do": to_do, "columns": parameters["columns"]}


def _begin(
    folder: str, parameters: dict[str, Any], sources: list[Source], *, anew: bool
) -> EmbeddedPlan:
    """Make a folder ready: parts of other sources go, and the plan says what is to be there.

    Raises:
        ArtifactError: it was made with other parameters.
    """
    plan = EmbeddedPlan(folder, parameters, sources)
    if storage.exists(storage.join(folder, PLAN)):
        before = EmbeddedPlan.read(folder)
        if anew and before.parameters != parameters:
            storage.remove(folder)
        else:
            artifacts.require_same(folder, before.parameters, parameters)
            gone = [*_stale_parts(before.sources, sources),
                    *range(len(sources), len(before.sources))]  # fmt: skip
            if gone:
                storage.remove(storage.join(folder, SUMMARY))
            for index in gone:
                storage.remove(plan.path(index))
                storage.remove(working_path(folder, "owned", index))
    storage.remove_leftovers(folder)
    plan.write()
    return plan


def _fill(plan: EmbeddedPlan, job: EmbedJob, *, workers: int, quiet: bool) -> dict[str, Any]:
    """Embed the parts that are left; return the summary."""
    journal = journal_of(plan, len(plan.sources))
    journal.complete(lambda index: noted_figures(plan, index))
    todo = journal.missing()
    total = PartFigures()
    for _, noted in journal.summaries():
        total += PartFigures.from_dict(noted)
    try:
        for index, size_bytes, figures in _parts(plan, job, todo, workers=workers, quiet=quiet):
            journal.note(index, size_bytes, figures.as_dict())
            total += figures
    finally:
        journal.flush()
    journal.close()
    repeated = count_repeated(plan, workers=workers, quiet=quiet)
    summary = write_summary(plan, total, repeated)
    storage.remove(storage.join(plan.folder, WORKING))
    return summary


def _parts(
    plan: EmbeddedPlan, job: EmbedJob, todo: Sequence[int], *, workers: int, quiet: bool
) -> Iterator[tuple[int, int, PartFigures]]:
    """Yield number, size and figures of each part that is left, as they are published."""
    # Pairs of one image have cuts of their own, so that each has to be looked at.
    if todo and len(plan.sources) > 1 and job.models.wants_images and not job.crops:
        threads = max(workers, job.threads)
        job = replace(job, shares=plan_shares(plan, job.rows, todo, workers=threads, quiet=quiet))

    def done(function: Callable[..., Any], parts: Sequence[int], label: str) -> Iterator[Any]:
        results = run_parts(
            function, parts, workers=workers, setup=EmbedWorker, arguments=(job,), threads=True,
            anywhere=True,
        )  # fmt: skip
        return progress(results, total=len(parts), label=label, unit="part", quiet=quiet)

    for index, size_bytes, figures in done(embed_part, todo, "embed"):
        if size_bytes is not None:
            yield index, size_bytes, figures
    borrowers = [index for index in todo if index in job.shares.borrowers]
    if borrowers:
        for _ in done(lend_images, range(len(job.shares.groups)), "lend"):
            pass
        yield from done(borrow_images, borrowers, "borrow")
