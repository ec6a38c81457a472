"""`curate models`: parts of names in; what is published under them, and their files, out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.models.stage import list_models
    from curate.pipelines.models.view import models_table

__all__ = ["list_models", "models_table"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["list_models"],
        "view": ["models_table"],
    },
)
