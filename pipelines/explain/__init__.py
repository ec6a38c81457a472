"""`curate explain`: a text or a stored pair in, what it matches and whether it is kept out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.explain.stage import explain_text
    from curate.pipelines.explain.view import explanation

__all__ = ["explain_text", "explanation"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["explain_text"],
        "view": ["explanation"],
    },
)
