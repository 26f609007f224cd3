"""Where a ray is sampled: one sample in each of S equal parts of its segment."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.rendering.rays import Rays


def stratified_offsets(rays: Rays, generator: torch.Generator | None = None) -> Tensor:
    """(R, 1) random offsets in [0, 1), one for all samples of a ray.

    Every place in a part is equally likely, as with a draw for each sample, but the step stays
    the same along the ray, and so does the sharpness of what it sees.
    """
    near_m = rays.near_m
    return torch.rand(len(rays), 1, generator=generator, dtype=near_m.dtype, device=near_m.device)


def sample_ranges(rays: Rays, n_samples: int, offsets: Tensor | None = None) -> Tensor:
    """t_i = near + (far − near) · (i + u) / S for i = 0 … S − 1.

    Example: near 0 m, far 4 m, S = 4 and u = ½ give 0.5, 1.5, 2.5 and 3.5 m. The deltas between
    samples are `range_m.diff(dim=1)`.

    Args:
        rays: R of them.
        n_samples: S.
        offsets: (R, 1) u of each ray, or (R, S) of each sample, in [0, 1]; None: ½, uniform.

    Returns:
        range_m (R, S), ascending.

    Raises:
        ValueError: where there are fewer than two samples, or the offsets have another shape.
    """
    if n_samples < 2:
        raise ValueError(f"n_samples: expected at least 2, got {n_samples}")
    if offsets is not None and tuple(offsets.shape) not in ((len(rays), 1), (len(rays), n_samples)):
        raise ValueError(
            f"offsets: expected ({len(rays)}, 1 or {n_samples}), got {tuple(offsets.shape)}"
        )
    part = torch.arange(n_samples, dtype=rays.near_m.dtype, device=rays.near_m.device)
    share = (part + (0.5 if offsets is None else offsets)) / n_samples  # (S) or (R, S)
    length_m = (rays.far_m - rays.near_m).unsqueeze(1)  # (R, 1)
    return rays.near_m.unsqueeze(1) + length_m * share  # (R, S)
