"""`curate retract`: ids and URLs in; matches, counts and balanced sets without them out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.retract.stage import retract_pairs
    from curate.pipelines.retract.view import retract_table

__all__ = ["retract_pairs", "retract_table"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["retract_pairs"],
        "view": ["retract_table"],
    },
)
