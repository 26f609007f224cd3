"""Changes of a sample by chance that leave its geometry right: mirroring and colours."""

from __future__ import annotations

from dataclasses import replace

import torch

from occflow_ros.structures import VoxelGrid
from occflow_ros.training.augment import draw_changes, jitter_colors, mirror_frame
from occflow_ros.training.mono.sample import MonoSample, PixelClasses
from occflow_ros.training_config import AugmentationConfig


def augment(
    sample: MonoSample, config: AugmentationConfig, generator: torch.Generator
) -> MonoSample:
    """Mirror and change the colours by chance, those of all frames alike."""
    flip, change = draw_changes(config, generator)
    if change is not None:
        frames = (
            replace(frame, images=jitter_colors(frame.images, change)) for frame in sample.frames
        )
        sample = replace(sample, frames=tuple(frames))
    return mirror(sample) if flip else sample


def mirror(sample: MonoSample) -> MonoSample:
    """The sample in a world mirrored at the ego's x-z plane, as `training.augment.mirror` does it.

    Truth is on a grid for which `mirrors` holds.
    """
    width, sign = sample.pixels.location.new_tensor(((1.0, 0.0), (-1.0, 1.0)))  # x → 1 − x
    return MonoSample(
        frames=tuple(mirror_frame(frame) for frame in sample.frames),
        depth_m=sample.depth_m.flip(-1),
        classes=sample.classes.flip(1),
        pixels=PixelClasses(
            camera=sample.pixels.camera,
            location=width + sign * sample.pixels.location,
            class_id=sample.pixels.class_id,
        ),
    )


def mirrors(grid: VoxelGrid) -> bool:
    """Whether the grid reaches as far to the left as to the right, so that mirroring keeps it."""
    return abs(grid.lower_m[1] + grid.upper_m[1]) < 1e-6 * grid.voxel_size_m[1]
