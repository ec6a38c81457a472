"""`curate dedup`: vectors and fingerprints in; the pairs that fall, out of the flow."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.dedup.options import DedupOptions
    from curate.pipelines.dedup.stage import dedup_pairs, undo_dedup
    from curate.pipelines.dedup.view import dedup_table

__all__ = ["DedupOptions", "dedup_pairs", "dedup_table", "undo_dedup"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "options": ["DedupOptions"],
        "stage": ["dedup_pairs", "undo_dedup"],
        "view": ["dedup_table"],
    },
)
