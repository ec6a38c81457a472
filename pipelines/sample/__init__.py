"""`curate sample`: vectors in; a tree of clusters, and pairs sampled evenly down it, out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.sample.options import SampleOptions
    from curate.pipelines.sample.stage import sample_pairs, undo_sample
    from curate.pipelines.sample.view import sample_table

__all__ = ["SampleOptions", "sample_pairs", "sample_table", "undo_sample"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "options": ["SampleOptions"],
        "stage": ["sample_pairs", "undo_sample"],
        "view": ["sample_table"],
    },
)
