"""The body of an HTTP message as it was sent in, the page out, whatever its header says of it.

A header may name codings that the body does not have: crawlers undo them and keep the header, and
servers write what is no coding at all (`none`, `utf-8`). As in browsers and in other readers of
WARC files, a body that cannot be decoded is then taken as it is.
"""

import re
import zlib
from collections.abc import Callable
from io import BytesIO

from fastwarc.stream_io import BrotliReader, ZstdReader

__all__ = ["decoded", "is_binary"]

_GZIP_MAGIC, _GZIP_BITS, _ZLIB_BITS, _RAW_BITS = b"\x1f\x8b", 31, 15, -15
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LINE_END = re.compile(rb"\r?\n")

# What files begin with that are no text; a byte order mark begins with none of them.
_SIGNATURES = (
    b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"PK\x03\x04",
    b"Rar!\x1a\x07", b"%PDF-", b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF87a", b"GIF89a", b"\x00asm",
    b"\x7fELF", b"OggS", b"ID3", b"\x1a\x45\xdf\xa3",
)  # fmt: skip
_RIFF, _ISO_MEDIA = re.compile(rb"RIFF....(?:WEBP|WAVE|AVI )", re.DOTALL), b"ftyp"
_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT_BYTES = 1024
# Bytes that no text has (MIME Sniffing standard, "binary data byte"), but for 0: pages have some of
# them by accident. Of random bytes they are a tenth.
_CONTROLS = bytes([*range(1, 9), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])
_MAX_CONTROL_SHARE = 0.05


def decoded(body: bytes, codings: str, max_bytes: int) -> bytes:
    r"""Return a body with its codings undone, those that it really has.

    Args:
        body: as it was sent.
        codings: names as in `Content-Encoding` and `Transfer-Encoding`, in the order in which they
            were applied, parted by commas; unknown ones are passed over.
        max_bytes: of the result; one byte more tells that there are more.

    Raises:
        ValueError: it begins as one of the codings, and is damaged.

    >>> decoded(b"<p>", "none, gzip", 9), decoded(b"3\r\n<p>\r\n0\r\n\r\n", "chunked", 9)
    (b'<p>', b'<p>')
    """
    for coding in reversed(codings.lower().split(",")):
        undo = _CODINGS.get(coding.strip())
        if undo is not None:
            body = undo(body, max_bytes + 1) or body
    return body


def is_binary(body: bytes, charset: str | None) -> bool:
    r"""Tell whether what should be a page is a file of another kind, or packed without saying so.

    >>> is_binary(b"\x1f\x8b\x08\x00", None), is_binary(b"<p>caf\xe9", None)
    (True, False)
    """
    if body.startswith(_SIGNATURES) or body[4:8] == _ISO_MEDIA or _RIFF.match(body):
        return True
    if body.startswith(_MARKS) or (charset or "").startswith(("utf-16", "utf16", "unicode")):
        return False
    head = body[:_LOOKED_AT_BYTES]
    num = len(head) - len(head.translate(None, _CONTROLS))
    return num > 2 and num > _MAX_CONTROL_SHARE * len(head)


def _ungzip(body: bytes, max_bytes: int) -> bytes:
    start = body.find(_GZIP_MAGIC, 0, 4)
    return _inflate(body[start:], _GZIP_BITS, max_bytes) if start >= 0 else b""


def _undeflate(body: bytes, max_bytes: int) -> bytes:
    """Undo zlib's format, or, as many servers send it, the bare stream inside of it."""
    for bits in (_ZLIB_BITS, _RAW_BITS):
        try:
            return _inflate(body, bits, max_bytes)
        except ValueError:
            continue
    return b""


def _inflate(body: bytes, bits: int, max_bytes: int) -> bytes:
    """Return as much as there is; what stands behind the end is no part of it."""
    found = b""
    while body and len(found) < max_bytes:
        stream = zlib.decompressobj(bits)
        try:
            found += stream.decompress(body, max_bytes - len(found))
        except zlib.error as error:
            if found:
                break
            raise ValueError(f"a damaged body: {error}") from error
        body = stream.unused_data if bits == _GZIP_BITS else b""
    return found


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    return _read(BrotliReader(BytesIO(body)), max_bytes)


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    return _read(ZstdReader(BytesIO(body)), max_bytes)


def _read(reader: BrotliReader | ZstdReader, max_bytes: int) -> bytes:
    try:
        return bytes(reader.read(max_bytes))
    except (OSError, ValueError):
        return b""


def _unchunk(body: bytes, _: int) -> bytes:
    """Join chunks; b"" where there are none. The last of them may be cut off."""
    pieces: list[bytes] = []
    at, num_headers = 0, 0
    while found := _CHUNK.match(body, at):
        num_headers += 1
        size, start = int(found[1], 16), found.end()
        if size == 0:
            break
        pieces.append(body[start : start + size])
        at = start + size
        end = _LINE_END.match(body, at)
        at = end.end() if end else at
    is_whole = at >= len(body) or num_headers > 1 or body[at:].isspace()
    return b"".join(pieces) if num_headers and is_whole else b""


_CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _ungzip, "x-gzip": _ungzip, "deflate": _undeflate, "br": _unbrotli, "zstd": _unzstd,
    "chunked": _unchunk,
}  # fmt: skip
