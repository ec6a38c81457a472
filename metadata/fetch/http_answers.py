"""What a server's answer says: whether to go on, to try again, or to give up.

What may be better later (429, 5xx, a connection that breaks or is silent, a page of HTML where data
should be) is a `TryAgain`. What will not (404, 403) is a `FetchError`.
"""

import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
import urllib3

from curate.errors import FetchError, NotFoundError

__all__ = ["BROKEN", "TryAgain", "reason", "require_data", "require_magic", "require_success"]

# What requests raises, and what urllib3 raises when its stream is read without requests.
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError)
_GONE = (404, 410)
_LATER = (408, 425, 429, 500, 502, 503, 504)
_MAGIC = {".bz2": b"BZh", ".gz": b"\x1f\x8b"}


class TryAgain(Exception):
    """An attempt failed in a way that another may not.

    Attributes:
        wait_s: seconds that the server asks to wait; None if it asks nothing.
        reached: bytes of the file that are here now.
    """

    def __init__(self, what: str, wait_s: float | None = None, reached: int = 0) -> None:
        super().__init__(what)
        self.wait_s = wait_s
        self.reached = reached


def require_success(response: requests.Response) -> None:
    """Refuse an answer that is no file.

    Raises:
        NotFoundError: there is no such file.
        TryAgain: the server may be better later.
        FetchError: it will not.
    """
    status, url = response.status_code, response.url
    if status in (200, 206):
        return
    if status in _GONE:
        raise NotFoundError(f"{url}: there is no such file on the server ({status})")
    if status in _LATER:
        wait_s = _seconds(response.headers.get("Retry-After"))
        raise TryAgain(f"the server answers {status} {response.reason}", wait_s)
    hint = (
        " Wikimedia refuses programs that do not say whose they are: give --contact."
        if status in (401, 403)
        else ""
    )
    raise FetchError(f"{url}: the server answers {status} {response.reason}.{hint}")


def _seconds(retry_after: str | None) -> float | None:
    """Return the wait that a Retry-After header asks for, as a number or as a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def require_data(response: requests.Response) -> None:
    """Refuse a page of HTML where data is expected.

    Raises:
        TryAgain: it is one, as servers send while they are being mended.
    """
    kind = response.headers.get("Content-Type", "")
    if kind.startswith(("text/html", "application/xhtml")):
        raise TryAgain(f"the server sends a page of HTML ({kind}) where data is expected")


def require_magic(name: str, first: bytes) -> None:
    """Refuse data that does not begin as the kind of file that it is called.

    Raises:
        TryAgain: it begins otherwise.
    """
    magic = _MAGIC.get(Path(name).suffix, b"")
    if not first.startswith(magic):
        found = first[:40]
        raise TryAgain(f"the server sends data that begin with {found!r}, not {magic!r}")


def reason(error: BaseException) -> str:
    """Return the innermost cause of an error; the outer ones repeat it in many words."""
    inner: BaseException = error
    while inner.__cause__ is not None or inner.__context__ is not None:
        inner = inner.__cause__ or inner.__context__ or inner
    return f"{type(inner).__name__}: {inner}" if str(inner) else type(inner).__name__
