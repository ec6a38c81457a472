"""What commands return: the summary as attributes and as items, a table in words, and Arrow.

`print(result)` shows what the command line shows; a notebook shows the data card, or the same
table.
"""

from curate.api.results.base import Result
from curate.api.results.models import (
    CaptionerResult,
    EvalResult,
    ExportResult,
    ModelsResult,
    TrainResult,
    WarmUpResult,
)
from curate.api.results.pairs import (
    BalanceResult,
    BrowseResult,
    CaptionResult,
    CardResult,
    ClusterResult,
    DecontaminateResult,
    DedupResult,
    DiffResult,
    DownloadResult,
    EmbedResult,
    Explanation,
    ExtractResult,
    JudgeResult,
    MatchResult,
    MetadataResult,
    PushResult,
    RetractResult,
    SampleResult,
    ScoreResult,
    Status,
    YieldResult,
)

__all__ = [
    "BalanceResult",
    "BrowseResult",
    "CaptionResult",
    "CaptionerResult",
    "CardResult",
    "ClusterResult",
    "DecontaminateResult",
    "DedupResult",
    "DiffResult",
    "DownloadResult",
    "EmbedResult",
    "EvalResult",
    "Explanation",
    "ExportResult",
    "ExtractResult",
    "JudgeResult",
    "MatchResult",
    "MetadataResult",
    "ModelsResult",
    "PushResult",
    "Result",
    "RetractResult",
    "SampleResult",
    "ScoreResult",
    "Status",
    "TrainResult",
    "WarmUpResult",
    "YieldResult",
]
