"""Cost of building and serialising messages, beside the ordinary way, one object per voxel."""

from __future__ import annotations

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
from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from occflow_ros.node_config import DisplayConfig
from occflow_ros.ros import conversions, markers
from occflow_ros.ros.conversions import VoxelArrays
from occflow_ros.structures import OccupancyFlow

LIFETIME_S = 1.0
DEFAULTS = DisplayConfig()
BY_OBJECT_REPEAT = 5


def measure(options: Options, num_voxels: int = 20_000) -> Iterator[Measurement]:
    """Each message both ways, p50 of building and serialising."""
    voxels = conversions.voxel_arrays(random_prediction(num_voxels), "base_link")
    pairs: dict[str, tuple[Callable[[], bytes], Callable[[], bytes]]] = {
        "MarkerArray": (
            lambda: markers.occupancy_markers(voxels, LIFETIME_S),
            lambda: serialize_message(occupancy_markers_by_object(voxels, LIFETIME_S)),
        ),
        "MarkerArray with flow": (
            lambda: markers.flow_markers(
                voxels, LIFETIME_S, DEFAULTS.flow_min_mps, DEFAULTS.max_arrows
            ),
            lambda: serialize_message(flow_markers_by_object(voxels, LIFETIME_S)),
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
        ordinary_ms = float(np.median(time_ms(by_object, BY_OBJECT_REPEAT, warm_up=1)))
        yield Measurement(
            name=f"messages.{name} of {num_voxels} voxels p50",
            value=float(np.median(time_ms(from_arrays, options.repeat))),
            unit="ms",
            note=f"object by object {ordinary_ms:.1f} ms",
        )


def random_prediction(num_voxels: int) -> OccupancyFlow:
    """A prediction on the Occ3D grid with exactly this many occupied voxels, half moving."""
    grid = OCC3D_GRID
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


def occupancy_markers_by_object(voxels: VoxelArrays, lifetime_s: float) -> MarkerArray:
    """What `markers.occupancy_markers` serialises, as message objects."""
    return marker_array_by_object(voxels.header, markers.occupancy_cubes(voxels), lifetime_s)


def flow_markers_by_object(voxels: VoxelArrays, lifetime_s: float) -> MarkerArray:
    """What `markers.flow_markers` serialises with the default budget, as message objects."""
    arrows = markers.flow_arrows(voxels, DEFAULTS.flow_min_mps, DEFAULTS.max_arrows)
    return marker_array_by_object(voxels.header, arrows, lifetime_s)


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
    rows = [
        (*center_m, probability, *velocity_mps, OccupancyFlowMessage.CLASS_UNKNOWN)
        for center_m, probability, velocity_mps in zip(
            voxels.center_m.tolist(), voxels.probability.tolist(), voxels.velocity_mps.tolist()
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
    )
