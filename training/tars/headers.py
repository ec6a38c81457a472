"""The headers of one member of a tar, of any usual format, read strictly.

Old (V7), ustar, GNU and pax. What is neither a header nor the end of an archive is an error, where
Python's tarfile takes it for the end.

Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from collections.abc import Callable
from dataclasses import dataclass

from curate.errors import InputError

__all__ = ["BLOCK", "BadTarError", "Header", "read_header"]

BLOCK = 512
_ZEROS = bytes(BLOCK)
# Of a header that only says more of the next one: a name is shorter by far.
_MOST_EXTENDED = 1 << 20

Read = Callable[[int, int], bytes]  # from a place and a number of bytes to at most as many


class BadTarError(InputError):
    """A tar that is damaged, cut off, or has members that are not read; says at which byte."""


@dataclass(frozen=True, slots=True)
class Header:
    """A member.

    Attributes:
        at: where the first of its headers begins.
        name: with folders, as it stands there.
        content: where its content begins.
        size: of it, in bytes.
        is_file: it is a file, and not a folder, link or device.
        after: where the next header begins.
    """

    at: int
    name: bytes
    content: int
    size: int
    is_file: bool
    after: int


def read_header(read: Read, at: int, end: int, common: dict[bytes, bytes]) -> Header | None:
    """Read the header, or headers, of a member.

    Args:
        read: gives bytes of the tar.
        at: where a header begins.
        end: size of the tar in bytes.
        common: what a pax header said for all members behind it; changed by one that does.

    Returns:
        None at the end of an archive, which is a block of zeros.

    Raises:
        BadTarError: there is neither.
    """
    first, local, long_name = at, dict(common), b""
    while True:
        block = read(at, BLOCK)
        if len(block) < BLOCK:
            raise BadTarError(f"cut off at byte {at}: there is no end-of-archive block")
        if block == _ZEROS:
            return None
        _check(block, at)
        kind, size, content = block[156:157], _number(block[124:136], at), at + BLOCK
        if kind not in (b"x", b"g", b"L", b"K"):
            return _member(block, first, at, end, {**local, **_named(long_name)})
        after = _after(content, size, end, at)
        if size > _MOST_EXTENDED:
            raise BadTarError(f"damaged: a header of {size} bytes at byte {at}")
        body = read(content, size)
        if kind == b"L":
            long_name = body.partition(b"\0")[0]
        elif kind == b"x":
            local.update(_records(body, at))
        elif kind == b"g":
            common.update(_records(body, at))
            local.update(common)
        at = after


def _named(name: bytes) -> dict[bytes, bytes]:
    return {b"path": name} if name else {}


def _member(block: bytes, first: int, at: int, end: int, said: dict[bytes, bytes]) -> Header:
    kind, name = block[156:157], block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
        name = prefix + b"/" + name
    name = said.get(b"path", name)
    size = _number(block[124:136], at)
    if digits := said.get(b"size"):
        if not digits.isdigit() or len(digits) > 18:
            raise BadTarError(f"damaged: a size of {digits[:20]!r} at byte {at}")
        size = int(digits)
    if kind == b"S" or any(key.startswith(b"GNU.sparse.") for key in said):
        raise BadTarError(f"a sparse file at byte {at}, which is not read; pack it without")
    content = at + BLOCK
    is_file = kind in (b"0", b"\0", b"7") and not name.endswith(b"/")
    # Links, devices and folders have no content, whatever their size says.
    after = content if kind in b"123456" else _after(content, size, end, at)
    if kind in (b"0", b"\0", b"7") and name.endswith(b"/"):
        after = content  # a folder of old times
    return Header(first, name, content, size, is_file, after)


def _after(content: int, size: int, end: int, at: int) -> int:
    after = content + -(-size // BLOCK) * BLOCK
    if content + size > end:
        raise BadTarError(f"cut off: the member at byte {at} ends at {content + size}, of {end}")
    return after


def _check(block: bytes, at: int) -> None:
    """Compare a header's checksum; old programs added the bytes up as signed ones.

    Raises:
        BadTarError: it is another one.
    """
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    signed = unsigned - 256 * sum(byte > 127 for byte in rest)
    try:
        told = _number(block[148:156], at)
    except BadTarError:
        told = -1
    if told not in (unsigned, signed):
        raise BadTarError(f"damaged at byte {at}: neither a header nor the end of the archive")


def _number(field: bytes, at: int) -> int:
    """Return a number in octal digits, or as GNU tar writes those that are too large for them.

    Raises:
        BadTarError: it is none.
    """
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
        if value >= 1 << 62:
            raise BadTarError(f"damaged: a number of {value} at byte {at}")
        return value
    digits = field.partition(b"\0")[0].strip() or field.strip(b"\0 ") or b"0"
    if not all(48 <= digit <= 55 for digit in digits):
        raise BadTarError(f"damaged: {field!r} is no number, at byte {at}")
    return int(digits, 8)


def _records(body: bytes, at: int) -> dict[bytes, bytes]:
    """Return the keywords and values of a pax header.

    Raises:
        BadTarError: it is none.
    """
    found: dict[bytes, bytes] = {}
    start = 0
    while start < len(body) and body[start]:
        digits, space, _ = body[start : start + 20].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = body[start + len(digits) + 1 : start + length]
        key, equals, value = record.partition(b"=")
        if not space or not equals or not value.endswith(b"\n"):
            raise BadTarError(f"damaged: no pax header at byte {at}")
        found[key] = value[:-1]
        start += length
    return found
