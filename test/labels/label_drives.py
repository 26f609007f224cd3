"""Drives made by hand for labels: sweeps that are given point by point, one camera, boxes."""

from dataclasses import replace

import numpy as np

from occflow_ros.data.drive import Box, Camera, CameraSet, Drive, SensorFile
from occflow_ros.geometry.se3 import from_rotation_translation
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((0.0, -4.0, -1.0), (16.0, 4.0, 3.0), (32, 16, 8))  # voxels of 0.5 m
SENSOR_M = (0.0, 0.0, 1.0)
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
BACKWARD = FORWARD * [[-1.0], [-1.0], [1.0]]
SECOND_NS = 1_000_000_000
GROUND_M = 0.1


def camera(optical=FORWARD):
    """90° wide and high."""
    K = np.array([[80.0, 0.0, 79.5], [0.0, 80.0, 79.5], [0.0, 0.0, 1.0]])
    return Camera("front", 160, 160, K, from_rotation_translation(optical, SENSOR_M))


def pose(x_m=0.0, y_m=0.0, z_m=0.0, yaw_rad=0.0):
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    rotation = [[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]
    return from_rotation_translation(rotation, (x_m, y_m, z_m))


def points(x, y, z):
    """(N, 3) of all combinations."""
    return np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3)


def steps(first, last, step=0.1):
    return np.arange(first, last + 0.5 * step, step)


def ground():
    return points(steps(3.1, 15.9, 0.2), steps(-3.9, 3.9, 0.2), [GROUND_M])


def make_drive(folder, sweeps_m, boxes, interval_s=0.5, poses=None, optical=FORWARD, name="hand"):
    """Write the sweeps, (N, 3) in base each, and give the drive.

    Args:
        boxes: of each set.
        poses: odom_T_base of each set; standing at the origin without.
    """
    sets = []
    for number, (sweep_m, boxes_of_set) in enumerate(zip(sweeps_m, boxes)):
        stamp_ns = round(number * interval_s * SECOND_NS)
        odom_T_base = np.eye(4) if poses is None else poses[number]
        path = folder / f"{number}.npy"
        np.save(path, (sweep_m - SENSOR_M).astype(np.float32))
        image = SensorFile(folder / f"{number}.png", stamp_ns, odom_T_base)
        sweep = SensorFile(path, stamp_ns, odom_T_base)
        sets.append(CameraSet(stamp_ns, odom_T_base, {"front": image}, sweep, boxes_of_set))
    base_T_lidar = from_rotation_translation(np.eye(3), SENSOR_M)
    return Drive(name, {"front": camera(optical)}, tuple(sets), base_T_lidar)


def without_lidar(drive):
    return replace(
        drive, base_T_lidar=None, sets=tuple(replace(one, lidar=None) for one in drive.sets)
    )


def car(base_T_box, velocity_mps=(2.0, 0.0), number="7"):
    """4 m long, 2 m wide and 1.5 m high."""
    return Box(number, "vehicle.car", base_T_box, (4.0, 2.0, 1.5), velocity_mps)
