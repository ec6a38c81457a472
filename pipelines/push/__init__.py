"""`curate push`: a balanced set, its card and metadata in, a dataset repository of the Hub out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.push.stage import push_set
    from curate.pipelines.push.view import push_table

__all__ = ["push_set", "push_table"]

__getattr__, __dir__ = lazy_names(__name__, {"stage": ["push_set"], "view": ["push_table"]})
