"""A recorded drive as the messages its sensors would have sent."""

from __future__ import annotations

import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs_py import point_cloud2
from tf2_msgs.msg import TFMessage

from occflow_ros.data.drive import Camera, Drive, SensorFile
from occflow_ros.data.sensors import read_image, read_lidar
from occflow_ros.errors import DataError
from occflow_ros.geometry.camera import Image
from occflow_ros.geometry.se3 import Array
from occflow_ros.ros.stamps import header_message
from occflow_ros.ros.timeline import Event
from occflow_ros.ros.transforms import transform_message

Transport = Literal["raw", "compressed"]

LIDAR_FRAME = "lidar"
TF = "/tf"
TF_STATIC = "/tf_static"
LIDAR_TOPIC = "lidar/points"
SENSOR_QOS = QoSProfile(depth=10)
TF_QOS = QoSProfile(depth=100)
TF_STATIC_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass(frozen=True, slots=True)
class Topic:
    """What is sent on a topic, and the quality of service it is offered with."""

    message_class: type
    qos: QoSProfile


class DriveMessages:
    """What each event of a drive sends, and where to: the same live and in a bag.

    Args:
        drive: whose files and calibration are sent.
        transport: raw: decoded images; compressed: the files' bytes.
        lidar: whether there are sweeps to send.
    """

    def __init__(self, drive: Drive, transport: Transport, lidar: bool) -> None:
        self._drive = drive
        self._compressed = transport == "compressed"
        self._last_pose_ns = 0
        image_class = CompressedImage if self._compressed else ImageMessage
        images = dict.fromkeys(map(self.image_topic, drive.cameras), image_class)
        infos = dict.fromkeys(map(self.info_topic, drive.cameras), CameraInfo)
        sweeps = {LIDAR_TOPIC: PointCloud2} if lidar else {}
        self.topics = {
            TF_STATIC: Topic(TFMessage, TF_STATIC_QOS),
            TF: Topic(TFMessage, TF_QOS),
            **{name: Topic(kind, SENSOR_QOS) for name, kind in (images | infos | sweeps).items()},
        }

    def image_topic(self, camera_name: str) -> str:
        """Topic of a camera's images."""
        return f"{camera_name}/image_raw" + ("/compressed" if self._compressed else "")

    def info_topic(self, camera_name: str) -> str:
        """Topic of a camera's calibration."""
        return f"{camera_name}/camera_info"

    def static(self) -> TFMessage:
        """What is sent once, on `/tf_static`."""
        return TFMessage(transforms=extrinsic_messages(self._drive))

    def of(self, event: Event, stamp_ns: int) -> Iterator[tuple[str, Any]]:
        """Topic and message of each thing that an event sends, in the order of sending.

        Args:
            event: none may come before one that is earlier.
            stamp_ns: of the messages.

        Raises:
            DataError: where a file cannot be read.
        """
        if stamp_ns > self._last_pose_ns:  # TF warns of a pose that it has already
            self._last_pose_ns = stamp_ns
            pose = pose_message(self._drive, event.odom_T_base, stamp_ns)
            yield TF, TFMessage(transforms=[pose])
        if event.camera is not None:
            camera = self._drive.cameras[event.camera]
            convert = compressed_message if self._compressed else image_message
            yield self.info_topic(camera.name), info_message(camera, stamp_ns)
            yield self.image_topic(camera.name), convert(camera, event.file, stamp_ns)
        elif event.file is not None:
            yield LIDAR_TOPIC, lidar_message(event.file, stamp_ns)


def optical_frame(camera_name: str) -> str:
    """Name of a camera's optical frame."""
    return f"{camera_name}_optical_frame"


def image_message(camera: Camera, image: SensorFile, stamp_ns: int) -> ImageMessage:
    """The decoded image, rgb8; raises DataError where the file cannot be read."""
    return image_of(read_image(image.path), stamp_ns, optical_frame(camera.name))


def image_of(pixels: Image, stamp_ns: int, frame_id: str) -> ImageMessage:
    """Pixels (H, W, 3) uint8 RGB as a message."""
    height, width, channels = pixels.shape
    return ImageMessage(
        header=header_message(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        step=width * channels,
        data=array.array("B", pixels.tobytes()),
    )


def compressed_message(camera: Camera, image: SensorFile, stamp_ns: int) -> CompressedImage:
    """The file's bytes as they are; raises DataError where it cannot be read."""
    try:
        data = image.path.read_bytes()
    except OSError as error:
        raise DataError(f"{image.path}: image cannot be read: {error.strerror}") from None
    return CompressedImage(
        header=header_message(stamp_ns, optical_frame(camera.name)),
        format="png" if image.path.suffix.lower() == ".png" else "jpeg",
        data=array.array("B", data),
    )


def info_message(camera: Camera, stamp_ns: int) -> CameraInfo:
    """Calibration of an unrectified monocular camera."""
    return CameraInfo(
        header=header_message(stamp_ns, optical_frame(camera.name)),
        height=camera.height_px,
        width=camera.width_px,
        distortion_model=camera.distortion_model,
        d=list(camera.distortion),
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack((camera.K, np.zeros((3, 1)))).ravel(),
    )


def lidar_message(sweep: SensorFile, stamp_ns: int) -> PointCloud2:
    """The sweep in the LiDAR's frame; raises DataError where the file cannot be read."""
    header = header_message(stamp_ns, LIDAR_FRAME)
    return point_cloud2.create_cloud_xyz32(header, read_lidar(sweep.path))


def pose_message(drive: Drive, odom_T_base: Array, stamp_ns: int) -> TransformStamped:
    """Pose of the base in the fixed frame."""
    return TransformStamped(
        header=header_message(stamp_ns, drive.fixed_frame),
        child_frame_id=drive.base_frame,
        transform=transform_message(odom_T_base),
    )


def extrinsic_messages(drive: Drive) -> list[TransformStamped]:
    """Where the sensors sit on the base."""
    mounts = {optical_frame(name): cam.base_T_camera for name, cam in drive.cameras.items()}
    if drive.base_T_lidar is not None:
        mounts[LIDAR_FRAME] = drive.base_T_lidar
    return [
        TransformStamped(
            header=header_message(0, drive.base_frame),
            child_frame_id=frame,
            transform=transform_message(base_T_sensor),
        )
        for frame, base_T_sensor in mounts.items()
    ]
