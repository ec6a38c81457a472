"""Numpy's scalars in a pickle of weights, read as Python's numbers without running numpy's code.

OpenCLIP's `epoch_N.pt` keeps the learning rate of its optimizer as `numpy.float64`, for which a
pickle names two functions of numpy. `torch.load(weights_only=True)` calls no function that it is
not told is safe; the ones here stand for numpy's under numpy's names, and take numbers only.
"""

import struct
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

__all__ = ["SAFE_SCALARS"]

# Numpy's name of a type → its format in the module struct.
_FORMATS = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I",
    "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
_ORDERS = ("<", ">", "|", "=")


class _NumberType:
    """What a pickle makes of `numpy.dtype`: the name of a type of numbers, and its byte order.

    Raises:
        UnpicklingError: it is no type of numbers.
    """

    def __init__(self, name: Any, *_: Any) -> None:
        if name not in _FORMATS:
            raise UnpicklingError(f"a numpy value of type {name!r}, which is no number")
        self.name: str = name
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in _ORDERS:
            raise UnpicklingError(f"a numpy value in byte order {order!r}")
        self.order = "<" if order in ("|", "=") else order


def _number(kind: Any, content: Any) -> int | float | bool:
    """Return what a pickle makes of `numpy._core.multiarray.scalar`: the number itself.

    Raises:
        UnpicklingError: it is none.
    """
    if not isinstance(kind, _NumberType) or not isinstance(content, bytes):
        raise UnpicklingError("a numpy value that is no number")
    try:
        (value,) = struct.unpack(kind.order + _FORMATS[kind.name], content)
    except struct.error as error:
        raise UnpicklingError(f"a numpy number of {len(content)} bytes: {error}") from error
    found: int | float | bool = value
    return found


# For `torch.serialization.safe_globals`; numpy 2 renamed the module.
SAFE_SCALARS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_NumberType, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
]
