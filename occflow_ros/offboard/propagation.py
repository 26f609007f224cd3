"""Stage 2: each frame anew from the votes of many around it (OccFiner, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from occflow_ros.geometry.se3 import Array, between
from occflow_ros.offboard.motion import Glimpses, Movers, decide_moving, movers_of, velocities_mps
from occflow_ros.offboard.recording import RecordedFrame, Recording, RecordingInfo
from occflow_ros.offboard.sight import Sight
from occflow_ros.offboard.weights import camera_weights, equal_weights, lidar_weights
from occflow_ros.ops.voxel_vote import Backend, vote
from occflow_ros.structures import UNKNOWN_CLASS_ID

Sensor = Literal["camera", "lidar", "none"]
Free = Literal["seen", "all"]

_MAX_VOTES = 2**31 - 1
_CROWD = 8  # voxels of one frame in one voxel of the target, more than turning a grid can bring
_HIGHEST_WEIGHT = 1000.0


@dataclass(frozen=True, slots=True)
class PropagationOptions:
    """Settings of stage 2, by default those of OccFiner, appendix D.2.

    Args:
        radius: frames before and after the target that vote on it.
        sensor: that the onboard model used, which decides how votes are weighted; "none" for equal
            weights, which is plain averaging.
        frustum: whether voxels that no camera sees have less weight (equation 10).
        near_box: whether voxels far from the cameras have less weight.
        camera_weights: of what a camera sees in the near box, sees outside of it, and of the rest.
        near_box_m: size of the near box along x, y and z.
        lidar_weights: at the LiDAR and at the farthest voxel.
        free: empty voxels that vote: those in sight of the sensor, past what the same frame
            holds, or all, as in the paper.
        carry_moving: whether moving objects are carried by their velocity to the target time
            before they vote; otherwise all vote as if they stood still.
        carry_s: how far in time moving objects are carried; beyond it, where they were says little
            about where they are.
        moving_mps: speed from which on a voxel moves.

    Raises:
        ValueError: where one is not in its range.
    """

    radius: int = 25
    sensor: Sensor = "camera"
    frustum: bool = True
    near_box: bool = True
    camera_weights: tuple[float, float, float] = (1.0, 0.1, 0.01)
    near_box_m: tuple[float, float, float] = (25.6, 25.6, 6.4)
    lidar_weights: tuple[float, float] = (10.0, 0.1)
    free: Free = "seen"
    carry_moving: bool = True
    carry_s: float = 0.5
    moving_mps: float = 0.5

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise ValueError(f"radius: expected 0 or more frames, got {self.radius}")
        for name, kind in (("sensor", Sensor), ("free", Free)):
            if (got := getattr(self, name)) not in get_args(kind):
                raise ValueError(f"{name}: expected one of {get_args(kind)}, got {got!r}")
        for name in ("camera_weights", "lidar_weights"):
            if not all(0.0 <= weight <= _HIGHEST_WEIGHT for weight in getattr(self, name)):
                raise ValueError(
                    f"{name}: expected 0 to {_HIGHEST_WEIGHT:g}, got {getattr(self, name)}"
                )
        if not all(size_m > 0.0 for size_m in self.near_box_m):
            raise ValueError(f"near_box_m: expected positive sizes, got {self.near_box_m}")
        if not self.moving_mps > 0.0:
            raise ValueError(f"moving_mps: expected a positive speed, got {self.moving_mps}")
        if not self.carry_s >= 0.0:
            raise ValueError(f"carry_s: expected 0 or more seconds, got {self.carry_s}")


def propagate(
    recording: Recording,
    places: Iterable[int],
    options: PropagationOptions,
    device: str = "cpu",
    segments: Sequence[range] | None = None,
    backend: Backend | None = None,
) -> Iterator[tuple[int, RecordedFrame]]:
    """Frames of a recording, each by the votes of those at most `radius` before and after it.

    A frame is read once where the places ascend, and at most 2 · radius + 1 are held, however long
    the recording is.

    Args:
        recording: what the onboard model, or stage 1, said.
        places: of the frames that are wanted.
        options: of the vote.
        device: torch device.
        segments: ranges of frames whose poses belong together; no vote crosses their ends. None
            where all do.
        backend: of `ops.voxel_vote`.

    Yields:
        The place and the refined frame; its velocity is that of what moves, zero elsewhere, and
        None where the recording has none.

    Raises:
        ValueError: where a place is in no segment, weights by camera are asked for and there is
            none, or the votes of so many frames could not be counted.
        DataError: where a frame cannot be read.
    """
    info = recording.info
    segments = (range(len(info)),) if segments is None else segments
    window = _Window(recording, options, device, max(map(len, segments), default=1))
    weights = vote_weights(info, options).to(device)
    _check_votes(window.size, weights)
    radius = options.radius
    for place in places:
        segment = _segment_of(place, segments)
        around = range(max(segment.start, place - radius), min(segment.stop, place + radius + 1))
        window.hold(around)
        yield place, _refined(place, around, window, weights, info, options, backend)


def vote_weights(info: RecordingInfo, options: PropagationOptions) -> Tensor:
    """Weights (X, Y, Z) int32 of the votes of every frame of a recording, in thousandths.

    Raises:
        ValueError: where weights by camera are asked for and there is none.
    """
    if options.sensor == "none":
        return equal_weights(info.grid)
    if options.sensor == "lidar":
        return lidar_weights(info.grid, options.lidar_weights)
    near_box_m = options.near_box_m if options.near_box else None
    return camera_weights(
        info.grid, info.cameras, options.camera_weights, options.frustum, near_box_m
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """What is kept of a frame beside its volume.

    Args:
        movers: in its frame.
        has_velocity: whether the recording says how its voxels move.
    """

    movers: Movers
    has_velocity: bool


class _Window:
    """The frames around a target, each read once: volumes to vote with, and what moves.

    Args:
        recording: they are read from.
        options: of the vote.
        device: torch device.
        longest: segment, in frames.
    """

    def __init__(
        self, recording: Recording, options: PropagationOptions, device: str, longest: int
    ) -> None:
        self.size = min(2 * options.radius + 1, longest)
        self.held: dict[int, _Held] = {}
        shape = self.size, *recording.info.grid.shape
        self.volumes = torch.empty(shape, dtype=torch.uint8, device=device)
        self._recording, self._options, self._device = recording, options, device
        self._sight = Sight(recording.info) if options.free == "seen" else None

    def slots(self, places: range) -> list[int]:
        """Which of the volumes are those of frames; no two in one window share one."""
        return [place % self.size for place in places]

    def hold(self, around: range) -> None:
        """Read the frames that are not there yet, and drop those that are not needed."""
        self.held = {place: self.held[place] for place in around if place in self.held}
        missing = [place for place in around if place not in self.held]
        for place, frame in zip(missing, self._recording.frames(missing)):
            self._take(place, frame)

    def own(self, place: int) -> Tensor:
        """Classes (X, Y, Z) of a frame as they were read."""
        movers, volume = self.held[place].movers, self.volumes[place % self.size].clone()
        volume[volume == UNKNOWN_CLASS_ID] = self._recording.info.vocabulary.empty
        volume.view(-1)[movers.index] = movers.class_id.to(torch.uint8)
        return volume

    def _take(self, place: int, frame: RecordedFrame) -> None:
        vocabulary = self._recording.info.vocabulary
        movers = movers_of(frame, vocabulary, self._options.moving_mps)
        volume = self.volumes[place % self.size]
        class_id = frame.class_id if self._sight is None else self._sight(frame.class_id)
        volume.copy_(torch.from_numpy(np.ascontiguousarray(class_id)))
        movers = movers.to(self._device)
        if self._options.carry_moving:
            volume.view(-1)[movers.index] = UNKNOWN_CLASS_ID
        self.held[place] = _Held(movers, frame.velocity_mps is not None)


def _refined(
    place: int,
    around: range,
    window: _Window,
    weights: Tensor,
    info: RecordingInfo,
    options: PropagationOptions,
    backend: Backend | None,
) -> RecordedFrame:
    """The target after the vote of what stands still, then of what moves."""
    poses, vocabulary = info.world_T_base, info.vocabulary
    target_T_sources = np.stack([between(poses[place], poses[source]) for source in around])
    class_id = vote(
        window.volumes,
        window.slots(around),
        target_T_sources,
        weights,
        window.own(place),
        info.grid,
        len(vocabulary.names),
        vocabulary.empty,
        backend,
    )
    moving: list[Movers] = []
    own = window.held[place].movers
    if options.carry_moving:
        glimpses = _glimpses(place, around, window, target_T_sources, info, options.carry_s)
        carried = decide_moving(glimpses, own, weights, info.grid, len(vocabulary.names))
        class_id.view(-1)[carried.index] = carried.class_id.to(torch.uint8)
        moving.append(carried)
    velocity_mps = None
    if window.held[place].has_velocity:
        velocity_mps = velocities_mps(class_id, (*moving, own)).cpu().numpy()
    return RecordedFrame(class_id.cpu().numpy(), velocity_mps)


def _glimpses(
    place: int,
    around: range,
    window: _Window,
    target_T_sources: Array,
    info: RecordingInfo,
    carry_s: float,
) -> Glimpses:
    """What the target and the frames near in time saw move, those that know how it does."""
    later_ns = np.array([info.stamps_ns[place] - info.stamps_ns[source] for source in around])
    knows = np.array([window.held[source].has_velocity for source in around])
    near = np.flatnonzero((later_ns == 0) | knows & (np.abs(later_ns) <= round(carry_s * 1e9)))
    return Glimpses.of(
        [window.held[around[number]].movers for number in near],
        torch.from_numpy(target_T_sources[near]),
        torch.from_numpy(later_ns[near] * 1e-9),
    )


def _segment_of(place: int, segments: Sequence[range]) -> range:
    for segment in segments:
        if place in segment:
            return segment
    raise ValueError(f"place {place}: expected one of the segments {list(segments)}")


def _check_votes(frames: int, weights: Tensor) -> None:
    """Refuse windows whose votes for one voxel might not fit into 32 bits."""
    most = frames * _CROWD * int(weights.max())
    if most > _MAX_VOTES:
        raise ValueError(
            f"expected at most {_MAX_VOTES // (most // frames)} frames with these weights, "
            f"got a window of {frames}"
        )
