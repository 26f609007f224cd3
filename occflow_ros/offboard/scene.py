"""A recorded frame as evaluations and pictures take it."""

from __future__ import annotations

import numpy as np

from occflow_ros.data.scene import VoxelScene
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo


def recorded_scene(frame: RecordedFrame, info: RecordingInfo) -> VoxelScene:
    """The frame on the grid of its recording; what has no velocity stands."""
    velocity_mps = frame.velocity_mps
    if velocity_mps is None:
        velocity_mps = np.zeros((*info.grid.shape, 2), np.float32)
    occupied = frame.class_id != info.vocabulary.empty
    return VoxelScene(info.grid, occupied, velocity_mps, frame.class_id, info.vocabulary.names)
