"""Volumes of several cameras to one."""

from __future__ import annotations

from torch import Tensor


def merge_cameras(volumes: Tensor, seen: Tensor, present: Tensor) -> Tensor:
    """Each cell is the mean over the cameras that see it, or, where none does, over all present.

    With one camera the volume stays as it is.

    Args:
        volumes: (B, N, Q, C) of each camera.
        seen: (B, N, Q) bool, the cell lies in the camera's image.
        present: (B, N) bool, at least one in each row.

    Returns:
        (B, Q, C).
    """
    there = present.unsqueeze(-1)  # (B, N, 1)
    counted = (seen & there).to(volumes.dtype)  # (B, N, Q)
    unseen = counted.sum(dim=1, keepdim=True) == 0
    weight = counted + unseen * there
    return (volumes * (weight / weight.sum(dim=1, keepdim=True)).unsqueeze(-1)).sum(dim=1)
