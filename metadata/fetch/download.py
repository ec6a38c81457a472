"""Files over HTTP, whole or not at all: resumed, retried, checked before they get their name.

A server that asks to come back later (429 with Retry-After) gets no request at all until then, from
none of the threads.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from curate.distribution import COMMAND, VERSION
from curate.errors import DiskSpaceError, FetchError
from curate.files.addresses import without_secrets
from curate.metadata.fetch.hosts import Hosts, Retries
from curate.metadata.fetch.http_answers import (
    BROKEN,
    TryAgain,
    reason,
    require_data,
    require_magic,
    require_success,
)
from curate.metadata.fetch.notes import RemoteFile, Source, hash_file
from curate.metadata.fetch.part import Part

__all__ = ["CONNECTIONS_PER_HOST", "Fetcher", "Retries", "user_agent"]

# Wikimedia's limit per address, which it blocks those for that get around it.
CONNECTIONS_PER_HOST = 3
_CHUNK_BYTES = 1 << 16
_NOT_SATISFIABLE = 416
_NO_ADDRESS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)
_FULL = (errno.ENOSPC, errno.EDQUOT)

Result = TypeVar("Result")


def user_agent(contact: str | None) -> str:
    """Return the User-Agent that Wikimedia's policy asks for: what this is, and whose it is.

    Source: https://foundation.wikimedia.org/wiki/Policy:Wikimedia_Foundation_User-Agent_Policy
    """
    whose = contact or "no contact given"
    return f"{COMMAND}/{VERSION} ({whose}) python-requests/{version('requests')}"


class Fetcher:
    """Downloads, at most three connections per host at a time; to be shared by threads.

    Args:
        contact: e-mail address or URL of whoever runs this, for the User-Agent.
        retries: how long to try.
        wait: called with the seconds between two attempts.
        on_bytes: called with the number of bytes that came; less than 0 for bytes that turned out
            to be of no use.
        elsewhere: what else its user may do, for messages.
        more_room: what else its user may do where a disk is full.
    """

    def __init__(
        self,
        *,
        contact: str | None = None,
        retries: Retries | None = None,
        wait: Callable[[float], object] | None = None,
        on_bytes: Callable[[int], object] | None = None,
        elsewhere: str = "name another --mirror",
        more_room: str = "use --drop-sources",
    ) -> None:
        self._elsewhere, self._more_room = elsewhere, more_room
        self._stopped = threading.Event()
        self._retries = retries or Retries()
        self._hosts = Hosts(self._retries, wait or self._stopped.wait)
        self._on_bytes = on_bytes or (lambda _: None)
        self._session = requests.Session()
        # The pool is the limit: a further request waits until a connection is free.
        adapter = HTTPAdapter(pool_maxsize=CONNECTIONS_PER_HOST, pool_block=True)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update(
            {"User-Agent": user_agent(contact), "Accept-Encoding": "identity"}
        )

    def stop(self) -> None:
        """Make all downloads that are under way end with an error; what has come is kept."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and close the connections."""
        self.stop()
        self._session.close()

    def is_down(self, url: str) -> bool:
        """Tell whether the server of an address was given up again and again."""
        return self._hosts.is_down(_host(url))

    def text(self, url: str) -> str:
        """Return a small text file.

        Raises:
            NotFoundError: there is none.
            FetchError: it could not be had.
        """

        def attempt() -> str:
            with self._response("GET", url) as response:
                require_success(response)
                return response.content.decode("utf-8", "replace")

        return self._insist(url, attempt)

    def size(self, url: str) -> int | None:
        """Return how many bytes a file has, without fetching it; None if the server does not say.

        Raises:
            NotFoundError: there is none.
            FetchError: the server could not be asked.
        """

        def attempt() -> int | None:
            with self._response("HEAD", url) as response:
                require_success(response)
                require_data(response)
                return _number(response.headers.get("Content-Length"))

        return self._insist(url, attempt)

    def download(self, file: RemoteFile, folder: Path) -> Source:
        """Download a file; bytes of an earlier attempt that was cut off are kept.

        Args:
            file: what to fetch; its size and checksums, where listed, are held against what comes.
            folder: local; made if needed.

        Returns:
            What came. The file has its name, and its note lies beside it.

        Raises:
            NotFoundError: there is none.
            FetchError: it could not be had, or what came is twice not what was listed.
            DiskSpaceError: the disk is full.
        """
        with _disk(folder, self._more_room):
            folder.mkdir(parents=True, exist_ok=True)
            part = Part(file, folder)
            self._on_bytes(part.size)
            found = self._receive_checked(part)
            found.write_note(folder)
            part.path.replace(folder / file.name)
            part.forget()
        return found

    def _receive_checked(self, part: Part) -> Source:
        file = part.file
        for last in (False, True):
            self._insist(file.url, lambda: self._receive(part))
            size, sha1, sha256 = hash_file(part.path)
            if file.sha1 in (None, sha1) and file.sha256 in (None, sha256):
                return Source(
                    name=file.name,
                    url=without_secrets(file.url),
                    date=file.date,
                    size_bytes=size,
                    sha1=sha1,
                    sha256=sha256,
                )
            self._drop(part)
            if last:
                raise FetchError(
                    f"{file.url}: {_unlike(file, sha1, sha256)} is listed, in two downloads. "
                    f"The file on the server is damaged or was replaced: {self._elsewhere}."
                )
        raise AssertionError("the last round returns or raises")

    def _drop(self, part: Part) -> None:
        self._on_bytes(-part.size)
        part.forget()

    def _receive(self, part: Part) -> None:
        """Append to a part what is missing of it, by one request."""
        if part.size and part.size == part.file.size_bytes:
            return
        with self._response("GET", part.file.url, part.headers()) as response:
            if response.status_code == _NOT_SATISFIABLE:
                if response.headers.get("Content-Range", "") == f"bytes */{part.size}":
                    return
                self._drop(part)
                raise TryAgain("the server has fewer bytes of the file than are here")
            require_success(response)
            require_data(response)
            offset, total = _extent(response, part.size)
            if not offset:
                self._drop(part)
                part.remember(response)
            self._append(response, part, offset)
        expected = total if part.file.size_bytes is None else part.file.size_bytes
        self._require_size(part, expected)

    def _append(self, response: requests.Response, part: Part, offset: int) -> None:
        chunks = response.raw.stream(_CHUNK_BYTES, decode_content=False)
        with part.path.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            try:
                for chunk in chunks:
                    self._check_stopped(part.file.url)
                    if file.tell() == 0:
                        require_magic(part.file.name, chunk)
                    file.write(chunk)
                    self._on_bytes(len(chunk))
            except BROKEN as error:
                broke = f"the connection broke ({reason(error)})"
                raise TryAgain(broke, reached=file.tell()) from error
            finally:
                file.flush()
                os.fsync(file.fileno())

    def _require_size(self, part: Part, expected: int | None) -> None:
        size = part.size
        if not size:
            raise TryAgain("nothing came")
        if expected is None or size == expected:
            return
        if size < expected:
            raise TryAgain(f"{size:,} of {expected:,} bytes came", reached=size)
        self._drop(part)
        raise TryAgain(f"{size:,} bytes came where {expected:,} are listed")

    @contextmanager
    def _response(
        self, method: str, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[requests.Response]:
        self._check_stopped(url)
        self._hosts.wait_until_open(_host(url))
        timeout_s = self._retries.timeout_s
        try:
            with self._session.request(
                method, url, headers=headers, stream=True, timeout=timeout_s, allow_redirects=True
            ) as response:
                if response.status_code >= 400:
                    # A body that nobody reads would cost the connection, and the next a new one.
                    response.raw.read(_CHUNK_BYTES, decode_content=False)
                yield response
        except _NO_ADDRESS as error:
            raise FetchError(f"{url}: not an http or https address ({error})") from error
        except BROKEN as error:
            raise TryAgain(f"the connection failed ({reason(error)})") from error

    def _insist(self, url: str, attempt: Callable[[], Result]) -> Result:
        """Try until it succeeds, or until it has failed too often without a new byte."""
        failures = most = 0
        host = _host(url)
        while True:
            try:
                result = attempt()
            except TryAgain as problem:
                failures = 1 if problem.reached > most else failures + 1
                most = max(most, problem.reached)
                if failures >= self._hosts.attempts(host):
                    self._hosts.note(host, came=False)
                    raise FetchError(
                        f"{url}: {problem}; given up after {failures} attempt"
                        f"{'s' if failures > 1 else ''}. What has come is "
                        f"kept: run the same command again later, or {self._elsewhere}."
                    ) from problem
                self._pause(url, problem, failures)
            else:
                self._hosts.note(host, came=True)
                return result

    def _pause(self, url: str, problem: TryAgain, failures: int) -> None:
        limit = self._retries.longest_wait_s
        wait_s = min(self._retries.first_wait_s * 2 ** (failures - 1), limit)
        if problem.wait_s is not None and problem.wait_s > limit:
            raise FetchError(
                f"{url}: {problem} and asks to come back in {problem.wait_s:,.0f} seconds. What "
                "has come is kept: run the same command again then."
            ) from problem
        self._hosts.pause(_host(url), wait_s, problem.wait_s)

    def _check_stopped(self, url: str) -> None:
        if self._stopped.is_set():
            raise FetchError(f"{url}: stopped. What has come is kept.")


def _unlike(file: RemoteFile, sha1: str, sha256: str) -> str:
    if file.sha256 not in (None, sha256):
        return f"sha256 {sha256} where {file.sha256}"
    return f"sha1 {sha1} where {file.sha1}"


def _host(url: str) -> str:
    return urlsplit(without_secrets(url)).netloc


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _extent(response: requests.Response, before: int) -> tuple[int, int | None]:
    """Return where the body begins in the file, and the file's size as far as it is said."""
    if response.status_code != 206:
        return 0, _number(response.headers.get("Content-Length"))
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first, _, total = rest.partition("/")
    if unit != "bytes" or first.split("-")[0] != str(before):
        raise TryAgain(f"asked for the bytes from {before}, the server sends {rest or 'others'}")
    return before, _number(total)


@contextmanager
def _disk(folder: Path, more_room: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise FetchError(f"{folder}: cannot be written to ({error})") from error
        raise DiskSpaceError(
            f"{folder}: the disk is full. What has come is kept: free some space, or {more_room}, "
            "and run the same command again."
        ) from error
