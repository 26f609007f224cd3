"""The semantic network at work: by itself, and beside the stream, whose voxels it names."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from occflow_ros.engine.feature_buffer import relative_poses
from occflow_ros.engine.ring import ring_frame
from occflow_ros.engine.stage_timer import StageTimer
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.models.mono.mono_net import MonoOccNet
from occflow_ros.models.mono.views import Views
from occflow_ros.structures import UNKNOWN_CLASS_ID, Frame, OccupancyFlow, VoxelGrid

DepthSource = Callable[[OccupancyFlow, Frame], Tensor]
"""Depth (N, h, w) along the optical axes of a frame's cameras, of any resolution, 0 if unknown."""

STAGES = ("depth", "semantics")


@dataclass(frozen=True, slots=True)
class SemanticVoxels:
    """What the network says of every voxel.

    Args:
        grid: of the voxels, in the ego frame.
        class_id: (X, Y, Z) uint8, a place in `class_names`.
        fill_id: (X, Y, Z) uint8, the most probable class of what fills the voxel if something does.
        class_names: of the network.
        empty_id: which of them says that nothing is there.
    """

    grid: VoxelGrid
    class_id: Tensor
    fill_id: Tensor
    class_names: tuple[str, ...]
    empty_id: int


class SemanticEngine:
    """MonoOcc on a device, one prediction at a time.

    Args:
        network: moved to the device.
        device: torch device.
        precision: of matrix products and convolutions, as `StreamConfig` names it.
    """

    def __init__(
        self,
        network: MonoOccNet,
        device: torch.device | str = "cpu",
        precision: str = "float32",
    ) -> None:
        self._device = torch.device(device)
        self.network = network.to(self._device).eval()
        self._reduced = precision == "bfloat16"

    def predict(self, frames: Sequence[Frame], depth_m: Tensor) -> SemanticVoxels:
        """Classes around the newest frame.

        Args:
            frames: of one rig, newest first; those older than the network looks at are left out.
            depth_m: (N, h, w) of the newest frame's cameras, of any resolution over the whole
                images, 0 or not finite where unknown.

        Raises:
            ValueError: where the frames, or frames and depth, do not belong together.
        """
        views = views_of(frames[: self.network.frames], self._device)
        with torch.inference_mode(), self._computing():
            prediction = self.network(views, depth_m.unsqueeze(0).to(self._device))
            logits = prediction.logits[0]  # (classes, X, Y, Z)
            class_id = logits.argmax(dim=0).to(torch.uint8)
            logits[self.network.empty_id] = -torch.inf
            fill_id = logits.argmax(dim=0).to(torch.uint8)
        network = self.network
        return SemanticVoxels(
            network.grid, class_id, fill_id, network.class_names, network.empty_id
        )

    def _computing(self) -> AbstractContextManager[object]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._reduced)


class SemanticStream:
    """The stream with classes: occupancy and flow stay as they are, each voxel gets a class.

    Args:
        stream: of occupancy and flow.
        engine: says what fills the voxels.
        depth: of the frames that the engine looks at, from what the stream predicts.
    """

    def __init__(self, stream: OccupancyStream, engine: SemanticEngine, depth: DepthSource) -> None:
        self._stream, self._engine, self._depth = stream, engine, depth
        self._past: deque[Frame] = deque(maxlen=engine.network.frames - 1)
        self._timer = StageTimer(stream.device)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the numbers of the classes mean."""
        return self._engine.network.class_names

    @property
    def last_reset(self) -> str | None:
        """As of the stream."""
        return self._stream.last_reset

    @property
    def timings_ms(self) -> dict[str, float]:
        """Time of the last step by stage: those of the stream, depth and semantics."""
        return self._stream.timings_ms | self._timer.times_ms

    @property
    def history_bytes(self) -> int:
        """Memory that the past holds."""
        images = sum(frame.images.numel() for frame in self._past)
        return self._stream.history_bytes + images

    def reset(self, reason: str) -> None:
        """Forget the past."""
        self._past.clear()
        self._stream.reset(reason)

    def warm_up(self, cameras: int) -> None:
        """Take steps on noise, so that real ones take no longer than later.

        Args:
            cameras: how many the real rig has.
        """
        self._stream.warm_up(cameras)
        for index in range(2):
            self.step(ring_frame(cameras, self._stream.image_hw_px, index))
        self.reset("warmed up")

    def step(self, frame: Frame) -> OccupancyFlow:
        """Occupancy and flow of the stream with the class of each voxel.

        Raises:
            DataError: as the stream does.
        """
        flow = self._stream.step(frame)
        if self._stream.last_reset is not None:
            self._past.clear()
        self._timer.clear()
        with self._timer.stage("depth"):
            depth_m = self._depth(flow, frame)
        with self._timer.stage("semantics"):
            found = self._engine.predict((frame, *self._past), depth_m)
        self._past.appendleft(frame)
        return with_classes(flow, found)


def with_classes(flow: OccupancyFlow, found: SemanticVoxels) -> OccupancyFlow:
    """The same prediction with the most probable class of what fills each voxel.

    A voxel takes the class of the one around its centre, `UNKNOWN_CLASS_ID` outside of that grid.
    """
    return replace(
        flow,
        class_id=_on_grid(found.fill_id, found.grid, flow.grid),
        class_names=found.class_names,
    )


def views_of(frames: Sequence[Frame], device: torch.device) -> Views:
    """Frames of one rig, newest first, as a batch of one for the network.

    Raises:
        ValueError: where there is none, or they are not of one rig and size.
    """
    rigs = {(frame.rig.names, tuple(frame.images.shape)) for frame in frames}
    if len(rigs) != 1:
        raise ValueError(f"frames: expected some of one rig and image size, got {sorted(rigs)}")
    newest = frames[0]
    then_T_now = relative_poses([frame.odom_T_base for frame in frames], newest.odom_T_base)[0]
    now_T_then = torch.linalg.inv(then_T_now).float()  # (T, 4, 4)
    base_T_camera = torch.stack([frame.rig.base_T_camera for frame in frames])  # (T, N, 4, 4)
    return Views(
        images=torch.stack([frame.images for frame in frames])[None].to(device),
        K=torch.stack([frame.rig.K for frame in frames])[None],
        current_T_camera=(now_T_then.unsqueeze(1) @ base_T_camera.float())[None],
        present=torch.stack([frame.rig.present for frame in frames])[None],
    )


def _on_grid(class_id: Tensor, grid: VoxelGrid, wanted: VoxelGrid) -> Tensor:
    """Classes (X, Y, Z) of one grid on another one in the same frame."""
    if grid == wanted:
        return class_id
    index, inside = grid.index_of(wanted.centers_m(class_id.device))
    flat = grid.flatten_index(index)
    return torch.where(inside, class_id.flatten()[flat], UNKNOWN_CLASS_ID).to(torch.uint8)
