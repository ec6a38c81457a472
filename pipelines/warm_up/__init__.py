"""`curate warm-up`: nothing in, every kernel of this package ready for this processor out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.warm_up.stage import warm_up_kernels
    from curate.pipelines.warm_up.view import readiness

__all__ = ["readiness", "warm_up_kernels"]

__getattr__, __dir__ = lazy_names(__name__, {"stage": ["warm_up_kernels"], "view": ["readiness"]})
