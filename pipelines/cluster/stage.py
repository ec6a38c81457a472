"""`curate cluster`: `embeddings/` → `clusters/`: centres, and a row a pair with its cluster.

The way through: a sample of the captions' vectors → fine centres (balanced k-means) → clusters of
these → every pair's nearest centre, part by part → what is in each cluster → card and summary.
"""

import os
from pathlib import Path
from typing import Any

from curate.errors import UsageError
from curate.files import storage
from curate.pipelines.cluster.card import as_markdown
from curate.pipelines.cluster.content import cluster_content
from curate.pipelines.cluster.fit import COLUMN, fitted_centres, given_centres, require_enough
from curate.pipelines.cluster.options import ClusterPairsOptions
from curate.pipelines.cluster.part import ClusterFigures, ClusterJob, cluster_part, made_from
from curate.pipelines.clustered.plan import CENTRES, PLAN, SUMMARY, Centres, part_path
from curate.pipelines.embed import MatchedRows, ShardRows, matched_rows, shard_rows
from curate.pipelines.embedded.plan import EmbeddedPlan
from curate.pipelines.executor.journal import JOURNAL, PARTS, Journal
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import progress

__all__ = ["cluster_pairs"]

PAGE = "clusters.md"
_ENTRIES = ("pairs", CENTRES, JOURNAL, PARTS, PAGE, SUMMARY, PLAN)


@driven("cluster")
def cluster_pairs(
    *,
    embeddings: str,
    output: str,
    options: ClusterPairsOptions,
    matched: str | None = None,
    shards: str | None = None,
    centres: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Cluster the captions of pairs.

    Args:
        embeddings: folder that `embed` wrote, with vectors of texts.
        output: the folder `clusters/`.
        options: what decides the result.
        matched: folder of the matches that were embedded; or
        shards: folder, pattern or path of the tars that were embedded; None of both where entries
            and captions are not wanted.
        centres: folder of clusters whose centres are taken instead of fitting others.
        workers: threads or jobs.
        overwrite: begin anew, replacing what the folder holds.
        dry_run: say what would be done; nothing is written.
        quiet: no progress.

    Returns:
        read = Σ pairs of clusters + without_text; and what is in each cluster.

    Raises:
        ArtifactError: the vectors are not whole, of images alone, or of other pairs than those at
            hand; or centres are of another model's vectors.
        UsageError: there are fewer pairs than centres.
    """
    plan = EmbeddedPlan.read(embeddings)
    plan.whole_summary()
    plan.model_of(COLUMN)
    rows = _rows(plan, matched, shards)
    given = None if centres is None else given_centres(plan, centres)
    if given is None:
        require_enough(plan, options)
    parameters = {
        "embedded": plan.digest(), "model": plan.model_of(COLUMN), "with_entries": rows is not None,
        **(options.as_dict() if given is None else _as_given(given)),
    }  # fmt: skip
    if dry_run:
        return {"parts": len(plan.sources), "fine": parameters["fine"],
                "coarse": parameters["coarse"]}  # fmt: skip
    refuse_foreign(output, PLAN)
    with folder_to_fill(
        output, overwrite=overwrite, marker=PLAN, sign=SUMMARY, gone=_ENTRIES
    ) as folder:
        artifacts.begin_output(folder, parameters, anew=folder != output)
        digest = artifacts.digest(parameters)
        if not storage.exists(storage.join(folder, CENTRES)):
            found = given or fitted_centres(plan, options, workers=workers, quiet=quiet)
            found.write(folder, digest)
        found = Centres.read(folder)  # as a run that goes on has them
        job = ClusterJob(plan=plan, output=folder, parameters=digest, centres=found, rows=rows)
        return _fill(job, _names(rows), workers=workers, quiet=quiet)


def _as_given(given: Centres) -> dict[str, Any]:
    return {"fine": len(given.cluster), "coarse": given.num_clusters, "centres": given.identity}


def _rows(
    plan: EmbeddedPlan, matched: str | None, shards: str | None
) -> MatchedRows | ShardRows | None:
    """Return what reads the pairs that were embedded.

    Raises:
        ArtifactError: those at hand are others.
        UsageError: shards are given, and they are not what was embedded.
    """
    if shards is not None and plan.parameters["source"] != "shards":
        raise UsageError(
            f"{plan.folder} has vectors of matched pairs; leave --shards out, and name --matched "
            "if they are elsewhere"
        )
    if plan.parameters["source"] == "matched" and matched is not None:
        of_matches, sources = matched_rows(matched, (), with_images=False)
        plan.require_of(sources, matched)
        return of_matches
    if plan.parameters["source"] == "shards" and shards is not None:
        of_shards, sources = shard_rows(shards)
        plan.require_of(sources, shards)
        return of_shards
    return None


def _names(rows: MatchedRows | ShardRows | None) -> str | None:
    """Return the folder with tables of the entries by language; of shards, that beside theirs."""
    if isinstance(rows, ShardRows):
        shards = Path(os.path.abspath(storage.local_path(rows.paths[0]))).parent
        return str(shards.parent / "probabilities")
    return None if rows is None else storage.join(rows.folder, "counts")


def _fill(job: ClusterJob, names: str | None, *, workers: int, quiet: bool) -> dict[str, Any]:
    num = len(job.plan.sources)
    noted = {"parameters": job.parameters, "centres": job.centres.identity}
    journal = Journal(job.output, num, noted)
    journal.complete(lambda index: _noted(job, index))
    todo = journal.missing()
    total = ClusterFigures()
    for _, figures in journal.summaries():
        total += ClusterFigures.from_dict(figures)
    results = run_parts(
        cluster_part, todo, workers=workers, setup=_same, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    try:
        for index, size_bytes, of_part in progress(
            results, total=len(todo), label="cluster", unit="part", quiet=quiet
        ):
            journal.note(index, size_bytes, of_part.as_dict())
            total += of_part
    finally:
        journal.flush()
    journal.close()
    done = storage.join(job.output, SUMMARY)
    if storage.exists(done):
        return _without_sum(artifacts.read_json(done))
    if total.pairs != total.without_text + total.clusters.total():
        raise AssertionError(f"{total.pairs} pairs are not those of {total}")
    clusters = cluster_content(job, names, workers=workers, quiet=quiet)
    card = {
        "schema_version": artifacts.SCHEMA_VERSION, "plan": job.parameters,
        "identity": job.centres.identity, "model": job.centres.model, "parts": num,
        "pairs": total.pairs, "without_text": total.without_text,
        "fine": len(job.centres.cluster), "clusters": clusters,
    }  # fmt: skip
    with storage.publish(storage.join(job.output, PAGE)) as file:
        file.write(as_markdown(card).encode())
    artifacts.write_json(done, card)
    return card


def _without_sum(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "checksum"}


def _same(job: ClusterJob) -> ClusterJob:
    return job


def _noted(job: ClusterJob, index: int) -> dict[str, Any]:
    """Return a part's figures from its stamp, checked to be of this plan's part."""
    path = part_path(job.output, index)
    stamp, expected = artifacts.read_stamp(path), made_from(job, index)
    artifacts.require_same(path, {key: stamp.get(key) for key in expected}, expected)
    figures: dict[str, Any] = stamp["figures"]
    return figures
