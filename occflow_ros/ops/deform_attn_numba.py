"""Deformable attention on a CPU, compiled by numba at the first call.

Importing this file imports numba; `ops.deform_attn` does so where it calls it. Kernels compute in
the type of their arrays, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from occflow_ros.ops.compiled import compiled
from occflow_ros.ops.torch_threads import share

Array = npt.NDArray[np.floating[Any]]

_FUSE = ("contract",)  # a·b + c as one instruction
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": set(_FUSE)}
_NUMBER_BYTES = 4  # rows are aligned to single numbers
_TILES_PER_THREAD = 4  # so that no thread waits long for the last one


def forward(values: Sequence[Array], locations: Array, weights: Array) -> Array:
    """`deform_attn` of contiguous arrays of one type, (B, Q, heads, C)."""
    channels = values[0].shape[-1]
    out = np.zeros((*weights.shape[:3], channels), weights.dtype)
    sizes, maps = _levels(values)
    queries = weights.shape[0] * weights.shape[1]
    tiles = min(queries, _TILES_PER_THREAD * torch.get_num_threads())

    def work(tile: int) -> None:
        part = queries * tile // tiles, queries * (tile + 1) // tiles
        _sample(_lanes(channels), sizes, maps, locations, weights, _rows(out), part)

    share(work, tiles)
    return out


def backward(
    grad: Array, values: Sequence[Array], locations: Array, weights: Array
) -> tuple[list[Array], Array, Array]:
    """Gradients of values, locations and weights from that of what `forward` gave."""
    batch, _, heads, _, _ = weights.shape
    grad_values = [np.zeros_like(value) for value in values]
    grad_locations, grad_weights = np.zeros_like(locations), np.zeros_like(weights)
    sizes, maps = _levels(values)
    _, grad_maps = _levels(grad_values)
    groups = min(heads, -(-_TILES_PER_THREAD * torch.get_num_threads() // max(1, batch)))

    def work(tile: int) -> None:
        """The heads of a group in one item of the batch: no other tile adds to their values."""
        b, group = divmod(tile, groups)
        part = b, heads * group // groups, heads * (group + 1) // groups
        inputs = maps, locations, weights, _rows(grad)
        outputs = grad_maps, grad_locations, grad_weights
        _sample_backward(_lanes(grad.shape[-1]), sizes, inputs, outputs, part)

    share(work, batch * groups)
    return grad_values, grad_locations, grad_weights


def _levels(values: Sequence[Array]) -> tuple[tuple[Any, ...], tuple[Array, ...]]:
    """Sizes (H, W) and maps (B · H · W · heads, C) of all levels."""
    return tuple(value.shape[1:3] for value in values), tuple(map(_rows, values))


def _rows(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])


def _lanes(channels: int) -> npt.NDArray[np.bytes_]:
    """An array of no strings, each of C bytes: a type that tells the compiler C."""
    return np.empty(0, f"S{channels}")


# Rows of channels are vectors to LLVM. Left to itself, it computes 12 or 16 channels one by one.


@intrinsic
def _gather(_: Any, lanes: Any, table: Any, rows: Any, weights: Any, out: Any, out_row: Any) -> Any:
    """out[out_row] += Σ_k weights[k] · table[rows[k]]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, table_, rows_, weights_, out_, out_row_ = args
        total = None
        for k in range(rows.count):
            row = _pointer(context, builder, lanes, table, table_, builder.extract_value(rows_, k))
            term = _times(builder, _load(builder, row), builder.extract_value(weights_, k))
            total = term if total is None else builder.fadd(total, term, flags=_FUSE)
        _add(builder, _pointer(context, builder, lanes, out, out_, out_row_), total)
        return context.get_dummy_value()

    return types.void(lanes, table, rows, weights, out, out_row), generate


@intrinsic
def _scatter(_: Any, lanes: Any, source: Any, row: Any, table: Any, rows: Any, weights: Any) -> Any:
    """table[rows[k]] += weights[k] · source[row] for each k."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, source_, row_, table_, rows_, weights_ = args
        values = _load(builder, _pointer(context, builder, lanes, source, source_, row_))
        for k in range(rows.count):
            row = _pointer(context, builder, lanes, table, table_, builder.extract_value(rows_, k))
            _add(builder, row, _times(builder, values, builder.extract_value(weights_, k)))
        return context.get_dummy_value()

    return types.void(lanes, source, row, table, rows, weights), generate


@intrinsic
def _dots(_: Any, lanes: Any, table: Any, rows: Any, source: Any, row: Any) -> Any:
    """Tuple of table[rows[k]] · source[row]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, table_, rows_, source_, row_ = args
        values = _load(builder, _pointer(context, builder, lanes, source, source_, row_))
        number = values.type.element
        add_up = builder.module.declare_intrinsic(
            f"llvm.vector.reduce.fadd.v{lanes.dtype.count}{number.intrinsic_name}",
            fnty=ir.FunctionType(number, (number, values.type)),
        )
        dots = []
        for k in range(rows.count):
            row = _pointer(context, builder, lanes, table, table_, builder.extract_value(rows_, k))
            products = builder.fmul(values, _load(builder, row))
            dots.append(
                builder.call(add_up, (ir.Constant(number, 0.0), products), fastmath=("reassoc",))
            )
        return context.make_tuple(builder, signature.return_type, dots)

    return types.UniTuple(table.dtype, rows.count)(lanes, table, rows, source, row), generate


def _pointer(context: Any, builder: Any, lanes: Any, array_type: Any, array: Any, row: Any) -> Any:
    """To one row of a contiguous array (rows, channels)."""
    data = context.make_array(array_type)(context, builder, array).data
    number = builder.gep(data, [builder.mul(row, ir.Constant(row.type, lanes.dtype.count))])
    vector = ir.VectorType(context.get_data_type(array_type.dtype), lanes.dtype.count)
    return builder.bitcast(number, vector.as_pointer())


def _load(builder: Any, row: Any) -> Any:
    return builder.load(row, align=_NUMBER_BYTES)


def _add(builder: Any, row: Any, term: Any) -> None:
    total = builder.fadd(_load(builder, row), term, flags=_FUSE)
    builder.store(total, row, align=_NUMBER_BYTES)


def _times(builder: Any, vector: Any, number: Any) -> Any:
    undefined = ir.Constant(vector.type, ir.Undefined)
    index = ir.IntType(32)
    first = builder.insert_element(undefined, number, ir.Constant(index, 0))
    all_first = ir.Constant(ir.VectorType(index, vector.type.count), None)
    return builder.fmul(vector, builder.shuffle_vector(first, undefined, all_first), flags=_FUSE)


@njit(**_OPTIONS)
def _ends(place: Any, count: Any, one: Any) -> Any:
    """Both cells next to a place along one axis, their weights, and 1 for each that is inside.

    Outside, where the weight is 0, the nearest cell stands in.
    """
    low = np.floor(place)
    first, share = int(low), place - low
    low_inside = one if first >= 0 else one - one
    high_inside = one if first + 1 < count else one - one
    cells = max(first, 0), min(first + 1, count - 1)
    return cells, ((one - share) * low_inside, share * high_inside), (low_inside, high_inside)


@njit(**_OPTIONS)
def _corners(x: Any, y: Any, size: Any, b: Any, h: Any, heads: Any, one: Any) -> Any:
    """Rows of the four cells around a place, and what `_ends` says of both axes."""
    height, width = size
    (i0, i1), of_y, inside_y = _ends(y, height, one)
    (j0, j1), of_x, inside_x = _ends(x, width, one)
    above, below = (b * height + i0) * width, (b * height + i1) * width
    cells = above + j0, above + j1, below + j0, below + j1
    rows = cells[0] * heads + h, cells[1] * heads + h, cells[2] * heads + h, cells[3] * heads + h
    return rows, of_y, of_x, inside_y, inside_x


@njit(**_OPTIONS)
def _products(a: Any, of_y: Any, of_x: Any) -> Any:
    """Weights of the four cells, in the order of `_corners`."""
    above, below = a * of_y[0], a * of_y[1]
    return above * of_x[0], above * of_x[1], below * of_x[0], below * of_x[1]


@compiled(**_OPTIONS)
def _sample(
    lanes: Any, sizes: Any, maps: Any, locations: Array, weights: Array, out: Array, part: Any
) -> None:
    """out += Σ_l Σ_p A_{l,p} · v_l(x_{l,p}) for a range of the B · Q queries.

    Args:
        lanes: from `_lanes`.
        sizes: L of (H, W).
        maps: L of (B · H · W · heads, C).
        locations: (B, Q, heads, L, P, 2).
        weights: (B, Q, heads, L, P).
        out: (B · Q · heads, C).
        part: first and one past the last query.
    """
    _, queries, heads, levels, points = weights.shape
    number = weights.dtype.type
    zero, half, one = number(0), number(0.5), number(1)
    for query in range(*part):
        b, q = query // queries, query % queries
        for h in range(heads):
            row = query * heads + h
            for level in range(levels):
                height, width = sizes[level]
                columns, lines = number(width), number(height)
                for p in range(points):
                    a = weights[b, q, h, level, p]
                    x = locations[b, q, h, level, p, 0] * columns - half
                    y = locations[b, q, h, level, p, 1] * lines - half
                    if a != zero and -one <= x and x < columns and -one <= y and y < lines:
                        corners, of_y, of_x, _, _ = _corners(x, y, sizes[level], b, h, heads, one)
                        _gather(lanes, maps[level], corners, _products(a, of_y, of_x), out, row)
                    elif np.isnan(x) or np.isnan(y):
                        out[row] = np.nan


@compiled(**_OPTIONS)
def _sample_backward(lanes: Any, sizes: Any, inputs: Any, outputs: Any, part: Any) -> None:
    """Gradients of `_sample` for all queries of one item of the batch and a range of its heads.

    Args:
        lanes: from `_lanes`.
        sizes: L of (H, W).
        inputs: maps, locations and weights as in `_sample`, and the gradient of its out.
        outputs: gradients of maps, locations and weights.
        part: item of the batch, first and one past the last head.
    """
    maps, locations, weights, grad = inputs
    grad_maps, grad_locations, grad_weights = outputs
    _, queries, heads, levels, points = weights.shape
    number = weights.dtype.type
    zero, half, one = number(0), number(0.5), number(1)
    b, first_head, end_head = part
    for q in range(queries):
        for h in range(first_head, end_head):
            row = (b * queries + q) * heads + h
            for level in range(levels):
                height, width = sizes[level]
                columns, lines = number(width), number(height)
                for p in range(points):
                    a = weights[b, q, h, level, p]
                    x = locations[b, q, h, level, p, 0] * columns - half
                    y = locations[b, q, h, level, p, 1] * lines - half
                    if -one <= x and x < columns and -one <= y and y < lines:
                        corners, of_y, of_x, inside_y, inside_x = _corners(
                            x, y, sizes[level], b, h, heads, one
                        )
                        dots = _dots(lanes, maps[level], corners, grad, row)
                        above = of_x[0] * dots[0] + of_x[1] * dots[1]
                        below = of_x[0] * dots[2] + of_x[1] * dots[3]
                        grad_weights[b, q, h, level, p] = of_y[0] * above + of_y[1] * below
                        if a != zero:
                            along_x = of_y[0] * (inside_x[1] * dots[1] - inside_x[0] * dots[0])
                            along_x += of_y[1] * (inside_x[1] * dots[3] - inside_x[0] * dots[2])
                            along_y = inside_y[1] * below - inside_y[0] * above
                            grad_locations[b, q, h, level, p, 0] = a * columns * along_x
                            grad_locations[b, q, h, level, p, 1] = a * lines * along_y
                            products = _products(a, of_y, of_x)
                            _scatter(lanes, grad, row, grad_maps[level], corners, products)
