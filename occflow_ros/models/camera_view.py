"""Which camera sees which points of a plane's lines, and where in its image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.geometry.camera import project_from_base
from occflow_ros.models.precision import full_precision

_OUTSIDE = -1.0  # a whole image away: nothing is sampled there


@dataclass(frozen=True, slots=True)
class CameraView:
    """The (query, camera) pairs that see something, as one padded list per camera.

    Args:
        query: (B, N, M) int64, queries that the camera sees; the list of a camera that sees fewer
            than M goes on with queries it does not see.
        location: (B, N, M, P, 2) reference points in the image, (x, y) in [0, 1] inside.
        visible: (B, N, M, P) bool, point in front of the camera and inside the image.
        hits: (B, Q) how many cameras see the query.
    """

    query: Tensor
    location: Tensor
    visible: Tensor
    hits: Tensor

    def gather(self, tokens: Tensor) -> Tensor:
        """Tokens (B, Q, C) to the pairs' queries (B · N, M, C)."""
        pairs = tokens.flatten(0, 1).index_select(0, self._token_rows())  # (B · N · M, C)
        return pairs.unflatten(0, (-1, self.query.shape[2]))

    def mean_over_cameras(self, answers: Tensor) -> Tensor:
        """Answers (B · N, M, C) of the pairs to (B, Q, C), zero where no camera sees the query.

        The answer of a pair that sees nothing must be zero.
        """
        total = answers.new_zeros(self.hits.numel(), answers.shape[-1])
        total = total.index_add(0, self._token_rows(), answers.flatten(0, 1))  # (B · Q, C)
        return total.unflatten(0, self.hits.shape) / self.hits.clamp(min=1).unsqueeze(-1)

    def _token_rows(self) -> Tensor:
        """Where the pairs' queries lie among B · Q tokens, (B · N · M)."""
        batch, queries = self.hits.shape
        first = torch.arange(batch, device=self.query.device).view(-1, 1, 1) * queries
        return (first + self.query).flatten()


def see(
    points_m: Tensor,
    K: Tensor,
    base_T_camera: Tensor,
    present: Tensor,
    image_hw_px: tuple[int, int],
    wanted: Tensor | None = None,
) -> CameraView:
    """Project the points on the lines of Q queries into N cameras.

    Args:
        points_m: (P, Q, 3) in the ego frame, or (B, P, Q, 3) where each batch has its own.
        K: (B, N, 3, 3) intrinsics in pixels of the image.
        base_T_camera: (B, N, 4, 4) optical frame to ego frame, each camera at its own time.
        present: (B, N) bool; an absent camera sees nothing.
        image_hw_px: height and width of the images.
        wanted: (B, Q) bool; the others count as seen by no camera. None: all.
    """
    points, queries = points_m.shape[-3:-1]
    flat_m = points_m.transpose(-3, -2).flatten(-3, -2)  # (..., Q · P, 3)
    with full_precision(points_m.device):  # bfloat16 would be pixels off
        flat_location, flat_visible = project_from_base(
            flat_m.unsqueeze(-3), K, base_T_camera, image_hw_px
        )
    location = flat_location.unflatten(2, (queries, points))  # (B, N, Q, P, 2)
    visible = flat_visible.unflatten(2, (queries, points)) & present[..., None, None]
    if wanted is not None:
        visible = visible & wanted[:, None, :, None]
    location = torch.where(visible[..., None], location, _OUTSIDE)  # behind a camera: not finite
    sees = visible.any(dim=3)  # (B, N, Q)
    query = _list_queries(sees)
    return CameraView(
        query=query,
        location=_pick(location, query),
        visible=_pick(visible, query),
        hits=sees.sum(dim=1),
    )


def _list_queries(sees: Tensor) -> Tensor:
    """For each camera those queries first that it sees, (B, N, M).

    An exported program lists all of them, M = Q, since its shapes cannot depend on values.
    """
    if torch.compiler.is_exporting():
        return torch.arange(sees.shape[2], device=sees.device).expand(sees.shape)
    longest = max(1, int(sees.sum(dim=-1).max()))
    return sees.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[..., :longest]


def _pick(values: Tensor, query: Tensor) -> Tensor:
    """Values (B, N, Q, …) of the listed queries, (B, N, M, …)."""
    first = torch.arange(query.shape[:2].numel(), device=query.device) * values.shape[2]
    rows = first.view(*query.shape[:2], 1) + query  # (B, N, M)
    return values.flatten(0, 2).index_select(0, rows.flatten()).unflatten(0, query.shape)
