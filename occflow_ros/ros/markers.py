"""Occupancy and flow as markers for RViz and Foxglove, spliced as CDR from arrays."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from occflow_ros.geometry.camera import Image
from occflow_ros.ros.cdr import CdrWriter
from occflow_ros.ros.conversions import FloatArray, VoxelArrays
from occflow_ros.ros.stamps import NS_PER_S
from occflow_ros.viz.palette import direction_colors

ARROW_S = 1.0
ARROW_HEAD = 0.25
LINE_WIDTH_M = 0.08
HEIGHT_COLORS = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_TURBO)[:, 0, ::-1]


@dataclass(frozen=True, slots=True)
class ListMarker:
    """One CUBE_LIST or LINE_LIST.

    Args:
        namespace: of the marker.
        kind: `Marker.CUBE_LIST` or `Marker.LINE_LIST`.
        scale_m: edge lengths of a cube, or the line width first.
        points_m: (n, 3) float64 cubes' centres, or ends of lines in pairs.
        colors: (n, 4) float32 red, green, blue, alpha in [0, 1].
    """

    namespace: str
    kind: int
    scale_m: tuple[float, float, float]
    points_m: npt.NDArray[np.float64]
    colors: FloatArray


def occupancy_markers(voxels: VoxelArrays, lifetime_s: float) -> bytes:
    """A serialised MarkerArray: each occupied voxel a cube, coloured by height."""
    return marker_array(voxels.header, occupancy_cubes(voxels), lifetime_s)


def flow_markers(
    voxels: VoxelArrays, lifetime_s: float, flow_min_mps: float, max_arrows: int
) -> bytes:
    """A serialised MarkerArray: an arrow for each moving voxel, coloured by direction.

    An arrow ends where the voxel will be after 1 s at its velocity.

    Args:
        voxels: the occupied voxels.
        lifetime_s: after which a display forgets the arrows.
        flow_min_mps: slower voxels get none.
        max_arrows: of more, evenly many along the index are left out.
    """
    return marker_array(voxels.header, flow_arrows(voxels, flow_min_mps, max_arrows), lifetime_s)


def occupancy_cubes(voxels: VoxelArrays) -> ListMarker:
    """Each occupied voxel a cube, coloured by height."""
    return ListMarker(
        namespace="occupancy",
        kind=Marker.CUBE_LIST,
        scale_m=voxels.grid.voxel_size_m,
        points_m=voxels.center_m.astype(np.float64),
        colors=_height_colors(voxels),
    )


def flow_arrows(voxels: VoxelArrays, flow_min_mps: float, max_arrows: int) -> ListMarker:
    """The arrows of `flow_markers`."""
    moving = np.flatnonzero(np.linalg.norm(voxels.velocity_mps, axis=1) >= flow_min_mps)
    if len(moving) > max_arrows:
        moving = moving[np.arange(max_arrows) * len(moving) // max(max_arrows, 1)]
    points_m = _arrow_lines_m(voxels.center_m[moving], voxels.velocity_mps[moving])  # (n, 6, 3)
    colors = _opaque(direction_colors(voxels.velocity_mps[moving]))
    return ListMarker(
        namespace="flow",
        kind=Marker.LINE_LIST,
        scale_m=(LINE_WIDTH_M, 0.0, 0.0),
        points_m=points_m.reshape(-1, 3),
        colors=np.repeat(colors, points_m.shape[1], axis=0),
    )


def marker_array(header: Header, marker: ListMarker, lifetime_s: float) -> bytes:
    """A serialised MarkerArray that removes what the topic showed before, then adds `marker`.

    An empty list is not added: displays report it as an error.
    """
    cdr = CdrWriter()
    cdr.scalars("I", 2 if len(marker.points_m) else 1)
    _write_marker(cdr, header, Marker.DELETEALL, _NOTHING, 0.0)
    if len(marker.points_m):
        _write_marker(cdr, header, Marker.ADD, marker, lifetime_s)
    return cdr.tobytes()


_NOTHING = ListMarker(
    "", Marker.CUBE_LIST, (0.0, 0.0, 0.0), np.empty((0, 3)), np.empty((0, 4), np.float32)
)


def _write_marker(
    cdr: CdrWriter, header: Header, action: int, marker: ListMarker, lifetime_s: float
) -> None:
    """The fields of visualization_msgs/Marker in the order of its definition."""
    _write_header(cdr, header)
    cdr.string(marker.namespace)
    cdr.scalars("i", 0, marker.kind, action)
    cdr.scalars("d", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)  # pose: position, orientation
    cdr.scalars("d", *marker.scale_m)
    cdr.scalars("f", 0.0, 0.0, 0.0, 1.0)  # color of those without their own
    cdr.scalars("i", *divmod(round(lifetime_s * NS_PER_S), NS_PER_S))
    cdr.scalars("?", False)  # frame_locked
    cdr.sequence(marker.points_m)
    cdr.sequence(marker.colors)
    _write_texture_text_and_mesh(cdr)


def _write_texture_text_and_mesh(cdr: CdrWriter) -> None:
    """The rest of visualization_msgs/Marker, which a list does not use."""
    cdr.string("")  # texture_resource
    _write_header(cdr, Header())  # texture
    cdr.string("")
    cdr.scalars("I", 0)
    cdr.scalars("I", 0)  # uv_coordinates
    cdr.string("")  # text
    cdr.string("")  # mesh_resource
    cdr.string("")  # mesh_file
    cdr.scalars("I", 0)
    cdr.scalars("?", False)  # mesh_use_embedded_materials


def _write_header(cdr: CdrWriter, header: Header) -> None:
    cdr.scalars("i", header.stamp.sec)
    cdr.scalars("I", header.stamp.nanosec)
    cdr.string(header.frame_id)


def _height_colors(voxels: VoxelArrays) -> FloatArray:
    lower_m, upper_m = voxels.grid.lower_m[2], voxels.grid.upper_m[2]
    shade = (voxels.center_m[:, 2] - lower_m) / (upper_m - lower_m) * 255.0
    return _opaque(HEIGHT_COLORS[shade.astype(np.uint8)])


def _opaque(rgb: Image) -> FloatArray:
    """Colours (n, 3) uint8 as red, green, blue, alpha in [0, 1], (n, 4)."""
    colors = np.ones((len(rgb), 4), np.float32)
    colors[:, :3] = rgb / np.float32(255.0)
    return colors


def _arrow_lines_m(start_m: FloatArray, velocity_mps: FloatArray) -> npt.NDArray[np.float64]:
    """Shaft and the two lines of the head, (n, 6, 3): ends of lines in pairs."""
    shaft_m = np.zeros((len(start_m), 3))
    shaft_m[:, :2] = velocity_mps * ARROW_S
    side_m = np.stack((-shaft_m[:, 1], shaft_m[:, 0], shaft_m[:, 2]), axis=-1) * (ARROW_HEAD / 2)
    tip_m = start_m + shaft_m
    neck_m = tip_m - ARROW_HEAD * shaft_m
    lines = (start_m, tip_m, tip_m, neck_m + side_m, tip_m, neck_m - side_m)
    return np.stack([np.asarray(end, np.float64) for end in lines], axis=1)
