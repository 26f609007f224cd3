"""Which camera sees which points of a plane's lines, and where in its image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.geometry.camera import project_from_base


@dataclass(frozen=True, slots=True)
class CameraView:
    """The (query, camera) pairs that see something, as one padded list per camera.

    Args:
        query: (B, N, M) int64, queries that the camera sees; the list of a camera that sees fewer
            than M goes on with queries it does not see.
        location: (B, N, P, M, 2) reference points in the image, (x, y) in [0, 1] inside.
        visible: (B, N, P, M) bool, point in front of the camera and inside the image.
        hits: (B, Q) how many cameras see the query.
    """

    query: Tensor
    location: Tensor
    visible: Tensor
    hits: Tensor

    def gather(self, tokens: Tensor) -> Tensor:
        """Tokens (B, Q, C) to the pairs' queries (B · N, M, C)."""
        batch = torch.arange(tokens.shape[0], device=tokens.device).view(-1, 1, 1)
        return tokens[batch, self.query].flatten(0, 1)

    def mean_over_cameras(self, answers: Tensor) -> Tensor:
        """Answers (B · N, M, C) of the pairs to (B, Q, C), zero where no camera sees the query.

        The answer of a pair that sees nothing must be zero.
        """
        batch, queries = self.hits.shape
        first = torch.arange(batch, device=answers.device).view(-1, 1, 1) * queries
        rows = (first + self.query).flatten()  # (B · N · M)
        total = answers.new_zeros(batch * queries, answers.shape[-1])
        total = total.index_add(0, rows, answers.flatten(0, 1)).unflatten(0, (batch, queries))
        return total / self.hits.clamp(min=1).unsqueeze(-1)


def see(
    points_m: Tensor,
    K: Tensor,
    base_T_camera: Tensor,
    present: Tensor,
    image_hw_px: tuple[int, int],
) -> CameraView:
    """Project the points on the lines of Q queries into N cameras.

    Args:
        points_m: (P, Q, 3) in the ego frame.
        K: (B, N, 3, 3) intrinsics in pixels of the image.
        base_T_camera: (B, N, 4, 4) optical frame to ego frame, each camera at its own time.
        present: (B, N) bool; an absent camera sees nothing.
        image_hw_px: height and width of the images.
    """
    with torch.autocast(points_m.device.type, enabled=False):  # bfloat16 would be pixels off
        flat_location, flat_visible = project_from_base(
            points_m.flatten(0, 1), K, base_T_camera, image_hw_px
        )
    location = flat_location.unflatten(2, points_m.shape[:2])  # (B, N, P, Q, 2)
    visible = flat_visible.unflatten(2, points_m.shape[:2]) & present[..., None, None]
    location = torch.where(visible[..., None], location, 0.0)  # behind a camera it is not finite
    sees = visible.any(dim=2)  # (B, N, Q)
    longest = max(1, int(sees.sum(dim=-1).max()))
    query = sees.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[..., :longest]
    pair = query.unsqueeze(2).expand(-1, -1, points_m.shape[0], -1)  # (B, N, P, M)
    return CameraView(
        query=query,
        location=location.gather(3, pair.unsqueeze(-1).expand(-1, -1, -1, -1, 2)),
        visible=visible.gather(3, pair),
        hits=sees.sum(dim=1),
    )
