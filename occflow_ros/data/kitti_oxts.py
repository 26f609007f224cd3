"""Poses from KITTI's OXTS packets (GPS/IMU), by the published Mercator projection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from occflow_ros.data.kitti import numbers
from occflow_ros.geometry import se3

EARTH_RADIUS_M = 6_378_137.0
PACKET_NUMBERS = 30


@dataclass(frozen=True, slots=True)
class OxtsPacket:
    """The numbers of one packet that give a pose; the other 24 are not needed.

    Args:
        latitude_deg: north.
        longitude_deg: east.
        altitude_m: up.
        roll_rad: about the IMU's x (forward), 0 is level.
        pitch_rad: about its y (left), positive nose down.
        yaw_rad: about up, 0 is east, positive anticlockwise.
    """

    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    roll_rad: float
    pitch_rad: float
    yaw_rad: float


def parse_packet(line: str, where: str) -> OxtsPacket:
    """The packet of one line of 30 numbers; raises DataError naming `where`."""
    return OxtsPacket(*numbers(line, where, PACKET_NUMBERS)[:6])


def base_poses(packets: Sequence[OxtsPacket], imu_T_base: se3.Array) -> list[se3.Array]:
    """odom_T_base (4, 4) of each packet, where odom is the base at the first packet.

    Args:
        packets: in time order.
        imu_T_base: (4, 4) base to IMU (x forward, y left, z up).
    """
    if not packets:
        return []
    scale = mercator_scale(packets[0].latitude_deg)
    poses = [imu_pose(packet, scale) @ imu_T_base for packet in packets]
    odom_T_world = se3.inverse(poses[0])
    return [odom_T_world @ pose for pose in poses]


def mercator_scale(latitude_deg: float) -> float:
    """s = cos(latitude), by which the projection is true to length at that latitude."""
    return math.cos(math.radians(latitude_deg))


def imu_pose(packet: OxtsPacket, scale: float) -> se3.Array:
    """(4, 4) IMU to the projected world (x east, y north, z up), as in KITTI's development kit.

    x = s·r·longitude, y = s·r·ln tan(π/4 + latitude/2), z = altitude, with the radius r of the
    earth at the equator; R = Rz(yaw) Ry(pitch) Rx(roll).

    Args:
        packet: of one moment.
        scale: s, the same for all packets of a drive.
    """
    east_m = scale * EARTH_RADIUS_M * math.radians(packet.longitude_deg)
    north = math.log(math.tan(math.pi / 4 + math.radians(packet.latitude_deg) / 2))
    north_m = scale * EARTH_RADIUS_M * north
    angles_rad = np.array((packet.yaw_rad, packet.pitch_rad, packet.roll_rad))
    rotation = Rotation.from_euler("ZYX", angles_rad).as_matrix()
    return se3.from_rotation_translation(rotation, (east_m, north_m, packet.altitude_m))
