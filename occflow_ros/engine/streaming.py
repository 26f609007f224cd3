"""One camera set after the other to occupancy and flow; node and command line both come here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from occflow_ros.config import RunConfig
from occflow_ros.engine.feature_buffer import FeatureBuffer, relative_poses
from occflow_ros.engine.ring import ring_frame
from occflow_ros.engine.stage_timer import StageTimer
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3
from occflow_ros.models.heads import Prediction
from occflow_ros.models.occflow_net import OccFlowNet
from occflow_ros.structures import Clip, Frame, OccupancyFlow


class OccupancyStream:
    """The network with its memory.

    Args:
        network: moved to the device.
        config: of the network and of the stream.
        device: torch device.
    """

    def __init__(
        self, network: OccFlowNet, config: RunConfig, device: torch.device | str = "cpu"
    ) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._config = config
        stream = config.stream
        if stream.compile:
            _compile(self._network)
        self._buffer = FeatureBuffer(
            config.model.temporal.history, stream.max_gap_s, stream.max_jump_m
        )
        self._timer = StageTimer(self._device)
        self._last_reset: str | None = None

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device

    @property
    def image_hw_px(self) -> tuple[int, int]:
        """Height and width of the images that the network was made for."""
        return self._config.model.image_hw_px

    @property
    def precision(self) -> str:
        """Of matrix products and convolutions."""
        return self._config.stream.precision

    @property
    def last_reset(self) -> str | None:
        """Why the last call of `step` or `reset` cleared the history; None where it did not."""
        return self._last_reset

    @property
    def timings_ms(self) -> dict[str, float]:
        """Time of the last step by stage: preprocess, backbone, lift, temporal, refine, heads."""
        return self._timer.times_ms

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the classes in what `step` returns: none."""
        return ()

    @property
    def history_bytes(self) -> int:
        """Memory that the past volumes hold."""
        return self._buffer.num_bytes

    def reset(self, reason: str) -> None:
        """Forget the past."""
        self._buffer.clear()
        self._last_reset = reason

    def warm_up(self, cameras: int) -> None:
        """Take steps on noise until history is full, so that real ones take no longer than later.

        Args:
            cameras: how many the real rig has.
        """
        model = self._config.model
        for index in range(model.temporal.history + 1):
            self.step(ring_frame(cameras, model.image_hw_px, index))
        self._buffer.clear()

    def step(self, frame: Frame) -> OccupancyFlow:
        """Predict for one frame from it and from what is remembered.

        Raises:
            DataError: where the pose is not finite and rigid; the history is cleared.
        """
        self._check_pose(frame)
        self._last_reset = self._buffer.admit(frame)
        self._timer.clear()
        with self._computing(), self._timer.watching(self._network.stages):
            volume = self._lift(frame)
            history, past_T_current = self._buffer.seen_from(frame.odom_T_base)
            prediction = self._network.predict(volume, history, past_T_current)
        self._buffer.push(frame, volume)
        return self._to_flow(frame, prediction)

    def forward_clip(self, clip: Clip) -> OccupancyFlow:
        """Predict for a clip's last frame from the clip alone, as training does.

        Frames older than the configured history are not used; what is remembered is not touched.

        Raises:
            DataError: where a pose is not finite and rigid.
        """
        *past, current = clip.frames[-1 - self._config.model.temporal.history :]
        for frame in (*past, current):
            self._check_pose(frame)
        newest_first = past[::-1]
        past_T_current = relative_poses(
            [frame.odom_T_base for frame in newest_first], current.odom_T_base
        )
        with self._computing():
            history = [self._lift(frame) for frame in newest_first]
            prediction = self._network.predict(self._lift(current), history, past_T_current)
        return self._to_flow(current, prediction)

    def _lift(self, frame: Frame) -> Tensor:
        with self._timer.stage("preprocess"):
            images = frame.images.unsqueeze(0).to(self._device, non_blocking=True)
        rig = frame.rig
        return self._network.lift(
            images, rig.K.unsqueeze(0), rig.base_T_camera.unsqueeze(0), rig.present.unsqueeze(0)
        )

    @contextmanager
    def _computing(self) -> Iterator[None]:
        reduced = self._config.stream.precision == "bfloat16"
        autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=reduced)
        with torch.inference_mode(), autocast:
            yield

    def _check_pose(self, frame: Frame) -> None:
        try:
            se3.check_rigid(frame.odom_T_base.numpy())
        except ValueError as error:
            self.reset(f"odom_T_base: {error}")
            raise DataError(f"odom_T_base of frame {frame.stamp_ns}: {error}") from None

    def _to_flow(self, frame: Frame, prediction: Prediction) -> OccupancyFlow:
        model = self._config.model
        return OccupancyFlow(
            stamp_ns=frame.stamp_ns,
            grid=model.grid.voxels,
            sdf_m=prediction.sdf_m[0],
            flow_m=prediction.flow_m[0],
            interval_s=model.interval_s,
            sharpness_per_m=model.sharpness_per_m,
            level_m=model.level_m,
        )


def _compile(network: OccFlowNet) -> None:
    """Each stage by itself, so that stages are still timed one by one."""
    for stage in network.stages:
        stage.forward = torch.compile(stage.forward)
