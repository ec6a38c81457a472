"""JPEG bytes in, what their headers say out: turned how, progressive or not.

Pixels are decoded by libraries; what is here is needed before, and costs microseconds.
"""

from collections.abc import Iterator

__all__ = ["frame", "is_jpeg", "is_progressive", "orientation"]

_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
# Exif stands right behind the beginning, or behind other application data and comments.
_BEFORE_TABLES = {*range(0xE0, 0xF0), 0xFE}
_EXIF = b"Exif\x00\x00"
_ORIENTATION = 0x0112


def is_jpeg(encoded: bytes) -> bool:
    """Tell whether bytes begin as a JPEG does.

    >>> is_jpeg(bytes([0xFF, 0xD8, 0xFF, 0xE0])), is_jpeg(b"RIFF")
    (True, False)
    """
    return encoded[:3] == b"\xff\xd8\xff"


def _segments(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the segments before the pixels.

    Source: ITU-T T.81, section B.1.
    """
    at = 2
    while at + 4 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in (0xD9, 0xDA):
            return
        length = int.from_bytes(encoded[at + 2 : at + 4], "big")
        yield marker, at + 4, at + 2 + length
        at += 2 + length


def is_progressive(encoded: bytes) -> bool:
    """Tell whether a JPEG is progressive: a decoder then holds all its coefficients at once."""
    return any(marker in _PROGRESSIVE for marker, _, _ in _segments(encoded))


def frame(encoded: bytes) -> tuple[int, int, int]:
    """Return width, height and components of a JPEG; zeros if it does not say.

    Components are 1 for grey, 3 for colour, 4 for CMYK.
    """
    for marker, start, end in _segments(encoded):
        if marker in _FRAMES and start + 6 <= min(end, len(encoded)):
            height, width = (int.from_bytes(encoded[start + i : start + i + 2]) for i in (1, 3))
            return width, height, encoded[start + 5]
    return 0, 0, 0


def orientation(encoded: bytes) -> int:
    """Return how a JPEG's pixels have to be turned, 1 to 8; 1, as they are, if it does not say.

    Source: Exif 2.32, section 4.6.4 A, tag 0x0112.
    """
    for marker, start, end in _segments(encoded):
        if marker == 0xE1 and encoded[start : start + 6] == _EXIF:
            return _orientation_in(encoded[start + 6 : end])
        if marker not in _BEFORE_TABLES:
            return 1
    return 1


def _orientation_in(tiff: bytes) -> int:
    if tiff[:2] not in (b"II", b"MM"):
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if tiff[:1] == b"I" else "big")

    directory = number(4, 4)
    for entry in range(number(directory, 2)):
        at = directory + 2 + 12 * entry
        if at + 12 > len(tiff):
            return 1
        if number(at, 2) == _ORIENTATION:
            found = number(at + 8, 2)
            return found if 1 <= found <= 8 else 1
    return 1
