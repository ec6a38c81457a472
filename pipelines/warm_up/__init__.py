"""`curate warm-up`: nothing in, every kernel of this package ready for this processor out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.warm_up.stage import warm_up_kernels

__all__ = ["warm_up_kernels"]

__getattr__, __dir__ = lazy_names(__name__, {"stage": ["warm_up_kernels"]})
