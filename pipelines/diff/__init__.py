"""`curate diff`: two folders of ours in, what differs out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.diff.stage import compare_folders
    from curate.pipelines.diff.view import diff_table

__all__ = ["compare_folders", "diff_table"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["compare_folders"],
        "view": ["diff_table"],
    },
)
