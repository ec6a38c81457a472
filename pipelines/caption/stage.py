"""`curate caption`: shards → a table of captions by pair id; the shards stay as they are.

A part is some neighbours of a shard. Its file appears when it is whole and holds its summary, so
that a killed run goes on with the first part that is not there; with `retry_failed` parts with
failures that may pass are done again.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from curate.errors import BadShareError, UsageError
from curate.files import storage
from curate.pipelines.caption.captioner import CaptionerOptions
from curate.pipelines.caption.part import CaptionJob, Worker, caption_part
from curate.pipelines.caption.plan import CaptionPlan
from curate.pipelines.caption.vectors import (
    VectorPart,
    plan_vector_parts,
    require_own,
    vectors_at,
)
from curate.pipelines.executor.journal import Journal
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.shards.sample_parts import SamplePart, plan_sample_parts
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import log, progress
from curate.training.captions.mix import ALT
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import list_shards

__all__ = ["SUMMARY", "caption_shards"]

# Goes up when other captions come out of the same model and pairs.
_CODE = 1
SUMMARY = "summary.json"
# Failures that stay: asking again gives the same.
_LASTING = ("empty_answer", "too_long", "http_400", "http_413", "http_422", "other_model")


@driven("caption")
def caption_shards(
    *,
    shards: str,
    output: str,
    captioner: CaptionerOptions,
    source: str,
    lang: str | None = None,
    embeddings: str | None = None,
    matched: str = "",
    pairs_per_part: int = 2000,
    max_bad: float = 0.01,
    retry_failed: bool = False,
    workers: int = 1,
    cache: ShardCache | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Caption the images of shards.

    Args:
        shards: folder of tars, a pattern, or one tar.
        output: folder of the captions.
        captioner: that is asked.
        source: what the captions are called.
        lang: of all captions; None: of each pair.
        embeddings: folder of vectors of images, which a captioner of ours reads instead of images.
        matched: folder of the pairs that the vectors are of, if they are not of shards.
        pairs_per_part: samples in a part.
        max_bad: share of asked pairs that may stay without a caption.
        retry_failed: ask again for captions that failed and may not the next time.
        workers: processes, each with a model of its own.
        cache: of remote shards.
        overwrite: replace what is there.
        dry_run: only tell what there is to do.
        quiet: no progress.

    Returns:
        ``read`` = ``captions`` + Σ ``skipped`` + Σ ``failed``; ``counts`` of tokens and requests;
        ``parts``, ``output``.

    Raises:
        ArtifactError: the folder holds captions of something else.
        BadShareError: too many pairs got none.
        CurateError: the captioner gives none at all.
    """
    if source == ALT or not source:
        raise UsageError(f"--source is {source!r}; {ALT} is what the pairs' own texts are called")
    if not 0 <= max_bad <= 1:
        raise UsageError(f"--max-bad is {max_bad}; expected a share from 0 to 1")
    if pairs_per_part < 1:
        raise UsageError(f"--pairs-per-part is {pairs_per_part}; expected at least 1")
    captioner, described = captioner.resolved()
    vectors, parts = None, list[SamplePart | VectorPart]()
    if embeddings is None:
        parts += plan_sample_parts(list_shards(shards), pairs_per_part, quiet=quiet)
    else:
        require_own(described["kind"])
        vectors = vectors_at(embeddings, matched=matched, shards=shards)
        captioner.require_vectors_of(vectors.plan())
        parts += plan_vector_parts(vectors, pairs_per_part)
    parameters = {
        "code": _CODE, "captioner": described, "prompts": captioner.prompts.as_dict(),
        "source": source, "lang": lang, "max_tokens": captioner.decoding.max_tokens,
        "temperature": captioner.decoding.temperature, "top_p": captioner.decoding.top_p,
        "seed": captioner.decoding.seed, "pairs_per_part": pairs_per_part,
        "shards": artifacts.digest([part.made_from for part in parts]),
        **({"embeddings": vectors.plan().digest()} if vectors else {}),
    }  # fmt: skip
    if dry_run:
        done = Journal(output, len(parts), _stamp(parameters)).missing()
        return {"parts": len(parts), "parts_to_do": len(done), **described}
    refuse_foreign(output, artifacts.PLAN)
    with folder_to_fill(
        output, overwrite=overwrite, marker=artifacts.PLAN, sign=SUMMARY, gone=["failed"]
    ) as folder:
        artifacts.begin_output(folder, parameters, anew=folder != output)
        job = CaptionJob(
            plan=CaptionPlan(folder, parts, parameters), captioner=captioner, source=source,
            model=described["model"], lang=lang, cache=cache or ShardCache(), described=described,
            vectors=vectors,
        )  # fmt: skip
        summaries = _caption(job, retry_failed=retry_failed, workers=workers, quiet=quiet)
        return _finish(job.plan, summaries, max_bad, output)


def _stamp(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": artifacts.digest(parameters)}


def _caption(
    job: CaptionJob, *, retry_failed: bool, workers: int, quiet: bool
) -> list[dict[str, Any]]:
    """Caption the parts that are not there yet; return the summaries of all."""
    plan = job.plan
    journal = Journal(plan.folder, len(plan.parts), _stamp(plan.parameters))
    journal.complete(plan.read_summary)
    todo = journal.missing()
    if retry_failed:
        again = [number for number, summary in journal.summaries() if _may_pass(summary)]
        log(f"asking again in {len(again)} parts", quiet=quiet)
        todo = sorted({*todo, *again})
        if not again and not todo:
            log("no part has failures that may pass", quiet=quiet)
    results = run_parts(
        caption_part, [plan.parts[number] for number in todo], workers=workers, setup=Worker,
        arguments=(job,), anywhere=True,
    )  # fmt: skip
    shown = progress(results, total=len(todo), label="caption", unit="part", quiet=quiet)
    try:
        for number, size, summary in shown:
            journal.note(number, size, summary)
    finally:
        journal.flush()
    found = [summary for _, summary in sorted(journal.summaries(), key=lambda item: item[0])]
    journal.close()
    return found


def _may_pass(summary: dict[str, Any]) -> bool:
    return any(reason not in _LASTING for reason in summary["failed"])


def _finish(
    plan: CaptionPlan, summaries: Sequence[dict[str, Any]], max_bad: float, output: str
) -> dict[str, Any]:
    """Add the summaries up and publish the whole.

    Raises:
        BadShareError: too many pairs got no caption.
    """
    totals = {name: Counter[str]() for name in ("skipped", "failed", "counts")}
    read = captions = 0
    for summary in summaries:
        read, captions = read + summary["read"], captions + summary["captions"]
        for name, total in totals.items():
            total.update(summary[name])
    failed = totals["failed"].total()
    if read != captions + totals["skipped"].total() + failed:
        raise AssertionError(f"read {read} is not {captions} + {totals}")
    if failed > max_bad * (captions + failed):
        reasons = ", ".join(f"{reason} {num:,}" for reason, num in totals["failed"].most_common())
        share = math.ceil(1000 * failed / (captions + failed)) / 1000
        raise BadShareError(
            f"{failed:,} of {captions + failed:,} pairs got no caption ({reasons}); --max-bad "
            f"allows a share of {max_bad:g}. What is done is kept; which pairs they are stands in "
            f"{storage.join(plan.folder, 'failed')}. Ask again for those that may come with "
            f"--retry-failed, or do without them: --max-bad {share:g}."
        )
    found = {
        "schema_version": artifacts.SCHEMA_VERSION, "parameters": plan.parameters, "read": read,
        "captions": captions, "parts": len(plan.parts),
        **{name: dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
           for name, total in totals.items()},
    }  # fmt: skip
    artifacts.write_json(storage.join(plan.folder, SUMMARY), found)
    return {**found, "output": output}
