"""`curate train`: shards in; checkpoints, log and model card of a run out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.train.evaluations import short_identity, write_evaluation
    from curate.pipelines.train.files import (
        RUN_ENTRIES,
        RunFiles,
        read_checkpoint,
        save_tensors,
    )
    from curate.pipelines.train.identity import shard_identities
    from curate.pipelines.train.loading import TrainExtras, shard_sums
    from curate.pipelines.train.loop import Progress, TrainLoop, restore
    from curate.pipelines.train.model_card import add_evaluations
    from curate.pipelines.train.run_log import RunLog, log_of_run, progress_of_run
    from curate.pipelines.train.shard_facts import ShardFacts, take_stock
    from curate.pipelines.train.stage import check_run_name, only_driver, train_model
    from curate.pipelines.train.students import train_students
    from curate.pipelines.train.view import TrainView, train_table

__all__ = [
    "RUN_ENTRIES", "Progress", "RunFiles", "RunLog", "ShardFacts", "TrainExtras", "TrainLoop",
    "TrainView", "add_evaluations", "check_run_name", "log_of_run", "only_driver",
    "progress_of_run", "read_checkpoint", "restore", "save_tensors", "shard_identities",
    "shard_sums", "short_identity", "take_stock", "train_model", "train_students", "train_table",
    "write_evaluation",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evaluations": ["short_identity", "write_evaluation"],
        "files": ["RUN_ENTRIES", "RunFiles", "read_checkpoint", "save_tensors"],
        "identity": ["shard_identities"],
        "loading": ["TrainExtras", "shard_sums"],
        "loop": ["Progress", "TrainLoop", "restore"],
        "model_card": ["add_evaluations"],
        "run_log": ["RunLog", "log_of_run", "progress_of_run"],
        "shard_facts": ["ShardFacts", "take_stock"],
        "stage": ["check_run_name", "only_driver", "train_model"],
        "students": ["train_students"],
        "view": ["TrainView", "train_table"],
    },
)  # fmt: skip
