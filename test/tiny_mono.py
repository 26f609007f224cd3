"""A MonoOcc network that is built and run in milliseconds, and views for it."""

import math

import torch

from occflow_ros.config import BackboneConfig, GridConfig
from occflow_ros.models.build import build_mono_network
from occflow_ros.models.mono.views import Views
from occflow_ros.mono_config import (
    AttentionConfig,
    ClassesConfig,
    ConditioningConfig,
    CrossViewConfig,
    MonoModelConfig,
    ProposalsConfig,
)

IMAGE_HW_PX = (32, 64)
NAMES = ("road", "car", "empty")


def tiny_mono_config(**changes):
    settings = {
        "grid": GridConfig(lower_m=(-8.0, -8.0, -1.0), upper_m=(8.0, 8.0, 3.0), shape=(16, 16, 4)),
        "image_hw_px": IMAGE_HW_PX,
        "classes": ClassesConfig(names=NAMES, empty="empty"),
        "backbone": BackboneConfig(name="convnext_nano", depths=(1, 1, 1, 1), widths=(4, 8, 8, 16)),
        "channels": 8,
        "proposals": ProposalsConfig(channels=4, threshold=0.0, max_queries=40),
        "lifting": AttentionConfig(layers=1, heads=2, points=2),
        "completion": AttentionConfig(layers=1, heads=2, points=2),
        "conditioning": ConditioningConfig(heads=2, points=2),
        "cross_view": CrossViewConfig(heads=2),
    }
    return MonoModelConfig(**settings | changes)


def tiny_mono(seed=0, **changes):
    return build_mono_network(tiny_mono_config(**changes), seed=seed)


def base_T_camera(yaw, x_m=0.0, y_m=0.0, z_m=1.0):
    """Optical frame of a level camera that looks along `yaw` from ego x."""
    sine, cosine = math.sin(yaw), math.cos(yaw)
    return torch.tensor(
        [
            [sine, 0.0, cosine, x_m],
            [-cosine, 0.0, sine, y_m],
            [0.0, -1.0, 0.0, z_m],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def views(yaws=(0.0,), times=1, present=None, seed=0, hw_px=IMAGE_HW_PX):
    """Of level cameras 90° wide; the ego drives 1 m along x between the times."""
    generator = torch.Generator().manual_seed(seed)
    size = (1, times, len(yaws), 3, *hw_px)
    half = hw_px[1] / 2
    K = torch.tensor([[half, 0.0, half - 0.5], [0.0, half, hw_px[0] / 2 - 0.5], [0.0, 0.0, 1.0]])
    poses = [[base_T_camera(yaw, x_m=-1.0 * time) for yaw in yaws] for time in range(times)]
    there = torch.ones(1, times, len(yaws), dtype=torch.bool)
    return Views(
        images=torch.randint(0, 256, size, dtype=torch.uint8, generator=generator),
        K=K.expand(1, times, len(yaws), 3, 3),
        current_T_camera=torch.stack([torch.stack(row) for row in poses])[None],
        present=there if present is None else torch.tensor(present).view(1, times, len(yaws)),
    )


def depth(cameras=1, hw=(8, 16), seed=0):
    """From 1 to 9 m, (1, N, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    return 1.0 + 8.0 * torch.rand(1, cameras, *hw, generator=generator)
