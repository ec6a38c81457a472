"""What `NNNNN_stats.json` says of a shard of downloaded images, as img2dataset names it."""

from collections import Counter
from typing import Any

import pyarrow as pa

from curate.pipelines.shards.tar import ShardWriter
from curate.pipelines.store import artifacts

__all__ = ["ordered", "statistics"]


def ordered(failed: Counter[str]) -> dict[str, int]:
    """Return reasons with their numbers, the most frequent first."""
    return dict(sorted(failed.items(), key=lambda item: (-item[1], item[0])))


def statistics(parameters: str, stated: pa.Table, writer: ShardWriter) -> dict[str, Any]:
    """Return the statistics of a shard.

    Args:
        parameters: hash of what decides its content.
        stated: its pairs, with `status`, `reason` and `opt_outs`.
        writer: of its tar, closed.
    """
    reasons = Counter(r or "success" for r in stated.column("reason").to_pylist())
    said = Counter(word for words in stated.column("opt_outs").to_pylist() for word in words or ())
    status = Counter(stated.column("status").to_pylist())
    return {
        "schema_version": artifacts.SCHEMA_VERSION,
        "parameters": parameters,
        "count": stated.num_rows,
        "successes": status["success"],
        "failed_to_download": status["failed_to_download"],
        "failed_to_resize": status["failed_to_resize"],
        "status_dict": dict(sorted(reasons.items())),
        "opt_outs": dict(sorted(said.items())),
        "size_bytes": writer.size_bytes,
        "sha256": writer.sha256,
        **writer.sums,
    }
