"""Rays through the ego frame, each with the segment that is rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from occflow_ros.structures import VoxelGrid

_PARALLEL = 1e-12
"""A smaller component of a unit direction counts as this, so that no 0 / 0 arises."""


@dataclass(frozen=True, slots=True)
class Rays:
    """Points origin + range · direction of the ego frame, for near ≤ range ≤ far.

    Args:
        origins_m: (R, 3) in the ego frame.
        directions: (R, 3) unit vectors of the ego frame.
        near_m: (R,) range along the ray where its segment starts.
        far_m: (R,) range along the ray where its segment ends.
        axis_cosine: (R,) cosine of the angle to the camera's optical axis, so that
            depth = cosine · range; None for rays of no camera.

    Raises:
        ValueError: where the shapes do not belong together.
    """

    origins_m: Tensor
    directions: Tensor
    near_m: Tensor
    far_m: Tensor
    axis_cosine: Tensor | None = None

    def __post_init__(self) -> None:
        count = self.origins_m.shape[0]
        for name, value, shape in (
            ("origins_m", self.origins_m, (count, 3)),
            ("directions", self.directions, (count, 3)),
            ("near_m", self.near_m, (count,)),
            ("far_m", self.far_m, (count,)),
            ("axis_cosine", self.axis_cosine, (count,)),
        ):
            if value is not None and tuple(value.shape) != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")

    def __len__(self) -> int:
        return self.origins_m.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Rays:
        cosine = self.axis_cosine
        return Rays(
            origins_m=self.origins_m[rows],
            directions=self.directions[rows],
            near_m=self.near_m[rows],
            far_m=self.far_m[rows],
            axis_cosine=None if cosine is None else cosine[rows],
        )

    @property
    def is_empty(self) -> Tensor:
        """(R,) bool, the segment has no length: nothing can be seen along this ray."""
        return self.far_m <= self.near_m

    def points_m(self, range_m: Tensor) -> Tensor:
        """Points (R, S, 3) of the ego frame at ranges (R, S)."""
        along_m = range_m.unsqueeze(-1) * self.directions.unsqueeze(1)  # (R, S, 3)
        return self.origins_m.unsqueeze(1) + along_m


def camera_rays(
    directions_camera: Tensor, base_T_camera: Tensor, near_m: float, far_m: float
) -> Rays:
    """Rays of one camera or of several.

    Args:
        directions_camera: (..., P, 3) in the optical frame, any positive length, as `pixel_rays`
            gives them.
        base_T_camera: (..., 4, 4) optical frame to ego frame.
        near_m: range along the ray, not depth, where all segments start.
        far_m: the same where they end.

    Returns:
        R = ... · P rays in the order of the directions.

    Raises:
        ValueError: where the shapes do not belong together or the segment is empty.
    """
    leading = base_T_camera.shape[:-2]
    if base_T_camera.shape[-2:] != (4, 4) or directions_camera.shape[:-2] != leading:
        raise ValueError(
            "expected directions (..., P, 3) and poses (..., 4, 4), got "
            f"{tuple(directions_camera.shape)} and {tuple(base_T_camera.shape)}"
        )
    if not 0.0 <= near_m < far_m:
        raise ValueError(f"expected 0 <= near_m < far_m, got {near_m} and {far_m}")
    pose = base_T_camera.to(directions_camera)
    unit = directions_camera / directions_camera.norm(dim=-1, keepdim=True)
    # Not a matrix product, which autocast would round to half precision.
    turned = (unit.unsqueeze(-2) * pose[..., None, :3, :3]).sum(dim=-1)  # (..., P, 3)
    directions = turned.reshape(-1, 3)  # (R, 3)
    origins_m = pose[..., None, :3, 3].expand(unit.shape).reshape(-1, 3)  # (R, 3)
    near = torch.full_like(directions[:, 0], near_m)
    return Rays(origins_m, directions, near, torch.full_like(near, far_m), unit[..., 2].flatten())


def clip_to_grid(rays: Rays, grid: VoxelGrid) -> Rays:
    """The part of each segment that lies inside the grid, by the slab test.

    A ray enters the box where it has entered all three slabs lower ≤ x ≤ upper, and leaves it
    where it leaves the first. A ray that misses gets far = near, see `Rays.is_empty`; all its
    samples fall on one point, which makes its opacity exactly zero.
    """
    slope = torch.where(rays.directions.abs() < _PARALLEL, _PARALLEL, rays.directions)
    lower_m = (rays.origins_m.new_tensor(grid.lower_m) - rays.origins_m) / slope  # (R, 3)
    upper_m = (rays.origins_m.new_tensor(grid.upper_m) - rays.origins_m) / slope
    enter_m = torch.minimum(lower_m, upper_m).amax(dim=-1)
    leave_m = torch.maximum(lower_m, upper_m).amin(dim=-1)
    near_m, far_m = rays.near_m.maximum(enter_m), rays.far_m.minimum(leave_m)
    missed = far_m <= near_m
    near_m = torch.where(missed, rays.near_m, near_m)
    return replace(rays, near_m=near_m, far_m=torch.where(missed, near_m, far_m))
