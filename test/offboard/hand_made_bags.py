"""Bags of a few predictions by hand: a car and road, a base that drives ahead, one camera."""

from contextlib import contextmanager

import numpy as np

from occflow_ros.data.drive import Camera
from occflow_ros.data.recorded_predictions import LEGEND_TYPE, PREDICTION_TYPE, TRANSFORMS_TYPE
from occflow_ros.geometry import se3
from occflow_ros.messages import serialised
from occflow_ros.messages.voxel_arrays import VoxelArrays, centers_m
from occflow_ros.offboard.bag_file import new_bag
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), (4, 4, 2))
OTHER_GRID = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), (4, 4, 4))
NAMES = ("road", "car")
START_NS, STEP_NS = 1_600_000_000_000_000_000, 500_000_000
RECEIVED_NS = 1_700_000_000_000_000_000  # long after the stamps, as of a replay
TOPIC = "/node/occupancy_flow"
LOOKS_AHEAD = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
K = np.array([[50.0, 0.0, 20.0], [0.0, 50.0, 10.0], [0.0, 0.0, 1.0]])
CAMERA = Camera(
    "cam_front",
    40,
    20,
    K,
    se3.from_rotation_translation(LOOKS_AHEAD, (1.0, 0.0, 1.5)),
    (0.1, 0.0, 0.0, 0.0),
)
ROAD, CAR = 0, 21  # cells (0, 0, 0) and (2, 2, 1)


def stamp(place):
    return START_NS + place * STEP_NS


def pose(place):
    """2 m ahead from frame to frame."""
    return se3.from_rotation_translation(np.eye(3), (1000.0 + 2.0 * place, 0.0, 0.0))


def voxels(
    stamp_ns, index=(ROAD, CAR), class_id=(0, 1), velocity_mps=(2.5, -1.0), grid=GRID, base="base"
):
    """The car moves, and of the road nobody knows."""
    index = np.array(index, np.uint32)
    moving = np.full((len(index), 2), np.nan, np.float32)
    moving[index == CAR] = velocity_mps
    return VoxelArrays(
        header=serialised.header_of(stamp_ns, base),
        grid=grid,
        interval_s=0.5,
        index=index,
        center_m=centers_m(index, grid),
        probability=np.full(len(index), 0.6, np.float32),
        velocity_mps=moving,
        class_id=None if class_id is None else np.array(class_id, np.uint8),
    )


class HandMadeBag:
    """Messages one after the other, received 0.1 s apart."""

    def __init__(self, bag):
        self._bag, self._received_ns, self._added = bag, RECEIVED_NS, set()

    def write(self, topic, kind, data):
        if topic not in self._added:
            self._added.add(topic)
            self._bag.add(topic, kind)
        self._received_ns += 100_000_000
        self._bag.write(topic, kind, self._received_ns, data)

    def legend(self, names=NAMES):
        self.write("/node/classes", LEGEND_TYPE, serialised.legend_message(names))

    def pose(self, place, base_pose=None):
        parent_T_child = pose(place) if base_pose is None else base_pose
        data = serialised.transforms_message(stamp(place), "odom", [("base", parent_T_child)])
        self.write("/tf", TRANSFORMS_TYPE, data)

    def camera(self):
        mounts = [("cam_front_optical_frame", CAMERA.base_T_camera)]
        data = serialised.transforms_message(0, "base", mounts)
        self.write("/tf_static", TRANSFORMS_TYPE, data)
        data = serialised.camera_info_message(CAMERA, stamp(0), "cam_front_optical_frame")
        self.write("/cam_front/camera_info", serialised.CAMERA_INFO_TYPE, data)

    def prediction(self, made, topic=TOPIC):
        self.write(topic, PREDICTION_TYPE, serialised.prediction_message(made))

    def points(self, made):
        self.write(
            "/node/occupancy/points", serialised.POINTS_TYPE, serialised.points_message(made)
        )

    def text(self, words):
        data = b"\x00\x01\x00\x00" + len(words + "\0").to_bytes(4, "little")
        self.write("/chatter", "std_msgs/msg/String", data + words.encode() + b"\0")


@contextmanager
def hand_made(path):
    with new_bag(path) as bag:
        yield HandMadeBag(bag)


def write_whole(path, count=3):
    """A bag without fault."""
    with hand_made(path) as bag:
        bag.legend()
        bag.camera()
        for place in range(count):
            bag.text(f"image {place}")
            bag.pose(place)
            bag.prediction(voxels(stamp(place), (ROAD, CAR + place), (0, 1)))
            bag.points(voxels(stamp(place)))
    return path
