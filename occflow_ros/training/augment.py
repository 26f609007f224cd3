"""Changes of a sample by chance that leave its geometry right: mirroring and colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from occflow_ros.structures import CameraRig, Clip, Frame
from occflow_ros.training.sample import LidarReturns, OtherImages, TrainingSample
from occflow_ros.training_config import AugmentationConfig

_EGO = torch.tensor([1.0, -1.0, 1.0, 1.0])
"""Mirrors y, left and right of the ego frame."""

_OPTICAL = torch.tensor([-1.0, 1.0, 1.0, 1.0])
"""Mirrors x, left and right of an image."""


@dataclass(frozen=True, slots=True)
class ColorChange:
    """How colours change; all zero leaves them as they are.

    Args:
        brightness: share by which everything becomes brighter.
        contrast: share by which differences to the mean grow.
        saturation: share by which differences to grey grow.
        hue: turn about the grey axis, in full turns.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


def augment(
    sample: TrainingSample, config: AugmentationConfig, generator: torch.Generator
) -> TrainingSample:
    """Mirror and change the colours by chance; only the network sees the changed colours."""
    flip, change = draw_changes(config, generator)
    if change is not None:
        frames = sample.clip.frames
        changed = (replace(one, images=jitter_colors(one.images, change)) for one in frames)
        sample = replace(sample, clip=Clip(tuple(changed)))
    return mirror(sample) if flip else sample


def draw_changes(
    config: AugmentationConfig, generator: torch.Generator
) -> tuple[bool, ColorChange | None]:
    """Whether to mirror, and how to change the colours, None where they stay."""
    flip, jitter, *changes = torch.rand(6, generator=generator).tolist()
    limits = (config.brightness, config.contrast, config.saturation, config.hue)
    change = ColorChange(*((2.0 * c - 1.0) * limit for c, limit in zip(changes, limits)))
    return flip < config.flip, change if jitter < config.jitter else None


def mirror(sample: TrainingSample) -> TrainingSample:
    """The sample in a world mirrored at the ego's x-z plane: left turns become right turns.

    With M the mirror of the ego frame and C that of an optical frame, poses become M·T·C, ego
    poses M·T·M, pixels u → W − 1 − u and optical flow (u, v) → (−u, v). Each camera keeps its
    place in the order although it now looks to the other side.
    """
    lidar = sample.lidar
    return TrainingSample(
        clip=Clip(tuple(mirror_frame(frame) for frame in sample.clip.frames)),
        images=sample.images.flip(-1),
        previous=_mirror_other(sample.previous),
        following=_mirror_other(sample.following),
        movable=sample.movable.flip(-1),
        lidar=None
        if lidar is None
        else LidarReturns(lidar.origin_m * _EGO[:3], lidar.points_m * _EGO[:3]),
    )


def mirror_frame(frame: Frame) -> Frame:
    """The frame in a world mirrored at the ego's x-z plane, see `mirror`."""
    rig = frame.rig
    return Frame(
        stamp_ns=frame.stamp_ns,
        images=frame.images.flip(-1),
        rig=CameraRig(
            names=rig.names,
            K=_mirror_intrinsics(rig.K, frame.images.shape[-1]),
            base_T_camera=_mirror_pose(rig.base_T_camera),
            present=rig.present,
        ),
        odom_T_base=frame.odom_T_base * torch.outer(_EGO, _EGO).double(),
    )


def _mirror_other(other: OtherImages) -> OtherImages:
    return replace(
        other,
        images=other.images.flip(-1),
        K=_mirror_intrinsics(other.K, other.images.shape[-1]),
        base_T_camera=_mirror_pose(other.base_T_camera),
        flow_px=other.flow_px.flip(-2) * other.flow_px.new_tensor((-1.0, 1.0)),
        known=other.known.flip(-1),
    )


def _mirror_pose(base_T_camera: Tensor) -> Tensor:
    """M·T·C; both mirrors are diagonal, so each entry only changes its sign."""
    return base_T_camera * torch.outer(_EGO, _OPTICAL).to(base_T_camera)


def _mirror_intrinsics(K: Tensor, width_px: int) -> Tensor:
    mirrored = K.clone()
    mirrored[..., 0, 2] = width_px - 1 - K[..., 0, 2]
    mirrored[..., 0, 1] = -K[..., 0, 1]  # skew
    return mirrored


def jitter_colors(images: Tensor, change: ColorChange) -> Tensor:
    """Images (..., 3, H, W) uint8 with other brightness, contrast, saturation and hue.

    All images of a sample change alike, as if the light or the camera were another one.
    """
    colors = images.float() * ((1.0 + change.brightness) / 255.0)
    mean = colors.mean(dim=(-3, -2, -1), keepdim=True)
    colors = mean + (colors - mean) * (1.0 + change.contrast)
    turned = torch.einsum("ij,...jhw->...ihw", _color_matrix(change), colors)  # (..., 3, H, W)
    return (turned * 255.0).round().clamp(0.0, 255.0).to(torch.uint8)


def _color_matrix(change: ColorChange) -> Tensor:
    """(3, 3): hue turns the colour about the grey axis, saturation stretches it away from there."""
    grey = torch.full((3, 3), 1.0 / 3.0)
    angle = torch.tensor(2.0 * torch.pi * change.hue)
    axis = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3.0**0.5
    about_grey = (torch.eye(3) - grey) * angle.cos() + axis * angle.sin()
    return grey + about_grey * (1.0 + change.saturation)
