"""`curate export`: a run in, a folder that others" programs load out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.export.stage import export_model, find_run
    from curate.pipelines.export.view import export_table

__all__ = ["export_model", "export_table", "find_run"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["export_model", "find_run"],
        "view": ["export_table"],
    },
)
