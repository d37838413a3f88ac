"""Products whose operand is gathered while they are computed, tile by tile: the compiled form of a convolution.

    result[r] = start[r] + bias + sum over k of source[row r + step k] * packed[k]

Both are offsets into the memory of the source, from tables: for a convolution's output the rows are the windows and the
steps their taps, for its weights' gradient the other way round. So the matrix of windows, which `windows` builds for
BLAS, never comes into being: CIFAR-10's second convolution reads 26 kB of an image instead of writing and reading 820.

A tile is ROWS rows by WIDTH bytes of the result. It stays in the processor's registers while k runs, which is what
makes a product fast (Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008). No compiler turns
plain loops into that, so `tile` is spelled out in vector instructions of LLVM's, which numba takes; the plain Python
`tile` says what they compute. Each element is summed in the order of k, whatever the tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pycaffe_lite.kernels.loops import MATRIX, VECTOR, Array, declared

ROWS, WIDTH = 6, 64
"""12 registers for sums, two for a row of `packed`, one for a value of the source: what AVX2 has is 16."""

VECTOR_BYTES = 32
BLOCK_BYTES = 1 << 17
"""Of the source: what one panel of `packed` meets before the next one does; a quarter of a second-level cache."""

BAND = 128
"""Windows whose share of a gradient is summed at a time: with their taps they stay in the first-level caches."""

PACKED_ROWS = 32
"""Rows of weights that are packed together: each lies on a page of its own where there are many columns."""

FEW_TAPS = 64
"""With fewer of them the maps are read where they lie; else they are packed, so that their rows lie side by side."""

ANY, TABLE, PANELS, WEIGHTS = "T[:,:,:,:]", "int32[::1]", "T[:,:,::1]", "T[:,:,:]"


def rows_of_a_panel(row_bytes: int) -> int:
    """How many rows meet one panel before the next one, where the source has so many bytes for a row."""
    return max(ROWS, BLOCK_BYTES // row_bytes)


def panel_width(dtype: np.dtype) -> int:
    """Columns of a panel."""
    return WIDTH // dtype.itemsize


def tile(
    source: Array, rows: Array, row: int, steps: Array, step: int, length: int,
    packed: Array, packed_at: int, packed_step: int, start: Array, starts: Array, start_at: int, begun: int,
    bias: Array, column: int, result: Array, places: Array, result_at: int, height: int, width: int, least: float,
) -> None:  # fmt: skip
    """Sets a tile of the result.

    Args:
        source, start, result: arrays whose memory is meant, in elements from their first.
        rows, starts, places: for each row where it begins in the source, in `start` and in the result; from `row` on.
        steps: for each k how far it is from there; from `step` on, `length` of them.
        packed: its memory too: row k has `width` values at packed_at + k * packed_step.
        start_at, result_at: where the tile's columns are, from the beginnings of rows.
        begun: whether `start` is to be added.
        bias: a vector, of which `column` is the first value for the tile.
        height, width: rows, 1 to ROWS, and columns, 1 to a panel, of the tile.
        least: stands for what is less.
    """
    memory, table = _memory(source), steps[step : step + length]
    seen = [memory[rows[r] + table][:, None] for r in range(row, row + height)]
    _set_tile(
        seen, row, packed, packed_at, packed_step, start, starts, start_at, begun,
        bias, column, result, places, result_at, width, least,
    )  # fmt: skip


def lane_tile(
    source: Array, rows: Array, row: int, steps: Array, step: int, length: int,
    packed: Array, packed_at: int, packed_step: int, start: Array, starts: Array, start_at: int, begun: int,
    bias: Array, column: int, result: Array, places: Array, result_at: int, height: int, width: int, least: float,
) -> None:  # fmt: skip
    """As `tile`, where each column has values of the source of its own: those from `column` on, side by side."""
    memory, table = _memory(source), steps[step : step + length]
    columns = column + np.arange(width)
    seen = [memory[rows[r] + table[:, None] + columns] for r in range(row, row + height)]
    _set_tile(
        seen, row, packed, packed_at, packed_step, start, starts, start_at, begun,
        bias, column, result, places, result_at, width, least,
    )  # fmt: skip


def _set_tile(
    seen: Sequence[Array], row: int, packed: Array, packed_at: int, packed_step: int, start: Array, starts: Array,
    start_at: int, begun: int, bias: Array, column: int, result: Array, places: Array, result_at: int, width: int,
    least: float,
) -> None:  # fmt: skip
    """What `tile` and `lane_tile` do with the values seen: for each row one for each k, or for each k and column."""
    start, packed, result = (_memory(array) for array in (start, packed, result))
    columns = np.arange(width)
    for r, values in enumerate(seen, start=row):
        total = np.zeros(width, result.dtype)
        for k, value in enumerate(values):
            total += value * packed[packed_at + k * packed_step + columns]
        total += bias[column : column + width]
        if begun:
            total += start[starts[r] + start_at + columns]
        result[places[r] + result_at + columns] = np.where(total < least, least, total)


def copy_row(source: Array, at: int, target: Array, to: int, width: int) -> None:
    """Copies `width` values, 1 to a panel, to target[to : to + panel], whose rest it sets to 0; both are memory."""
    source, target = _memory(source), _memory(target)
    target[to : to + panel_width(target.dtype)] = 0
    target[to : to + width] = source[at : at + width]


def _memory(array: Array) -> Array:
    """The memory from an array's first element to its last."""
    length = 1 + sum((n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)) // array.itemsize
    return as_strided(array, (max(length, 0) if array.size else 0,), (array.itemsize,))


@declared(WEIGHTS, TABLE, PANELS)
def pack(weight: Array, taps: Array, packed: Array) -> None:
    """packed = the columns of weight[taps], taps x rows x columns, in panels; the last one is filled up with zeros."""
    panels, _, width = packed.shape
    rows, columns = weight.shape[1:]
    for t in range(len(taps)):
        for begin in range(0, rows, PACKED_ROWS):
            for p in range(panels):
                used = min(width, columns - p * width)
                values = weight[taps[t], :, p * width : p * width + used]
                for r in range(begin, min(begin + PACKED_ROWS, rows)):
                    out = packed[p, t * rows + r]
                    for c in range(used):
                        out[c] = values[r, c]
                    for c in range(used, width):
                        out[c] = 0


@declared(ANY, TABLE, TABLE, PANELS, ANY, TABLE, "int64", VECTOR, ANY, TABLE, "T", "int64")
def gathered_product(
    source: Array, rows: Array, steps: Array, packed: Array,
    start: Array, starts: Array, begun: int, bias: Array, result: Array, places: Array, least: float, block: int,
) -> None:  # fmt: skip
    """result = start + bias + the product, or `least` where that is less.

    Args:
        packed: panels x len(steps) x a panel's columns.
        begun: whether `start` is to be added.
        bias: one for each column.
        block: so many rows meet one panel before the next one.
    """
    count, length, columns, panel = len(rows), len(steps), len(bias), packed.shape[2]
    for begin in range(0, count, block):
        end = min(count, begin + block)
        for p in range(packed.shape[0]):
            column = p * panel
            row = begin
            for left in range((end - begin + ROWS - 1) // ROWS, 0, -1):  # tiles of heights as even as they can be
                height = (end - row + left - 1) // left
                tile(
                    source, rows, row, steps, 0, length, packed, column * length, panel,
                    start, starts, column, begun, bias, column, result, places, column,
                    height, min(panel, columns - column), least,
                )  # fmt: skip
                row += height


@declared(ANY, TABLE, TABLE, ANY, TABLE, ANY, TABLE, "int64", VECTOR, VECTOR, "boolean")
def gathered_gradient(
    source: Array, windows: Array, taps: Array, maps: Array, places: Array,
    total: Array, totals: Array, begun: int, zeros: Array, scratch: Array, packs: bool,
) -> None:  # fmt: skip
    """total[t] = (total[t] if `begun`) + the sum over the windows of source[window + tap t] * maps[window].

    Args:
        places: for each window where its map is.
        totals: for each tap where its row of `total` is.
        zeros: one for each column.
        scratch: for BAND windows of the maps, their columns filled up to whole panels.
        packs: whether to use it; else the maps have their pixels side by side.
    """
    columns, panel = len(zeros), WIDTH // scratch.itemsize
    panels, lowest = (columns + panel - 1) // panel, scratch.dtype.type(-np.inf)
    for begin in range(0, len(windows), BAND):
        count = min(BAND, len(windows) - begin)
        if packs:
            for p in range(panels):
                width = min(panel, columns - p * panel)
                for w in range(count):
                    copy_row(maps, places[begin + w] + p * panel, scratch, (p * count + w) * panel, width)
        tap = 0
        for left in range((len(taps) + ROWS - 1) // ROWS, 0, -1):
            height = (len(taps) - tap + left - 1) // left
            for p in range(panels):
                column = p * panel
                width = min(panel, columns - column)
                if packs:
                    tile(
                        source, taps, tap, windows, begin, count, scratch, column * count, panel,
                        total, totals, column, begun or begin, zeros, column, total, totals, column,
                        height, width, lowest,
                    )  # fmt: skip
                else:
                    tile(
                        source, taps, tap, windows, begin, count, maps, places[begin] + column, columns,
                        total, totals, column, begun or begin, zeros, column, total, totals, column,
                        height, width, lowest,
                    )  # fmt: skip
            tap += height


@declared(ANY, TABLE, TABLE, MATRIX, ANY, TABLE, "int64", VECTOR, ANY, TABLE, "T")
def gathered_channels(
    source: Array, rows: Array, steps: Array, weight: Array,
    start: Array, starts: Array, begun: int, bias: Array, result: Array, places: Array, least: float,
) -> None:  # fmt: skip
    """result[r, c] = start[r, c] + bias[c] + the sum over k of source[row r + step k + c] * weight[k, c], or `least`.

    Rows, steps and places are those of the first channel; the others lie beside it.
    """
    channels, panel = weight.shape[1], WIDTH // weight.itemsize
    row = 0
    for left in range((len(rows) + ROWS - 1) // ROWS, 0, -1):
        height = (len(rows) - row + left - 1) // left
        for column in range(0, channels, panel):
            lane_tile(
                source, rows, row, steps, 0, len(steps), weight, column, channels, start, starts, column, begun,
                bias, column, result, places, column, height, min(panel, channels - column), least,
            )  # fmt: skip
        row += height


@declared(ANY, TABLE, TABLE, ANY, MATRIX, TABLE, "int64", VECTOR)
def gathered_channel_gradient(
    source: Array, windows: Array, taps: Array, maps: Array, total: Array, totals: Array, begun: int, zeros: Array
) -> None:
    """total[t, c] = (total[t, c] if `begun`) + the sum over the windows of source[window + tap + c] * maps[window, c].

    Args:
        maps: dense.
        totals: for each tap where its row of `total` is.
        zeros: one for each channel.
    """
    channels, panel, lowest = len(zeros), WIDTH // zeros.itemsize, zeros.dtype.type(-np.inf)
    for begin in range(0, len(windows), BAND):
        count = min(BAND, len(windows) - begin)
        for column in range(0, channels, panel):
            tap = 0
            for left in range((len(taps) + ROWS - 1) // ROWS, 0, -1):
                height = (len(taps) - tap + left - 1) // left
                lane_tile(
                    source, taps, tap, windows, begin, count, maps, begin * channels + column, channels,
                    total, totals, column, begun or begin, zeros, column, total, totals, column,
                    height, min(panel, channels - column), lowest,
                )  # fmt: skip
                tap += height


# -- these functions in LLVM instructions, as numba takes them -------------------------------------------------------


def use_vectors() -> None:
    """From now on what numba compiles has vector instructions for `tile`, `lane_tile` and `copy_row`."""
    from numba.core import types
    from numba.core.typing.templates import AbstractTemplate, infer_global, signature
    from numba.extending import lower_builtin

    class ReturnsNothing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            return signature(types.void, *args)

    rest = (1, 2), (3, 4), 5, (6, 7), 8, (9, 11), (10, 2), 12, (13, 14), (15, 17), (16, 2), 18, 19, 20
    for function, code, of in (
        (tile, _tile_code, ((0,), *rest)),
        (lane_tile, _lane_tile_code, ((0, 14), *rest)),
        (copy_row, _copy_code, ((0, 1), (2, 3), 4)),
    ):
        infer_global(function)(ReturnsNothing)

        def lower(context: Any, builder: Any, signature: Any, values: Any, code: Any = code, of: Any = of) -> Any:
            """Calls the function with its numbers, and pointers for its arrays and where to begin in them."""

            def pointer(array: int, *at: int) -> Any:
                data = context.make_array(signature.args[array])(context, builder, values[array]).data
                return builder.gep(data, [values[i] for i in at]) if at else data

            given = [pointer(*one) if isinstance(one, tuple) else values[one] for one in of]
            name, bits = f"pycaffe_lite{code.__name__}_{signature.args[0].dtype}", signature.args[0].dtype.bitwidth
            called = builder.module.globals.get(name)
            builder.call(called or code(_Vectors(builder.module, name, [v.type for v in given], bits)), given)
            return context.get_dummy_value()

        lower_builtin(function, types.VarArg(types.Any))(lower)


class _Vectors:
    """A function in the making, and the vector instructions that it is made of.

    Args:
        module: to which it is added.
        name, types: the function's, and its arguments'.
        bits: of a value.
    """

    def __init__(self, module: Any, name: str, types: Sequence[Any], bits: int) -> None:
        from llvmlite import ir

        self.ir, self.index, self.small = ir, ir.IntType(64), ir.IntType(32)
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), types), name)
        self.function.linkage = "linkonce_odr"
        self.function.attributes.add("noinline")
        self.bytes, self.lanes = bits // 8, VECTOR_BYTES * 8 // bits
        self.vector = ir.VectorType(ir.FloatType() if bits == 32 else ir.DoubleType(), self.lanes)
        self.zero = ir.Constant(self.vector, None)
        mask, at = ir.VectorType(ir.IntType(1), self.lanes), self.vector.as_pointer()
        suffix = f"v{self.lanes}f{bits}.p0"
        self._masked_load = self._external(
            f"llvm.masked.load.{suffix}", self.vector, [at, self.small, mask, self.vector]
        )
        self._masked_store = self._external(
            f"llvm.masked.store.{suffix}", ir.VoidType(), [self.vector, at, self.small, mask]
        )

    def _external(self, name: str, returns: Any, types: Sequence[Any]) -> Any:
        module = self.function.module
        return module.globals.get(name) or self.ir.Function(module, self.ir.FunctionType(returns, types), name)

    def block(self) -> Any:
        """A builder at the beginning of a new block."""
        return self.ir.IRBuilder(self.function.append_basic_block())

    def masks(self, at: Any, width: Any, vectors: int) -> list[Any]:
        """For so many vectors side by side, which of their lanes are among the first `width`."""
        lanes = self.ir.VectorType(self.index, self.lanes)
        numbers = self.ir.Constant(lanes, list(range(self.lanes)))
        left = [at.sub(width, self.index(v * self.lanes)) for v in range(vectors)]
        return [at.icmp_signed("<", numbers, self.spread(at, value, lanes)) for value in left]

    def spread(self, at: Any, value: Any, kind: Any = None) -> Any:
        """A vector that has the value in each lane."""
        kind = kind or self.vector
        nothing = self.ir.Constant(kind, self.ir.Undefined)
        one = at.insert_element(nothing, value, self.small(0))
        return at.shuffle_vector(one, nothing, self.ir.Constant(self.ir.VectorType(self.small, self.lanes), None))

    def load(self, at: Any, pointer: Any, masks: Sequence[Any]) -> list[Any]:
        """Vectors side by side in memory; a mask may be None."""
        return [
            at.load(place, align=self.bytes)
            if mask is None
            else at.call(self._masked_load, [place, self.small(self.bytes), mask, self.zero])
            for place, mask in self._places(at, pointer, masks)
        ]

    def store(self, at: Any, values: Sequence[Any], pointer: Any, masks: Sequence[Any]) -> None:
        """Vectors side by side into memory; a mask may be None."""
        for value, (place, mask) in zip(values, self._places(at, pointer, masks), strict=True):
            if mask is None:
                at.store(value, place, align=self.bytes)
            else:
                at.call(self._masked_store, [value, place, self.small(self.bytes), mask])

    def _places(self, at: Any, pointer: Any, masks: Sequence[Any]) -> list[tuple[Any, Any]]:
        kind = self.vector.as_pointer()
        return [(at.bitcast(at.gep(pointer, [self.index(v * self.lanes)]), kind), mask) for v, mask in enumerate(masks)]


def _copy_code(code: _Vectors) -> Any:
    """The function `copy_row` of (source, target, width)."""
    source, target, width = code.function.args
    entry, whole, part = code.block(), code.block(), code.block()
    panel = WIDTH // code.bytes
    entry.cbranch(entry.icmp_signed("==", width, code.index(panel)), whole.block, part.block)
    none = [None] * (panel // code.lanes)
    code.store(whole, code.load(whole, source, none), target, none)
    whole.ret_void()
    code.store(part, code.load(part, source, code.masks(part, width, len(none))), target, none)
    part.ret_void()
    return code.function


def _lane_tile_code(code: _Vectors) -> Any:
    """The function `lane_tile`."""
    return _tile_code(code, by_lane=True)


def _tile_code(code: _Vectors, by_lane: bool = False) -> Any:
    """The function `tile` of pointers, numbers of rows and columns, and `least`: a loop for each height and width."""
    *_, height, width, _ = code.function.args
    most = WIDTH // VECTOR_BYTES
    entry, several, whole, part, one = (code.block() for _ in range(5))
    entry.cbranch(entry.icmp_signed("==", width, code.index(most * code.lanes)), whole.block, several.block)
    several.cbranch(several.icmp_signed("<=", width, code.index(code.lanes)), one.block, part.block)
    for begin, vectors, masked in ((whole, most, False), (part, most, True), (one, 1, True)):
        loops = [_tile_loop(code, rows, vectors, masked, by_lane) for rows in range(1, ROWS + 1)]
        choice = begin.switch(height, loops[-1])
        for rows, loop in enumerate(loops[:-1], start=1):
            choice.add_case(code.index(rows), loop)
    return code.function


def _tile_loop(code: _Vectors, rows: int, vectors: int, masked: bool, by_lane: bool) -> Any:
    """The block that begins the loop for so many rows and vectors; its values are named as in `tile`."""
    source, row_table, steps, length, packed, packed_step, start, starts, begun = code.function.args[:9]
    bias, result, places, _, width, least = code.function.args[9:]
    index = code.index
    begin, loop, end, add, store = (code.block() for _ in range(5))
    masks = code.masks(begin, width, vectors) if masked else [None] * vectors

    def row_of(at: Any, memory: Any, table: Any, row: int) -> Any:
        return at.gep(memory, [at.sext(at.load(at.gep(table, [index(row)])), index)])

    source_rows = [row_of(begin, source, row_table, row) for row in range(rows)]
    shift = code.load(begin, bias, masks)
    begin.branch(loop.block)

    def changing(at: Any, *values: tuple[Any, Any]) -> Any:
        """A value that depends on the block before."""
        value = at.phi(values[0][0].type)
        for one, before in values:
            value.add_incoming(one, before.block)
        return value

    k, panel = changing(loop, (index(0), begin)), changing(loop, (packed, begin))
    running = [changing(loop, (code.zero, begin)) for _ in range(rows * vectors)]
    step = loop.sext(loop.load(loop.gep(steps, [k])), index)
    factors = code.load(loop, panel, masks)
    values = [loop.gep(pointer, [step]) for pointer in source_rows]
    if by_lane:
        values = [code.load(loop, value, masks) for value in values]
    else:
        values = [[code.spread(loop, loop.load(value))] * vectors for value in values]
    products = [
        loop.fmul(value, factor, flags=("contract",))
        for row in values
        for value, factor in zip(row, factors, strict=True)
    ]
    updated = [loop.fadd(total, product, flags=("contract",)) for total, product in zip(running, products, strict=True)]
    following = loop.add(k, index(1)), loop.gep(panel, [packed_step]), *updated
    for value, after in zip((k, panel, *running), following, strict=True):
        value.add_incoming(after, loop.block)
    loop.cbranch(loop.icmp_signed("<", following[0], length), loop.block, end.block)

    sums = [end.fadd(total, shift[i % vectors]) for i, total in enumerate(updated)]
    end.cbranch(end.icmp_signed("==", begun, index(0)), store.block, add.block)
    begun_values = [value for row in range(rows) for value in code.load(add, row_of(add, start, starts, row), masks)]
    with_start = [add.fadd(total, value) for total, value in zip(sums, begun_values, strict=True)]
    add.branch(store.block)
    results = [changing(store, (one, end), (other, add)) for one, other in zip(sums, with_start, strict=True)]
    floor = code.spread(store, least)
    for row in range(rows):
        values = results[row * vectors : (row + 1) * vectors]
        kept = [store.select(store.fcmp_ordered("<", value, floor), floor, value) for value in values]
        code.store(store, kept, row_of(store, result, places, row), masks)
    store.ret_void()
    return begin.block
