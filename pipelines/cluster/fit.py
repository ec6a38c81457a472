"""Vectors of a folder in, centres of clusters out: fitted on pairs that a hash draws."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.curation.hashing.ids import quick_hashes
from curate.curation.vectors.balanced import balanced_centres
from curate.errors import ArtifactError, UsageError
from curate.files.remedies import damaged
from curate.pipelines.cluster.options import ClusterPairsOptions
from curate.pipelines.clustered.plan import Centres
from curate.pipelines.embedded.plan import EmbeddedPlan, vectors_of
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.views.progress import log, progress

__all__ = ["COLUMN", "fitted_centres", "given_centres", "require_enough", "text_vectors"]

COLUMN = "text"
_COARSE_STEPS = 100
_SPREAD = 6.0  # standard deviations of the number of pairs below the bound
Drawn = tuple[NDArray[np.uint64], NDArray[np.float16]]


class _Draw(NamedTuple):
    """What a worker has to know: pairs whose hash is below `bound` are drawn."""

    plan: EmbeddedPlan
    seed: int
    bound: int


def fitted_centres(
    plan: EmbeddedPlan, options: ClusterPairsOptions, *, workers: int, quiet: bool
) -> Centres:
    """Fit fine centres on a sample, and put them into clusters.

    The sample is the pairs with the smallest hashes of their ids, whatever parts they are in.

    Args:
        plan: of the vectors.
        options: how many centres, on how many pairs.
        workers: threads or jobs that read.
        quiet: no progress.

    Raises:
        UsageError: fewer pairs are drawn than there are to be centres.
    """
    num = require_enough(plan, options)
    wanted = min(num, options.sample_size)
    share = min(1.0, (wanted + _SPREAD * math.sqrt(wanted) + _SPREAD) / num)
    draw = _Draw(plan, options.seed, int(share * 2.0**64))
    found = run_parts(
        _drawn, list(range(len(plan.sources))), workers=workers, setup=_same, arguments=(draw,),
        threads=True, anywhere=True,
    )  # fmt: skip
    shown = progress(found, total=len(plan.sources), label="sample", unit="part", quiet=quiet)
    drawn = [one for _, one in sorted(shown, key=lambda item: item[0])]
    keys, vectors = (np.concatenate(column) for column in zip(*drawn, strict=True))
    order = np.argsort(keys, kind="stable")[:wanted]
    if len(order) < options.fine:
        raise UsageError(f"--sample is {options.sample_size:,}, and {len(order):,} pairs were "
                         "drawn; use a larger one")  # fmt: skip
    sample = vectors[order].astype(np.float32)
    log(f"fitting {options.fine:,} centres on {len(sample):,} captions", quiet=quiet)
    centres, _ = balanced_centres(sample, options.fine, steps=options.steps)
    _, cluster = balanced_centres(centres, options.coarse, steps=_COARSE_STEPS)
    return Centres(centres, cluster, options.coarse, plan.model_of(COLUMN))


def require_enough(plan: EmbeddedPlan, options: ClusterPairsOptions) -> int:
    """Return how many pairs have a vector of their text.

    Raises:
        UsageError: they are fewer than there are to be centres.
    """
    num = int(plan.whole_summary()["text_vectors"])
    if num < options.fine:
        raise UsageError(
            f"--fine is {options.fine:,}, and of the pairs of {plan.folder} {num:,} have a vector "
            "of their text; expected at most as many centres"
        )
    return num


def given_centres(plan: EmbeddedPlan, folder: str) -> Centres:
    """Read centres that were fitted before, on other pairs.

    Raises:
        ArtifactError: there are none, or they are of another model's vectors.
    """
    found, model = Centres.read(folder), plan.model_of(COLUMN)
    if found.model["sha256"] != model["sha256"]:
        raise ArtifactError(
            f"{folder}: its centres are of vectors by the model {found.model['sha256'][:12]}…, and "
            f"those of {plan.folder} are by {model['sha256'][:12]}…: they cannot be compared"
        )
    return found


def text_vectors(
    plan: EmbeddedPlan, index: int, column: object, width: int
) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Return the vectors of a batch, and which rows have one.

    Raises:
        ArtifactError: they are of another width than the plan says, or not finite.
    """
    path = plan.path(index)
    vectors, is_there = vectors_of(column, path)
    if vectors.shape[1] != width:
        damaged(path, f"its vectors are of width {vectors.shape[1]}, expected {width}")
    return vectors, is_there


def _same(draw: _Draw) -> _Draw:
    return draw


def _drawn(draw: _Draw, index: int) -> tuple[int, Drawn]:
    """Return the hashes and vectors of the pairs of a part that are drawn."""
    width = int(draw.plan.model_of(COLUMN)["width"])
    keys: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    found: list[NDArray[np.float16]] = [np.zeros((0, width), np.float16)]
    for batch in draw.plan.batches(index, ["pair_id", COLUMN]):
        hashes = quick_hashes(batch.column("pair_id"), draw.seed)
        vectors, is_there = text_vectors(draw.plan, index, batch.column(COLUMN), width)
        is_drawn = (
            is_there if draw.bound >= 1 << 64 else is_there & (hashes < np.uint64(draw.bound))
        )
        keys.append(hashes[is_drawn])
        found.append(vectors[is_drawn])
    return index, (np.concatenate(keys), np.concatenate(found))
