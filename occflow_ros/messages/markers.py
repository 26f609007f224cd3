"""Occupancy and flow as markers for RViz and Foxglove, spliced as CDR from arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from occflow_ros.messages.cdr import CdrWriter
from occflow_ros.messages.voxel_arrays import FloatArray, IndexArray, VoxelArrays, cells_of
from occflow_ros.messages.voxel_colors import (
    direction_rows,
    direction_table,
    look_up,
    voxel_colors,
)
from occflow_ros.node_config import DisplayConfig
from occflow_ros.structures import VoxelGrid

ADD, DELETE_ALL = 0, 3
LINE_LIST, CUBE_LIST = 5, 6
"""Actions and kinds of visualization_msgs/Marker."""

ARROW_S = 1.0
ARROW_HEAD = 0.25
ARROW_ENDS = (
    *((0.0, 0.0), (1.0, 0.0)),  # shaft
    *((1.0, 0.0), (1.0 - ARROW_HEAD, ARROW_HEAD / 2)),
    *((1.0, 0.0), (1.0 - ARROW_HEAD, -ARROW_HEAD / 2)),
)
"""Ends of the three lines of an arrow, in pairs: along its shaft and to its left, in its length."""
LINE_WIDTH_M = 0.08
SPREAD = tuple(round(2**32 / 1.2207440846057596**power) for power in (1, 2, 3))
"""Steps of `evenly` along x, y and z: 1/g, 1/g², 1/g³ with g⁴ = g + 1, in units of 2⁻³²."""
ONE_THREAD_ROWS = 2048
"""Rows of a matrix product that OpenBLAS still does in one thread; others would wait by turning."""

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ListMarker:
    """One CUBE_LIST or LINE_LIST.

    Args:
        namespace: of the marker.
        kind: `CUBE_LIST` or `LINE_LIST`.
        scale_m: edge lengths of a cube, or the line width first.
        points_m: (n, 3) float64 cubes' centres, or ends of lines in pairs.
        colors: (n, 4) float32 red, green, blue, alpha in [0, 1].
    """

    namespace: str
    kind: int
    scale_m: tuple[float, float, float]
    points_m: npt.NDArray[np.float64]
    colors: FloatArray


class Workspace:
    """Rows of numbers in memory that is used again: fresh memory costs more than filling it.

    Args:
        width: numbers in a row.
        dtype: of a number.
    """

    def __init__(self, width: int, dtype: npt.DTypeLike) -> None:
        self._rows = np.empty((0, width), dtype)

    def rows(self, count: int) -> npt.NDArray[Any]:
        """(count, width), valid until the next call."""
        if count > len(self._rows):
            self._rows = np.empty((count, self._rows.shape[1]), self._rows.dtype)
        return self._rows[:count]


class VoxelMarkers:
    """Serialised MarkerArrays of occupancy and flow.

    Of more voxels or arrows than the budget those are kept that `evenly` chooses. Arrows of the
    fastest alone would leave out people on foot, and show wrong velocities first.

    Args:
        grid: of the predictions.
        display: colors, budgets, lifetime.
        class_names: of the network that estimates classes.
    """

    def __init__(
        self, grid: VoxelGrid, display: DisplayConfig, class_names: Sequence[str] = ()
    ) -> None:
        self._display = display
        self._colors = voxel_colors(display.color, grid, class_names)
        self._arrow_colors = np.tile(direction_table(), len(ARROW_ENDS))
        self._arrow_shape = _arrow_shape()
        self._cube_points, self._cube_colors = Workspace(3, np.float64), Workspace(4, np.float32)
        self._arrow_inputs = Workspace(5, np.float64)
        self._line_points = Workspace(len(ARROW_ENDS) * 3, np.float64)
        self._line_colors = Workspace(len(ARROW_ENDS) * 4, np.float32)

    def occupancy(self, voxels: VoxelArrays) -> bytes:
        """Each occupied voxel a cube."""
        return marker_array(voxels.header, self.cubes(voxels), self._display.lifetime_s)

    def flow(self, voxels: VoxelArrays) -> bytes:
        """An arrow for each moving voxel, to where it is after 1 s; colored by direction."""
        return marker_array(voxels.header, self.arrows(voxels), self._display.lifetime_s)

    def cubes(self, voxels: VoxelArrays) -> ListMarker:
        """The cubes of `occupancy`, valid until it is called again."""
        if len(voxels.index) > self._display.max_voxels:
            voxels = voxels.select(evenly(voxels.index, voxels.grid, self._display.max_voxels))
        points_m = self._cube_points.rows(len(voxels.index))
        colors = self._cube_colors.rows(len(voxels.index))
        points_m[:] = voxels.center_m
        self._colors.write(voxels, colors)
        return ListMarker(
            namespace="occupancy",
            kind=CUBE_LIST,
            scale_m=voxels.grid.voxel_size_m,
            points_m=points_m,
            colors=colors,
        )

    def arrows(self, voxels: VoxelArrays) -> ListMarker:
        """The arrows of `flow`, valid until it is called again."""
        moving = np.flatnonzero(voxels.speed_mps >= self._display.flow_min_mps)
        if len(moving) > self._display.max_arrows:
            moving = moving[evenly(voxels.index[moving], voxels.grid, self._display.max_arrows)]
        start_m = voxels.center_m.take(moving, axis=0, mode="clip")
        velocity_mps = voxels.velocity_mps.take(moving, axis=0, mode="clip")
        colors = self._line_colors.rows(len(moving))  # (n, 6 * 4)
        look_up(self._arrow_colors, direction_rows(velocity_mps), colors)
        return ListMarker(
            namespace="flow",
            kind=LINE_LIST,
            scale_m=(LINE_WIDTH_M, 0.0, 0.0),
            points_m=self._arrow_lines_m(start_m, velocity_mps),
            colors=colors.reshape(-1, 4),  # (n * 6, 4)
        )

    def _arrow_lines_m(
        self, start_m: FloatArray, velocity_mps: FloatArray
    ) -> npt.NDArray[np.float64]:
        """Ends of the lines of arrows, (n * 6, 3): start and velocity times `_arrow_shape`."""
        arrows = self._arrow_inputs.rows(len(start_m))  # (n, 5)
        arrows[:, :3], arrows[:, 3:] = start_m, velocity_mps
        ends_m = self._line_points.rows(len(start_m))
        for first in range(0, len(arrows), ONE_THREAD_ROWS):
            rows = slice(first, first + ONE_THREAD_ROWS)
            np.matmul(arrows[rows], self._arrow_shape, out=ends_m[rows])
        return ends_m.reshape(-1, 3)  # (n, 6 * 3) to (n * 6, 3)


def evenly(index: IndexArray, grid: VoxelGrid, count: int) -> npt.NDArray[np.intp]:
    """Positions of `count` of more voxels, spread evenly over the map, in ascending order.

    Every voxel of the grid has a fixed rank, the fractional part of x/g + y/g² + z/g³ (the
    low-discrepancy sequence for three axes), and those of lowest rank are kept. So the choice in
    a standing scene is the same in every frame, and a voxel that comes or goes moves at most one
    other in or out.

    Args:
        index: (M,) row-major indices into the grid, ascending.
        grid: that they belong to.
        count: to keep, below M.
    """
    x, y, z = (cells * np.uint32(step) for cells, step in zip(cells_of(index, grid), SPREAD))
    rank = (x + y + z).astype(np.uint64) << np.uint64(32) | index  # the index parts equal ranks
    return np.sort(np.argpartition(rank, count)[:count])


def marker_array(header: Any, marker: ListMarker, lifetime_s: float) -> bytes:
    """A serialised MarkerArray that removes what the topic showed before, then adds `marker`.

    An empty list is not added: displays report it as an error.
    """
    cdr = CdrWriter()
    cdr.scalars("I", 2 if len(marker.points_m) else 1)
    _write_marker(cdr, header, DELETE_ALL, _NOTHING, 0.0)
    if len(marker.points_m):
        _write_marker(cdr, header, ADD, marker, lifetime_s)
    return cdr.tobytes()


_NOTHING = ListMarker(
    "", CUBE_LIST, (0.0, 0.0, 0.0), np.empty((0, 3)), np.empty((0, 4), np.float32)
)


def _write_marker(
    cdr: CdrWriter, header: Any, action: int, marker: ListMarker, lifetime_s: float
) -> None:
    """The fields of visualization_msgs/Marker in the order of its definition."""
    _write_header(cdr, header.stamp.sec, header.stamp.nanosec, header.frame_id)
    cdr.string(marker.namespace)
    cdr.scalars("i", 0, marker.kind, action)
    cdr.scalars("d", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)  # pose: position, orientation
    cdr.scalars("d", *marker.scale_m)
    cdr.scalars("f", 0.0, 0.0, 0.0, 1.0)  # color of those without their own
    cdr.scalars("i", *divmod(round(lifetime_s * _NS_PER_S), _NS_PER_S))
    cdr.scalars("?", False)  # frame_locked
    cdr.sequence(marker.points_m)
    cdr.sequence(marker.colors)
    _write_texture_text_and_mesh(cdr)


def _write_texture_text_and_mesh(cdr: CdrWriter) -> None:
    """The rest of visualization_msgs/Marker, which a list does not use."""
    cdr.string("")  # texture_resource
    _write_header(cdr, 0, 0, "")  # texture
    cdr.string("")
    cdr.scalars("I", 0)
    cdr.scalars("I", 0)  # uv_coordinates
    cdr.string("")  # text
    cdr.string("")  # mesh_resource
    cdr.string("")  # mesh_file
    cdr.scalars("I", 0)
    cdr.scalars("?", False)  # mesh_use_embedded_materials


def _write_header(cdr: CdrWriter, sec: int, nanosec: int, frame_id: str) -> None:
    cdr.scalars("i", sec)
    cdr.scalars("I", nanosec)
    cdr.string(frame_id)


def _arrow_shape() -> npt.NDArray[np.float64]:
    """Maps (x, y, z, vx, vy) to the ends of an arrow's lines, (5, 6 * 3)."""
    shape = np.zeros((5, len(ARROW_ENDS), 3))
    for end, (along_s, left_s) in enumerate(np.array(ARROW_ENDS) * ARROW_S):
        shape[:3, end] = np.eye(3)
        shape[3, end, :2] = along_s, left_s
        shape[4, end, :2] = -left_s, along_s
    return shape.reshape(5, -1)
