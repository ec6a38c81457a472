"""Which errors pass by themselves: a store that is busy, a connection that breaks."""

import errno
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


def is_transient(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, may be gone on another try.

    A full disk, a missing file or a file that is no Parquet is none.

    >>> is_transient(TimeoutError()), is_transient(OSError("no Parquet magic bytes"))
    (True, False)
    """
    while error is not None:
        if isinstance(error, FileNotFoundError | PermissionError):
            return False
        if isinstance(error, TimeoutError | ConnectionError):
            return True
        if isinstance(error, OSError) and error.errno in _PASSING:
            return True
        if type(error).__module__.split(".")[0] in _CLIENTS:
            return True
        error = error.__cause__ or error.__context__
    return False


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
