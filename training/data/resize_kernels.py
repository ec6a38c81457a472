# mypy: disable-error-code="call-arg,var-annotated"
"""Compiled bicubic resize: a rectangle of decoded pixels in, channels first, out.

Antialiased, in Pillow's fixed-point arithmetic, rows before columns: each pass equals a
one-dimensional `Image.resize` of Pillow bit for bit, whatever Pillow's own order of the two is.

The first pass runs along the interleaved rows as they are; the second along columns, for which
the pixels are turned over in blocks of 8 x 8 bytes. Both so have long runs of bytes to work on.
Places in arrays are uint64, since indices that might be negative are not vectorised.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import load_word, store_word

__all__ = ["random_box", "resize_box"]

_BITS = 22  # of a weight behind the point
_ROUND = 1 << _BITS - 1
_TAPS = 6  # pixels that one go adds up; enough for crops up to 1.25 times the target
_U = np.uint64
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _bicubic(x: float) -> float:
    """Keys' cubic convolution with a = -0.5, as Pillow has it.

    Source: Keys 1981, IEEE Trans. ASSP 29(6), equation 15.
    """
    x = abs(x)
    if x < 1.0:
        return ((1.5 * x - 2.5) * x) * x + 1.0
    if x < 2.0:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return 0.0


@inlined
def _num_taps(start: float, stop: float, size: int) -> int:
    return int(np.ceil(2.0 * max((stop - start) / size, 1.0))) * 2 + 1


@compiled
def _find_weights(
    length: int, start: float, stop: float, first: Any, num: Any, weights: Any
) -> None:
    """Find which pixels of a line make up each new pixel, and their weights.

    Args:
        length: pixels of the whole line; those outside of [start, stop) count near its ends.
        start: where the first new pixel begins.
        stop: where the last new pixel ends.
        first: written: first pixel that counts; int64, shape (size,).
        num: written: pixels that count; int64, shape (size,).
        weights: written: fixed point; int32, shape (size, at least max(num)).
    """
    scale = (stop - start) / len(first)
    stretch = max(scale, 1.0)
    values = np.empty(weights.shape[1])
    for i in range(len(first)):
        center = start + (i + 0.5) * scale
        begin = max(0, int(center - 2.0 * stretch + 0.5))
        end = min(length, int(center + 2.0 * stretch + 0.5))
        total = 0.0
        for k in range(end - begin):
            values[k] = _bicubic((k + begin - center + 0.5) * (1.0 / stretch))
            total += values[k]
        first[i] = begin
        num[i] = end - begin
        for k in range(end - begin):
            value = values[k] / total * (1 << _BITS)
            weights[i, k] = np.int32(value - 0.5 if value < 0 else value + 0.5)


@inlined
def _times(pixel: Any, weight: Any) -> Any:
    return np.int32(np.int32(pixel) * weight)


@inlined
def _as_byte(total: Any) -> Any:
    return np.uint8(min(max(total >> np.int32(_BITS), np.int32(0)), np.int32(255)))


@compiled
def _blend(source: Any, at: int, step: int, num: int, weights: Any, row: int, length: int,
           sums: Any, out: Any, to: int) -> None:  # fmt: skip
    """Write the weighted sum of `num` lines of bytes, `step` apart, as one line of bytes.

    Sums of int32 stay in int32 here so that the compiler can do sixteen of them at once.
    """
    n, target = _U(length), _U(to)
    if num <= _TAPS:
        # The weights behind the last one are 0, so any line will do for them.
        last = num - 1
        at0, at1 = _U(at), _U(at + min(1, last) * step)
        at2, at3 = _U(at + min(2, last) * step), _U(at + min(3, last) * step)
        at4, at5 = _U(at + min(4, last) * step), _U(at + min(5, last) * step)
        w0, w1, w2 = weights[row, 0], weights[row, 1], weights[row, 2]
        w3, w4, w5 = weights[row, 3], weights[row, 4], weights[row, 5]
        for i in range(n):
            total = np.int32(_times(source[at0 + i], w0) + np.int32(_ROUND))
            total = np.int32(total + _times(source[at1 + i], w1))
            total = np.int32(total + _times(source[at2 + i], w2))
            total = np.int32(total + _times(source[at3 + i], w3))
            total = np.int32(total + _times(source[at4 + i], w4))
            total = np.int32(total + _times(source[at5 + i], w5))
            out[target + i] = _as_byte(total)
        return
    for i in range(n):
        sums[i] = np.int32(_ROUND)
    for k in range(num):
        weight, line = weights[row, k], _U(at + k * step)
        for i in range(n):
            sums[i] = np.int32(sums[i] + _times(source[line + i], weight))
    for i in range(n):
        out[target + i] = _as_byte(sums[i])


@inlined
def _swap(a: Any, b: Any, mask: Any, shift: Any) -> Any:
    """Swap the blocks of two rows that are off the diagonal."""
    different = ((a >> shift) ^ b) & mask
    return a ^ (different << shift), b ^ different


@compiled
def _turn(source: Any, at: int, pitch: int, out: Any, to: int, out_pitch: int) -> None:
    """Transpose 8 x 8 bytes, whose rows are `pitch` apart."""
    r0, r1 = load_word(source, at), load_word(source, at + pitch)
    r2, r3 = load_word(source, at + 2 * pitch), load_word(source, at + 3 * pitch)
    r4, r5 = load_word(source, at + 4 * pitch), load_word(source, at + 5 * pitch)
    r6, r7 = load_word(source, at + 6 * pitch), load_word(source, at + 7 * pitch)
    mask, shift = _U(0x00000000FFFFFFFF), _U(32)
    r0, r4 = _swap(r0, r4, mask, shift)
    r1, r5 = _swap(r1, r5, mask, shift)
    r2, r6 = _swap(r2, r6, mask, shift)
    r3, r7 = _swap(r3, r7, mask, shift)
    mask, shift = _U(0x0000FFFF0000FFFF), _U(16)
    r0, r2 = _swap(r0, r2, mask, shift)
    r1, r3 = _swap(r1, r3, mask, shift)
    r4, r6 = _swap(r4, r6, mask, shift)
    r5, r7 = _swap(r5, r7, mask, shift)
    mask, shift = _U(0x00FF00FF00FF00FF), _U(8)
    r0, r1 = _swap(r0, r1, mask, shift)
    r2, r3 = _swap(r2, r3, mask, shift)
    r4, r5 = _swap(r4, r5, mask, shift)
    r6, r7 = _swap(r6, r7, mask, shift)
    store_word(out, to, r0)
    store_word(out, to + out_pitch, r1)
    store_word(out, to + 2 * out_pitch, r2)
    store_word(out, to + 3 * out_pitch, r3)
    store_word(out, to + 4 * out_pitch, r4)
    store_word(out, to + 5 * out_pitch, r5)
    store_word(out, to + 6 * out_pitch, r6)
    store_word(out, to + 7 * out_pitch, r7)


@compiled
def _transpose(source: Any, rows: int, columns: int, out: Any) -> None:
    """Write (rows, columns) as (columns, rows); both are multiples of 8."""
    for row in range(0, rows, 8):
        for column in range(0, columns, 8):
            _turn(source, row * columns + column, columns, out, column * rows + row, rows)


def resize_box(pixels: Any, left: float, top: float, right: float, bottom: float, out: Any) -> None:
    """Resize a rectangle of an image.

    Pixels next to the rectangle count at its edges, as with Pillow's argument ``box``.

    Args:
        pixels: uint8, (H, W, 3), C order.
        left: of the rectangle, in pixels; 0 <= left < right <= W.
        top: 0 <= top < bottom <= H.
        right: its end.
        bottom: its end.
        out: written: uint8, (3, S, S), C order.

    Source: Pillow's documentation of `Image.resize`; Keys 1981 (see `_bicubic`).
    """
    height, width, size = pixels.shape[0], pixels.shape[1], out.shape[1]
    if not out.flags.c_contiguous:
        raise ValueError("a resized image is written in C order; this array lies otherwise")
    whole = (left, top, right, bottom, out.reshape(-1), size)
    _resize(pixels.reshape(-1), height, width, *whole)


@compiled
def _resize(
    source: Any, height: int, width: int, left: float, top: float, right: float, bottom: float,
    target: Any, size: int,
) -> None:  # fmt: skip
    """Do what `resize_box` says, on flat arrays."""
    first_x, num_x = np.empty(size, np.int64), np.empty(size, np.int64)
    first_y, num_y = np.empty(size, np.int64), np.empty(size, np.int64)
    weights_x = np.zeros((size, max(_TAPS, _num_taps(left, right, size))), np.int32)
    weights_y = np.zeros((size, max(_TAPS, _num_taps(top, bottom, size))), np.int32)
    _find_weights(width, left, right, first_x, num_x, weights_x)
    _find_weights(height, top, bottom, first_y, num_y, weights_y)
    begin, end = first_x[0], first_x[size - 1] + num_x[size - 1]
    line = 3 * (end - begin)
    columns, rows = (line + 7) // 8 * 8, (size + 7) // 8 * 8
    sums = np.empty(max(line, rows), np.int32)

    # Padding is set to something only so that two runs cannot differ.
    low = np.zeros(rows * columns, np.uint8)
    for i in range(size):
        at = 3 * (first_y[i] * width + begin)
        _blend(source, at, 3 * width, num_y[i], weights_y, i, line, sums, low, i * columns)
    turned = np.empty(columns * rows, np.uint8)
    _transpose(low, rows, columns, turned)

    plane, upright = np.zeros(rows * rows, np.uint8), np.empty(rows * rows, np.uint8)
    for channel in range(3):
        for i in range(size):
            at = (3 * (first_x[i] - begin) + channel) * rows
            _blend(turned, at, 3 * rows, num_x[i], weights_x, i, rows, sums, plane, i * rows)
        _transpose(plane, rows, rows, upright)
        for i in range(size):
            to, at = (channel * size + i) * size, i * rows
            for k in range(size):
                target[to + k] = upright[at + k]


@inlined
def _next_uniform(state: Any) -> Any:
    """Return the next state and a draw in [0, 1): SplitMix64.

    Source: Steele, Lea and Flood 2014, OOPSLA, figure 13.
    """
    state += _GOLDEN
    z = (state ^ (state >> _U(30))) * _U(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> _U(27))) * _U(0x94D049BB133111EB)
    z = z ^ (z >> _U(31))
    return state, float(z >> _U(11)) * 2.0**-53


# Too short to let another thread have the interpreter.
@compiled
def random_box(width: int, height: int, key: Any) -> Any:
    """Draw a rectangle of 90-100 % of the area and a ratio of sides from 3:4 to 4:3.

    After ten draws that do not fit, it is the largest one in the middle with such a ratio.

    Args:
        width: of the image, in pixels.
        height: of the image.
        key: decides the draw; uint64.

    Returns:
        left, top, width, height.

    Source: torchvision's documentation of RandomResizedCrop.
    """
    state = _U(key)
    for _ in range(10):
        state, for_area = _next_uniform(state)
        state, for_ratio = _next_uniform(state)
        area = width * height * (0.9 + 0.1 * for_area)
        ratio = np.exp((2.0 * for_ratio - 1.0) * np.log(4.0 / 3.0))
        w, h = int(np.sqrt(area * ratio) + 0.5), int(np.sqrt(area / ratio) + 0.5)
        if 0 < w <= width and 0 < h <= height:
            state, for_left = _next_uniform(state)
            state, for_top = _next_uniform(state)
            return int(for_left * (width - w + 1)), int(for_top * (height - h + 1)), w, h
    w = min(width, int(height * 4 / 3 + 0.5))
    h = min(height, int(width * 4 / 3 + 0.5))
    return (width - w) // 2, (height - h) // 2, w, h
