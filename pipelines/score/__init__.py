"""`curate score`: vectors in; scores as columns, and pairs below a threshold out of the counts."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.score.options import ScoreOptions
    from curate.pipelines.score.stage import score_pairs, undo_scores
    from curate.pipelines.score.view import score_table

__all__ = ["ScoreOptions", "score_pairs", "score_table", "undo_scores"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "options": ["ScoreOptions"],
        "stage": ["score_pairs", "undo_scores"],
        "view": ["score_table"],
    },
)
