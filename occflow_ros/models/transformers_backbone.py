"""2D image backbone of any architecture of `transformers` with four stages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn

from occflow_ros.errors import ConfigError, DataError
from occflow_ros.models.backbone import Backbone, hold_batch_norm, pad_to_multiple

STRIDES = (4, 8, 16, 32)

_PROBE_PX = 64
_OUTPUT_NORMS = "hidden_states_norms"


class TransformersBackbone(nn.Module):
    """Images to the maps of an architecture's last four stages, or of the four that it names.

    Args:
        architecture: folder with a config.json, that file, or owner/name on the hub.
        frozen: training leaves all but the output norms as it is.
        checkpointing: in training, keep only what enters each block and compute the rest again.

    Raises:
        ConfigError: where there is no such architecture, it gives no feature maps, their strides
            are others than 4, 8, 16 and 32, or it cannot checkpoint.
    """

    def __init__(self, architecture: str, frozen: bool, checkpointing: bool) -> None:
        super().__init__()
        self.architecture = architecture
        self.network = _random_network(architecture)
        self.widths = _widths(self.network, architecture)
        self._frozen = frozen
        if frozen:
            for parameter in self._frozen_parameters():
                parameter.requires_grad_(False)
        if checkpointing:
            _enable_checkpointing(self.network, architecture)
        self.train()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (M, 3, H, W) to maps (M, widths[l], ⌈H / s⌉, ⌈W / s⌉), s = 4·2^l.

        Where 32 does not divide a side, the image goes on with zeros.
        """
        height, width = images.shape[-2:]
        maps = self.network(pad_to_multiple(images, STRIDES[-1])).feature_maps
        return tuple(
            value[..., : math.ceil(height / stride), : math.ceil(width / stride)]
            for value, stride in zip(maps, STRIDES)
        )

    def train(self, mode: bool = True) -> Self:
        """As of any module, but a frozen network and BatchNorm layers stay in evaluation mode."""
        super().train(mode)
        if self._frozen:
            self.network.eval()
        hold_batch_norm(self)
        return self

    def load(self, source: str) -> None:
        """Take weights that `transformers` has saved; output norms may be missing in them.

        Args:
            source: folder or owner/name on the hub.

        Raises:
            DataError: where they cannot be had or do not fit.
        """
        try:
            loaded, info = type(self.network).from_pretrained(
                source, config=self.network.config, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{source}: expected weights of {self.architecture}: {_one_line(error)}"
            ) from None
        wrong = [name for name in info["missing_keys"] if _OUTPUT_NORMS not in name]
        kinds = {_kind(name) for name in self.network.state_dict()}
        wrong += [name for name in info["unexpected_keys"] if _kind(name) in kinds]
        if wrong:
            raise DataError(
                f"{source}: expected weights of {self.architecture}; {len(wrong)} are missing or"
                f" too many, the first is {min(wrong)}"
            )
        self.network.load_state_dict(loaded.state_dict())

    def _frozen_parameters(self) -> Iterator[nn.Parameter]:
        for name, parameter in self.network.named_parameters():
            if not name.startswith(_OUTPUT_NORMS):
                yield parameter


AnyBackbone = Backbone | TransformersBackbone


def _random_network(architecture: str) -> Any:
    from transformers import AutoBackbone, AutoConfig

    try:
        settings = AutoConfig.from_pretrained(architecture)
        named = list(getattr(settings, "out_features", None) or ())
        if len(named) != len(STRIDES):
            settings.out_features = list(settings.stage_names[-len(STRIDES) :])
        return AutoBackbone.from_config(settings)
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"backbone.architecture: expected a folder, a config.json or owner/name on the hub of"
            f" a backbone of transformers, got {architecture!r}: {_one_line(error)}"
        ) from None


def _widths(network: Any, architecture: str) -> tuple[int, ...]:
    """Channels of the maps, after a look at their strides."""
    probe = torch.zeros(1, 3, _PROBE_PX, _PROBE_PX)
    with torch.no_grad():
        maps = network.eval()(probe).feature_maps
    strides = [tuple(_PROBE_PX / side for side in value.shape[-2:]) for value in maps]
    if strides != [(stride, stride) for stride in STRIDES]:
        got = ", ".join(f"{down:g}" for down, _ in strides)
        raise ConfigError(
            f"backbone.architecture: expected maps of strides {', '.join(map(str, STRIDES))},"
            f" got {got} of {architecture!r}"
        )
    return tuple(value.shape[1] for value in maps)


def _enable_checkpointing(network: Any, architecture: str) -> None:
    if not network.supports_gradient_checkpointing:
        raise ConfigError(
            f"backbone.checkpointing: expected false, as {architecture!r} cannot do it, got true"
        )
    network.gradient_checkpointing_enable({"use_reentrant": False})


def _kind(name: str) -> str:
    """What a weight is in any block: a deeper network has all weights of a shallower one."""
    return re.sub(r"\d+", "#", name)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
