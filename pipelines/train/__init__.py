"""`curate train`: shards in; checkpoints, log and model card of a run out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.train.evaluations import short_identity, write_evaluation
    from curate.pipelines.train.files import log_of_run, progress_of_run
    from curate.pipelines.train.model_card import add_evaluations
    from curate.pipelines.train.stage import TrainExtras, check_run_name, train_model
    from curate.pipelines.train.students import train_students
    from curate.pipelines.train.view import train_table

__all__ = [
    "TrainExtras", "add_evaluations", "check_run_name", "log_of_run", "progress_of_run",
    "short_identity", "train_model", "train_students", "train_table", "write_evaluation",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evaluations": ["short_identity", "write_evaluation"],
        "files": ["log_of_run", "progress_of_run"],
        "model_card": ["add_evaluations"],
        "stage": ["TrainExtras", "check_run_name", "train_model"],
        "students": ["train_students"],
        "view": ["train_table"],
    },
)
