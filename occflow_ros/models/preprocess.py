"""From camera bytes to what the backbone was made for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageNormalizer(nn.Module):
    """RGB bytes to zero mean and unit variance over ImageNet, on the device of the network."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            tensor = 255.0 * torch.tensor(values).view(1, 3, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, N, 3, H, W) uint8 to (B·N, 3, H, W) float, channels last in memory."""
        flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return (flat.to(self.mean.dtype) - self.mean) / self.std
