"""Metadata, matching, balancing and training for CLIP data in 300 languages, after MetaCLIP.

One function a command, with the command's options as keywords::

    import curate

    curate.build_metadata(lang="en", sources="wordnet")
    curate.match("pairs/*.parquet")
    card = curate.balance(t=20_000)

and the core on Arrow and numpy arrays. Names are loaded when they are first used. Nothing here
installs signal handlers, configures logging or prints; messages go to the logger ``curate``.
"""

from typing import TYPE_CHECKING

from curate.distribution import DISTRIBUTION, VERSION
from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate import curation, metadata, pipelines, training
    from curate.api.balancing import balance, card, yield_grid
    from curate.api.captions import caption, train_captioner
    from curate.api.crawl import extract
    from curate.api.duplicates import decontaminate, dedup
    from curate.api.images import download
    from curate.api.judge import judge_captions
    from curate.api.looking import browse
    from curate.api.machine import warm_up
    from curate.api.matching import match
    from curate.api.metadata import build_metadata
    from curate.api.models import evaluate, train
    from curate.api.published import export, load, models
    from curate.api.publishing import push
    from curate.api.results import Result
    from curate.api.stored import diff, explain, retract, status
    from curate.api.vectors import cluster, embed, sample, score
    from curate.curation.lid.identify import (
        CompiledIdentifier,
        FastTextIdentifier,
        default_lid_model,
    )
    from curate.curation.matching.index import IndexMatcher, build_index
    from curate.curation.matching.normalize import normalize_entry, normalize_text
    from curate.curation.matching.reference import AhoCorasickMatcher, Matcher, match_by_language
    from curate.curation.sampling.sampling import (
        count_entries,
        hash_draws,
        pair_probability,
        sampling_probability,
        slots,
        tail_share,
        threshold_for_tail_share,
    )
    from curate.errors import (
        ArtifactError,
        BadShareError,
        CurateError,
        DiskSpaceError,
        FetchError,
        InputError,
        MissingExtraError,
        NotFoundError,
        ThresholdError,
        UsageError,
    )

__distribution__, __version__ = DISTRIBUTION, VERSION

__all__ = [
    "AhoCorasickMatcher",
    "ArtifactError",
    "BadShareError",
    "CompiledIdentifier",
    "CurateError",
    "DiskSpaceError",
    "FastTextIdentifier",
    "FetchError",
    "IndexMatcher",
    "InputError",
    "Matcher",
    "MissingExtraError",
    "NotFoundError",
    "Result",
    "ThresholdError",
    "UsageError",
    "balance",
    "browse",
    "build_index",
    "build_metadata",
    "caption",
    "card",
    "cluster",
    "count_entries",
    "curation",
    "decontaminate",
    "dedup",
    "default_lid_model",
    "diff",
    "download",
    "embed",
    "evaluate",
    "explain",
    "export",
    "extract",
    "hash_draws",
    "judge_captions",
    "load",
    "match",
    "match_by_language",
    "metadata",
    "models",
    "normalize_entry",
    "normalize_text",
    "pair_probability",
    "pipelines",
    "push",
    "retract",
    "sample",
    "sampling_probability",
    "score",
    "slots",
    "status",
    "tail_share",
    "threshold_for_tail_share",
    "train",
    "train_captioner",
    "training",
    "warm_up",
    "yield_grid",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "api.balancing": ["balance", "card", "yield_grid"],
        "api.captions": ["caption", "train_captioner"],
        "api.crawl": ["extract"],
        "api.duplicates": ["decontaminate", "dedup"],
        "api.images": ["download"],
        "api.judge": ["judge_captions"],
        "api.looking": ["browse"],
        "api.publishing": ["push"],
        "api.machine": ["warm_up"],
        "api.matching": ["match"],
        "api.metadata": ["build_metadata"],
        "api.models": ["evaluate", "train"],
        "api.published": ["export", "load", "models"],
        "api.results": ["Result"],
        "api.stored": ["diff", "explain", "retract", "status"],
        "api.vectors": ["cluster", "embed", "sample", "score"],
        "curation.lid.identify": ["CompiledIdentifier", "FastTextIdentifier", "default_lid_model"],
        "curation.matching.index": ["IndexMatcher", "build_index"],
        "curation.matching.normalize": ["normalize_entry", "normalize_text"],
        "curation.matching.reference": ["AhoCorasickMatcher", "Matcher", "match_by_language"],
        "curation.sampling.sampling": [
            "count_entries",
            "hash_draws",
            "pair_probability",
            "sampling_probability",
            "slots",
            "tail_share",
            "threshold_for_tail_share",
        ],
        "errors": [
            "ArtifactError",
            "BadShareError",
            "CurateError",
            "DiskSpaceError",
            "FetchError",
            "InputError",
            "MissingExtraError",
            "NotFoundError",
            "ThresholdError",
            "UsageError",
        ],
    },
    subpackages=["curation", "metadata", "pipelines", "training"],
)
