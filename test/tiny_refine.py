"""A refining network that is built and run in milliseconds, and windows for it."""

import torch

from occflow_ros.config import GridConfig
from occflow_ros.models.build import build_refine_network
from occflow_ros.models.refine.coordinates import relative_coordinates
from occflow_ros.refine_config import PropagationConfig, RefineClassesConfig, RefineModelConfig

NAMES = ("road", "car", "empty")
SHAPE = (12, 8, 2)
BOX = ((-6.0, -4.0, -1.0), (6.0, 4.0, 1.0))


def tiny_refine_config(propagation=None, **changes):
    blocks = {"blocks": 1, "channels": 8, "heads": 2, "patch": 3, "stride": 1, "window": 2}
    settings = {
        "grid": GridConfig(lower_m=BOX[0], upper_m=BOX[1], shape=SHAPE),
        "classes": RefineClassesConfig(names=NAMES, empty="empty", movable=("car",)),
        "local_frames": 3,
        "reference_radius": 4,
        "embedding": 4,
        "channels": 8,
        "encoder_blocks": 2,
        "propagation": PropagationConfig(**blocks | (propagation or {})),
    }
    return RefineModelConfig(**settings | changes)


def tiny_refine(seed=0, learned=True, **changes):
    """One that says something in all its parts, as one that has learned does."""
    network = build_refine_network(tiny_refine_config(**changes), seed=seed)
    if learned:
        generator = torch.Generator().manual_seed(seed)
        learns_last = [network.head.correction]
        if network.propagation is not None:
            learns_last.append(network.propagation.compose.linear)
        with torch.no_grad():
            for one in learns_last:
                one.weight.copy_(torch.randn(one.weight.shape, generator=generator))
    return network


def random_window(times=4, seed=0, batch=1):
    """Classes (B, T, X, Y, Z) and coordinates of frames that are some cells apart."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, len(NAMES), (batch, times, *SHAPE), generator=generator)
    poses = torch.eye(4).repeat(batch, times, 1, 1)
    poses[..., :3, 3] = 0.3 * torch.randn(batch, times, 3, generator=generator)
    return classes, relative_coordinates(poses, SHAPE)
