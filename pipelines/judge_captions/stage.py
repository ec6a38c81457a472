"""`curate judge-captions`: captions, shards → those that are good, figures of all, and a page.

A part is some neighbours of a shard. `pairs/NNNNN.parquet` are its captions that are good, and
appear when the others (`dropped/`) and what the page may show (`examples/`) are there: a killed
run goes on with the first part without such a file. Entries are counted from what is stored.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from curate.errors import UsageError
from curate.files import storage
from curate.pipelines.caption_tables.check import require_joined
from curate.pipelines.caption_tables.join import caption_identity, joined_captions
from curate.pipelines.executor.journal import Journal
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.judge_captions.entries import write_changes
from curate.pipelines.judge_captions.examples import read_examples
from curate.pipelines.judge_captions.page import render_examples
from curate.pipelines.judge_captions.part import (
    FIGURES,
    JudgeJob,
    JudgeOptions,
    PartFigures,
    Worker,
    judge_part,
)
from curate.pipelines.judge_captions.similarity import load_similarity
from curate.pipelines.shards.sample_parts import SamplePart, plan_sample_parts
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import progress
from curate.training.captions.lookup import CaptionIndex
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import list_shards

__all__ = ["SUMMARY", "judge_captions"]

# Goes up when other figures come out of the same captions.
_CODE = 1
SUMMARY, PAGE = "summary.json", "page.html"
_GONE = ("dropped", "entries", "examples", PAGE)


@driven("judge-captions")
def judge_captions(
    *,
    shards: str,
    output: str,
    options: JudgeOptions,
    pairs_per_part: int = 20_000,
    workers: int | None = None,
    cache: ShardCache | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Judge captions beside the images and alt-texts of their pairs.

    Args:
        shards: folder of tars, a pattern, or one tar.
        output: folder for the result.
        options: by what.
        pairs_per_part: samples in a part.
        workers: processes, each with the model; None: one for each core, with a model on a GPU one.
        cache: of remote shards.
        overwrite: replace what is there.
        dry_run: only count shards, captions and parts.
        quiet: no progress.

    Returns:
        ``captions`` = ``kept`` + Σ ``dropped``; ``means``, ``entries``, ``unknown_pairs``.

    Raises:
        ArtifactError: the folder holds something else.
        InputError: no caption is of a pair of the shards.
    """
    if pairs_per_part < 1:
        raise UsageError(f"--pairs-per-part is {pairs_per_part}; expected at least 1")
    tars, cache = list_shards(shards), cache or ShardCache()
    identity = caption_identity(options.captions) or {}
    index = joined_captions(options.captions, identity["tables"], quiet=quiet)
    assert index is not None
    parts = plan_sample_parts(tars, pairs_per_part, quiet=quiet)
    try:
        parameters, job = _job(output, options, identity["tables"], cache, parts, pairs_per_part)
        if dry_run:
            todo = Journal(output, len(parts), {"parameters": job.parameters}).missing()
            return {"shards": len(tars), "captions": len(index), "parts": len(parts),
                    "parts_to_do": len(todo)}  # fmt: skip
        refuse_foreign(output, artifacts.PLAN)
        require_joined(index, options.captions.tables, tars, cache.open)
        with folder_to_fill(
            output, overwrite=overwrite, marker=artifacts.PLAN, sign=SUMMARY, gone=_GONE
        ) as folder:
            artifacts.begin_output(folder, parameters, anew=folder != output)
            job = replace(job, folder=folder)
            _judge(job, parts, _workers(workers, job), quiet=quiet)
            return {**_finish(job, parameters, parts, index), "output": output}
    finally:
        load_similarity.cache_clear()


def _job(
    output: str, options: JudgeOptions, digest: str, cache: ShardCache,
    parts: Sequence[SamplePart], pairs_per_part: int,
) -> tuple[dict[str, Any], JudgeJob]:  # fmt: skip
    """Return what decides the result, and what workers are told."""
    model = None
    if options.model is not None:
        from curate.training.embedding.encoders import resolve_precision, torch_device

        device = torch_device(options.device)
        precision = resolve_precision(options.precision, device)
        options = replace(options, device=str(device), precision=precision)
        model = load_similarity(options.model, str(device), precision).sha256
    hashes = MetadataStore.open(options.metadata).hashes if options.metadata else None
    parameters = {
        "code": _CODE, "captions": digest, "model": model,
        "precision": options.precision if model else None, "metadata": hashes,
        "normalization": options.normalization, "max_repetition": options.max_repetition,
        "tail_below": options.tail_below, "pairs_per_part": pairs_per_part,
        "shards": artifacts.digest([part.made_from for part in parts]),
    }  # fmt: skip
    job = JudgeJob(
        folder=output, parameters=artifacts.digest(parameters), options=options, digest=digest,
        model_sha256=model, hashes=hashes, cache=cache,
    )  # fmt: skip
    return parameters, job


def _workers(wanted: int | None, job: JudgeJob) -> int:
    """Return how many processes there are to be: a GPU is for one."""
    if wanted is not None:
        return wanted
    is_on_gpu = job.model_sha256 is not None and job.options.device != "cpu"
    return 1 if is_on_gpu else len(os.sched_getaffinity(0))


def _journal(job: JudgeJob, num_parts: int) -> Journal:
    return Journal(job.folder, num_parts, {"parameters": job.parameters})


def _judge(job: JudgeJob, parts: Sequence[SamplePart], workers: int, *, quiet: bool) -> None:
    """Judge the parts that are not there yet."""
    journal = _journal(job, len(parts))
    journal.complete(lambda number: _noted(job, parts[number]))
    todo = journal.missing()
    results = run_parts(
        judge_part, [parts[number] for number in todo], workers=workers, setup=Worker,
        arguments=(job,), anywhere=True,
    )  # fmt: skip
    try:
        for number, size, figures in progress(
            results, total=len(todo), label="judge", unit="part", quiet=quiet
        ):
            journal.note(number, size, figures)
    finally:
        journal.flush()


def _noted(job: JudgeJob, part: SamplePart) -> dict[str, Any]:
    """Return a part's figures from its stamp.

    Raises:
        ArtifactError: it was made from something else.
    """
    path = job.path("pairs", part.number)
    stamp = artifacts.read_stamp(path)
    expected = job.stamp(part)
    artifacts.require_same(path, {name: stamp.get(name) for name in expected}, expected)
    figures: dict[str, Any] = stamp["summary"]
    return figures


def _finish(
    job: JudgeJob, parameters: dict[str, Any], parts: Sequence[SamplePart], index: CaptionIndex
) -> dict[str, Any]:
    """Add the figures up, count entries, write the page, and last the summary."""
    path = storage.join(job.folder, SUMMARY)
    numbers = range(len(parts))
    examples = [job.path("examples", number) for number in numbers]
    if not storage.exists(path):
        total = PartFigures()
        journal = _journal(job, len(parts))
        for _, figures in sorted(journal.summaries(), key=lambda item: item[0]):
            total.add(figures)
        journal.close()
        found = _summary(parameters, total, index)
        shown = {name: found[name] for name in ("captions", "kept", "dropped", "means")}
        with storage.publish(storage.join(job.folder, PAGE)) as file:
            file.write(render_examples(shown, *read_examples(examples)).encode())
        if job.hashes is not None:
            options = job.options
            files = [job.path(kind, n) for n in numbers for kind in ("pairs", "dropped")]
            store = MetadataStore(str(options.metadata), job.hashes)
            found["entries"] = write_changes(
                files, store, job.folder, options.tail_below, {"parameters": job.parameters}
            )
        artifacts.write_json(path, found)
    storage.remove(storage.join(job.folder, "examples"))
    return dict(artifacts.read_json(path))


def _summary(parameters: dict[str, Any], total: PartFigures, index: CaptionIndex) -> dict[str, Any]:
    counts, note = total.counts, index.note
    if counts["samples"] != counts["pairs"] + counts["without"] + counts["unread"]:
        raise AssertionError(f"{total} does not add up")
    return {
        "schema_version": artifacts.SCHEMA_VERSION, "parameters": parameters,
        "captions": counts["captions"], "kept": counts["captions"] - total.dropped.total(),
        "dropped": dict(sorted(total.dropped.items())), "pairs": counts["pairs"],
        "pairs_without": counts["without"],
        # Of a pair that stands in several shards, each is counted.
        "unknown_pairs": max(0, note["pairs"] - counts["pairs"]),
        "skipped": dict(sorted(total.skipped.items())), "left_out": note["dropped"],
        "means": {n: round(total.sums[n] / total.nums[n], 6) for n in FIGURES if total.nums[n]},
        "entries": {},
    }  # fmt: skip
