"""2D-to-3D encoder: tri-perspective view queries gather image features (equations 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from occflow_ros.models.attention import (
    SamplingHead,
    feed_forward,
    place,
    softmax_over_samples,
    to_map,
)
from occflow_ros.models.camera_view import CameraView, see
from occflow_ros.models.tpv import (
    PLANES,
    PlaneEncoding,
    line_points,
    other_planes,
    sum_planes,
    to_metres,
)
from occflow_ros.ops.deform_attn import deform_attn
from occflow_ros.structures import VoxelGrid


class CrossPlaneAttention(nn.Module):
    """DAttn(T^{p_i}, {T^{p_j}}): a cell looks into the other two planes along its own line.

    Args:
        plane: row and column axis of the querying plane.
        shape: (X, Y, Z) of the volume.
        channels: C.
        heads: attention heads.
        points: samples per head and plane.
    """

    reference: Tensor

    def __init__(
        self,
        plane: tuple[int, int],
        shape: tuple[int, int, int],
        channels: int,
        heads: int,
        points: int,
    ) -> None:
        super().__init__()
        self.others = other_planes(plane)
        self.sizes = [(shape[PLANES[i][0]], shape[PLANES[i][1]]) for i in self.others]
        line = line_points(plane, shape, points)  # (P, Q, 3)
        columns_then_rows = [line[..., [PLANES[i][1], PLANES[i][0]]] for i in self.others]
        reference = torch.stack(columns_then_rows).permute(2, 0, 1, 3)  # (Q, 2, P, 2)
        self.register_buffer("reference", reference.unsqueeze(1).contiguous(), persistent=False)
        self.sampling = SamplingHead(channels, heads, len(self.others), [0.5] * points)
        self.values = nn.ModuleList(nn.Linear(channels, channels) for _ in self.others)
        self.output = nn.Linear(channels, channels)
        self.heads = heads

    def forward(self, query: Tensor, planes: Sequence[Tensor]) -> Tensor:
        """Queries (B, Q, C) with encoding, and the tokens of all planes, to (B, Q, C)."""
        maps = [
            to_map(value(planes[index]), self.heads, *size)
            for index, value, size in zip(self.others, self.values, self.sizes)
        ]
        offsets, logits = self.sampling(query)
        locations = place(self.reference, offsets, maps)
        return self.output(deform_attn(maps, locations, softmax_over_samples(logits)))


class ImageCrossAttention(nn.Module):
    """DAttn(T^{p_i}, F): a cell looks at the projections of the points on its line.

    Only pairs of query and camera that see one of the points are computed. The attention of a pair
    is shared among the points that are visible to its camera; a query's answer is the mean over
    the cameras that see it.

    Args:
        channels: C.
        heads: attention heads.
        levels: maps of the feature pyramid.
        radii_cells: how far from its point on the line each sample of a head and level starts.
    """

    def __init__(
        self, channels: int, heads: int, levels: int, radii_cells: Sequence[float]
    ) -> None:
        super().__init__()
        self.sampling = SamplingHead(channels, heads, levels, radii_cells)
        self.output = nn.Linear(channels, channels)

    def forward(self, query: Tensor, maps: Sequence[Tensor], view: CameraView) -> Tensor:
        """Queries (B, Q, C) and L values (B · N, H_l, W_l, heads, C / heads) to (B, Q, C)."""
        offsets, logits = self.sampling(view.gather(query))  # (B · N, M, heads, L, P, 2)
        location = view.location.flatten(0, 1)[:, :, None, None]  # (B · N, M, 1, 1, P, 2)
        visible = view.visible.flatten(0, 1)[:, :, None, None]  # (B · N, M, 1, 1, P)
        weights = softmax_over_samples(logits.masked_fill(~visible, -1e4)) * visible
        answers = deform_attn(maps, place(location, offsets, maps), weights)  # (B · N, M, C)
        seen = (view.hits > 0).unsqueeze(-1)  # (B, Q, 1)
        return self.output(view.mean_over_cameras(answers)) * seen


class PlaneLayer(nn.Module):
    """One plane's T ← FFN(DAttn(DAttn(T, other planes), F)), each with residual and norm.

    Args:
        cross_plane: attention into the other planes.
        image: attention into the images.
        channels: C.
        ffn_channels: hidden width of the FFN.
    """

    def __init__(
        self,
        cross_plane: CrossPlaneAttention,
        image: ImageCrossAttention,
        channels: int,
        ffn_channels: int,
    ) -> None:
        super().__init__()
        self.cross_plane = cross_plane
        self.image = image
        self.ffn = feed_forward(channels, ffn_channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))

    def forward(
        self,
        plane: Tensor,
        encoding: Tensor,
        planes: Sequence[Tensor],
        maps: Sequence[Tensor],
        view: CameraView,
    ) -> Tensor:
        """The plane's tokens (B, Q, C) and their encoding (Q, C) to new tokens (B, Q, C)."""
        across, seen, mixed = self.norms
        plane = across(plane + self.cross_plane(plane + encoding, planes))
        plane = seen(plane + self.image(plane + encoding, maps, view))
        return mixed(plane + self.ffn(plane))


class TpvLayer(nn.Module):
    """Equation 3 for all three planes at once; they share the values of the images.

    Args:
        planes: one layer per plane, in the order of `PLANES`.
        channels: C.
        heads: attention heads.
    """

    def __init__(self, planes: Sequence[PlaneLayer], channels: int, heads: int) -> None:
        super().__init__()
        self.planes = nn.ModuleList(planes)
        self.value = nn.Conv2d(channels, channels, 1)
        self.heads = heads

    def forward(
        self,
        planes: Sequence[Tensor],
        encodings: Sequence[Tensor],
        features: Sequence[Tensor],
        views: Sequence[CameraView],
    ) -> list[Tensor]:
        """Tokens of the three planes to their new tokens."""
        maps = [
            self.value(level).permute(0, 2, 3, 1).unflatten(3, (self.heads, -1))
            for level in features
        ]  # L of (B · N, H_l, W_l, heads, C / heads)
        return [
            layer(plane, encoding, planes, maps, view)
            for layer, plane, encoding, view in zip(self.planes, planes, encodings, views)
        ]


class Lifter(nn.Module):
    """Image features to the volume V: learned queries T, layers of eq. 3, sum of the planes.

    Args:
        layers: ready layers.
        grid: where the volume lies in the ego frame, and its shape.
        channels: C.
        image_points: points on the lines of T^HW, T^ZH and T^WZ that are projected.
    """

    def __init__(
        self,
        layers: Sequence[TpvLayer],
        grid: VoxelGrid,
        channels: int,
        image_points: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.grid = grid
        self.channels = channels
        self.layers = nn.ModuleList(layers)
        self.encodings = nn.ModuleList(PlaneEncoding(plane, grid, channels) for plane in PLANES)
        self.queries = nn.ParameterList()
        for index, (plane, points) in enumerate(zip(PLANES, image_points)):
            line_m = to_metres(line_points(plane, grid.shape, points), grid)
            self.register_buffer(f"line_m_{index}", line_m, persistent=False)
            self.queries.append(nn.Parameter(torch.randn(line_m.shape[1], channels)))

    def forward(
        self,
        features: Sequence[Tensor],
        K: Tensor,
        base_T_camera: Tensor,
        present: Tensor,
        image_hw_px: tuple[int, int],
    ) -> Tensor:
        """Gather the features of N cameras into the volume.

        Args:
            features: L maps (B · N, C, H_l, W_l).
            K: (B, N, 3, 3) intrinsics in pixels of the images.
            base_T_camera: (B, N, 4, 4) optical frame to ego frame.
            present: (B, N) bool.
            image_hw_px: size of the images the features come from.

        Returns:
            V (B, C, X, Y, Z).
        """
        views = [
            see(self.get_buffer(f"line_m_{index}"), K, base_T_camera, present, image_hw_px)
            for index in range(len(PLANES))
        ]
        encodings = [encoding() for encoding in self.encodings]
        planes = [query.expand(K.shape[0], -1, -1) for query in self.queries]
        for layer in self.layers:
            planes = layer(planes, encodings, features, views)
        return sum_planes(planes, self.grid.shape)
