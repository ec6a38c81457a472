"""`curate train`: shards in; checkpoints, log and model card of a run out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.train.evaluations import short_identity, write_evaluation
    from curate.pipelines.train.files import (
        RUN_ENTRIES,
        RunFiles,
        RunLog,
        progress_of_run,
        read_checkpoint,
        save_tensors,
    )
    from curate.pipelines.train.loop import Progress, TrainLoop, restore
    from curate.pipelines.train.model_card import add_evaluations
    from curate.pipelines.train.progress import TrainView
    from curate.pipelines.train.stage import (
        TrainExtras,
        check_run_name,
        only_driver,
        shard_identities,
        shard_sums,
        train_model,
    )
    from curate.pipelines.train.view import train_table

__all__ = [
    "RUN_ENTRIES", "Progress", "RunFiles", "RunLog", "TrainExtras", "TrainLoop", "TrainView",
    "add_evaluations", "check_run_name", "only_driver", "progress_of_run", "read_checkpoint",
    "restore", "save_tensors", "shard_identities", "shard_sums", "short_identity", "train_model",
    "train_table", "write_evaluation",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evaluations": ["short_identity", "write_evaluation"],
        "files": [
            "RUN_ENTRIES", "RunFiles", "RunLog", "progress_of_run", "read_checkpoint",
            "save_tensors",
        ],
        "loop": ["Progress", "TrainLoop", "restore"],
        "model_card": ["add_evaluations"],
        "progress": ["TrainView"],
        "stage": [
            "TrainExtras", "check_run_name", "only_driver", "shard_identities", "shard_sums",
            "train_model",
        ],
        "view": ["train_table"],
    },
)  # fmt: skip
