"""From one set of messages to the frame the network takes."""

from __future__ import annotations

import time

from occflow_ros.config import RunConfig
from occflow_ros.data.drive import Camera
from occflow_ros.data.sensors import rectified_view
from occflow_ros.engine.assemble import View, assemble_frame
from occflow_ros.engine.stage_timer import StageTimer
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array
from occflow_ros.ops import area_resize
from occflow_ros.ros.cameras import CameraInputs, ImageSet
from occflow_ros.ros.images import camera_of, rgb_image
from occflow_ros.ros.poses import Poses
from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.structures import Frame


class FrameBuilder:
    """Looks poses up, decodes and rectifies images, and assembles the frame.

    Args:
        config: of the run.
        poses: where those of base and cameras come from.
        inputs: where calibrations come from, and what errors name.
    """

    def __init__(
        self,
        config: RunConfig,
        poses: Poses,
        inputs: CameraInputs,
    ) -> None:
        self._config = config
        self._poses = poses
        self._inputs = inputs
        area_resize.warm_up()

    def build(self, image_set: ImageSet, timer: StageTimer) -> Frame:
        """The frame at the set's stamp; raises RejectedSetError with the reason."""
        with timer.stage("tf"):
            odom_T_base = self._base_poses(image_set)
            odom_T_reference = self._poses.of_base(image_set.stamp_ns, self._deadline_s())
            cameras = self._cameras(image_set)
        with timer.stage("decode"):
            views = {
                name: self._view(camera, image_set, odom_T_base[name])
                for name, camera in cameras.items()
            }
        with timer.stage("assemble"):
            return assemble_frame(
                views=views,
                camera_names=self._config.node.cameras.names,
                stamp_ns=image_set.stamp_ns,
                odom_T_base=odom_T_reference,
                image_hw_px=self._config.model.image_hw_px,
            )

    def _base_poses(self, image_set: ImageSet) -> dict[str, Array]:
        """Pose of the base at each image's own stamp, by camera name."""
        deadline_s = self._deadline_s()
        poses = {}
        for name, image in image_set.images.items():
            if image.stamp_ns == 0:
                raise RejectedSetError(
                    Reason.BAD_IMAGE, f"{self._inputs.image_topics[name]}: expected a stamp, got 0"
                )
            poses[name] = self._poses.of_base(image.stamp_ns, deadline_s)
        return poses

    def _cameras(self, image_set: ImageSet) -> dict[str, Camera]:
        deadline_s = self._deadline_s()
        cameras = {}
        for name, image in image_set.images.items():
            topic = self._inputs.info_topics[name]
            if (info := self._inputs.infos.get(name, deadline_s)) is None:
                raise RejectedSetError(
                    Reason.NO_CAMERA_INFO, f"{topic}: expected a CameraInfo, got none yet"
                )
            base_T_camera = self._poses.of_sensor(image.header.frame_id, image.stamp_ns, deadline_s)
            cameras[name] = camera_of(name, info, base_T_camera, topic)
        return cameras

    def _deadline_s(self) -> float:
        """Of `time.monotonic`, for what may still arrive."""
        return time.monotonic() + self._config.node.pose.wait_s

    def _view(self, camera: Camera, image_set: ImageSet, odom_T_base: Array) -> View:
        topic = self._inputs.image_topics[camera.name]
        image = rgb_image(image_set.images[camera.name].message, topic)
        try:
            return rectified_view(camera, image, odom_T_base, topic)
        except DataError as error:
            raise RejectedSetError(Reason.BAD_IMAGE, str(error)) from None
