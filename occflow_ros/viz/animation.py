"""Pictures in a row as one animated WebP, which every current browser plays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from occflow_ros.errors import OutputError
from occflow_ros.geometry.camera import Image
from occflow_ros.output import write_bytes

_QUALITY = 70


def can_animate() -> bool:
    """Whether this OpenCV writes animations (4.12 and later do)."""
    return hasattr(cv2, "imencodeanimation")


def write_animation(path: Path, images: Sequence[Image], frame_ms: int) -> None:
    """Write an endless animation.

    Args:
        path: ends in .webp.
        images: (H, W, 3) RGB of one size.
        frame_ms: how long each is shown.

    Raises:
        OutputError: where the file cannot be written or OpenCV is older than 4.12.
    """
    if not can_animate():
        raise OutputError(f"{path}: expected OpenCV 4.12 or later, got {cv2.__version__}")
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(image[..., ::-1]) for image in images]
    animation.durations = [frame_ms] * len(images)
    encoded, data = cv2.imencodeanimation(".webp", animation, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    if not encoded:
        raise OutputError(f"{path}: OpenCV could not encode the animation")
    write_bytes(path, data.tobytes())
