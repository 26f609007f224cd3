"""A bag made by hand: two voxels, a drive of 10 m straight ahead, two cameras."""

from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

REPOSITORY = Path(__file__).resolve().parents[2]
FLOW = "occflow_ros/msg/OccupancyFlow"
LEGEND = "occflow_ros/msg/ClassLegend"
TF = "tf2_msgs/msg/TFMessage"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
RAW = "sensor_msgs/msg/Image"

SHAPE = (10, 10, 4)
ORIGIN = (-5.0, -5.0, -1.0)  # voxels of 1 m
BACK, FRONT = 86, 301  # (2, 1, 2) and (7, 5, 1), centers (-2.5, -3.5, 1.5) and (2.5, 0.5, 0.5)
UNKNOWN = -32768
CAR, PEDESTRIAN = 4, 7
CLASS_NAMES = ("others", "barrier", "bicycle", "bus", "car", "lava", "motorcycle", "pedestrian")
STAMPS_NS = (1_600_000_000_000_000_001, 1_600_000_000_500_000_001, 1_600_000_001_000_000_001)
LOOKS_AHEAD = (-0.5, 0.5, -0.5, 0.5)  # quaternions of optical frames
LOOKS_LEFT = (-(2**-0.5), 0.0, 0.0, 2**-0.5)


class ViewerBag:
    """Writes messages; the definitions are in the bag."""

    def __init__(self, path):
        self._store = get_typestore(Stores.ROS2_JAZZY)
        for kind in (FLOW, LEGEND):
            text = (REPOSITORY / "msg" / f"{kind.rpartition('/')[2]}.msg").read_text()
            self._store.register(get_types_from_msg(text, kind))
        self.types = self._store.types
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        self._connections = {}

    def __enter__(self):
        self._writer.open()
        return self

    def __exit__(self, *_):
        self._writer.close()

    def write(self, topic, kind, stamp_ns, message):
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self._store
            )
        data = self._store.serialize_cdr(message, kind)
        self._writer.write(self._connections[topic], stamp_ns, data)

    def header(self, stamp_ns, frame):
        time = self.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
        return self.types["std_msgs/msg/Header"](time, frame)

    def flow(
        self,
        stamp_ns,
        index=(BACK, FRONT),
        topic="/occflow/occupancy_flow",
        frame="base_link",
        origin=ORIGIN,
    ):
        types = self.types
        message = types[FLOW](
            header=self.header(stamp_ns, frame),
            origin=types["geometry_msgs/msg/Point"](*origin),
            voxel_size=types["geometry_msgs/msg/Vector3"](1.0, 1.0, 1.0),
            shape=np.array(SHAPE, np.uint32),
            index=np.array(index, np.uint32),
            probability=np.array((128, 255), np.uint8),
            velocity_x=np.array((UNKNOWN, 400), np.int16),
            velocity_y=np.array((UNKNOWN, 0), np.int16),
            interval=0.5,
            class_id=np.array((PEDESTRIAN, CAR), np.uint8),
        )
        self.write(topic, FLOW, stamp_ns, message)

    def legend(self, names=CLASS_NAMES, topic="/occflow/classes"):
        black = self.types["std_msgs/msg/ColorRGBA"](0.0, 0.0, 0.0, 1.0)
        message = self.types[LEGEND](
            id=np.arange(len(names), dtype=np.uint8),
            name=list(names),
            color=[black] * len(names),
        )
        self.write(topic, LEGEND, 0, message)

    def transform(self, stamp_ns, parent, child, xyz, quat_xyzw=(0.0, 0.0, 0.0, 1.0), static=False):
        types = self.types
        transform = types["geometry_msgs/msg/TransformStamped"](
            self.header(stamp_ns, parent),
            child,
            types["geometry_msgs/msg/Transform"](
                types["geometry_msgs/msg/Vector3"](*xyz),
                types["geometry_msgs/msg/Quaternion"](*quat_xyzw),
            ),
        )
        self.write("/tf_static" if static else "/tf", TF, stamp_ns, types[TF]([transform]))

    def jpeg(self, stamp_ns, camera, bgr, data=None):
        if data is None:
            image = np.full((36, 64, 3), bgr, np.uint8)
            data = cv2.imencode(".jpg", image)[1]
        message = self.types[COMPRESSED](
            self.header(stamp_ns, f"{camera}_optical_frame"), "jpeg", np.frombuffer(data, np.uint8)
        )
        self.write(f"/{camera}/image_raw/compressed", COMPRESSED, stamp_ns, message)


def write_drive(path):
    """Three sets; the last is after the last pose."""
    with ViewerBag(path) as bag:
        first, second, third = STAMPS_NS
        bag.legend()
        bag.transform(0, "base_link", "cam_front_optical_frame", (1, 0, 1.5), LOOKS_AHEAD, True)
        bag.transform(0, "base_link", "cam_left_optical_frame", (0, 1, 1.5), LOOKS_LEFT, True)
        bag.transform(first, "odom", "base_link", (1000.0, 0.0, 0.0))
        bag.transform(second + 500_000_000 - 1, "odom", "base_link", (1020.0, 0.0, 0.0))
        for stamp in (second, first, third):  # not in time order
            bag.flow(stamp)
        bag.jpeg(first + 40_000_000, "cam_front", (0, 0, 200))
        bag.jpeg(first - 200_000_000, "cam_front", (200, 0, 0))
        bag.jpeg(third, "cam_left", (0, 200, 0))
    return path
