"""What is prepared on a machine, whatever the data: `warm-up`."""

from curate.api.calls.command import command
from curate.api.results import WarmUpResult

__all__ = ["warm_up"]


@command
def warm_up(*, quiet: bool = False) -> WarmUpResult:
    """Make all compiled code ready, so that no later command compiles.

    For usual processors under Linux it came with the package, and this only checks that it runs.
    Elsewhere it is compiled, which takes a minute, and kept: in an image of a container, or in a
    folder that all nodes of a cluster see, which NUMBA_CACHE_DIR names.

    Example: curate warm-up

    Args:
        quiet: no progress.

    Returns:
        For which kind of processor code came with the package, and how long was compiled.
    """
    from curate.pipelines.warm_up import warm_up_kernels

    return WarmUpResult(warm_up_kernels(quiet=quiet))
