"""Small worlds with closed-form answers: a straight street along x with few things on it."""

import numpy as np

from occflow_ros.data.classes import NAMES
from occflow_ros.data.synthetic.materials import Material
from occflow_ros.data.synthetic.model import Model, Part
from occflow_ros.data.synthetic.primitives import Shape
from occflow_ros.data.synthetic.road import make_road
from occflow_ros.data.synthetic.street import Law, assemble_world

PARKED_EGO = Law(0.0, 0.0)
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def solid(shape, half_m, class_name="car", category="vehicle.car"):
    """A model of one solid that stands on the ground."""
    part = Part(shape, (0.0, 0.0, half_m[2]), half_m, Material.PLAIN, (0.5, 0.4, 0.3))
    size = tuple(2.0 * half for half in half_m)
    return Model((part,), NAMES.index(class_name), category, size)


def box(length_m, width_m, height_m, **kwargs):
    return solid(Shape.FRUSTUM, (length_m / 2, width_m / 2, height_m / 2), **kwargs)


def straight_world(*movers, ego=PARKED_EGO, sun=(0.6, 0.0, 0.8)):
    """A world on a straight street, so that s is x and d is y; a last object stands far behind."""
    movers = (*movers, (box(1.0, 1.0, 1.0), Law(-180.0, 0.0)))
    road = make_road((), (), (), -200.0, 200.0)
    return assemble_world(0, road, [], movers, ego, (), np.array(sun))


def camera(focal_px=100.0, height_px=60, width_px=80, position_m=(0.0, 0.0, 1.5), yaw_rad=0.0):
    """K, odom_T_camera and size of a level camera whose optical axis hits a pixel centre."""
    K = np.array([[focal_px, 0, width_px // 2], [0, focal_px, height_px // 2], [0, 0, 1.0]])
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]]) @ OPTICAL
    pose[:3, 3] = position_m
    return K, pose, height_px, width_px
