"""SHA-224 of many short strings, sixteen at a time in the lanes of vectors.

Ids of pairs and images are the first 24 hexadecimal digits of a SHA-224. A message is one string,
or two with a tab between them. Longer ones than MAX_LENGTH are left to hashlib.

Source: FIPS 180-4, sections 4.1.2, 6.2 and 6.3.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined, intrinsic
from curate.curation.compiled.intrinsics import LANES, load_word, store_word
from curate.curation.compiled.unit_keys import SLACK

__all__ = ["HEX_DIGITS", "MAX_LENGTH", "hash_messages"]

HEX_DIGITS = 24
MAX_LENGTH = 4000
_TAB = np.uint8(9)
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def _primes(num: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < num:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _root_bits(number: int, degree: int, skipped: int) -> int:
    """Return 32 bits of the fraction of a number's root, after some that are skipped.

    >>> hex(_root_bits(2, 3, 0))  # the first constant of FIPS 180-4, section 4.2.2
    '0x428a2f98'
    """
    scaled = number << degree * (32 + skipped)
    low, high = 0, 1 << (33 + skipped + number.bit_length() // degree)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= scaled else (low, middle)
    return low & 0xFFFFFFFF


# Fractions of the cube roots of the first 64 primes; of the square roots of the ninth to the
# sixteenth, the second 32 bits (FIPS 180-4, sections 4.2.2 and 5.3.2).
_ROUND_CONSTANTS = [_root_bits(prime, 3, 0) for prime in _primes(64)]
_INITIAL = np.array([_root_bits(prime, 2, 32) for prime in _primes(16)[8:]], np.uint32)


@intrinsic
def _compress(_typing_context: Any, words: Any, states: Any) -> Any:
    """Take sixteen blocks into sixteen states.

    Args:
        words: uint32, shape (16, LANES): word t of each lane's block.
        states: uint32, shape (8, LANES); replaced.
    """
    from llvmlite import ir
    from numba import types

    lanes = ir.VectorType(ir.IntType(32), LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def constant(value: int) -> Any:
            return ir.Constant(lanes, [value] * LANES)

        def row(which: int, index: int) -> Any:
            array = context.make_array(signature.args[which])(context, builder, arguments[which])
            first = builder.bitcast(array.data, lanes.as_pointer())
            return builder.gep(first, [ir.Constant(ir.IntType(64), index)])

        def rotated(x: Any, by: int) -> Any:
            return builder.or_(builder.lshr(x, constant(by)), builder.shl(x, constant(32 - by)))

        def mixed(x: Any, first: int, second: int, third: int, *, shifts: bool) -> Any:
            last = builder.lshr(x, constant(third)) if shifts else rotated(x, third)
            return builder.xor(builder.xor(rotated(x, first), rotated(x, second)), last)

        def total(*terms: Any) -> Any:
            result = terms[0]
            for term in terms[1:]:
                result = builder.add(result, term)
            return result

        schedule = [builder.load(row(0, t), align=4) for t in range(16)]
        before = [builder.load(row(1, i), align=4) for i in range(8)]
        a, b, c, d, e, f, g, h = before
        for t, factor in enumerate(_ROUND_CONSTANTS):
            if t >= 16:
                schedule.append(
                    total(
                        schedule[t - 16],
                        mixed(schedule[t - 15], 7, 18, 3, shifts=True),
                        schedule[t - 7],
                        mixed(schedule[t - 2], 17, 19, 10, shifts=True),
                    )
                )
            chosen = builder.xor(g, builder.and_(e, builder.xor(f, g)))
            first = total(
                h, mixed(e, 6, 11, 25, shifts=False), chosen, constant(factor), schedule[t]
            )
            most = builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b)))
            second = total(mixed(a, 2, 13, 22, shifts=False), most)
            a, b, c, d, e, f, g, h = builder.add(first, second), a, b, c, total(d, first), e, f, g
        for i, (old, new) in enumerate(zip(before, (a, b, c, d, e, f, g, h), strict=True)):
            builder.store(builder.add(old, new), row(1, i), align=4)
        return context.get_dummy_value()

    return types.void(words, states), generate


@inlined
def _copy(source: Any, at: int, target: Any, to: int, length: int) -> None:
    """Copy bytes, eight at a time where the source has them; target ends with SLACK."""
    done = 0
    while done < length and at + done + 8 <= len(source):
        store_word(target, to + done, load_word(source, at + done))
        done += 8
    while done < length:
        target[to + done] = source[at + done]
        done += 1


@compiled
def _write_message(
    data: Any,
    start: int,
    stop: int,
    more: Any,
    more_start: int,
    more_stop: int,
    has_more: bool,
    out: Any,
) -> int:
    """Write a message with its padding; return its number of blocks."""
    length = stop - start
    _copy(data, start, out, 0, length)
    if has_more:
        out[length] = _TAB
        _copy(more, more_start, out, length + 1, more_stop - more_start)
        length += 1 + more_stop - more_start
    num_blocks = (length + 9 + 63) >> 6
    end = num_blocks << 6
    for i in range(length, end):
        out[i] = 0
    out[length] = 0x80
    for i in range(8):
        out[end - 1 - i] = np.uint8(np.uint64(8 * length) >> np.uint64(8 * i))
    return num_blocks


@inlined
def _big_endian(data: Any, at: int) -> np.uint32:
    word = np.uint32(load_word(data, at))
    return np.uint32(
        word << np.uint32(24)
        | (word & np.uint32(0xFF00)) << np.uint32(8)
        | (word >> np.uint32(8)) & np.uint32(0xFF00)
        | word >> np.uint32(24)
    )


@compiled
def _write_hex(states: Any, lane: int, out: Any, at: int) -> None:
    for digit in range(HEX_DIGITS):
        bits = states[digit >> 3, lane] >> np.uint32(28 - 4 * (digit & 7)) & np.uint32(15)
        out[at + digit] = _DIGITS[bits]


@compiled
def hash_messages(
    data: Any, offsets: Any, more: Any, more_offsets: Any, out: Any, is_long: Any
) -> int:
    r"""Write the first HEX_DIGITS of the SHA-224 of each string; return how many are too long.

    Args:
        data: bytes of the strings; uint8.
        offsets: shape (num_strings + 1,).
        more: bytes of as many other strings, which follow after a tab.
        more_offsets: of them; shape (0,) for none.
        out: written: uint8, shape (num_strings · HEX_DIGITS,).
        is_long: written: whether a message is longer than MAX_LENGTH, and not hashed; bool.
    """
    num = len(offsets) - 1
    has_more = len(more_offsets) > 0
    messages = np.zeros((LANES, MAX_LENGTH + 64 + 9 + SLACK), dtype=np.uint8)
    words = np.zeros((16, LANES), dtype=np.uint32)
    states = np.empty((8, LANES), dtype=np.uint32)
    num_blocks = np.zeros(LANES, dtype=np.int64)
    num_long = 0
    for first in range(0, num, LANES):
        stop = min(first + LANES, num)
        most = 0
        for i in range(first, stop):
            lane = i - first
            length = offsets[i + 1] - offsets[i]
            begin = end = np.int64(0)
            if has_more:
                begin, end = more_offsets[i], more_offsets[i + 1]
                length += 1 + end - begin
            is_long[i] = length > MAX_LENGTH
            num_blocks[lane] = 0
            if is_long[i]:
                num_long += 1
                continue
            num_blocks[lane] = _write_message(
                data, offsets[i], offsets[i + 1], more, begin, end, has_more, messages[lane]
            )
            most = max(most, num_blocks[lane])
        for i in range(8):
            states[i, :] = _INITIAL[i]
        for block in range(most):
            for lane in range(stop - first):
                # A lane whose message has ended goes on with anything: its digits are written.
                for t in range(16):
                    words[t, lane] = _big_endian(messages[lane], 64 * block + 4 * t)
            _compress(words, states)
            for lane in range(stop - first):
                if num_blocks[lane] == block + 1:
                    _write_hex(states, lane, out, (first + lane) * HEX_DIGITS)
    return num_long
