"""Fetch images over HTTP: politely, within limits, and with a reason where there is none.

Whatever a server does, `fetch` returns: an image, or one of these reasons:

    bad_url, private_address, dns, tls, connection, timeout, truncated, bad_answer, http_NNN,
    too_many_redirects, too_large, empty, opted_out, host_rules, not_an_image, corrupt_image,
    decompression_bomb
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from types import TracebackType
from typing import Any

import aiohttp
import certifi
from yarl import URL

from curate.files.limits import room_for_connections
from curate.pipelines.download.addresses import PrivateAddressError, is_public, public_socket
from curate.pipelines.download.host_rules import HostFile, HostRules
from curate.pipelines.download.hosts import Host, Hosts
from curate.pipelines.download.names import ThreadResolver
from curate.pipelines.download.options import FetchOptions
from curate.pipelines.opt_outs.content import header_signals
from curate.pipelines.opt_outs.signals import Signal, denied_by, opted_out, written
from curate.pipelines.shards import images
from curate.pipelines.shards.images import ShardImage, UnusableImageError
from curate.pipelines.shards.options import Resize

__all__ = ["Fetched", "ImageFetcher"]

_REDIRECTS = (301, 302, 303, 307, 308)
# Asked again: what may pass.
_AGAIN = frozenset(
    ("dns_again", "connection", "timeout", "truncated", "bad_answer")
    + tuple(f"http_{status}" for status in (408, 425, 429, 500, 502, 503, 504))
)
# What a host that is not there gives, and the sentences for it.
_SAID_OF = {
    "dns": "the name cannot be looked up",
    "dns_again": "the name cannot be looked up",
    "connection": "no connection",
    "timeout": "no whole answer in time",
    "tls": "no trusted connection",
}
_LONGEST_WAIT_S = 60.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a URL: an image and the sha256 of what the server sent, or why there is none.

    Attributes:
        content: what the server sent; empty once it is prepared.
        image: as it goes into a shard.
        sha256: of what the server sent, in hexadecimal.
        reason: a word for the counts; empty if there is an image.
        detail: a sentence.
        opt_outs: what server and host say of its use, as words.
    """

    content: bytes = b""
    image: ShardImage | None = None
    sha256: str = ""
    reason: str = ""
    detail: str = ""
    opt_outs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Hop:
    """What one request gave: an end, or where to go on."""

    fetched: Fetched
    location: str | None = None
    wait_s: float | None = None
    is_final: bool = False
    signals: tuple[Signal, ...] = ()

    @property
    def may_pass(self) -> bool:
        """Whether another request may give something else."""
        return self.fetched.reason in _AGAIN and not self.is_final


class ImageFetcher:
    """Fetches images; an asynchronous context, in which its connections stay open.

    Args:
        options: how they are asked for.
        resize, image_format: what becomes of an image.
        pool: threads that resize. An image is prepared before its host is asked for the next one,
            so that what waits for the processor cannot pile up.
    """

    def __init__(
        self, options: FetchOptions, resize: Resize, pool: Executor, image_format: str = "keep"
    ) -> None:
        self.options = options
        self._pool, self._format = pool, image_format if resize.mode == "no" else "resized"
        self._prepare = partial(images.prepare_image, resize=resize, image_format=image_format)
        self._hosts = Hosts(options.per_host, room_for_connections(options.at_once))
        self._rules = HostRules(self._file_of_host, options.robot) if options.host_rules else None
        self._session: Any = None

    async def __aenter__(self) -> "ImageFetcher":
        options = self.options
        connector = aiohttp.TCPConnector(
            limit=0,  # `Hosts` limits; waiting here would count as time of the request
            ssl=ssl.create_default_context(cafile=certifi.where()),
            resolver=ThreadResolver(),
            ttl_dns_cache=300,
            socket_factory=None if options.allow_private else public_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=options.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": options.user_agent, "Accept": "image/*,*/*;q=0.5",
                     "Accept-Encoding": "identity"},
        )  # fmt: skip
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def fetch(self, url: str) -> Fetched:
        """Fetch an image, again where that may help."""
        return await self._again(lambda: self._follow(url, self._image, self._rules))

    async def _file_of_host(self, target: URL) -> HostFile:
        """Fetch a file of rules, as far as it is to be read."""
        found = await self._again(lambda: self._follow(str(target), self._file, None))
        most = self.options.max_rules_bytes
        content = found.content[:most] if found.content else None
        return HostFile(content, is_cut=len(found.content) > most, reason=found.reason)

    async def _again(self, ask: Callable[[], Awaitable[_Hop]]) -> Fetched:
        options = self.options
        for attempt in range(options.retries + 1):
            hop = await ask()
            if not hop.may_pass or attempt == options.retries:
                break
            wait_s = hop.wait_s if hop.wait_s is not None else options.backoff_s * 2**attempt
            await asyncio.sleep(min(wait_s, _LONGEST_WAIT_S))
        if hop.fetched.reason == "dns_again":
            return Fetched(reason="dns", detail=hop.fetched.detail)
        if not hop.signals:
            return hop.fetched
        ignored = ["ignored"] if opted_out(hop.signals) and not options.honour_opt_outs else []
        return replace(hop.fetched, opt_outs=(*written(hop.signals), *ignored))

    async def _follow(
        self, url: str, ask: Callable[[URL], Awaitable[_Hop]], rules: HostRules | None
    ) -> _Hop:
        """Ask for a URL and follow its redirects, each under the limit of its own host."""
        options = self.options
        target = _parse(url, None)
        signals: tuple[Signal, ...] = ()
        for _ in range(options.max_redirects + 1):
            if target is None:
                return _failed("bad_url", "no URL of http or https")
            if not options.allow_private and _is_private(target):
                return _failed("private_address", "its address is not public")
            if rules is not None:
                found = await rules.signals(target)
                if found is None and options.honour_opt_outs:
                    return _failed("host_rules", "the host's robots.txt could not be had")
                signals += tuple(found or ())
                if options.honour_opt_outs and opted_out(signals):
                    return _denied(signals)
            async with self._hosts.slot(f"{target.host}:{target.port}") as host:
                hop = await self._ask(target, host, ask)
            signals += hop.signals
            if hop.location is None:
                return replace(hop, signals=signals)
            target = _parse(hop.location, target)
        return _failed("too_many_redirects", f"more than {options.max_redirects}")

    async def _ask(self, target: URL, host: Host, ask: Callable[[URL], Awaitable[_Hop]]) -> _Hop:
        if host.silent >= self.options.give_up_after:
            reason = "dns" if host.reason == "dns_again" else host.reason
            return _failed(reason, _SAID_OF[reason], final=True)
        hop = await self._caught(ask(target))
        host.note(hop.fetched.reason if hop.fetched.reason in _SAID_OF else None)
        if ask == self._image and hop.fetched.content:  # while the host is not asked for the next
            return replace(hop, fetched=await self._prepared(hop.fetched.content))
        return hop

    async def _image(self, target: URL) -> _Hop:
        async with self._session.get(target, allow_redirects=False) as response:
            return await self._read(response)

    async def _file(self, target: URL) -> _Hop:
        accept = {"Accept": "text/plain,application/json,*/*;q=0.5"}
        most = self.options.max_rules_bytes
        async with self._session.get(target, allow_redirects=False, headers=accept) as response:
            if (hop := _not_found(response)) is not None:
                return hop
            content = await _read_bounded(response.content, most)
        return _Hop(Fetched(content)) if content else _failed("empty", "no bytes")

    async def _prepared(self, content: bytes) -> Fetched:
        """Return an image as it goes into a shard; reading a header takes no thread."""
        sha = sha256(content).hexdigest()
        try:
            is_header_read = self._format in ("keep", images.image_suffix(content))
            making = None if is_header_read else self._pool.submit(self._prepare, content)
            image = await asyncio.wrap_future(making) if making else self._prepare(content)
        except UnusableImageError as error:
            return Fetched(sha256=sha, reason=error.reason, detail=error.detail)
        return Fetched(image=image, sha256=sha)

    @staticmethod
    async def _caught(asking: Awaitable[_Hop]) -> _Hop:
        try:
            return await asking
        except TimeoutError:
            return _said("timeout")
        except aiohttp.ClientConnectorDNSError as error:
            passes = getattr(error.os_error, "errno", None) == -3  # EAI_AGAIN
            return _said("dns_again" if passes else "dns")
        except (aiohttp.ClientSSLError, ssl.SSLError):
            return _said("tls")
        except aiohttp.ClientConnectorError as error:
            if _is_of_private(error.os_error):
                return _failed("private_address", "its address is not public")
            return _said("connection")
        except aiohttp.ClientPayloadError:
            return _failed("truncated", "the answer ended early")
        except aiohttp.InvalidURL:
            return _failed("bad_url", "no URL of http or https")
        except (aiohttp.ClientConnectionError, OSError):
            return _said("connection")
        except (aiohttp.ClientError, ValueError):
            return _failed("bad_answer", "the answer is no HTTP")

    async def _read(self, response: Any) -> _Hop:
        options = self.options
        headers = response.headers
        signals = tuple(header_signals(lambda name: headers.getall(name, []), options.robot))
        if options.honour_opt_outs and opted_out(signals):
            return _denied(signals)
        if (hop := _not_found(response)) is not None:
            return replace(hop, signals=signals)
        length = response.content_length
        if length is not None and length > options.max_bytes:
            return _failed("too_large", f"more than {options.max_bytes} bytes")
        if length is not None and "Content-Encoding" not in headers:
            content = await response.read()
        else:
            content = await _read_bounded(response.content, options.max_bytes)
        if len(content) > options.max_bytes:
            return _failed("too_large", f"more than {options.max_bytes} bytes")
        return _Hop(Fetched(content), signals=signals) if content else _failed("empty", "no bytes")


def _said(reason: str) -> _Hop:
    return _failed(reason, _SAID_OF[reason])


def _failed(reason: str, detail: str, *, final: bool = False) -> _Hop:
    return _Hop(Fetched(reason=reason, detail=detail), is_final=final)


def _denied(signals: tuple[Signal, ...]) -> _Hop:
    return _Hop(Fetched(reason="opted_out", detail=denied_by(signals)), signals=signals)


def _not_found(response: Any) -> _Hop | None:
    """Return where an answer leads to, or why there is nothing; None if there is something."""
    if response.status in _REDIRECTS and "Location" in response.headers:
        return _Hop(Fetched(), location=response.headers["Location"])
    if response.status == 200:
        return None
    reason = f"http_{response.status}"
    return _Hop(Fetched(reason=reason, detail="HTTP status"), wait_s=_wait_s(response.headers))


async def _read_bounded(stream: aiohttp.StreamReader, max_bytes: int) -> bytes:
    """Read a stream to its end, or until it is longer than allowed."""
    pieces, size = [], 0
    async for piece in stream.iter_chunked(_CHUNK):
        pieces.append(piece)
        size += len(piece)
        if size > max_bytes:
            break
    return b"".join(pieces)


def _parse(text: str, base: URL | None) -> URL | None:
    """Return a URL, one relative to `base` if there is one; None if it is none of HTTP."""
    try:
        url = URL(text.strip())
        if base is not None:
            url = base.join(url)
        is_usable = url.scheme in ("http", "https") and bool(url.host) and bool(url.port)
    except (ValueError, TypeError):
        return None
    # A name or password in a URL is not sent to a server that somebody else chose.
    return url.with_user(None).with_fragment(None) if is_usable else None


def _is_private(url: URL) -> bool:
    """Tell whether a URL names a private address itself; no name is looked up here."""
    try:
        return not is_public(url.host or "")
    except ValueError:
        return False


def _is_of_private(error: BaseException) -> bool:
    """Tell whether a connection failed because of an address that is not public."""
    return isinstance(error, PrivateAddressError) or "is no public address" in str(error)


def _wait_s(headers: Any) -> float | None:
    """Return the seconds that a server asks to wait; None if it names none."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
