"""3D refine module: residual 3D convolutions, 3D feature pyramid, deconvolution ×2."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock3d(nn.Module):
    """Two 3×3×3 convolutions around a shortcut.

    Args:
        channels_in: incoming channels.
        channels_out: outgoing channels.
        stride: of the first convolution and of the shortcut.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            _norm(channels_out),
            nn.ReLU(),
            nn.Conv3d(channels_out, channels_out, 3, padding=1, bias=False),
            _norm(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv3d(channels_in, channels_out, 1, stride, bias=False), _norm(channels_out)
            )

    def forward(self, volume: Tensor) -> Tensor:
        """(B, C_in, X, Y, Z) to (B, C_out, ⌈X / stride⌉, ⌈Y / stride⌉, ⌈Z / stride⌉)."""
        return functional.relu(self.body(volume) + self.shortcut(volume))


class VolumePyramid(nn.Module):
    """3D FPN: coarse levels are added to finer ones; the finest is what comes out.

    Args:
        widths: channels of the incoming levels, finest first.
        channels: C of the outgoing volume.
    """

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv3d(width, channels, 1) for width in widths)
        self.output = nn.Sequential(
            nn.Conv3d(channels, channels, 3, padding=1, bias=False), _norm(channels), nn.ReLU()
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels (B, widths[l], X_l, Y_l, Z_l) to (B, C, X_0, Y_0, Z_0)."""
        volume = self.lateral[-1](levels[-1])
        for lateral, level in zip(reversed(self.lateral[:-1]), reversed(levels[:-1])):
            volume = lateral(level) + functional.interpolate(
                volume, size=level.shape[2:], mode="trilinear", align_corners=False
            )
        return self.output(volume)


class Refiner(nn.Module):
    """Ṽ' to V_refine at twice its resolution.

    Args:
        channels_in: C of the incoming volume.
        channels: of the first stage and of the pyramid; stage l has 2^l times these.
        blocks: residual blocks of the stages, whose strides are 1, 2, 2.
        channels_out: channels of V_refine.
    """

    def __init__(
        self, channels_in: int, channels: int, blocks: Sequence[int], channels_out: int
    ) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(len(blocks))]
        self.stages = nn.ModuleList(
            _stage(incoming, width, count, stride=1 if level == 0 else 2)
            for level, (incoming, width, count) in enumerate(
                zip((channels_in, *widths), widths, blocks)
            )
        )
        self.pyramid = VolumePyramid(widths, channels)
        double = nn.ConvTranspose3d(channels, channels_out, 2, stride=2, bias=False)
        with torch.no_grad():  # training starts without a checkerboard: the 8 children are alike
            double.weight.copy_(double.weight[:, :, :1, :1, :1].expand_as(double.weight))
        self.upsample = nn.Sequential(double, _norm(channels_out), nn.ReLU())

    def forward(self, volume: Tensor) -> Tensor:
        """(B, channels_in, X, Y, Z) to (B, channels_out, 2X, 2Y, 2Z)."""
        levels = []
        for stage in self.stages:
            volume = stage(volume)
            levels.append(volume)
        return self.upsample(self.pyramid(levels))


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int) -> nn.Sequential:
    first = ResidualBlock3d(channels_in, channels_out, stride)
    rest = (ResidualBlock3d(channels_out, channels_out, 1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, 16), channels)
