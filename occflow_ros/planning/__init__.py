"""For planners: what the node publishes, as a map to ask. Needs numpy, and neither ROS nor torch.

    flow_map = OccupancyFlowMap.from_message(message)
    collision = first_collision(flow_map, trajectory, footprint)

Everything is in the base frame at the map's stamp (REP 103: x forward, y left, z up), in metres,
seconds after that stamp, and radians counterclockwise.
"""

from occflow_ros.planning.collision import PATH_TOLERANCE_M, Collision, first_collision
from occflow_ros.planning.flow_map import OccupancyFlowMap, OrientedBox, VoxelSamples
from occflow_ros.planning.trajectory import Footprint, Trajectory, constant_curvature

__all__ = [
    "PATH_TOLERANCE_M",
    "Collision",
    "Footprint",
    "OccupancyFlowMap",
    "OrientedBox",
    "Trajectory",
    "VoxelSamples",
    "constant_curvature",
    "first_collision",
]
