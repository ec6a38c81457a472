"""Machine code that came with this package: which there is, whether it may be used, how to call it.

`machine_code/` holds a library for each kind of processor and beside it a list: of which sources it
was made, and for each kernel the kinds of its arguments, the function's name and what it returns.
The libraries are made from the kernels' sources by `make kernels`. One is used only where the
processor has all instructions of its kind, and the sources are those that it was made of; otherwise
kernels are compiled where they are used.

Each function of a library takes two pointers: to where it writes what it returns, and to its
arguments as 64-bit words. An array is seven words and more, as numba passes it: two of who owns it,
the number of elements, the bytes of one, the address, the shape, the strides.
"""

import ctypes
import json
import math
import platform
import sys
import weakref
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Routine", "Shipped", "kind_of", "shipped", "shipped_routines", "source_digest"]

FOLDER = Path(__file__).parent / "machine_code"
_ROOT = Path(__file__).parents[1]
# Kinds of processors, each a library: the machine, and what it has to have, as Linux names it. One
# that comes later takes the place of those before, for the kernels that are faster so.
_V3 = "abm avx avx2 bmi1 bmi2 cx16 f16c fma lahf_lm movbe popcnt sse4_1 sse4_2 ssse3"
_KINDS_OF_PROCESSORS = {
    "x86_64_v3": ("x86_64", _V3),
    "x86_64_v4": ("x86_64", f"{_V3} avx512bw avx512cd avx512dq avx512f avx512vl"),
    "aarch64": ("aarch64", ""),  # floats and vectors of 16 bytes are in every one that runs Linux
}
_MAX_WORDS = 64  # that a kernel returns
_DONE = (0, -2)  # a value is returned, or None


class Shipped(NamedTuple):
    """What there is for this processor.

    Attributes:
        kind: of processors, the best that there is machine code for; "" for none.
        routines: of each kernel, by the kinds of its arguments.
        why_not: what is in the way, in words; "" where there are routines.
    """

    kind: str
    routines: dict[str, dict[tuple[str, ...], "Routine"]]
    why_not: str


@cache
def source_digest() -> str:
    """Return a hash of the sources of all kernels, and of what decides how they are compiled."""
    digest = sha256()
    for name in _sources():
        digest.update(name.encode() + b"\0" + (_ROOT / name).read_bytes())
    return digest.hexdigest()


def _sources() -> list[str]:
    """Return the modules that hold kernels, below `curate/`."""
    listed = (Path(__file__).parent / "sources.txt").read_text("ascii")
    return [line for line in listed.splitlines() if line]


@cache
def shipped() -> Shipped:
    """Return what there is for this processor; read once."""
    routines: dict[str, dict[tuple[str, ...], Routine]] = {}
    try:
        kinds, why_not = _kinds_of_processor()
        for kind in kinds:
            routines |= _read(kind)
    except (OSError, ValueError) as error:
        return Shipped("", {}, f"the machine code cannot be used: {error}")
    return Shipped(kinds[-1] if kinds else "", routines, why_not)


def _read(kind: str) -> dict[str, dict[tuple[str, ...], "Routine"]]:
    """Return the routines of a library.

    Raises:
        OSError: it is not there, or cannot be loaded.
        ValueError: it is damaged, or made of other sources.
    """
    made = json.loads((FOLDER / f"{kind}.json").read_text("ascii"))
    if made["sources"] != source_digest():
        raise ValueError("the sources of kernels are not those that it was made of")
    library = _open(FOLDER / f"{kind}.so", made["sha256"])
    return {
        name: {
            tuple(one["arguments"]): Routine(library, one["symbol"], one["returns"]) for one in ones
        }
        for name, ones in made["kernels"].items()
    }


def _open(path: Path, expected: str) -> ctypes.CDLL:
    if sha256(path.read_bytes()).hexdigest() != expected:
        raise ValueError(f"{path.name} is damaged (its sha256 differs)")
    ctypes.CDLL("libm.so.6", ctypes.RTLD_GLOBAL)  # exp and log, of whatever version there is
    return ctypes.CDLL(str(path))


def shipped_routines(name: str) -> dict[tuple[str, ...], "Routine"]:
    """Return the routines of a kernel, by the kinds of its arguments."""
    return shipped().routines.get(name, {})


def _kinds_of_processor() -> tuple[list[str], str]:
    """Return the kinds that this processor is of, and if there are none why."""
    machine = platform.machine()
    needed = [(k, f) for k, (m, f) in _KINDS_OF_PROCESSORS.items() if m == machine]
    if sys.platform != "linux" or not needed:
        return [], f"there is no machine code for {sys.platform} on {machine}"
    has = _features()
    kinds = [kind for kind, features in needed if has.issuperset(features.split())]
    missing = sorted(set(needed[0][1].split()) - has)
    return kinds, "" if kinds else f"this processor lacks {', '.join(missing)}"


def _features() -> set[str]:
    """Return what the first processor can, as Linux says it.

    Raises:
        OSError: /proc is not there.
    """
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("flags", "Features")):
                return set(line.partition(":")[2].split())
    return set()


def kind_of(value: Any) -> str:
    """Return the kind of an argument: what decides which machine code is for it.

    >>> kind_of(np.zeros((2, 3), np.uint8)), kind_of(3), kind_of(np.uint64(3)), kind_of(True)
    ('u1[2]', 'i8', 'u8', 'b1')
    """
    if isinstance(value, np.ndarray):
        flags = value.flags
        is_plain = flags.c_contiguous and flags.aligned and value.dtype.isnative
        return f"{value.dtype.str[1:]}[{value.ndim}]" if is_plain else "other"
    kind = type(value)
    if kind is int:
        return "i8" if value.bit_length() < 64 else "other"
    if kind is bool or kind is np.bool_:
        return "b1"
    if kind is float:
        return "f8"
    return value.dtype.str[1:] if isinstance(value, np.number) else "other"


class Routine:
    """A function of a library, for arguments of certain kinds.

    Args:
        library: that holds it.
        symbol: its name there.
        returns: kinds of what it returns: none, one value, or several for a tuple.
    """

    def __init__(self, library: ctypes.CDLL, symbol: str, returns: list[str]) -> None:
        self._function = getattr(library, symbol)
        self._function.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        self._release = library.curate_release
        self._release.argtypes = (ctypes.c_void_p,)
        self._returns = returns
        self._name = symbol

    def __call__(self, args: tuple[Any, ...]) -> Any:
        """Call it; the interpreter's lock is released meanwhile.

        Raises:
            MemoryError: there is no memory for its arrays.
        """
        words: list[int] = []
        for value in args:
            if isinstance(value, np.ndarray):
                words += (0, 0, value.size, value.itemsize, value.ctypes.data)
                words += value.shape
                words += value.strides
            elif isinstance(value, float | np.floating):
                words.append(int.from_bytes(np.asarray(value).tobytes(), "little"))
            else:
                words.append(int(value))
        given = (ctypes.c_uint64 * len(words))(*words)
        returned = (ctypes.c_uint64 * _MAX_WORDS)()
        status = self._function(ctypes.addressof(returned), ctypes.addressof(given))
        if status not in _DONE:
            raise MemoryError(f"{self._name}: no memory for its arrays (status {status})")
        if not self._returns:
            return None
        found, at = [], 0
        for kind in self._returns:
            value, at = self._value(kind, returned, at)
            found.append(value)
        return found[0] if len(found) == 1 else tuple(found)

    def _value(self, kind: str, words: Any, at: int) -> tuple[Any, int]:
        """Return what stands from a word on, and the word after it."""
        code, _, dimensions = kind.rstrip("]").partition("[")
        if not dimensions:
            number = np.frombuffer(words, code.replace("b1", "?"), 1, 8 * at)[0]
            return number.item(), at + 1
        owner, _, _, _, address, *more = words[at : at + 5 + 2 * int(dimensions)]
        shape = more[: int(dimensions)]
        return self._array(np.dtype(code), shape, address, owner), at + 5 + len(more)

    def _array(self, kind: Any, shape: list[int], address: int, owner: int) -> NDArray[Any]:
        """Return an array over memory of the library, which is freed with it."""
        size = kind.itemsize * math.prod(shape)
        if size == 0:
            self._release(owner)
            return np.empty(shape, kind)
        memory = (ctypes.c_uint8 * size).from_address(address)
        weakref.finalize(memory, self._release, owner).atexit = False
        return np.frombuffer(memory, kind).reshape(shape)
