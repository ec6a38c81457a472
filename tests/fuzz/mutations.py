"""Damage as disks, networks and other programs do it: a function of a number, so it comes again."""

import random

__all__ = ["mutated"]

_WORDS = (b"\0" * 16, b"\xff" * 8, b'"', b"\n", b"\t", b",", b"{", b"]", b"\xed\xa0\x80",
          b'\\ud800', b"-1", b"9" * 30, b"0777777", b"null", b"../", b"/etc/")  # fmt: skip


def mutated(content: bytes, number: int) -> bytes:
    """Return a damaged copy of a file; the same for the same number."""
    draw = random.Random(number)
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        if not data:
            break
        at = draw.randrange(len(data))
        what = draw.randrange(6)
        if what == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif what == 1:
            del data[at:]
        elif what == 2:
            del data[at : at + draw.randrange(1, 600)]
        elif what == 3:
            data[at:at] = draw.choice(_WORDS)
        elif what == 4:
            stop = at + draw.randrange(1, 600)
            data[at:at] = data[at:stop]
        else:
            word = draw.choice(_WORDS)
            data[at : at + len(word)] = word
    return bytes(data)
