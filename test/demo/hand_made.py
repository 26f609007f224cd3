"""Drives and bags made by hand, small enough to count in."""

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from occflow_ros.data.drive import Camera, OccupancyTruth
from occflow_ros.data.drive_writer import Capture, CapturedSet

MSG = "occflow_ros/msg/OccupancyFlow"
SHAPE = (10, 10, 4)
LOWER, UPPER = (-8.0, -8.0, -1.0), (8.0, 8.0, 5.4)
GRID_SIZE = tuple((upper - lower) / n for lower, upper, n in zip(LOWER, UPPER, SHAPE))
STEP_NS = 500_000_000


def typestore(repository):
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg((repository / "msg/OccupancyFlow.msg").read_text(), MSG))
    return store


class BagWriter:
    """Writes a bag as the recorder does: MCAP with the definitions inside."""

    def __init__(self, path, store):
        self._types, self._store = store.types, store
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)

    def __enter__(self):
        self._writer.open()
        self._flow = self._connect("/occflow/occupancy_flow", MSG)
        self._diagnostics = self._connect("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
        return self

    def __exit__(self, *_):
        self._writer.close()

    def flow(self, stamp_ns, index, velocity_cm=None):
        index = np.asarray(index, dtype=np.uint32)
        velocity = np.zeros((len(index), 2), np.int16) if velocity_cm is None else velocity_cm
        velocity = np.asarray(velocity, dtype=np.int16).reshape(-1, 2)
        types = self._types
        message = types[MSG](
            header=self._header(stamp_ns),
            origin=types["geometry_msgs/msg/Point"](*LOWER),
            voxel_size=types["geometry_msgs/msg/Vector3"](*GRID_SIZE),
            shape=np.array(SHAPE, dtype=np.uint32),
            index=index,
            probability=np.full(len(index), 255, dtype=np.uint8),
            velocity_x=velocity[:, 0].copy(),
            velocity_y=velocity[:, 1].copy(),
            interval=0.5,
            class_id=np.zeros(0, dtype=np.uint8),
        )
        self._write(self._flow, stamp_ns, message, MSG)

    def report(self, stamp_ns, outcome, reason="", reset="", detail="", **stages_ms):
        types = self._types
        values = {"stamp_ns": stamp_ns, "outcome": outcome, "reason": reason, "reset": reset}
        values |= {f"{stage}_ms": value for stage, value in stages_ms.items()}
        pairs = [types["diagnostic_msgs/msg/KeyValue"](k, str(v)) for k, v in values.items()]
        status = types["diagnostic_msgs/msg/DiagnosticStatus"](
            level=0, name="/occflow: frame", message=detail, hardware_id="", values=pairs
        )
        kind = "diagnostic_msgs/msg/DiagnosticArray"
        message = types[kind](header=self._header(stamp_ns), status=[status])
        self._write(self._diagnostics, stamp_ns, message, kind)

    def _connect(self, topic, kind):
        return self._writer.add_connection(topic, kind, typestore=self._store)

    def _write(self, connection, stamp_ns, message, kind):
        self._writer.write(connection, stamp_ns, self._store.serialize_cdr(message, kind))

    def _header(self, stamp_ns):
        time = self._types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
        return self._types["std_msgs/msg/Header"](time, "base_link")


def camera():
    K = np.array([[40.0, 0.0, 31.5], [0.0, 40.0, 17.5], [0.0, 0.0, 1.0]])
    optical = np.array([[0.0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    return Camera("cam_front", 64, 36, K, optical)


def captured_sets(count, truth=None):
    """Sets at t = 1, 1.5, … s of an ego that stands still."""
    pose = np.eye(4)
    image = np.full((36, 64, 3), (90, 130, 170), dtype=np.uint8)
    for number in range(count):
        stamp_ns = 1_000_000_000 + number * STEP_NS
        yield CapturedSet(
            stamp_ns=stamp_ns,
            odom_T_base=pose,
            images={"cam_front": Capture(image, stamp_ns, pose)},
            occupancy=truth,
        )


def truth_with(voxels, semantics, velocity=(0.0, 0.0)):
    """Exact truth on the grid of the hand-made predictions; every voxel is observed."""
    classes = np.full(SHAPE, 17, dtype=np.uint8)
    velocity_mps = np.zeros((*SHAPE, 2), dtype=np.float32)
    for voxel in voxels:
        classes[voxel] = semantics
        velocity_mps[voxel] = velocity
    return OccupancyTruth(classes, velocity_mps, np.ones(SHAPE, bool), LOWER, UPPER)
