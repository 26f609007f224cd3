"""Deformable attention on a CPU, compiled by numba at the first call.

Importing this file imports numba; `ops.deform_attn` does so where it calls it. Kernels compute in
the type of their arrays, float32 or float64, on as many threads as PyTorch uses. One call runs at
a time, since not every threading layer of numba can bear two, and two would want the same cores.
As with PyTorch's own operators, a process forked after the first call cannot call again: where
workers need a kernel, spawn them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

Array = npt.NDArray[np.floating[Any]]

_FUSE = ("contract",)  # a·b + c as one instruction
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": set(_FUSE)}
_NUMBER_BYTES = 4  # rows are aligned to single numbers
_TILES_PER_THREAD = 4
_ONE_AT_A_TIME = threading.Lock()


def forward(values: Sequence[Array], locations: Array, weights: Array) -> Array:
    """`deform_attn` of contiguous arrays of one type, (B, Q, heads, C)."""
    out = np.zeros((*weights.shape[:3], values[0].shape[-1]), weights.dtype)
    for value, location, weight in _levels(values, locations, weights):
        shape = (*weights.shape[:3], *value.shape[1:3])
        _sample(_lanes(value), shape, _rows(value), location, weight, _rows(out))
    return out


def backward(
    grad: Array, values: Sequence[Array], locations: Array, weights: Array
) -> tuple[list[Array], Array, Array]:
    """Gradients of values, locations and weights from that of what `forward` gave."""
    grad_values = [np.zeros_like(value) for value in values]
    grad_locations, grad_weights = np.zeros_like(locations), np.zeros_like(weights)
    batch, heads = weights.shape[0], weights.shape[2]
    parts = min(heads, -(-_TILES_PER_THREAD * torch.get_num_threads() // max(1, batch)))
    levels = _levels(values, locations, weights)
    grad_levels = _levels(grad_values, grad_locations, grad_weights)
    for (value, location, weight), (grad_value, grad_location, grad_weight) in zip(
        levels, grad_levels
    ):
        _sample_backward(
            _lanes(value),
            (*weights.shape[:3], *value.shape[1:3]),
            parts,
            _rows(grad),
            _rows(value),
            location,
            weight,
            _rows(grad_value),
            grad_location,
            grad_weight,
        )
    return grad_values, grad_locations, grad_weights


def _levels(
    values: Sequence[Array], locations: Array, weights: Array
) -> Iterator[tuple[Array, Array, Array]]:
    """Map, locations (B · Q · heads, P, 2) and weights (B · Q · heads, P) of each level."""
    for level, value in enumerate(values):
        location = locations.reshape(-1, *locations.shape[-3:])[:, level]
        weight = weights.reshape(-1, *weights.shape[-2:])[:, level]
        yield value, location, weight


def _rows(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])


def _lanes(array: Array) -> npt.NDArray[np.bytes_]:
    """An array of no strings, each of C bytes: a type that tells the compiler C."""
    return np.empty(0, f"S{array.shape[-1]}")


def _kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile for parallel runs; the machine code is kept where a folder for it can be written."""
    try:
        compiled = njit(parallel=True, cache=True, **_OPTIONS)(function)
    except RuntimeError:  # neither the package's folder nor the user's
        compiled = njit(parallel=True, **_OPTIONS)(function)

    @functools.wraps(function)
    def run(*args: Any) -> None:
        with _ONE_AT_A_TIME:
            before = numba.get_num_threads()
            numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
            try:
                compiled(*args)
            finally:
                numba.set_num_threads(before)

    return run


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
def _corners(x: Any, y: Any, shape: Any, first_row: Any, one: Any) -> Any:
    """Rows of the four cells around a place, and what `_ends` says of both axes."""
    _, _, heads, height, width = shape
    (i0, i1), of_y, inside_y = _ends(y, height, one)
    (j0, j1), of_x, inside_x = _ends(x, width, one)
    above, below = first_row + i0 * width * heads, first_row + i1 * width * heads
    j0, j1 = j0 * heads, j1 * heads
    return (above + j0, above + j1, below + j0, below + j1), of_y, of_x, inside_y, inside_x


@_kernel
def _sample(
    lanes: Any, shape: Any, value: Array, location: Array, weight: Array, out: Array
) -> None:
    """out += Σ_p A_p · v(x_p) of one level.

    Args:
        lanes: from `_lanes`.
        shape: B, Q, heads, H, W.
        value: (B · H · W · heads, C).
        location: (B · Q · heads, P, 2).
        weight: (B · Q · heads, P).
        out: (B · Q · heads, C).
    """
    batch, queries, heads, height, width = shape
    number = value.dtype.type
    zero, half, one = number(0), number(0.5), number(1)
    columns, rows = number(width), number(height)
    for query in prange(batch * queries):
        first_row = query // queries * height * width * heads
        for h in range(heads):
            row = query * heads + h
            for p in range(weight.shape[1]):
                a = weight[row, p]
                x, y = location[row, p, 0] * columns - half, location[row, p, 1] * rows - half
                if a != zero and -one <= x and x < columns and -one <= y and y < rows:
                    cells, of_y, of_x, _, _ = _corners(x, y, shape, first_row + h, one)
                    top, bottom = a * of_y[0], a * of_y[1]
                    left, right = of_x
                    weights = top * left, top * right, bottom * left, bottom * right
                    _gather(lanes, value, cells, weights, out, row)
                elif np.isnan(x) or np.isnan(y):
                    out[row] = np.nan


@_kernel
def _sample_backward(
    lanes: Any,
    shape: Any,
    parts: int,
    grad: Array,
    value: Array,
    location: Array,
    weight: Array,
    grad_value: Array,
    grad_location: Array,
    grad_weight: Array,
) -> None:
    """Gradients of `_sample`; each of the parts that share the heads of a map adds to its own."""
    batch, queries, heads, height, width = shape
    number = value.dtype.type
    zero, half, one = number(0), number(0.5), number(1)
    columns, rows = number(width), number(height)
    for tile in prange(batch * parts):
        b, part = tile // parts, tile % parts
        first_row = b * height * width * heads
        for q in range(queries):
            for h in range(part * heads // parts, (part + 1) * heads // parts):
                row = (b * queries + q) * heads + h
                for p in range(weight.shape[1]):
                    a = weight[row, p]
                    x, y = location[row, p, 0] * columns - half, location[row, p, 1] * rows - half
                    if -one <= x and x < columns and -one <= y and y < rows:
                        cells, of_y, of_x, inside_y, inside_x = _corners(
                            x, y, shape, first_row + h, one
                        )
                        dots = _dots(lanes, value, cells, grad, row)
                        above = of_x[0] * dots[0] + of_x[1] * dots[1]
                        below = of_x[0] * dots[2] + of_x[1] * dots[3]
                        grad_weight[row, p] = of_y[0] * above + of_y[1] * below
                        if a != zero:
                            along_x = of_y[0] * (inside_x[1] * dots[1] - inside_x[0] * dots[0])
                            along_x += of_y[1] * (inside_x[1] * dots[3] - inside_x[0] * dots[2])
                            grad_location[row, p, 0] = a * columns * along_x
                            grad_location[row, p, 1] = (
                                a * rows * (inside_y[1] * below - inside_y[0] * above)
                            )
                            top, bottom = a * of_y[0], a * of_y[1]
                            left, right = of_x
                            weights = top * left, top * right, bottom * left, bottom * right
                            _scatter(lanes, grad, row, grad_value, cells, weights)
