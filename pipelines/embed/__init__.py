"""`curate embed`: matched pairs or shards in; vectors and fingerprints, a row a pair, out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.embed.options import EmbedOptions
    from curate.pipelines.embed.rows import MatchedRows, ShardRows, matched_rows, shard_rows
    from curate.pipelines.embed.stage import embed_pairs
    from curate.pipelines.embed.view import embed_table

__all__ = [
    "EmbedOptions", "MatchedRows", "ShardRows", "embed_pairs", "embed_table", "matched_rows",
    "shard_rows",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "options": ["EmbedOptions"],
        "rows": ["MatchedRows", "ShardRows", "matched_rows", "shard_rows"],
        "stage": ["embed_pairs"],
        "view": ["embed_table"],
    },
)
