"""From sparse queries to the dense volume F̃ of one camera (equations 1 to 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from occflow_ros.models.camera_view import CameraView, see
from occflow_ros.models.mono.completion import Completion
from occflow_ros.models.mono.encoding import CellEncoding
from occflow_ros.models.mono.lifting import CrossLayer, QueryLifting
from occflow_ros.models.mono.proposals import Queries
from occflow_ros.models.mono.views import CameraViews


@dataclass(frozen=True, slots=True)
class CameraVolumes:
    """Of M cameras.

    Args:
        tokens: F̃ (M, Q, C) of all cells in row-major order.
        seen: (M, Q) bool, the centre of the cell lies in the newest image.
    """

    tokens: Tensor
    seen: Tensor


class SparseToDense(nn.Module):
    """Lift where depth says that something is, complete the rest, and look at the image again.

    Args:
        encoding: of the cells' positions.
        lifting: equations 1 and 2.
        completion: equation 3.
        conditioning: layers of equation 6; none leave the completed volume as it is.
    """

    def __init__(
        self,
        encoding: CellEncoding,
        lifting: QueryLifting,
        completion: Completion,
        conditioning: Sequence[CrossLayer],
    ) -> None:
        super().__init__()
        self.encoding = encoding
        self.lifting = lifting
        self.completion = completion
        self.conditioning = nn.ModuleList(conditioning)

    def forward(
        self, features: Sequence[Tensor], queries: Queries, cameras: CameraViews
    ) -> CameraVolumes:
        """L maps (M · T, C, h, w), newest of T first, to the volumes of M cameras."""
        encoding = self.encoding(cameras)  # (M, Q, C)
        lifted = self.lifting(queries.gather(encoding), features, self._view(queries, cameras))
        tokens = self.completion(lifted, queries, encoding, cameras.heading())
        view = self._newest_view(cameras)
        newest = [level.unflatten(0, cameras.present.shape)[:, 0] for level in features]
        for layer in self.conditioning:
            tokens = layer(tokens, encoding, newest, view)
        return CameraVolumes(tokens, view.hits > 0)

    def _view(self, queries: Queries, cameras: CameraViews) -> CameraView:
        """Of the queries, by all T images of each camera."""
        points_m = queries.gather(self.encoding.centers_m)  # (M, K, 3)
        return see(
            points_m.unsqueeze(1),
            cameras.K,
            cameras.base_T_camera,
            cameras.present,
            cameras.image_hw_px,
            queries.valid,
        )

    def _newest_view(self, cameras: CameraViews) -> CameraView:
        """Of all cells, by the newest image of each camera."""
        return see(
            self.encoding.centers_m.unsqueeze(0),
            cameras.K[:, :1],
            cameras.base_T_camera[:, :1],
            cameras.present[:, :1],
            cameras.image_hw_px,
        )
