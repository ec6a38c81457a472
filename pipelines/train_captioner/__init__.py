"""`curate train-captioner`: shards, a CLIP model and a language model in; a captioner out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.train_captioner.begin import CaptionerParts
    from curate.pipelines.train_captioner.opened import (
        OwnCaptioner,
        image_model_hash,
        open_own,
        own_identity,
    )
    from curate.pipelines.train_captioner.stage import train_captioner
    from curate.pipelines.train_captioner.view import captioner_table

__all__ = [
    "CaptionerParts", "OwnCaptioner", "captioner_table", "image_model_hash", "open_own",
    "own_identity", "train_captioner",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "begin": ["CaptionerParts"],
        "opened": ["OwnCaptioner", "image_model_hash", "open_own", "own_identity"],
        "stage": ["train_captioner"],
        "view": ["captioner_table"],
    },
)
