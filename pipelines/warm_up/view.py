"""What `curate warm-up` found, in a sentence."""

from collections.abc import Mapping
from typing import Any

__all__ = ["readiness"]


def readiness(found: Mapping[str, Any]) -> str:
    """Return what is ready, and whether it was compiled here.

    >>> found = {"shipped": "", "why_not": "this processor lacks avx2", "not_kept": ""}
    >>> readiness({**found, "shipped": "x86_64_v3", "why_not": "", "compiling_s": 0.0})
    'all kernels are ready: machine code for x86_64_v3 came with this package'
    >>> readiness({**found, "compiling_s": 31.5})
    'all kernels are ready: compiled here in 31.5 s (this processor lacks avx2)'
    >>> readiness({**found, "compiling_s": 0.0})
    'all kernels are ready: compiled here before (this processor lacks avx2)'
    """
    if found["not_kept"]:
        return (
            f"the kernels were compiled here in {found['compiling_s']} s ({found['why_not']}), and "
            f"every process will do it again: they cannot be kept ({found['not_kept']}). Name a "
            "folder with NUMBA_CACHE_DIR"
        )
    if found["shipped"]:
        how = f"machine code for {found['shipped']} came with this package"
    elif found["compiling_s"]:
        how = f"compiled here in {found['compiling_s']} s ({found['why_not']})"
    else:
        how = f"compiled here before ({found['why_not']})"
    return f"all kernels are ready: {how}"
