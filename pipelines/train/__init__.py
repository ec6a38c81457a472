"""`curate train`: shards in; checkpoints, log and model card of a run out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.train.evaluations import short_identity, write_evaluation
    from curate.pipelines.train.extras import TrainExtras
    from curate.pipelines.train.files import (
        RUN_ENTRIES,
        RunFiles,
        read_checkpoint,
        save_tensors,
    )
    from curate.pipelines.train.identity import lanes_identity, shard_identities
    from curate.pipelines.train.loading import Loading, refuse_twice
    from curate.pipelines.train.loop import Progress, TrainLoop, restore
    from curate.pipelines.train.model_card import add_evaluations
    from curate.pipelines.train.shard_facts import ShardFacts
    from curate.pipelines.train.stage import (
        Agreed,
        agreed,
        check_folder,
        check_run_name,
        has_progress,
        only_driver,
        paths,
        train_model,
    )
    from curate.pipelines.train.students import train_students
    from curate.pipelines.train.told.run_log import RunLog, log_of_run, progress_of_run
    from curate.pipelines.train.told.view import TrainView, train_table

__all__ = [
    "RUN_ENTRIES", "Agreed", "Loading", "Progress", "RunFiles", "RunLog", "ShardFacts",
    "TrainExtras", "TrainLoop", "TrainView", "add_evaluations", "agreed", "check_folder",
    "check_run_name", "has_progress", "lanes_identity", "log_of_run", "only_driver", "paths",
    "progress_of_run", "read_checkpoint", "refuse_twice", "restore", "save_tensors",
    "shard_identities", "short_identity", "train_model", "train_students", "train_table",
    "write_evaluation",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evaluations": ["short_identity", "write_evaluation"],
        "files": ["RUN_ENTRIES", "RunFiles", "read_checkpoint", "save_tensors"],
        "identity": ["lanes_identity", "shard_identities"],
        "extras": ["TrainExtras"],
        "loading": ["Loading", "refuse_twice"],
        "loop": ["Progress", "TrainLoop", "restore"],
        "model_card": ["add_evaluations"],
        "told.run_log": ["RunLog", "log_of_run", "progress_of_run"],
        "shard_facts": ["ShardFacts"],
        "stage": [
            "Agreed", "agreed", "check_folder", "check_run_name", "has_progress", "only_driver",
            "paths", "train_model",
        ],
        "students": ["train_students"],
        "told.view": ["TrainView", "train_table"],
    },
)  # fmt: skip
