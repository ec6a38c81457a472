"""`curate status`: a workspace in; what is done, stale or going on out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.status.metrics import serving_metrics, write_metrics
    from curate.pipelines.status.stage import StatusReader
    from curate.pipelines.status.verify import verify_workspace
    from curate.pipelines.status.view import status_table

__all__ = [
    "StatusReader", "serving_metrics", "status_table", "verify_workspace", "write_metrics",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "metrics": ["serving_metrics", "write_metrics"],
        "stage": ["StatusReader"],
        "verify": ["verify_workspace"],
        "view": ["status_table"],
    },
)
