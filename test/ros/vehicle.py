"""Two cameras and the localisation of a vehicle, as a node that a test drives."""

import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster
from two_cameras import CAMERAS, camera, pose

from occflow_ros.data.drive import Drive
from occflow_ros.ros import drive_messages

TIMEOUT_S = 20.0


class Vehicle:
    """Publishes what the two cameras and the localisation of a vehicle send, and reads outcomes."""

    def __init__(self, compressed=False):
        self.node = rclpy.create_node("vehicle")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        kind, suffix = (CompressedImage, "/compressed") if compressed else (Image, "")
        self.images = {
            name: self.node.create_publisher(kind, f"{name}/image_raw{suffix}", 10)
            for name in CAMERAS
        }
        self.infos = {
            name: self.node.create_publisher(CameraInfo, f"{name}/camera_info", 10)
            for name in CAMERAS
        }
        self.tf = TransformBroadcaster(self.node)
        self.static_tf = StaticTransformBroadcaster(self.node)
        self.outcomes = {}
        self.summary = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)

    def _on_diagnostics(self, message):
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if status.name.endswith(": frame"):
                self.outcomes[int(values["stamp_ns"])] = (status, values)
            else:
                self.summary = values

    def wait_until(self, condition, what):
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited {TIMEOUT_S} s for {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def wait_for_node(self):
        publishers = [*self.images.values(), *self.infos.values(), self.tf.pub_tf]
        self.wait_until(lambda: all(p.get_subscription_count() for p in publishers), "the node")
        self.wait_until(
            lambda: self.node.count_publishers("/diagnostics") > 0, "the node's diagnostics"
        )

    def send_mounts(self):
        cameras = {name: camera(name) for name in CAMERAS}
        self.static_tf.sendTransform(
            drive_messages.extrinsic_messages(Drive("vehicle", cameras, ()))
        )

    def send_pose(self, stamp_ns, x_m=0.0):
        drive_ = Drive("vehicle", {"left": camera("left")}, ())
        self.tf.sendTransform(drive_messages.pose_message(drive_, pose(x_m), stamp_ns))

    def send_infos(self, stamp_ns, **changes):
        for name, publisher in self.infos.items():
            info = drive_messages.info_message(camera(name), stamp_ns)
            for field, value in changes.items():
                setattr(info, field, value)
            publisher.publish(info)

    def send_images(self, stamp_ns, names=CAMERAS, **changes):
        """Grey images; `changes` are fields that differ in the right one."""
        for name in names:
            message = drive_messages.image_of(
                np.full((80, 120, 3), 90, np.uint8),
                stamp_ns,
                drive_messages.optical_frame(name),
            )
            if name == "right":
                for field, value in changes.items():
                    setattr(message, field, value)
            self.images[name].publish(message)

    def outcome_of(self, stamp_ns):
        self.wait_until(lambda: stamp_ns in self.outcomes, f"the outcome of {stamp_ns}")
        return self.outcomes[stamp_ns]

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
