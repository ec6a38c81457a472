"""`curate train`: shards in; checkpoints, log and model card of a run out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.train.stage import TrainExtras, check_run_name, train_model
    from curate.pipelines.train.view import train_table

__all__ = ["TrainExtras", "check_run_name", "train_model", "train_table"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["TrainExtras", "check_run_name", "train_model"],
        "view": ["train_table"],
    },
)
