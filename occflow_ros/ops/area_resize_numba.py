"""Average over areas on a CPU, compiled by numba at the first call.

Importing this file imports numba; `ops.area_resize` does so where it calls it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from occflow_ros.ops.compiled import compiled

OPTIONS = {"nogil": True, "boundscheck": False}
NEAR_TIE = 2e-3
"""Sums this near to a half are taken in OpenCV's order, which may round them the other way."""


@njit(**OPTIONS)
def _add_row(line: Any, weight: Any, sums: Any) -> None:
    """Add a row (3 W,) uint8 of the source to sums (3 W,) float32."""
    for index in range(len(sums)):
        sums[index] += weight * np.float32(line[index])


@njit(**OPTIONS)
def _shrink_row(line: Any, first: Any, begin: Any, weights: Any, row: Any) -> None:
    """A row (3 W,) float32 as wide as the source to one (3 W',) of the target."""
    for u in range(len(first)):
        red = green = blue = np.float32(0.0)
        at = np.uint32(first[u])
        for index in range(np.uint32(begin[u]), np.uint32(begin[u + 1])):
            weight = weights[index]
            red += line[at] * weight
            green += line[at + np.uint32(1)] * weight
            blue += line[at + np.uint32(2)] * weight
            at += np.uint32(3)
        row[3 * u] = red
        row[3 * u + 1] = green
        row[3 * u + 2] = blue


@njit(**OPTIONS)
def _pixel(lines: Any, at: int, row_weights: Any, column_weights: Any) -> Any:
    """One channel of a target pixel, first along each row (H, 3 W), then over the rows."""
    total = np.float32(0.0)
    for v in range(len(row_weights)):
        along = np.float32(0.0)
        for u in range(len(column_weights)):
            along += np.float32(lines[v, at + 3 * u]) * column_weights[u]
        total += row_weights[v] * along
    return total


@compiled(**OPTIONS)
def resize(
    source: Any,
    row_first: Any,
    row_begin: Any,
    row_weights: Any,
    column_first: Any,
    column_begin: Any,
    column_weights: Any,
    out: Any,
) -> None:
    """First over the rows, which lie whole in memory, then along those few that are left.

    The tables are as `area_resize` makes them.
    """
    height, width = out.shape[0], out.shape[1]
    lines = source.reshape(source.shape[0], 3 * source.shape[1])  # (H, 3 W)
    sums, row = np.empty(lines.shape[1], np.float32), np.empty(3 * width, np.float32)
    first = 3 * column_first
    for v in range(height):
        begin, end = row_begin[v], row_begin[v + 1]
        under = lines[row_first[v] : row_first[v] + end - begin]
        sums[:] = 0.0
        for index in range(len(under)):
            _add_row(under[index], row_weights[begin + index], sums)
        _shrink_row(sums, first, column_begin, column_weights, row)
        for u in range(width):
            for channel in range(3):
                value = row[3 * u + channel]
                if abs(value - np.floor(value) - 0.5) < NEAR_TIE:
                    along = column_weights[column_begin[u] : column_begin[u + 1]]
                    value = _pixel(under, first[u] + channel, row_weights[begin:end], along)
                out[v, u, channel] = np.uint8(np.rint(value))
