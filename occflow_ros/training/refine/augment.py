"""Mirroring of a window by chance, of classes and relative coordinates alike (section 4.1)."""

from __future__ import annotations

import torch

from occflow_ros.refine_config import FlipConfig
from occflow_ros.training.refine.sample import RefineSample


def augment(sample: RefineSample, config: FlipConfig, generator: torch.Generator) -> RefineSample:
    """Mirror along x and along y by chance, all frames alike."""
    drawn = torch.rand(2, generator=generator).tolist()
    for axis, (chance, number) in enumerate(zip((config.x, config.y), drawn)):
        if number < chance:
            sample = mirror(sample, axis)
    return sample


def mirror(sample: RefineSample, axis: int) -> RefineSample:
    """The window in a world mirrored at the middle of the box, 0: along x, 1: along y.

    In box units S = S⁻¹ changes the sign of one axis. The mirrored voxel S·x lies at S·c, so each
    pose becomes S · pivot_T_frame · S, which is rigid again.
    """
    sign = torch.ones(4)
    sign[axis] = -1.0
    return RefineSample(
        classes=sample.classes.flip(axis + 1),
        pivot_T_frame=sign[:, None] * sample.pivot_T_frame * sign,
        truth=sample.truth.flip(axis + 1),
    )
