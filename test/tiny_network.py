"""A network of a few thousand parameters, a ring of cameras and a drive, for tests."""

import math

import torch

from occflow_ros import config
from occflow_ros.structures import CameraRig, Frame

HW_PX = (32, 64)


def tiny_config(history=2, fusion="backward_forward", shape=(16, 12, 4), **stream):
    model = config.ModelConfig(
        grid=config.GridConfig(lower_m=(-8.0, -8.0, -1.0), upper_m=(8.0, 8.0, 3.0), shape=shape),
        image_hw_px=HW_PX,
        backbone=config.BackboneConfig(depths=(1, 1, 1, 1), widths=(8, 8, 16, 16)),
        channels=16,
        lifter=config.LifterConfig(
            layers=2,
            heads=2,
            cross_plane_points=2,
            image_points_hw=3,
            image_points_zh=2,
            image_points_wz=2,
        ),
        temporal=config.TemporalConfig(fusion=fusion, history=history, heads=2, points=2),
        refiner=config.RefinerConfig(blocks=(1, 1, 1), channels=16, output_channels=8),
        heads=config.HeadsConfig(hidden=8),
    )
    return config.Config(model=model, stream=config.StreamConfig(**stream))


def as_trained(network, seed=1):
    """Other weights by chance, none near zero, so that every part of the network has a say."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.add_(0.2 * noise)
            elif parameter.ndim > 1 and "queries" not in name:
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
    return network


def ring(cameras, hw_px=HW_PX, present=None):
    """Cameras that look outwards from a ring of 0.5 m, the first one ahead, 90° wide."""
    height, width = hw_px
    K = torch.tensor([[width / 2, 0, (width - 1) / 2], [0, width / 2, (height - 1) / 2], [0, 0, 1]])
    poses = torch.eye(4).repeat(cameras, 1, 1)
    for index in range(cameras):
        angle = 2 * math.pi * index / cameras
        sine, cosine = math.sin(angle), math.cos(angle)
        poses[index, :3, :3] = torch.tensor([[sine, 0, cosine], [-cosine, 0, sine], [0, -1, 0]])
        poses[index, :3, 3] = torch.tensor([0.5 * cosine, 0.5 * sine, 1.5])
    return CameraRig(
        names=tuple(f"cam_{index}" for index in range(cameras)),
        K=K.repeat(cameras, 1, 1),
        base_T_camera=poses,
        present=torch.ones(cameras, dtype=torch.bool) if present is None else torch.tensor(present),
    )


def pose(x_m=0.0, y_m=0.0, yaw_rad=0.0):
    odom_T_base = torch.eye(4, dtype=torch.float64)
    sine, cosine = math.sin(yaw_rad), math.cos(yaw_rad)
    odom_T_base[:2, :2] = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    odom_T_base[:2, 3] = torch.tensor([x_m, y_m], dtype=torch.float64)
    return odom_T_base


def frame(index, cameras=3, hw_px=HW_PX, stamp_ns=None, odom_T_base=None):
    """Frame `index` of a curved drive at 2 Hz, far from the origin of odom, images by chance."""
    generator = torch.Generator().manual_seed(index)
    return Frame(
        stamp_ns=10**9 + index * 500_000_000 if stamp_ns is None else stamp_ns,
        images=torch.randint(0, 256, (cameras, 3, *hw_px), dtype=torch.uint8, generator=generator),
        rig=ring(cameras, hw_px),
        odom_T_base=pose(5000.0 + 1.7 * index, 0.2 * index**2, 0.11 * index)
        if odom_T_base is None
        else odom_T_base,
    )


def batch(*frames):
    """Images, K, base_T_camera and present of frames as the network takes them."""
    return (
        torch.stack([item.images for item in frames]),
        torch.stack([item.rig.K for item in frames]),
        torch.stack([item.rig.base_T_camera for item in frames]),
        torch.stack([item.rig.present for item in frames]),
    )


def assert_same(got, expected, atol_m=1e-5):
    """Both fields of two predictions, to rounding unless another bound is given."""
    for field in ("sdf_m", "flow_m"):
        torch.testing.assert_close(
            getattr(got, field), getattr(expected, field), atol=atol_m, rtol=0, check_dtype=False
        )


def differs(got, expected, by_m=1e-3):
    """Whether two predictions are clearly not the same."""
    return bool((got.sdf_m - expected.sdf_m).abs().max() > by_m)
