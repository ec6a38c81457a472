"""Damage as disks, networks and other programs do it: a function of a number, so it comes again."""

import copy
import random
from typing import Any

__all__ = ["mutated", "mutated_json"]

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


_VALUES: tuple[Any, ...] = (
    None, True, -1, 2**63, 1e300, "", "x", "../x", [], [1], [[]], [{}], {}, {"en": 5}, {"x": []},
)  # fmt: skip


def mutated_json(value: Any, number: int) -> Any:
    """Return a JSON value of which one place holds something else; the same for the same number."""
    draw = random.Random(number)
    if draw.random() < 0.05:
        return draw.choice(_VALUES)
    value = copy.deepcopy(value)
    inside = [held for held in _containers(value) if held]
    if not inside:
        return draw.choice(_VALUES)
    held = draw.choice(inside)
    key = draw.choice(list(held) if isinstance(held, dict) else range(len(held)))
    what = draw.randrange(4)
    if what == 0:
        del held[key]
    elif what == 1:
        held[key] = [held[key]]
    else:
        held[key] = copy.deepcopy(draw.choice(_VALUES))
    return value


def _containers(value: Any) -> list[Any]:
    if not isinstance(value, (dict, list)):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(one for held in inner for one in _containers(held))]
