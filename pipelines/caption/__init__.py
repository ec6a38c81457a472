"""`curate caption`: shards in; a table of captions by pair id out, by a model here or elsewhere."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.caption.captioner import CaptionerOptions
    from curate.pipelines.caption.endpoint import EndpointOptions
    from curate.pipelines.caption.prompts import read_prompts
    from curate.pipelines.caption.sampling import Decoding
    from curate.pipelines.caption.stage import caption_shards
    from curate.pipelines.caption.view import caption_table

__all__ = [
    "CaptionerOptions", "Decoding", "EndpointOptions", "caption_shards", "caption_table",
    "read_prompts",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "captioner": ["CaptionerOptions"],
        "endpoint": ["EndpointOptions"],
        "prompts": ["read_prompts"],
        "sampling": ["Decoding"],
        "stage": ["caption_shards"],
        "view": ["caption_table"],
    },
)
