"""Frames of a ring of cameras that see noise: for warming up and for measuring, never for data."""

from __future__ import annotations

import math

import torch

from occflow_ros.structures import CameraRig, Frame


def ring_frame(cameras: int, image_hw_px: tuple[int, int], index: int) -> Frame:
    """Noise seen by cameras around the ego, each 70° wide, on a straight drive at 10 m/s and 2 Hz.

    Args:
        cameras: how many.
        image_hw_px: of the network.
        index: which frame of the drive, from 0.
    """
    generator = torch.Generator().manual_seed(index)
    size = (cameras, 3, *image_hw_px)
    odom_T_base = torch.eye(4, dtype=torch.float64)
    odom_T_base[0, 3] = 5.0 * index
    return Frame(
        stamp_ns=index * 500_000_000,
        images=torch.randint(0, 256, size, dtype=torch.uint8, generator=generator),
        rig=_ring(cameras, *image_hw_px),
        odom_T_base=odom_T_base,
    )


def _ring(cameras: int, height_px: int, width_px: int) -> CameraRig:
    focal_px = width_px / 2 / math.tan(math.radians(35.0))
    K = torch.tensor(
        [[focal_px, 0.0, width_px / 2], [0.0, focal_px, height_px / 2], [0.0, 0.0, 1.0]]
    )
    yaw = 2.0 * math.pi * torch.arange(cameras) / cameras
    sine, cosine, zero = yaw.sin(), yaw.cos(), torch.zeros(cameras)
    base_T_camera = torch.eye(4).repeat(cameras, 1, 1)
    base_T_camera[:, 0, :3] = torch.stack((sine, zero, cosine), dim=-1)
    base_T_camera[:, 1, :3] = torch.stack((-cosine, zero, sine), dim=-1)
    base_T_camera[:, 2, :3] = torch.tensor([0.0, -1.0, 0.0])
    base_T_camera[:, :3, 3] = torch.stack((cosine, sine, zero + 1.6), dim=-1)
    return CameraRig(
        names=tuple(f"camera_{index}" for index in range(cameras)),
        K=K.repeat(cameras, 1, 1),
        base_T_camera=base_T_camera,
        present=torch.ones(cameras, dtype=torch.bool),
    )
