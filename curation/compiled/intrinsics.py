"""Machine instructions that numba has no name for: unaligned words, bit counts, sums of rows.

Each one is a function of compiled code. Those that read or write memory do so wherever they are
told to; their callers see to it that this is inside, for which arrays end with SLACK.
"""

from typing import Any

from curate.compiled.kernel import intrinsic

__all__ = [
    "LANES",
    "count_ones",
    "count_smaller",
    "fetch",
    "find_among_eight",
    "load_word",
    "store_word",
    "sum_rows",
    "trailing_zeros",
    "weigh_rows",
]

LANES = 16


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any, kind: Any) -> Any:
    """Return the address of a byte of an array, as a pointer to a kind of value."""
    from llvmlite import ir

    data = context.make_array(array_type)(context, builder, array).data
    first = builder.bitcast(data, ir.IntType(8).as_pointer())
    return builder.bitcast(builder.gep(first, [at]), kind.as_pointer())


@intrinsic
def load_word(_typing_context: Any, array: Any, _at: Any) -> Any:
    """Return the eight bytes that begin at a byte of an array, wherever it lies."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], *arguments, ir.IntType(64))
        return builder.load(place, align=1)

    return types.uint64(array, types.int64), generate


@intrinsic
def store_word(_typing_context: Any, array: Any, _at: Any, _word: Any) -> Any:
    """Write eight bytes to a byte of an array and those after it."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, word = arguments
        place = _place(context, builder, signature.args[0], array, at, ir.IntType(64))
        builder.store(word, place, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), generate


@intrinsic
def fetch(_typing_context: Any, array: Any, _at: Any) -> Any:
    """Begin to load the line of the cache of a byte of an array, and wait for nothing."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = ir.IntType(32)
        place = _place(context, builder, signature.args[0], *arguments, ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        name = "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        to_read, soon, of_data = (ir.Constant(number, value) for value in (0, 3, 1))
        builder.call(function, [place, to_read, soon, of_data])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def trailing_zeros(_typing_context: Any, _word: Any) -> Any:
    """Return how many of the lowest bits of a word are 0; 64 if all are."""
    from llvmlite import ir
    from numba import types

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def count_ones(_typing_context: Any, _word: Any) -> Any:
    """Return how many bits of a word are 1."""
    from numba import types

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def sum_rows(
    _typing_context: Any, matrix: Any, rows: Any, _num: Any, _column: Any, out: Any
) -> Any:
    """Write the sum of rows of a matrix, in their order, for sixteen columns at a time.

    The sixteen sums stay in registers; each is added up in the order of the rows, so it has the
    bits of a plain loop.

    Args:
        matrix: float32, C order.
        rows: uint32; the positions of the rows.
        num: how many of them.
        column: the first of the sixteen columns.
        out: float32; written from `column` on.
    """
    from llvmlite import ir
    from numba import types

    word, number = ir.IntType(64), ir.IntType(32)
    lanes = ir.VectorType(ir.FloatType(), LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix_value, rows_value, num, column, out_value = arguments
        matrix_type, rows_type, _, _, out_type = signature.args
        width = builder.extract_value(
            context.make_array(matrix_type)(context, builder, matrix_value).shape, 1
        )
        before = builder.block
        loop = builder.append_basic_block("rows")
        after = builder.append_basic_block("summed")
        zero = ir.Constant(lanes, [0.0] * LANES)
        builder.cbranch(builder.icmp_signed(">", num, ir.Constant(word, 0)), loop, after)
        builder.position_at_end(loop)
        at, total = builder.phi(word), builder.phi(lanes)
        four = ir.Constant(word, 4)
        row = builder.zext(
            builder.load(
                _place(context, builder, rows_type, rows_value, builder.mul(at, four), number),
                align=4,
            ),
            word,
        )
        place = builder.mul(builder.add(builder.mul(row, width), column), four)
        values = builder.load(
            _place(context, builder, matrix_type, matrix_value, place, lanes), align=4
        )
        summed = builder.fadd(total, values)
        following = builder.add(at, ir.Constant(word, 1))
        at.add_incoming(ir.Constant(word, 0), before)
        at.add_incoming(following, loop)
        total.add_incoming(zero, before)
        total.add_incoming(summed, loop)
        builder.cbranch(builder.icmp_signed("<", following, num), loop, after)
        builder.position_at_end(after)
        result = builder.phi(lanes)
        result.add_incoming(zero, before)
        result.add_incoming(summed, loop)
        target = builder.mul(column, four)
        builder.store(result, _place(context, builder, out_type, out_value, target, lanes), align=4)
        return context.get_dummy_value()

    int64 = types.int64
    return types.void(matrix, rows, int64, int64, out), generate


@intrinsic
def weigh_rows(
    _typing_context: Any, matrix: Any, weights: Any, _num: Any, _column: Any, out: Any
) -> Any:
    """Write the sum of a matrix's first rows, each times its weight, for sixteen columns at a time.

    Each sum is added up in the order of the rows, so it has the bits of a plain loop.

    Args:
        matrix: float32, C order.
        weights: float32; of the rows.
        num: how many rows, at least one.
        column: the first of the sixteen columns.
        out: float32; written from `column` on.
    """
    from llvmlite import ir
    from numba import types

    word, number = ir.IntType(64), ir.IntType(32)
    lanes = ir.VectorType(ir.FloatType(), LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix_value, weights_value, num, column, out_value = arguments
        matrix_type, weights_type, _, _, out_type = signature.args
        width = builder.extract_value(
            context.make_array(matrix_type)(context, builder, matrix_value).shape, 1
        )
        nothing, four = ir.Constant(lanes, ir.Undefined), ir.Constant(word, 4)
        before = builder.block
        loop, after = builder.append_basic_block("rows"), builder.append_basic_block("weighed")
        builder.branch(loop)
        builder.position_at_end(loop)
        at, total = builder.phi(word), builder.phi(lanes)
        weight = builder.load(
            _place(context, builder, weights_type, weights_value, builder.mul(at, four),
                   ir.FloatType()), align=4,
        )  # fmt: skip
        first = builder.insert_element(nothing, weight, ir.Constant(number, 0))
        everywhere = ir.Constant(ir.VectorType(number, LANES), [0] * LANES)
        place = builder.mul(builder.add(builder.mul(at, width), column), four)
        values = builder.load(
            _place(context, builder, matrix_type, matrix_value, place, lanes), align=4
        )
        weighed = builder.fmul(values, builder.shuffle_vector(first, nothing, everywhere))
        summed = builder.fadd(total, weighed)
        following = builder.add(at, ir.Constant(word, 1))
        at.add_incoming(ir.Constant(word, 0), before)
        at.add_incoming(following, loop)
        total.add_incoming(ir.Constant(lanes, [0.0] * LANES), before)
        total.add_incoming(summed, loop)
        builder.cbranch(builder.icmp_signed("<", following, num), loop, after)
        builder.position_at_end(after)
        target = builder.mul(column, four)
        builder.store(summed, _place(context, builder, out_type, out_value, target, lanes), align=4)
        return context.get_dummy_value()

    int64 = types.int64
    return types.void(matrix, weights, int64, int64, out), generate


@intrinsic
def count_smaller(
    _typing_context: Any, numbers: Any, _first: Any, _stop: Any, _at: Any, out: Any, _to: Any
) -> Any:
    """Write for each of sixteen numbers how many of a part of the array are smaller.

    Args:
        numbers: uint32.
        first: of the part.
        stop: of the part; there is at least one.
        at: the first of the sixteen.
        out: uint32; written from `to` on.
        to: see there.
    """
    from llvmlite import ir
    from numba import types

    word, number = ir.IntType(64), ir.IntType(32)
    lanes = ir.VectorType(number, LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first, stop, at, out_value, to = arguments
        array_type, out_type = signature.args[0], signature.args[4]
        four = ir.Constant(word, 4)

        def place(index: Any, kind: Any) -> Any:
            return _place(context, builder, array_type, array, builder.mul(index, four), kind)

        sixteen = builder.load(place(at, lanes), align=4)
        before = builder.block
        loop, after = builder.append_basic_block("others"), builder.append_basic_block("counted")
        builder.branch(loop)
        builder.position_at_end(loop)
        index, count = builder.phi(word), builder.phi(lanes)
        other = builder.insert_element(
            ir.Constant(lanes, ir.Undefined), builder.load(place(index, number)),
            ir.Constant(number, 0),
        )  # fmt: skip
        mask = ir.Constant(lanes, [0] * LANES)
        all_other = builder.shuffle_vector(other, ir.Constant(lanes, ir.Undefined), mask)
        is_smaller = builder.icmp_unsigned("<", all_other, sixteen)
        counted = builder.add(count, builder.zext(is_smaller, lanes))
        following = builder.add(index, ir.Constant(word, 1))
        index.add_incoming(first, before)
        index.add_incoming(following, loop)
        count.add_incoming(mask, before)
        count.add_incoming(counted, loop)
        builder.cbranch(builder.icmp_signed("<", following, stop), loop, after)
        builder.position_at_end(after)
        target = _place(context, builder, out_type, out_value, builder.mul(to, four), lanes)
        builder.store(counted, target, align=4)
        return context.get_dummy_value()

    int64 = types.int64
    return types.void(numbers, int64, int64, int64, out, int64), generate


@intrinsic
def find_among_eight(_typing_context: Any, words: Any, _at: Any, _shift: Any, _wanted: Any) -> Any:
    """Return which of eight words is `wanted` once shifted to the right; 8 if none is.

    Args:
        words: uint64.
        at: the first of the eight; they are in one line of the cache if it is a multiple of 8.
        shift: in bits.
        wanted: uint64.
    """
    from llvmlite import ir
    from numba import types

    word = ir.IntType(64)
    eight = ir.VectorType(word, 8)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, shift, wanted = arguments
        place = builder.mul(at, ir.Constant(word, 8))
        loaded = builder.load(
            _place(context, builder, signature.args[0], array, place, eight), align=8
        )

        def everywhere(value: Any) -> Any:
            nothing = ir.Constant(eight, ir.Undefined)
            first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
            return builder.shuffle_vector(first, nothing, mask)

        same = builder.icmp_unsigned(
            "==", builder.lshr(loaded, everywhere(shift)), everywhere(wanted)
        )
        bits = builder.zext(builder.bitcast(same, ir.IntType(8)), word)
        found = builder.or_(bits, ir.Constant(word, 1 << 8))
        return builder.cttz(found, ir.Constant(ir.IntType(1), 1))

    return types.int64(words, types.int64, types.uint64, types.uint64), generate
