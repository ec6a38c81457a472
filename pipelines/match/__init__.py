"""`curate match`: pairs in; pairs with language and entries, counts and rejects out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.match.dropping import enter_drops, remove_drops
    from curate.pipelines.match.finish import finish_matched
    from curate.pipelines.match.stage import MatchOptions, match_inputs
    from curate.pipelines.match.view import match_table

__all__ = [
    "MatchOptions", "enter_drops", "finish_matched", "match_inputs", "match_table", "remove_drops",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "dropping": ["enter_drops", "remove_drops"],
        "finish": ["finish_matched"],
        "stage": ["MatchOptions", "match_inputs"],
        "view": ["match_table"],
    },
)
