"""Why a camera set was not turned into a prediction."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reasons as diagnostics count them."""

    BAD_CAMERA_INFO = "bad_camera_info"
    BAD_IMAGE = "bad_image"
    FAILURE = "failure"
    FUTURE_STAMP = "future_stamp"
    IMAGE_TOO_OLD = "image_too_old"
    INVALID_POSE = "invalid_pose"
    NO_CAMERA_INFO = "no_camera_info"
    NO_SUBSCRIBERS = "no_subscribers"
    NO_TRANSFORM = "no_transform"
    OUT_OF_ORDER = "out_of_order"
    OVERLOAD = "overload"
    POSE_GAP = "pose_gap"
    POSE_LATE = "pose_late"
    SHUTDOWN = "shutdown"


class RejectedSetError(Exception):
    """One set cannot be used; the next one may be.

    Args:
        reason: counted in diagnostics.
        detail: names the topic or frame, what was expected and what came.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
