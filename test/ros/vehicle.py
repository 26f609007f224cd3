"""Two cameras and the localisation of a vehicle, as a node that a test drives."""

import time

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster
from two_cameras import CAMERAS, camera, pose

from occflow_ros.data.drive import Drive
from occflow_ros.ros import drive_messages

TIMEOUT_S = 20.0


def start_ros(preset, **changes):
    """Starts rclpy with the parameters of a node on the two cameras, and those given."""
    parameters = {
        "preset": preset,
        "node.cameras.names": "[left,right]",
        "node.cameras.reliable": "true",
        "node.pose.wait_s": 0.2,
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    arguments = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    rclpy.init(
        args=["test", "--ros-args", *arguments], signal_handler_options=SignalHandlerOptions.NO
    )


class Vehicle:
    """Publishes what the two cameras and the localisation of a vehicle send, and reads outcomes.

    Those of `compressed` send JPEG, the others raw images.
    """

    def __init__(self, compressed=()):
        self.node = rclpy.create_node("vehicle")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.images = {
            name: self.node.create_publisher(CompressedImage, f"{name}/image_raw/compressed", 10)
            if name in compressed
            else self.node.create_publisher(Image, f"{name}/image_raw", 10)
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
        self.summary_status = DiagnosticStatus()
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)

    def _on_diagnostics(self, message):
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if status.name.endswith(": frame"):
                self.outcomes[int(values["stamp_ns"])] = (status, values)
            else:
                self.summary, self.summary_status = values, status

    def wait_until(self, condition, what):
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited {TIMEOUT_S} s for {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def take_what_came(self, quiet_s=0.5):
        """Spin until nothing has arrived for a while."""
        last_s = time.monotonic()
        while time.monotonic() - last_s < quiet_s:
            before = len(self.outcomes)
            self.executor.spin_once(timeout_sec=0.05)
            if len(self.outcomes) > before:
                last_s = time.monotonic()

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

    def send_images(self, stamp_ns, names=CAMERAS, changed="right", **changes):
        """Grey images; `changes` are fields that differ in that of one camera."""
        for name in names:
            message = self._image(name, stamp_ns)
            if name == changed:
                for field, value in changes.items():
                    setattr(message, field, value)
            self.images[name].publish(message)

    def _image(self, name, stamp_ns):
        pixels = np.full((80, 120, 3), 90, np.uint8)
        message = drive_messages.image_of(pixels, stamp_ns, drive_messages.optical_frame(name))
        if self.images[name].msg_type is Image:
            return message
        return CompressedImage(header=message.header, format="jpeg", data=jpeg(pixels))

    def outcome_of(self, stamp_ns):
        self.wait_until(lambda: stamp_ns in self.outcomes, f"the outcome of {stamp_ns}")
        return self.outcomes[stamp_ns]

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()


def jpeg(pixels):
    return cv2.imencode(".jpg", pixels)[1].tobytes()
