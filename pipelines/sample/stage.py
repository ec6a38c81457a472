"""`curate sample`: `embeddings/` → `sampled/`: clusters of clusters, and pairs drawn of them.

The way through: vectors → a tree of clusters, fitted on some of them → each pair's leaf → how many
pairs of each leaf count → a budget for each, from the top down → its probability → a list of drops
in `matched/`, whose counts are made anew: what is left can be balanced, downloaded or trained on.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.vectors.tree import Level, leaf_budgets, sizes_of_levels
from curate.errors import UsageError
from curate.files import storage
from curate.pipelines.embedded.plan import EmbeddedPlan, require_matched
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.match import enter_drops, remove_drops
from curate.pipelines.matched.drops import SAMPLE, Drops
from curate.pipelines.sample.decide import NO_VECTOR, NOT_SAMPLED, decided, sizes_of_leaves
from curate.pipelines.sample.options import SampleOptions
from curate.pipelines.sample.part import SampleJob, SampleWorker, assign_part
from curate.pipelines.sample.tree_file import count_vectors, read_tree, write_tree
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import progress

__all__ = ["sample_pairs", "undo_sample"]

PLAN, SUMMARY = artifacts.PLAN, "summary.json"
_TREE, _LEAVES = "tree.parquet", "leaves.parquet"
_ENTRIES = ("pairs", _TREE, _LEAVES, SUMMARY, PLAN)


@driven("sample")
def sample_pairs(
    *,
    embeddings: str,
    output: str,
    options: SampleOptions,
    matched: str | None = None,
    enter: bool = True,
    metadata: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Sample pairs evenly down a tree of clusters, and have the others not count.

    With another target, clusters that are there are sampled from again.

    Args:
        embeddings: folder that `embed` wrote.
        output: the folder `sampled/`.
        options: what decides the result.
        matched: folder of the matches; what does not count there is not sampled from. None for
            all vectors.
        enter: whether the others are not to count in `matched`.
        metadata: folder that it was matched with; None for the one that is noted.
        workers: threads; or jobs, where a cluster does the work.
        overwrite: begin anew, replacing what the folder holds.
        dry_run: say how many clusters there would be; nothing is written.
        quiet: no progress.

    Returns:
        read = kept + Σ fallen by reason + dropped, which did not count before; expected: number of
        pairs kept; levels: of each, clusters, empty ones, and the share of pairs and of kept ones
        in the largest hundredth of its clusters; matched: pairs that count now, None if nothing
        was changed.

    Raises:
        ArtifactError: the vectors are not whole, or of other pairs than the matches have.
        UsageError: there are fewer vectors than clusters.
        MissingExtraError: faiss is not installed.
    """
    plan = EmbeddedPlan.read(embeddings)
    clusters = options.clusters_of(num := count_vectors(plan, options.kind))
    if not num:
        raise UsageError(f"{embeddings}: not one pair has a vector of the kind {options.kind}")
    if matched is not None:
        require_matched(plan, matched)
    if dry_run:
        return {"vectors": num, "clusters": list(clusters), "parts": len(plan.sources)}
    parameters = {
        "embedded": plan.digest(), "clusters": list(clusters), **options.as_dict(),
    }  # fmt: skip
    drops = Drops() if matched is None else Drops.read(matched, without=SAMPLE)
    refuse_foreign(output, PLAN)
    with folder_to_fill(
        output, overwrite=overwrite, marker=PLAN, sign=SUMMARY, gone=_ENTRIES
    ) as folder:
        artifacts.begin_output(folder, parameters, anew=folder != output)
        storage.remove(storage.join(folder, SUMMARY))
        job = SampleJob(
            plan=plan, output=folder, kind=options.kind, tree=storage.join(folder, _TREE),
            stamp={"parameters": artifacts.digest(parameters)},
        )  # fmt: skip
        write_tree(
            plan, job.tree, clusters, kind=options.kind, seed=options.seed, stamp=job.stamp,
            resample=options.resample, quiet=quiet,
        )  # fmt: skip
        _assign(job, workers=workers, quiet=quiet)
        summary, probability = _sample(job, options, drops)
        artifacts.write_json(storage.join(folder, SUMMARY), summary)
    left = None
    if matched is not None and enter:
        about = {
            "sampled": summary["plan"], "target_pairs": options.target_pairs, "others": drops.lists
        }  # fmt: skip
        falls = _falling(replace(job, output=output), drops, probability, options.seed)
        left = enter_drops(
            matched, SAMPLE, falls, about=about, metadata=metadata, workers=workers, quiet=quiet
        )["matched"]  # fmt: skip
    return {**summary, "matched": left}


def undo_sample(*, matched: str, metadata: str | None, workers: int, quiet: bool) -> dict[str, Any]:
    """Have pairs that were not sampled count again.

    Returns:
        counted_again: pairs; matched: pairs that count now.
    """
    return remove_drops(matched, SAMPLE, metadata=metadata, workers=workers, quiet=quiet)


def _assign(job: SampleJob, *, workers: int, quiet: bool) -> None:
    tasks = list(range(len(job.plan.sources)))
    results = run_parts(
        assign_part, tasks, workers=workers, setup=SampleWorker, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    for _ in progress(results, total=len(tasks), label="assign", unit="part", quiet=quiet):
        pass


def _sample(
    job: SampleJob, options: SampleOptions, drops: Drops
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Write each leaf's probability; return the summary, and these."""
    levels, parts = read_tree(job.tree), range(len(job.plan.sources))
    num = len(levels[0].centres)
    sizes, without, dropped = sizes_of_leaves(job, parts, drops, num)
    budgets = leaf_budgets(levels, sizes, float(options.target_pairs))
    probability = np.divide(budgets, sizes, out=np.zeros(num), where=sizes > 0)
    table = pa.table(
        {"cluster": pa.array(np.arange(num), pa.uint32()), "pairs": sizes, "expected": budgets,
         "probability": probability}
    )  # fmt: skip
    stamp = {**job.stamp, "target_pairs": options.target_pairs}
    artifacts.write_table(storage.join(job.output, _LEAVES), table, stamp, "")
    fallen: Counter[str] = Counter()
    kept = np.zeros(num, np.int64)
    for _, why, leaves in decided(job, parts, drops, probability, options.seed):
        fallen.update(why)
        kept += np.bincount(leaves, minlength=num)
    if int(sizes.sum()) != int(kept.sum()) + fallen[NOT_SAMPLED] or fallen[NO_VECTOR] != without:
        raise AssertionError(f"{sizes.sum()} pairs are not {kept.sum()} and {fallen}")
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "plan": artifacts.digest(
            {"parameters": job.stamp["parameters"], "target_pairs": options.target_pairs,
             "drops": drops.digest()}
        ),
        "read": int(sizes.sum()) + without + dropped,
        "kept": int(kept.sum()),
        "expected": round(float(budgets.sum()), 3),
        "target_pairs": options.target_pairs,
        "fallen": dict(sorted(fallen.items())),
        "left_out": dropped,
        "levels": _levels(levels, sizes, kept),
    }  # fmt: skip
    return summary, probability


def _falling(
    job: SampleJob, drops: Drops, probability: NDArray[np.float64], seed: int
) -> Iterator[tuple[pa.StringArray, pa.Array]]:
    """Yield the ids of the pairs that fall, and why, part by part."""
    for ids, why, _ in decided(job, range(len(job.plan.sources)), drops, probability, seed):
        yield ids, pa.array(why, pa.string())


def _levels(
    levels: list[Level], sizes: NDArray[np.int64], kept: NDArray[np.int64]
) -> list[dict[str, Any]]:
    found = []
    both = (sizes_of_levels(levels, counts) for counts in (sizes, kept))
    for of_pairs, of_kept in zip(*both, strict=True):
        largest = np.argsort(-of_pairs, kind="stable")[: -(-len(of_pairs) // 100)]
        shares = (
            round(float(counts[largest].sum() / max(1, counts.sum())), 6)
            for counts in (of_pairs, of_kept)
        )
        before, after = shares
        found.append(
            {"clusters": len(of_pairs), "empty": int((of_pairs == 0).sum()),
             "largest_share": before, "largest_share_kept": after}
        )  # fmt: skip
    return found
