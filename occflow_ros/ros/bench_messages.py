"""Cost of building and serialising messages, beside the ordinary way, one object per voxel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from geometry_msgs.msg import Point, Vector3
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2
from sensor_msgs_py import point_cloud2
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from occflow_ros.data.drive import OCC3D_GRID
from occflow_ros.measurement import Measurement, Options, time_ms
from occflow_ros.messages import markers
from occflow_ros.messages.markers import ARROW_ENDS, VoxelMarkers
from occflow_ros.messages.voxel_arrays import VoxelArrays
from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from occflow_ros.node_config import DisplayConfig
from occflow_ros.ros import conversions
from occflow_ros.structures import OccupancyFlow, VoxelGrid

NUM_VOXELS = 20_000
DISPLAY = DisplayConfig(max_voxels=NUM_VOXELS, max_arrows=NUM_VOXELS)
BY_OBJECT_REPEAT = 5


def measure(options: Options) -> Iterator[Measurement]:
    """Each message both ways: p50 of the processor time of building and serialising.

    Times count all threads of the process: beside other work they hold where those of a clock on
    the wall do not.
    """
    prediction = random_prediction(NUM_VOXELS)
    voxels = conversions.voxel_arrays(prediction, "base_link")
    built = VoxelMarkers(prediction.grid, DISPLAY)
    gather = f"messages.{NUM_VOXELS} voxels to the host"
    yield _p50(gather, lambda: conversions.voxel_arrays(prediction, "base_link"), options.repeat)
    yield _p50(
        "messages.both MarkerArrays",
        lambda: (built.occupancy(voxels), built.flow(voxels)),
        options.repeat,
    )
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        f"MarkerArray, {NUM_VOXELS} cubes": (
            lambda: built.occupancy(voxels),
            lambda: serialize_message(occupancy_markers_by_object(voxels, DISPLAY)),
        ),
        f"MarkerArray, {len(built.arrows(voxels).points_m) // len(ARROW_ENDS)} arrows": (
            lambda: built.flow(voxels),
            lambda: serialize_message(flow_markers_by_object(voxels, DISPLAY)),
        ),
        "PointCloud2": (
            lambda: serialize_message(conversions.points_message(voxels)),
            lambda: serialize_message(points_by_object(voxels)),
        ),
        "OccupancyFlow": (
            lambda: serialize_message(conversions.occupancy_flow_message(voxels)),
            lambda: serialize_message(occupancy_flow_by_object(voxels)),
        ),
    }
    for name, (from_arrays, by_object) in pairs.items():
        yield _p50(f"messages.{name}", from_arrays, options.repeat)
        yield _p50(f"messages.{name}", by_object, BY_OBJECT_REPEAT, "by object")


def _p50(name: str, call: Callable[[], object], repeat: int, way: str = "by array") -> Measurement:
    times_ms = time_ms(call, repeat, clock=time.process_time)
    return Measurement(name=name, value=float(np.median(times_ms)), unit="ms", quantity=way)


def random_prediction(num_voxels: int, grid: VoxelGrid = OCC3D_GRID) -> OccupancyFlow:
    """A prediction with exactly this many occupied voxels, half of them moving."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(grid.num_voxels, generator=generator)[:num_voxels]
    sdf_m = torch.ones(grid.num_voxels)
    sdf_m[chosen] = -torch.rand(num_voxels, generator=generator)
    flow_m = torch.zeros(grid.num_voxels, 2)
    flow_m[chosen[::2]] = torch.randn(len(chosen[::2]), 2, generator=generator) * 3.0
    return OccupancyFlow(
        stamp_ns=1_500_000_000,
        grid=grid,
        sdf_m=sdf_m.reshape(grid.shape),
        flow_m=flow_m.reshape(*grid.shape, 2),
        interval_s=0.5,
        sharpness_per_m=10.0,
        level_m=0.1,
    )


def occupancy_markers_by_object(voxels: VoxelArrays, display: DisplayConfig) -> MarkerArray:
    """What `VoxelMarkers.occupancy` serialises, as message objects."""
    cubes = VoxelMarkers(voxels.grid, display).cubes(voxels)
    return marker_array_by_object(voxels.header, cubes, display.lifetime_s)


def flow_markers_by_object(voxels: VoxelArrays, display: DisplayConfig) -> MarkerArray:
    """What `VoxelMarkers.flow` serialises, as message objects."""
    arrows = VoxelMarkers(voxels.grid, display).arrows(voxels)
    return marker_array_by_object(voxels.header, arrows, display.lifetime_s)


def marker_array_by_object(
    header: Header, listed: markers.ListMarker, lifetime_s: float
) -> MarkerArray:
    """What `markers.marker_array` serialises, as message objects."""
    marker = Marker(header=header, ns=listed.namespace, type=listed.kind, action=Marker.ADD)
    marker.scale = Vector3(**dict(zip("xyz", listed.scale_m)))
    marker.color.a = 1.0
    marker.lifetime.sec = int(lifetime_s)
    marker.lifetime.nanosec = round(lifetime_s % 1 * 1e9)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in listed.points_m.tolist()]
    marker.colors = [ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in listed.colors.tolist()]
    return MarkerArray(markers=[clearing_marker(header), marker])


def clearing_marker(header: Header) -> Marker:
    """The marker that removes everything the topic showed before."""
    marker = Marker(header=header, type=Marker.CUBE_LIST, action=Marker.DELETEALL)
    marker.color.a = 1.0
    return marker


def points_by_object(voxels: VoxelArrays) -> PointCloud2:
    """What `conversions.points_message` builds, from one tuple per voxel."""
    unknown = [OccupancyFlowMessage.CLASS_UNKNOWN] * len(voxels.index)
    rows = [
        (*center_m, probability, *velocity_mps, class_id)
        for center_m, probability, velocity_mps, class_id in zip(
            voxels.center_m.tolist(),
            voxels.probability.tolist(),
            voxels.velocity_mps.tolist(),
            unknown if voxels.class_id is None else voxels.class_id.tolist(),
        )
    ]
    return point_cloud2.create_cloud(
        voxels.header, conversions.POINT_FIELDS, rows, conversions.POINT_STEP
    )


def occupancy_flow_by_object(voxels: VoxelArrays) -> OccupancyFlowMessage:
    """What `conversions.occupancy_flow_message` builds, element by element."""
    velocities_mps = voxels.velocity_mps.tolist()
    return OccupancyFlowMessage(
        header=voxels.header,
        origin=Point(**dict(zip("xyz", voxels.grid.lower_m))),
        voxel_size=Vector3(**dict(zip("xyz", voxels.grid.voxel_size_m))),
        shape=list(voxels.grid.shape),
        index=voxels.index.tolist(),
        probability=[round(value * 255) for value in voxels.probability.tolist()],
        velocity_x=[round(vx * 100) for vx, _ in velocities_mps],
        velocity_y=[round(vy * 100) for _, vy in velocities_mps],
        interval=voxels.interval_s,
        class_id=[] if voxels.class_id is None else voxels.class_id.tolist(),
    )
