"""`curate browse`: a workspace in, a page that shows it to who sits at this machine out.

Readers of what is stored (`pair_sets`, `indexed`), questions to them (`pairs`, `answers`) and what
is open (`session`) know nothing of HTTP; the page and its server are in `web`.
"""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.browse.stage import browse_place
    from curate.pipelines.browse.view import browse_lines

__all__ = ["browse_lines", "browse_place"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["browse_place"],
        "view": ["browse_lines"],
    },
)
