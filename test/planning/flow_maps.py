"""Maps with voxels where a test wants them."""

import numpy as np

from occflow_ros.planning import Footprint, OccupancyFlowMap

ORIGIN_M, SIZE_M, SHAPE = (-40.0, -40.0, 0.0), (0.4, 0.4, 0.4), (200, 200, 8)
CAR = Footprint(length_m=4.0, width_m=2.0, z_m=(0.3, 2.5), center_x_m=1.0, margin_m=0.0)
"""From 1 m behind the base to 3 m ahead of it."""


def index_at(points_m):
    """Row-major indices of the voxels that contain the points."""
    place = np.floor((np.asarray(points_m) - np.array(ORIGIN_M)) / np.array(SIZE_M))
    return np.ravel_multi_index(tuple(place.astype(int).reshape(-1, 3).T), SHAPE)


def flow_map(*things):
    """Of things ((x, y, z), (vx, vy)), each a voxel."""
    index = index_at([point for point, _ in things] or np.empty((0, 3)))
    order = np.argsort(index)
    velocity_mps = np.array([velocity for _, velocity in things], dtype=float).reshape(-1, 2)
    return OccupancyFlowMap(
        stamp_ns=3_000_000_007,
        frame_id="base_link",
        origin_m=ORIGIN_M,
        voxel_size_m=SIZE_M,
        shape=SHAPE,
        index=index[order],
        probability=np.full(len(index), 0.8),
        velocity_mps=velocity_mps[order],
        interval_s=0.5,
    )
