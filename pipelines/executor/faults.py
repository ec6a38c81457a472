"""Which errors pass by themselves: a store that is busy, a connection that breaks."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from curate.errors import CurateError

__all__ = ["is_transient", "told_when_passing"]

_PASSING = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET,
     errno.EHOSTUNREACH, errno.EINTR, errno.EIO, errno.ENETDOWN, errno.ENETRESET,
     errno.ENETUNREACH, errno.EPIPE, errno.ESTALE, errno.ETIMEDOUT}
)  # fmt: skip

# What the clients of object stores raise when their own retries are used up.
_CLIENTS = ("aiobotocore", "aiohttp", "botocore", "gcsfs", "requests", "urllib3")
# The Hub's client asks by httpx, which raises answers such as 404 too: of those none passes.
_HUB_CLIENTS = ("httpx", "httpx2")


def is_transient(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, may be gone on another try.

    A full disk, a missing file or a file that is no Parquet is none.

    >>> is_transient(TimeoutError()), is_transient(OSError("no Parquet magic bytes"))
    (True, False)
    """
    while error is not None:
        if isinstance(error, FileNotFoundError | PermissionError):
            return False
        if isinstance(error, TimeoutError | ConnectionError | socket.gaierror):
            return True
        if isinstance(error, OSError) and error.errno in _PASSING:
            return True
        if type(error).__module__.split(".")[0] in _CLIENTS or _did_not_arrive(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _did_not_arrive(error: BaseException) -> bool:
    """Tell whether a request of httpx had no answer."""
    kinds = ((kind.__name__, kind.__module__.split(".")[0]) for kind in type(error).__mro__)
    return any(name == "TransportError" and module in _HUB_CLIENTS for name, module in kinds)


@contextmanager
def told_when_passing() -> Iterator[None]:
    """Turn an error that passes, and that all tries met, into one that says what to do.

    Raises:
        CurateError: a store or the network did not answer as it should.
    """
    try:
        yield
    except CurateError:
        raise
    except Exception as error:
        if not is_transient(error):
            raise
        raise CurateError(
            f"a store or the network does not answer as it should ({type(error).__name__}: "
            f"{error}). What is done is kept: run the same command again later."
        ) from error
