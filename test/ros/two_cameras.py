"""The rig of these tests."""

import numpy as np

from occflow_ros.data.drive import Camera

CAMERAS = ("left", "right")


def camera(name):
    """One of the two cameras: 120x80 px, looking along x, half a metre beside the middle."""
    y_m = 0.5 if name == "left" else -0.5
    return Camera(
        name=name,
        width_px=120,
        height_px=80,
        K=np.array([[60.0, 0, 59.5], [0, 60.0, 39.5], [0, 0, 1]]),
        base_T_camera=np.array([[0.0, 0, 1, 0], [-1, 0, 0, y_m], [0, -1, 0, 1], [0, 0, 0, 1]]),
    )


def pose(x_m):
    """The base this far along x."""
    odom_T_base = np.eye(4)
    odom_T_base[0, 3] = x_m
    return odom_T_base
