"""`curate decontaminate`: what of evaluation sets is among the pairs, → `decontaminated/hits/`.

The way through: sets → fingerprints, vectors and texts of their images → each part of the pairs is
searched for them → a table of hits with both sides → a list of drops in `matched/`, whose counts
are made anew, and which says on the cards against which sets it was.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.decontaminate.options import METHODS, DecontaminateOptions
from curate.pipelines.decontaminate.part import Job, find_in_part
from curate.pipelines.decontaminate.sets import SetImages, read_sets
from curate.pipelines.embedded.plan import EmbeddedPlan, require_matched
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.match import enter_drops, remove_drops
from curate.pipelines.matched.drops import CONTAMINATED
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import part_name, refuse_foreign
from curate.pipelines.views.progress import progress

__all__ = ["decontaminate_pairs", "undo_decontamination"]

PLAN, SUMMARY = artifacts.PLAN, "summary.json"
_ENTRIES = ("hits", SUMMARY, PLAN)


@driven("decontaminate")
def decontaminate_pairs(
    data: Sequence[str],
    *,
    embeddings: str,
    output: str,
    options: DecontaminateOptions,
    config: str | None = None,
    eval_format: str = "auto",
    matched: str | None = None,
    enter: bool = True,
    metadata: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Find the pairs that evaluation sets hold too, and have them not count.

    Args:
        data: evaluation sets, as `eval` takes them.
        embeddings: folder that `embed` wrote.
        output: the folder `decontaminated/`.
        options: what decides the result.
        config: an ``eval.json`` that names more sets.
        eval_format: of `data`, as `eval` takes it.
        matched: folder of the matches, for texts, and for what is not to count; None without.
        enter: whether they are not to count.
        metadata: folder that it was matched with; None for the one that is noted.
        workers: threads or jobs.
        overwrite: begin anew, replacing what the folder holds.
        dry_run: read the sets only; nothing is written.
        quiet: no progress.

    Returns:
        read = kept + pairs; sets: of each, images, unusable by reason, and pairs, some of which may
        be in several sets; matched: pairs that count now, None if nothing was changed.

    Raises:
        ArtifactError: the vectors are not whole, of another model, or of other pairs.
        InputError: a set cannot be read, or has no image.
        UsageError: there is no set, or a method is not possible.
    """
    from curate.training.eval.sets import EvalSpec, load_datasets, open_dataset

    if not data and config is None:
        raise UsageError("no evaluation set; name files or folders, or give --config")
    plan = EmbeddedPlan.read(embeddings)
    read = int(plan.whole_summary()["pairs"])
    if not plan.has_images:
        raise UsageError(f"{embeddings}: only texts were embedded; embed images too")
    of = None
    if matched is not None:
        require_matched(plan, matched)
        of = MatchedPlan.read(matched) if plan.parameters["source"] == "matched" else None
    methods = _methods(plan, options, has_texts=of is not None)
    encoder = _encoder(plan, options) if "semantic" in methods else None
    datasets = [open_dataset(EvalSpec(path=path, format=eval_format)) for path in data]
    datasets += load_datasets(config) if config is not None else []
    sets = read_sets(
        datasets, decoder=plan.parameters["decoder"], encoder=encoder,
        min_characters=options.min_characters,
    )  # fmt: skip
    parameters = {"embedded": plan.digest(), "sets": sets.digest(), "methods": list(methods),
                  **options.as_dict()}  # fmt: skip
    if dry_run:
        return {"images": {name: sets.counts[name]["images"] for name in sets.names},
                "parts": len(plan.sources), "methods": list(methods)}  # fmt: skip
    refuse_foreign(output, PLAN)
    with folder_to_fill(
        output, overwrite=overwrite, marker=PLAN, sign=SUMMARY, gone=_ENTRIES
    ) as folder:
        artifacts.begin_output(folder, parameters, anew=folder != output)
        job = Job(plan=plan, matched=of, sets=sets, methods=methods, options=options,
                  output=folder, parameters=artifacts.digest(parameters))  # fmt: skip
        summary = _fill(job, read, workers=workers, quiet=quiet)
    left = None
    if matched is not None and enter:
        left = enter_drops(
            matched, CONTAMINATED, _found(output, len(plan.sources)), metadata=metadata,
            workers=workers, quiet=quiet,
            about={"methods": list(methods), **options.as_dict(), "sets": summary["sets"],
                   "pairs": summary["pairs"]},
        )["matched"]  # fmt: skip
    return {**summary, "matched": left}


def undo_decontamination(
    *, matched: str, metadata: str | None, workers: int, quiet: bool
) -> dict[str, Any]:
    """Have pairs that are in evaluation sets count again.

    Returns:
        counted_again: pairs; matched: pairs that count now.
    """
    return remove_drops(matched, CONTAMINATED, metadata=metadata, workers=workers, quiet=quiet)


def _methods(
    plan: EmbeddedPlan, options: DecontaminateOptions, *, has_texts: bool
) -> tuple[str, ...]:
    """Return what is compared: what was asked for, else what can be.

    Raises:
        UsageError: something that was asked for cannot be.
    """
    able = {"exact": True, "perceptual": True, "text": has_texts,
            "semantic": options.run is not None and plan.width("image") is not None}  # fmt: skip
    asked = options.methods or tuple(name for name in METHODS if able[name])
    if "text" in asked and not has_texts:
        raise UsageError("--methods text needs the matched pairs that the vectors were made of")
    if "semantic" in asked:
        plan.model_of("image")
    return tuple(name for name in METHODS if name in asked)


def _encoder(plan: EmbeddedPlan, options: DecontaminateOptions) -> Any:
    """Load the model of the vectors.

    Raises:
        ArtifactError: the run is of another one.
    """
    from curate.training.embedding.encoders import clip_encoders, torch_device

    encoder, _, about = clip_encoders(
        options.run or "", device=torch_device(options.device), model=options.model,
        precision=str(plan.parameters["precision"]), tokenizer=options.tokenizer,
    )  # fmt: skip
    expected = plan.model_of("image")["sha256"]
    if about["sha256"] != expected:
        raise ArtifactError(
            f"{plan.folder}: its vectors of images are by the model {expected[:12]}…, and "
            f"{options.run} is {about['sha256'][:12]}…. Name the run that they were made with."
        )
    return encoder


def _fill(job: Job, read: int, *, workers: int, quiet: bool) -> dict[str, Any]:
    tasks = list(range(len(job.plan.sources)))
    results = run_parts(
        find_in_part, tasks, workers=workers, setup=_same, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    shown = progress(results, total=len(tasks), label="search", unit="part", quiet=quiet)
    total, pairs = Counter[str](), 0
    for _, counts, num in shown:
        total += counts
        pairs += num
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "plan": job.parameters,
        "read": read,
        "kept": read - pairs,
        "pairs": pairs,
        "methods": list(job.methods),
        "sets": {name: _of_set(job.sets, name, total[name]) for name in job.sets.names},
    }
    artifacts.write_json(storage.join(job.output, SUMMARY), summary)
    return summary


def _of_set(sets: SetImages, name: str, pairs: int) -> dict[str, Any]:
    unusable = {r: num for r, num in sorted(sets.counts[name].items()) if r != "images" and num}
    return {"images": sets.counts[name]["images"], "unusable": unusable, "pairs": pairs}


def _same(job: Job) -> Job:
    return job


def _found(folder: str, num_parts: int) -> Iterator[tuple[pa.StringArray, pa.Array]]:
    """Yield the ids of the pairs that are in a set, and the reason of each, part by part."""
    for part in range(num_parts):
        path = storage.join(folder, "hits", part_name(part, "parquet"))
        table = artifacts.read_table(path, ["pair_id", "reason"]).combine_chunks()
        yield table.column(0).combine_chunks(), table.column(1).combine_chunks()
