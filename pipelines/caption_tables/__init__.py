"""Tables of captions in, checked captions and the joined index of training out.

`names` says which tables are meant, `read` checks their rows, `join` sorts them for training once
for each machine, `check` tells a table that is of other pairs before a run begins.
"""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.caption_tables.join import CaptionOptions
    from curate.pipelines.caption_tables.names import parse_weights

__all__ = ["CaptionOptions", "parse_weights"]

__getattr__, __dir__ = lazy_names(
    __name__, {"join": ["CaptionOptions"], "names": ["parse_weights"]}
)
