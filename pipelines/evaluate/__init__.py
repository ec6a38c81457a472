"""`curate eval`: a run and held-out images in, figures out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.evaluate.ensemble import evaluate_ensemble
    from curate.pipelines.evaluate.stage import evaluate_model, is_first_process
    from curate.pipelines.evaluate.view import eval_table

__all__ = ["eval_table", "evaluate_ensemble", "evaluate_model", "is_first_process"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ensemble": ["evaluate_ensemble"],
        "stage": ["evaluate_model", "is_first_process"],
        "view": ["eval_table"],
    },
)
