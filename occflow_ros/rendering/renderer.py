"""What rays see of a field: range, flow, opacity and more (equation 14)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from occflow_ros.geometry.camera import pixel_rays
from occflow_ros.rendering import neus
from occflow_ros.rendering.field import Field, FieldValues
from occflow_ros.rendering.rays import Rays, camera_rays, clip_to_grid
from occflow_ros.rendering.samplers import sample_ranges
from occflow_ros.structures import VoxelGrid


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of some rays of a call.

    Args:
        rows: which rays of the call.
        range_m: (R, S) along the ray.
        points_m: (R, S, 3) in the ego frame.
        values: of the field at the points.
        weights: (R, S) w_i.
    """

    rows: slice
    range_m: Tensor
    points_m: Tensor
    values: FieldValues
    weights: Tensor

    def expected(self, quantity: Tensor) -> Tensor:
        """Σ_i w_i q_i of a quantity (R, S, ...), as (R, ...); equation 14."""
        ones = [1] * (quantity.ndim - 2)
        weights = self.weights.reshape(*self.weights.shape, *ones)  # (R, S, 1, ...)
        return (weights * quantity).sum(dim=1)


PerRay = Callable[[Samples], Mapping[str, Tensor]]
"""Samples of R rays to named results (R, ...): expected colours, losses."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What each ray sees; sums over its samples, not divided by the opacity.

    Args:
        range_m: (...) Σ w_i t_i along the ray.
        depth_m: (...) the same along the camera's optical axis; None for rays of no camera.
        opacity: (...) Σ w_i, in [0, 1].
        flow_m: (..., 2) Σ w_i f_i along ego x and y; None where the field has no flow.
        per_ray: the named results (..., F) of the caller's function.
    """

    range_m: Tensor
    depth_m: Tensor | None
    opacity: Tensor
    flow_m: Tensor | None
    per_ray: Mapping[str, Tensor]


def render(
    field: Field,
    rays: Rays,
    sharpness_per_m: Tensor | float,
    *,
    n_samples: int,
    max_samples_at_once: int,
    offsets: Tensor | None = None,
    closed: bool = False,
    per_ray: PerRay | None = None,
) -> Rendered:
    """Samples, weighs and sums, a chunk of rays at a time.

    Between chunks only what each ray sees is kept: with more than one chunk the backward pass
    computes a chunk's samples again, so the bound holds in training too. The result does not
    depend on the bound.

    Args:
        field: values at points of the ego frame.
        rays: R of them.
        sharpness_per_m: ξ of equation 13, learnable as a scalar tensor.
        n_samples: S per ray.
        max_samples_at_once: bound of samples in memory.
        offsets: as `sample_ranges` takes them; None: uniform.
        closed: the last sample of a ray takes what is left of its weight, as if the segment ended
            at a wall; the opacity is still that of the field alone, and an empty ray sees nothing.
        per_ray: called once per chunk for further results, and again in the backward pass.

    Raises:
        ValueError: where the bound has no room for one ray, or shapes do not belong together.
    """
    if max_samples_at_once < n_samples:
        raise ValueError(
            f"max_samples_at_once: expected at least n_samples = {n_samples}, "
            f"got {max_samples_at_once}"
        )
    if offsets is not None and len(offsets) != len(rays):
        raise ValueError(f"offsets: expected {len(rays)} rows, got {len(offsets)}")

    def render_rows(rows: slice) -> Rendered:
        part = rays[rows]
        with torch.autocast(part.directions.device.type, enabled=False):
            range_m = sample_ranges(part, n_samples, None if offsets is None else offsets[rows])
            samples, opacity = _samples(field, part, range_m, sharpness_per_m, rows, closed)
            return _sums(samples, opacity, part.axis_cosine, per_ray)

    chunks = _chunks(len(rays), max_samples_at_once // n_samples)
    if len(chunks) == 1:
        return render_rows(chunks[0])
    if torch.is_grad_enabled():
        parts = [checkpoint(render_rows, rows, use_reentrant=False) for rows in chunks]
    else:
        parts = [render_rows(rows) for rows in chunks]
    return _combine(parts, torch.cat)


def render_view(
    field: Field,
    grid: VoxelGrid,
    K: Tensor,
    base_T_camera: Tensor,
    image_hw_px: tuple[int, int],
    sharpness_per_m: Tensor | float,
    *,
    near_m: float,
    far_m: float,
    n_samples: int,
    max_samples_at_once: int,
) -> Rendered:
    """What a camera at any pose would see of the grid, one ray per pixel.

    Args:
        field: values at points of the ego frame.
        grid: rays are clipped to it.
        K: (3, 3) intrinsics in pixels of the image.
        base_T_camera: (4, 4) optical frame to ego frame.
        image_hw_px: H and W.
        sharpness_per_m: ξ of equation 13.
        near_m: range along the ray, not depth, where rendering starts.
        far_m: the same where it ends.
        n_samples: per ray.
        max_samples_at_once: bound of samples in memory.

    Returns:
        images (H, W) and (H, W, 2).
    """
    directions = pixel_rays(K, *image_hw_px).flatten(0, 1)  # (H·W, 3)
    rays = clip_to_grid(camera_rays(directions, base_T_camera, near_m, far_m), grid)
    view = render(
        field,
        rays,
        sharpness_per_m,
        n_samples=n_samples,
        max_samples_at_once=max_samples_at_once,
    )
    return _combine([view], lambda rows: rows[0].unflatten(0, image_hw_px))  # (H, W, ...)


def _samples(
    field: Field,
    rays: Rays,
    range_m: Tensor,
    sharpness_per_m: Tensor | float,
    rows: slice,
    closed: bool,
) -> tuple[Samples, Tensor]:
    points_m = rays.points_m(range_m)
    values = field(points_m)
    if values.sdf_m.shape != range_m.shape:
        raise ValueError(
            f"field: expected sdf_m {tuple(range_m.shape)}, got {tuple(values.sdf_m.shape)}"
        )
    weights = neus.weights(values.sdf_m, sharpness_per_m)
    opacity = weights.sum(dim=1)
    if closed:
        left = torch.where(rays.is_empty, 0.0, 1.0 - opacity)
        last = weights[:, -1:] + left.unsqueeze(1)  # (R, 1)
        weights = torch.cat((weights[:, :-1], last), dim=1)
    return Samples(rows, range_m, points_m, values, weights), opacity


def _sums(
    samples: Samples, opacity: Tensor, axis_cosine: Tensor | None, per_ray: PerRay | None
) -> Rendered:
    range_m = samples.expected(samples.range_m)
    flow_m = samples.values.flow_m
    return Rendered(
        range_m=range_m,
        depth_m=None if axis_cosine is None else axis_cosine * range_m,
        opacity=opacity,
        flow_m=None if flow_m is None else samples.expected(flow_m),
        per_ray={} if per_ray is None else dict(per_ray(samples)),
    )


def _chunks(count: int, at_once: int) -> list[slice]:
    """Parts of almost equal size, at most `at_once` each; one empty part where there is nothing."""
    parts = max(1, math.ceil(count / at_once))
    ends = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _combine(parts: list[Rendered], combine: Callable[[list[Tensor]], Tensor]) -> Rendered:
    """One result whose every tensor is made of those of the parts."""

    def optional(values: list[Tensor | None]) -> Tensor | None:
        present = [value for value in values if value is not None]
        return combine(present) if present else None

    return Rendered(
        range_m=combine([part.range_m for part in parts]),
        depth_m=optional([part.depth_m for part in parts]),
        opacity=combine([part.opacity for part in parts]),
        flow_m=optional([part.flow_m for part in parts]),
        per_ray={
            name: combine([part.per_ray[name] for part in parts]) for name in parts[0].per_ray
        },
    )
