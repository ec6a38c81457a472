"""`curate decontaminate`: evaluation sets and vectors in; pairs in them, out of the flow."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.decontaminate.options import DecontaminateOptions
    from curate.pipelines.decontaminate.stage import decontaminate_pairs, undo_decontamination
    from curate.pipelines.decontaminate.view import decontaminate_table

__all__ = [
    "DecontaminateOptions", "decontaminate_pairs", "decontaminate_table", "undo_decontamination",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "options": ["DecontaminateOptions"],
        "stage": ["decontaminate_pairs", "undo_decontamination"],
        "view": ["decontaminate_table"],
    },
)
