"""An image server on loopback that misbehaves in every way that the path asks for."""

import asyncio
import gzip
import io
import struct
import threading
import zlib
from collections import Counter
from functools import cache

from PIL import Image


def photo(number: int, size: tuple[int, int] = (40, 30), form: str = "JPEG") -> bytes:
    """Return an image that differs from those of other numbers."""
    out = io.BytesIO()
    colour = (number * 37 % 256, number * 11 % 256, number % 256)
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


def bomb() -> bytes:
    """Return a PNG of 40,000 by 40,000 pixels in a few bytes, of which only the header is true."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(10_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def answer(status: int, content: bytes = b"", **headers: str) -> bytes:
    """Return an answer of HTTP."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


@cache
def fixed_answers() -> dict[str, bytes]:
    """Return the answers that are always the same, by the first word of the path."""
    return {
        "page": answer(200, b"<html>not here</html>", Content_Type="image/jpeg"),
        "typed": answer(200, photo(3), Content_Type="text/html"),
        "bomb": answer(200, bomb(), Content_Type="image/png"),
        "gif": answer(200, photo(4, form="GIF")),
        "empty": answer(200),
        "gzip": answer(200, gzip.compress(bytes(1 << 26)), Content_Encoding="gzip"),
        "noai": answer(200, photo(5), X_Robots_Tag="noai, noimageai"),
        "other": answer(200, photo(6), X_Robots_Tag="otherbot: noindex, noai"),
        "big": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
    }


class ImageServer:
    """Serves in a thread; a context.

    Attributes:
        asked: how often each path was asked for.
        is_broken: whether paths that begin with /flaky give 500.
        held: paths whose answers wait until they are taken out.
        images: what /given/NAME gives.
        files: whole answers by path, before all else.
        most_at_once: requests for /slow that were in work at the same time.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.is_broken = False
        self.held: set[str] = set()
        self.images: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.most_at_once = self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "ImageServer":
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                path = request.split(b" ", 2)[1].decode()
                self.asked[path] += 1
                if not await self._answer(path, writer):
                    break
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; tell whether the connection goes on."""
        while path in self.held:
            await asyncio.sleep(0.01)
        kind, _, rest = path.strip("/").partition("/")
        number = int(rest) if rest.isdigit() else 0
        if kind == "hang":
            await asyncio.sleep(3600)
        if kind == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
                await writer.drain()
        if kind in ("early", "garbage", "close"):
            writer.write({"early": answer(200, photo(1))[:-50], "garbage": b"\x00\xff\r\n\r\n",
                          "close": b""}[kind])  # fmt: skip
            return False
        if kind == "slow":
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            await asyncio.sleep(0.02)
            self._at_once -= 1
        writer.write(self._simple(kind, rest, number, path))
        await writer.drain()
        return True

    def _simple(self, kind: str, rest: str, number: int, path: str) -> bytes:
        if path in self.files:
            return self.files[path]
        if kind == "given":
            return answer(200, self.images[rest])
        if kind == "status":
            return answer(number)
        if kind == "busy":  # once
            return answer(429, Retry_After="0") if self.asked[path] == 1 else self._photo(number)
        if kind == "flaky" and self.is_broken:
            return answer(500)
        if kind == "loop":
            return answer(302, Location=f"/loop/{number + 1}")
        if kind == "hops":
            return answer(301, Location=f"/hops/{number - 1}") if number else self._photo(number)
        if kind == "to":
            return answer(302, Location=rest)
        return fixed_answers().get(kind) or self._photo(number)

    @staticmethod
    def _photo(number: int) -> bytes:
        return answer(200, photo(number))
