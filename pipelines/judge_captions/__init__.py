"""`curate judge-captions`: captions beside their images and alt-texts in; which are good, out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.judge_captions.part import JudgeOptions
    from curate.pipelines.judge_captions.stage import judge_captions
    from curate.pipelines.judge_captions.view import judge_table

__all__ = ["JudgeOptions", "judge_captions", "judge_table"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {"part": ["JudgeOptions"], "stage": ["judge_captions"], "view": ["judge_table"]},
)
