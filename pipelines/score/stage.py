"""`curate score`: `embeddings/` → `scores/`: a row a pair; what misses a condition does not count.

The way through: vectors, prompts, heads → scores, part by part → thresholds, of each language where
they are quantiles → a list of drops in `matched/`, whose counts are made anew.
"""

from collections import Counter
from typing import Any

import numpy as np

from curate.errors import ArtifactError, InputError, UsageError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.embedded.plan import EmbeddedPlan, require_matched
from curate.pipelines.embedded.scores import ScoredPlan
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.match import enter_drops, remove_drops
from curate.pipelines.score.conditions import below_conditions, quantiles
from curate.pipelines.score.options import SIZES, ScoreOptions
from curate.pipelines.score.part import ScoreFigures, ScoreJob, score_part
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import progress

__all__ = ["LIST", "score_pairs", "undo_scores"]

PLAN, SUMMARY, LIST = artifacts.PLAN, "summary.json", "scores"
_ENTRIES = ("pairs", SUMMARY, PLAN)


@driven("score")
def score_pairs(
    *,
    embeddings: str,
    output: str,
    options: ScoreOptions,
    matched: str | None = None,
    metadata: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Score pairs, and have those that miss a condition not count.

    Args:
        embeddings: folder that `embed` wrote.
        output: the folder `scores/`.
        options: what decides the scores, and the conditions.
        matched: folder of the matches that what misses a condition is not to count in; None, or
            without conditions, for scores alone.
        metadata: folder that it was matched with; None for the one that is noted.
        workers: threads or jobs.
        overwrite: begin anew, replacing what the folder holds.
        dry_run: say what would be scored; nothing is written.
        quiet: no progress.

    Returns:
        scores: of each, pairs and mean; read = kept + Σ fallen by reason; thresholds of the
        conditions, by language; matched: pairs that count now, None if nothing was changed.

    Raises:
        ArtifactError: the vectors are not whole, of another model than the prompts', or of other
            pairs than the matches have.
        InputError: a file of prompts or a head cannot be used.
        UsageError: there is no such score.
    """
    plan = EmbeddedPlan.read(embeddings)
    plan.whole_summary()
    if matched is not None and options.conditions:
        require_matched(plan, matched)
    prompts, prompts_sum = _prompts(plan, options)
    heads = _heads(plan, options)
    columns = _columns(plan, options)
    parameters = {
        "embedded": plan.digest(), "columns": list(columns), "prompts": prompts_sum,
        "heads": {name: head.sha256 for name, head in heads.items()},
    }  # fmt: skip
    for condition in options.conditions:
        if condition.column not in columns:
            raise UsageError(
                f"--filter {condition.text!r}: there is no such score; there are "
                f"{', '.join(columns)}"
            )
    if dry_run:
        return {"parts": len(plan.sources), "scores_of": list(columns)}
    refuse_foreign(output, PLAN)
    with folder_to_fill(
        output, overwrite=overwrite, marker=PLAN, sign=SUMMARY, gone=_ENTRIES
    ) as folder:
        artifacts.begin_output(folder, parameters, anew=folder != output)
        job = ScoreJob(
            plan=plan, output=folder, parameters=artifacts.digest(parameters), columns=columns,
            prompts=prompts, heads=heads,
        )  # fmt: skip
        found = _fill(job, workers=workers, quiet=quiet)
    return found | _dropped(plan, output, options, parameters, matched, metadata, workers, quiet,
                            read=found["read"])  # fmt: skip


def undo_scores(*, matched: str, metadata: str | None, workers: int, quiet: bool) -> dict[str, Any]:
    """Have pairs that missed a condition count again.

    Returns:
        counted_again: pairs; matched: pairs that count now.
    """
    return remove_drops(matched, LIST, metadata=metadata, workers=workers, quiet=quiet)


def _columns(plan: EmbeddedPlan, options: ScoreOptions) -> tuple[str, ...]:
    """Return the scores that there can be.

    Raises:
        ArtifactError: there is nothing to score.
    """
    models = [plan.parameters["columns"].get(name, {}).get("sha256") for name in ("image", "text")]
    columns = [*(SIZES if plan.has_images else ())]
    if models[0] is not None and models[0] == models[1]:
        columns.append("clip_score")
    columns += [name for name, _ in (*options.prompts, *options.heads)]
    if not columns:
        raise ArtifactError(
            f"{plan.folder}: nothing in it can be scored: there are neither images nor their "
            f"vectors. Run `{suggest('embed')}` with images."
        )
    return tuple(columns)


def _heads(plan: EmbeddedPlan, options: ScoreOptions) -> dict[str, Any]:
    """Read the heads.

    Raises:
        InputError: one is of another width than the vectors.
    """
    if not options.heads:
        return {}
    from curate.training.embedding.heads import read_head

    width = int(plan.model_of("image")["width"])
    heads = {name: read_head(path) for name, path in options.heads}
    for name, path in options.heads:
        if heads[name].width != width:
            raise InputError(
                f"{path}: a head for vectors of width {heads[name].width}; those of {plan.folder} "
                f"have {width}. Embed with the model that it is made for."
            )
    return heads


def _prompts(plan: EmbeddedPlan, options: ScoreOptions) -> tuple[dict[str, Any], dict[str, str]]:
    """Embed the prompts with the model of the vectors; return vectors, and hashes of the texts.

    Raises:
        ArtifactError: the run is of another model.
        InputError: a file has no prompt.
    """
    if not options.prompts or options.run is None:
        return {}, {}
    from curate.training.embedding.encoders import (
        clip_encoders,
        resolve_precision,
        torch_device,
        unit_vectors,
    )

    device = torch_device(options.device)
    precision = resolve_precision("float32", device)
    _, encoder, about = clip_encoders(
        options.run, device=device, precision=precision, model=options.model,
        tokenizer=options.tokenizer,
    )  # fmt: skip
    expected = plan.model_of("image")["sha256"]
    if about["sha256"] != expected:
        raise ArtifactError(
            f"{plan.folder}: its vectors of images are by the model {expected[:12]}…, and "
            f"{options.run} is {about['sha256'][:12]}…: their cosines mean nothing. Name the run "
            "that they were made with."
        )
    found, sums = {}, {}
    for name, path in options.prompts:
        with storage.open_read(path, decompress=True) as file:
            content = file.read()
        try:
            lines = content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: not UTF-8 at byte {error.start:,}; expected a prompt a line, in UTF-8"
            ) from error
        texts = [line.strip() for line in lines if line.strip()]
        if not texts:
            raise InputError(f"{path}: there is no prompt in it; expected one a line")
        prepared, _ = encoder.prepare(texts)
        found[name] = unit_vectors(encoder.encode(prepared), "prompts").astype(np.float64)
        sums[name] = artifacts.digest(texts)
    return found, sums


def _fill(job: ScoreJob, *, workers: int, quiet: bool) -> dict[str, Any]:
    tasks = list(range(len(job.plan.sources)))
    results = run_parts(
        score_part, tasks, workers=workers, setup=_same, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    shown = progress(results, total=len(tasks), label="score", unit="part", quiet=quiet)
    by_part = dict(shown)
    total = ScoreFigures()
    for part in tasks:  # sums of floats depend on the order
        total += by_part[part]
    scores = {}
    for name in job.columns:
        num = total.scored[name]
        mean = round(total.sums[name] / num, 6) if num else None
        scores[name] = {"pairs": num, "mean": mean}
    summary = {"schema_version": artifacts.SCHEMA_VERSION, "plan": job.parameters,
               "read": total.pairs, "scores": scores}  # fmt: skip
    artifacts.write_json(storage.join(job.output, SUMMARY), summary)
    return summary


def _same(job: ScoreJob) -> ScoreJob:
    return job


def _dropped(
    plan: EmbeddedPlan, output: str, options: ScoreOptions, parameters: dict[str, Any],
    matched: str | None, metadata: str | None, workers: int, quiet: bool, *, read: int,
) -> dict[str, Any]:  # fmt: skip
    """Have what misses a condition not count; return how many that are."""
    filters = [condition.text for condition in options.conditions]
    if not filters:
        return {"filters": [], "thresholds": [], "fallen": {}, "kept": read, "matched": None}
    scores, num = ScoredPlan.read(output, plan), len(plan.sources)
    thresholds = quantiles(scores, num, options.conditions)
    fallen: Counter[str] = Counter()
    found = below_conditions(scores, num, options.conditions, thresholds, fallen)
    left = None
    if matched is not None:
        left = enter_drops(
            matched, LIST, found,
            about={"scores": artifacts.digest(parameters), "filters": filters}, metadata=metadata,
            workers=workers, quiet=quiet,
        )["matched"]  # fmt: skip
    else:
        for _ in found:  # to count them
            pass
    return {
        "filters": filters, "thresholds": thresholds, "fallen": dict(sorted(fallen.items())),
        "kept": read - fallen.total(), "matched": left,
    }  # fmt: skip
