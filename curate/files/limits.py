"""What a run meets on a machine: full disks, unusable folders, limits. Each says what to do."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from curate.errors import CurateError, DiskSpaceError

__all__ = ["room_for_connections", "told_of_limits"]

_UNUSABLE = (
    errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR,
    errno.EPERM, errno.EROFS,
)  # fmt: skip
_KEPT_DESCRIPTORS = 64  # for files, pipes and names of hosts


@contextmanager
def told_of_limits() -> Iterator[None]:
    """Turn the system's error at one of its limits into one that says which, and what to do.

    Raises:
        DiskSpaceError: a disk is full.
        CurateError: a folder or file cannot be used, no more files can be opened, or no more
            threads be started.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskSpaceError(
                f"{error.filename or 'a disk that is written to'}: the disk is full. What is done "
                "is kept: free some space and run the same command again."
            ) from error
        if error.errno in (errno.EMFILE, errno.ENFILE):
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            raise CurateError(
                f"too many open files: {soft} may be (at most {hard}). Raise that with `ulimit -n "
                f"{hard if hard > soft else 65536}`, or use fewer --workers; what is done is kept."
            ) from error
        if error.errno in _UNUSABLE and error.filename:
            raise CurateError(
                f"{error.filename}: {error.strerror}. Expected a folder that this user may write "
                "to, or a file that may be read: look at the path, or choose another --workspace "
                "or --output."
            ) from error
        raise
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise CurateError(
            "this machine starts no more threads for this user (`ulimit -u`, or the limit of a "
            "container). Use fewer --workers, and run the same command again; what is done is kept."
        ) from error


def room_for_connections(wanted: int) -> int:
    """Return how many connections can be open at once, at most as many as are wanted.

    Half of what is free of the limit of open files: connections that are kept for the next
    request of a host, and files, take the others.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    folder = "/proc/self/fd"
    is_open = len(os.listdir(folder)) if os.path.isdir(folder) else 0
    return max(1, min(wanted, (soft - is_open - _KEPT_DESCRIPTORS) // 2))
