"""Clips of a drive: the frame to predict for, and those before it that give it history."""

from __future__ import annotations

from occflow_ros.data.drive import Drive
from occflow_ros.data.sensors import load_frame
from occflow_ros.structures import Clip


def load_clip(
    drive: Drive,
    index: int,
    history: int,
    image_hw_px: tuple[int, int],
    reference: str | None = None,
) -> Clip:
    """The camera set at `index` and up to `history` sets before it, as many as there are.

    A nuScenes scene gives clips of keyframes, or of sweeps too, as it was read.

    Args:
        drive: that holds the sets.
        index: of the current set, from 0.
        history: past sets.
        image_hw_px: image size the network takes.
        reference: camera whose stamp and pose are a frame's, see `load_frame`.

    Raises:
        IndexError: where the drive has no such set.
        DataError: where an image cannot be read.
    """
    if not 0 <= index < len(drive.sets):
        raise IndexError(
            f"{drive.name}: expected a set from 0 to {len(drive.sets) - 1}, got {index}"
        )
    sets = drive.sets[max(0, index - history) : index + 1]
    return Clip(tuple(load_frame(drive, one, image_hw_px, reference) for one in sets))
