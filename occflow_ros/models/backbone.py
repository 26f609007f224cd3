"""2D image backbone [31]: ConvNeXt or ResNet at strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, Self

from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import ConvNextBackbone, ConvNextConfig, ResNetBackbone, ResNetConfig

Family = Literal["convnext", "resnet"]

_REDUCTIONS = (4, 2, 2, 2)


class Backbone(nn.Module):
    """Images to one feature map per stage; built from its sizes, nothing is downloaded.

    ConvNeXt's maps pass a LayerNorm each, which ImageNet weights lack; ResNet's come as they are.

    Args:
        family: `convnext`, or `resnet` with bottleneck blocks.
        depths: blocks of the four stages.
        widths: channels of the four stages.
        frozen_stages: the first stages, the stem with them, that training leaves as they are.
        checkpointing: in training, keep only what enters each block and compute the rest again.
    """

    def __init__(
        self,
        family: Family,
        depths: Sequence[int],
        widths: Sequence[int],
        frozen_stages: int,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        self.family = family
        self.widths = tuple(widths)
        self.frozen_stages = frozen_stages
        self.checkpointing = checkpointing
        parts = _FAMILIES[family](list(depths), list(widths))
        self.downsample = nn.ModuleList(parts.downsample)
        self.stages = nn.ModuleList(nn.ModuleList(blocks) for blocks in parts.stages)
        self.norms = nn.ModuleList(parts.norms)
        for module in self._frozen():
            module.requires_grad_(False)
        self.train()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (M, 3, H, W) to maps (M, widths[l], ⌈H / s⌉, ⌈W / s⌉), s = 4·2^l.

        Where s does not divide a side, the last cell reaches past the image, over zeros.
        """
        features = images
        maps = []
        for reduction, downsample, blocks, norm in zip(
            _REDUCTIONS, self.downsample, self.stages, self.norms
        ):
            features = downsample(pad_to_multiple(features, reduction))
            for block in blocks.children():
                features = self._run(block, features)
            maps.append(norm(features))
        return tuple(maps)

    def train(self, mode: bool = True) -> Self:
        """As of any module, but frozen stages and BatchNorm layers stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        hold_batch_norm(self)
        return self

    def _frozen(self) -> list[nn.Module]:
        return [*self.downsample[: self.frozen_stages], *self.stages[: self.frozen_stages]]

    def _run(self, block: nn.Module, features: Tensor) -> Tensor:
        if self.checkpointing and block.training:
            return checkpoint(block, features, use_reentrant=False)
        return block(features)


class _Parts(NamedTuple):
    """What the four stages consist of; the first downsampling is the stem."""

    downsample: Iterable[nn.Module]
    stages: Iterable[Iterable[nn.Module]]
    norms: Iterable[nn.Module]


def _convnext(depths: list[int], widths: list[int]) -> _Parts:
    config = ConvNextConfig(
        depths=depths,
        hidden_sizes=widths,
        out_features=["stage1", "stage2", "stage3", "stage4"],  # type: ignore[call-arg]
        # The published 1e-6 would keep new blocks without a say for thousands of steps.
        layer_scale_init_value=1.0,
    )
    network = ConvNextBackbone(config)
    network.apply(_keep_variance)
    stages: Any = network.encoder.stages
    return _Parts(
        [network.embeddings, *(nn.Sequential(*stage.downsampling_layer) for stage in stages[1:])],
        [stage.layers for stage in stages],
        network.hidden_states_norms.values(),
    )


def _keep_variance(module: nn.Module) -> None:
    """Random weights that pass on what comes in at its size, whatever the width."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        fan_in = module.weight[0].numel()
        nn.init.normal_(module.weight, std=fan_in**-0.5)


def _resnet(depths: list[int], widths: list[int]) -> _Parts:
    network = ResNetBackbone(
        ResNetConfig(depths=depths, hidden_sizes=widths, embedding_size=widths[0] // 4)
    )
    stages: Any = network.encoder.stages
    return _Parts(
        [network.embedder, *(nn.Identity() for _ in stages[1:])],
        [stage.layers for stage in stages],
        [nn.Identity() for _ in stages],
    )


_FAMILIES: dict[str, Callable[[list[int], list[int]], _Parts]] = {
    "convnext": _convnext,
    "resnet": _resnet,
}


def hold_batch_norm(network: nn.Module) -> None:
    """Put BatchNorm layers into evaluation mode.

    A batch is a few images of the same moment: too few and too alike for statistics.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def pad_to_multiple(features: Tensor, multiple: int) -> Tensor:
    """Zeros below and to the right of (M, C, H, W), as few as make H and W multiples."""
    height, width = features.shape[-2:]
    if height % multiple == 0 and width % multiple == 0:
        return features
    return functional.pad(features, (0, -width % multiple, 0, -height % multiple))
