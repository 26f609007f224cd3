"""Voxels with values set by hand, and messages as a subscriber gets them."""

import numpy as np
import torch
from rclpy.serialization import deserialize_message, serialize_message

from occflow_ros.ros import conversions
from occflow_ros.ros.stamps import header_message
from occflow_ros.structures import OccupancyFlow, VoxelGrid

GRID = VoxelGrid((-2.0, -4.0, 0.0), (2.0, 4.0, 3.0), (4, 8, 3))


def voxels_at(
    cells, velocities_mps=(0.0, 0.0), probability=0.8, class_id=None, grid=GRID, frame="base_link"
):
    """Voxels as `voxel_arrays` gives them; cells (x, y, z) in ascending order of their index."""
    cells = np.array(cells, np.int64).reshape(-1, 3)
    index = np.ravel_multi_index(tuple(cells.T), grid.shape)
    return conversions.VoxelArrays(
        header=header_message(3_000_000_007, frame),
        grid=grid,
        interval_s=0.5,
        index=index.astype(np.uint32),
        center_m=grid.centers_of(torch.from_numpy(index)).float().numpy(),
        probability=np.broadcast_to(np.float32(probability), len(index)),
        velocity_mps=np.broadcast_to(np.float32(velocities_mps), (len(index), 2)),
        class_id=None if class_id is None else np.array(class_id, np.uint8),
    )


def prediction_with(*things, grid=GRID):
    """SDF -0.1 m in voxels ((x, y, z), (vx, vy)), and +1 m elsewhere."""
    sdf_m = torch.ones(grid.shape)
    flow_m = torch.zeros(*grid.shape, 2)
    for voxel, velocity_mps in things:
        sdf_m[voxel] = -0.1
        flow_m[voxel] = torch.tensor(velocity_mps) * 0.5
    return OccupancyFlow(
        stamp_ns=3_600_000_007,
        grid=grid,
        sdf_m=sdf_m,
        flow_m=flow_m,
        interval_s=0.5,
        sharpness_per_m=10.0,
        level_m=0.1,
    )


def through_the_wire(message):
    """What arrives of a message object."""
    return deserialize_message(serialize_message(message), type(message))
