"""`curate balance`: `matched/` → `balanced/`: probabilities, the kept pairs, and the data card.

The way through: counts → t per language → probability of each entry → probability and draw of
each pair → the kept pairs, part by part as Parquet or as WebDataset shards → the data card.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.content import sample_share
from curate.curation.sampling.sampling import (
    check_seed,
    check_threshold,
    sampling_probability,
)
from curate.errors import ArtifactError, ThresholdError, UsageError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.balance.part import balance_part
from curate.pipelines.balance.uid_file import write_uid_file
from curate.pipelines.card import CARDS, ENTRY_FILES, write_cards
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.filters import load_filters
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.matched.decisions import (
    BalanceJob,
    BalanceWorker,
    kept_ids,
    sum_in_order,
)
from curate.pipelines.matched.exact import ExactCut
from curate.pipelines.matched.image_sources import DownloadedShards, image_sources
from curate.pipelines.matched.notes import note_balanced
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.stale import tell_of_new_metadata
from curate.pipelines.matched.thresholds import load_counts, thresholds
from curate.pipelines.shards.matched_images import open_downloaded
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.shards.write import has_images, pairs_per_shard, write_shards
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import CARD, refuse_foreign
from curate.pipelines.views.progress import log, progress
from curate.pipelines.yields import Target, exact_cut, threshold_for_pairs

__all__ = ["BalanceOptions", "balance_pairs"]

PLAN = artifacts.PLAN
_TO_CHOOSE = "The first is taken; --exact keeps as many as were asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceOptions:
    """What decides the result of balancing.

    Attributes:
        t: threshold in pairs per entry, >= 1; of the reference language if there is one.
        target_pairs: number of pairs to keep instead of t.
        exact: keep exactly that number, see `matched.exact`; not what the smallest t keeps that
            keeps as many.
        reference_lang: language whose tail share at t decides the t of all others; None to use
            the same t everywhere.
        seed: of the draws; 0 <= seed < 2^64.
        output_format: ``parquet``, ``shards``, or ``auto`` for shards where there are images.
        pairs_per_shard: size of a shard.
        shards: what else decides how shards are cut, ordered and filled.
        image_roots: folders that images may be read from besides those of inputs that this user
            matched; they decide nothing but whether the images are read.
    """

    t: int | None = None
    target_pairs: int | None = None
    exact: bool = False
    reference_lang: str | None = None
    seed: int = 0
    output_format: str = "auto"
    pairs_per_shard: int = 10_000
    filters: tuple[str, ...] = ()
    shards: ShardOptions = field(default_factory=ShardOptions)
    image_roots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range; ThresholdError if it is t.
        """
        if (self.t is None) == (self.target_pairs is None):
            raise UsageError("give either --t or --target-pairs")
        if self.t is not None:
            check_threshold(self.t)
        if self.target_pairs is not None and self.target_pairs < 1:
            raise ThresholdError(f"--target-pairs is {self.target_pairs}; expected at least 1")
        if self.exact and self.target_pairs is None:
            raise UsageError("--exact goes with --target-pairs, the number of pairs to keep")
        if self.exact and self.filters:
            raise UsageError(
                "--exact keeps as many pairs as are asked for, and --filter drops some of them; "
                f"give the filters to `{suggest('match')}`"
            )
        check_seed(self.seed)
        if self.output_format not in ("auto", "parquet", "shards"):
            raise UsageError(
                f"--format is {self.output_format!r}; expected auto, parquet or shards"
            )
        if self.pairs_per_shard < 1:
            raise UsageError(f"--pairs-per-shard is {self.pairs_per_shard}; expected at least 1")


@driven("balance")
def balance_pairs(
    *,
    matched: str,
    output: str,
    options: BalanceOptions,
    downloaded: str | None = None,
    uids: str | None = None,
    keep_downloads: bool = False,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Sample the matched pairs so that no entry gets more than about t of them.

    Args:
        matched: folder that `match` wrote.
        output: the folder `balanced/`.
        options: what decides the result.
        downloaded: folder that `download --from matched` wrote, which the images of shards are
            taken from; None: from where the pairs say.
        uids: write the ids of the kept pairs to this file, as DataComp's resharder takes them.
        keep_downloads: with overwrite, leave the images that `download` put into the folder.
        workers: threads; processes that write shards.
        overwrite: replace what the folder holds, but never downloaded images.
        dry_run: choose t only; nothing is written.
        quiet: no progress.

    Returns:
        The data card, as in `datacard.json`; with dry_run, t per language.

    Raises:
        ArtifactError: matching is not complete, or the folder holds something else, or downloaded
            images that would go.
        UsageError: t or the target cannot be meant.
    """
    plan = MatchedPlan.read(matched)
    tell_of_new_metadata(plan, quiet=quiet)
    counts = load_counts(plan)
    refuse_foreign(output, PLAN)
    images_of = None
    if downloaded is not None and options.output_format != "parquet":
        images_of = open_downloaded(downloaded, plan)
    target, exact = None, None
    if options.target_pairs is not None:
        target = threshold_for_pairs(
            plan, counts, options.target_pairs, options.seed,
            lambda t: thresholds(counts, t, options.reference_lang), workers=workers, quiet=quiet,
        )  # fmt: skip
        if target.kept != target.pairs:
            more = "" if options.exact else f". {_TO_CHOOSE}"
            log(target.sentence() + more, quiet=quiet)
    t = target.t if target else options.t or 0
    t_of = thresholds(counts, t, options.reference_lang)
    if dry_run:
        found = {"t": t, "t_of_language": t_of}
        return found if target is None else {**found, "target": target.as_dict()}
    if target and options.exact:
        below = thresholds(counts, t - 1, options.reference_lang) if t > 1 else None
        exact = exact_cut(
            plan, counts, t_of, below, options.seed, pairs=target.pairs, kept_below=target.below,
            workers=workers, quiet=quiet,
        )  # fmt: skip
    parameters = _parameters(plan, options, t, t_of, target, exact, images_of)
    is_shards = parameters["format"] == "shards"
    if is_shards and images_of is None and not has_images(plan):
        log(
            "these pairs have no images, so that no model can be trained on their shards. To fetch "
            f"the images, leave --format out and run `{suggest('download')}` then.",
            quiet=quiet,
        )
    images = image_sources(plan, options.image_roots, images_of) if is_shards else None
    gone = _replaced(output, keep_downloads=keep_downloads) if overwrite else ()
    with folder_to_fill(output, overwrite=overwrite, marker=PLAN, sign=CARD, gone=gone) as folder:
        artifacts.begin_output(folder, parameters, anew=folder != output)
        job = _job(plan, folder, parameters, options, images, exact)
        card = _fill(plan, counts, job, parameters, options, uids, workers=workers, quiet=quiet)
    note_balanced(matched, output, parameters)
    return card


def _job(
    plan: MatchedPlan,
    folder: str,
    parameters: dict[str, Any],
    options: BalanceOptions,
    images: Any,
    exact: ExactCut | None,
) -> BalanceJob:
    return BalanceJob(
        matched=plan.folder,
        output=folder,
        parameters=artifacts.digest(parameters),
        metadata=plan.parameters["metadata"],
        columns=ColumnNames(**plan.parameters["columns"]),
        seed=options.seed,
        write_pairs=parameters["format"] == "parquet",
        filters=options.filters,
        images=images,
        exact=exact,
        content_share=sample_share(plan.whole_summary()["matched"]),
    )


def _fill(
    plan: MatchedPlan,
    counts: dict[str, NDArray[np.int64]],
    job: BalanceJob,
    parameters: dict[str, Any],
    options: BalanceOptions,
    uids: str | None,
    *,
    workers: int,
    quiet: bool,
) -> dict[str, Any]:
    """Write probabilities, pairs or shards, and the card; return the card."""
    t_of, folder = parameters["t_of_language"], job.output
    _write_probabilities(plan, counts, t_of, folder, parameters)
    tasks = list(range(len(plan.parts)))
    results = run_parts(
        balance_part, tasks, workers=workers, setup=BalanceWorker, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    shown = progress(results, total=len(tasks), label="balance", unit="part", quiet=quiet)
    total, num_kept = sum_in_order(shown)
    if parameters["format"] == "shards":
        size = parameters["pairs_per_shard"]
        write_shards(job, num_kept, size, options.shards, workers=workers, quiet=quiet)
    if uids is not None:
        write_uid_file(uids, kept_ids(job, tasks))
    return write_cards(
        plan, counts, t_of, job, parameters, folder, kept=total, workers=workers, quiet=quiet
    )


def _replaced(output: str, *, keep_downloads: bool) -> tuple[str, ...]:
    """Return the names of what is made anew in a folder.

    Raises:
        ArtifactError: images that were downloaded, perhaps for days, would go with it.
    """
    names = ("pairs", "probabilities", *CARDS, *ENTRY_FILES)
    shards = storage.join(output, "shards")
    if not storage.exists(storage.join(shards, PLAN)):  # which `download` writes, and nobody else
        return (*names, "shards")
    if keep_downloads:
        return names
    raise ArtifactError(
        f"{shards} holds images that were downloaded for the pairs that --overwrite replaces. Move "
        "the folder elsewhere or remove it, or choose another --output."
    )


def _parameters(
    plan: MatchedPlan,
    options: BalanceOptions,
    t: int,
    t_of: dict[str, int | None],
    target: Target | None,
    exact: ExactCut | None,
    downloaded: DownloadedShards | None,
) -> dict[str, Any]:
    chosen = options.output_format
    if chosen == "auto":
        chosen = "shards" if downloaded is not None or has_images(plan) else "parquet"
    size = None
    if chosen == "shards":
        wanted = options.shards.shard_bytes
        size = pairs_per_shard(plan, wanted, downloaded) if wanted else options.pairs_per_shard
    return {
        "matched": plan.digest(),
        "t": t,
        "target_pairs": options.target_pairs,
        "reference_lang": options.reference_lang,
        "t_of_language": t_of,
        "seed": options.seed,
        "format": chosen,
        "pairs_per_shard": size,
        "shards": options.shards.as_dict() if chosen == "shards" else None,
        **({"downloaded": downloaded.digest} if downloaded else {}),
        **({"target": target.as_dict()} if target else {}),
        **({"exact": exact.as_dict()} if exact else {}),
        **({"filters": load_filters(options.filters).made_from} if options.filters else {}),
    }


def _write_probabilities(
    plan: MatchedPlan,
    counts: dict[str, NDArray[np.int64]],
    t_of: dict[str, int | None],
    output: str,
    parameters: dict[str, Any],
) -> None:
    for lang, count in counts.items():
        t = t_of[lang]
        probability = sampling_probability(count, t) if t is not None else np.ones(len(count))
        table = artifacts.read_table(plan.counts_path(lang))
        table = table.append_column("probability", pa.array(probability))
        path = storage.join(output, "probabilities", f"{lang}.parquet")
        stamp = {"lang": lang, "parameters": artifacts.digest(parameters)}
        artifacts.write_table(path, table, stamp, plan.parameters["metadata"][lang])
