"""What a network is made of: parameters, FLOPs and bytes by part, counted, not guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils.flop_counter import FlopCounterMode

from occflow_ros.config import ModelConfig, TemporalConfig
from occflow_ros.engine.feature_buffer import relative_poses
from occflow_ros.engine.ring import ring_frame
from occflow_ros.models.build import build_network
from occflow_ros.models.occflow_net import OccFlowNet

FLOAT32_BYTES = 4

PAPER_TEMPORAL_PARAMETERS = {
    "concat_conv": 11_390_000,
    "bev_forward": 5_210_000,
    "backward_forward": 6_620_000,
}
"""Table 4 of the paper, column Params., by `temporal.fusion`."""


@dataclass(frozen=True, slots=True)
class PartSize:
    """One module of the network.

    Args:
        name: attribute of `OccFlowNet`.
        stage: the stage whose time it counts to.
        parameters: how many numbers are learned.
        flops: of one streaming step with a full history; a multiply-add counts as two.
    """

    name: str
    stage: str
    parameters: int
    flops: int


def part_sizes(config: ModelConfig, cameras: int) -> list[PartSize]:
    """The modules of the network in the order in which they run; nothing large is computed.

    Args:
        config: of the network.
        cameras: of the ring whose step is counted; how many places they see is part of the count.
    """
    network = without_weights(config)
    flops = count_flops(network, config, cameras)
    return [
        PartSize(name, network.stages[part], count_parameters(part), flops[name])
        for name, part in network.named_children()
    ]


def temporal_parameters(config: ModelConfig) -> dict[str, int]:
    """Parameters of the temporal module and of its rivals, by `temporal.fusion`."""
    return {
        fusion: count_parameters(without_weights(_with_fusion(config, fusion)).temporal)
        for fusion in get_args(TemporalConfig.model_fields["fusion"].annotation)
    }


def volume_bytes(config: ModelConfig) -> int:
    """Memory of one feature volume V in float32."""
    return FLOAT32_BYTES * config.channels * config.grid.voxels.coarsen(2).num_voxels


def count_parameters(module: nn.Module) -> int:
    """How many numbers the module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def without_weights(config: ModelConfig) -> OccFlowNet:
    """The network with parameters that have a shape but no values, and take no memory.

    What is computed from them has none either. Buffers are real, since where the cameras look
    depends on their values.
    """
    shapes_only = FakeTensorMode(allow_non_fake_inputs=True)

    def without_values(
        _: nn.Module, __: str, parameter: nn.Parameter | None
    ) -> nn.Parameter | None:
        if parameter is None:
            return None
        return nn.Parameter(shapes_only.from_tensor(parameter.detach()), requires_grad=False)

    backbone = config.backbone.model_copy(update={"pretrained": ""})
    # torch's type of the hook leaves out that it may return a parameter
    with register_module_parameter_registration_hook(without_values):  # type: ignore[arg-type]
        return build_network(config.model_copy(update={"backbone": backbone}))


def count_flops(network: OccFlowNet, config: ModelConfig, cameras: int) -> dict[str, int]:
    """FLOPs of one streaming step with a full history, by attribute of the network.

    Counted operator by operator while the step runs. Counted are matrix products, convolutions and
    sampling (`SAMPLING_FLOPS`), a multiply-add as two. Not counted is what touches each number a
    few times only: normalisation, activations, softmax, sums, projection, resizing.

    Args:
        network: as `without_weights` makes it, or a real one that needs no gradients.
        config: of the network.
        cameras: of the ring that is seen.
    """
    history = config.temporal.history
    *past, current = (
        ring_frame(cameras, config.image_hw_px, index) for index in range(history + 1)
    )
    rig = current.rig
    inputs = (current.images, rig.K, rig.base_T_camera, rig.present)
    shape = (1, config.channels, *config.grid.voxels.coarsen(2).shape)
    volume = next(network.parameters()).new_zeros(shape)
    poses = relative_poses([frame.odom_T_base for frame in past[::-1]], current.odom_T_base)
    with flop_counter() as counter, torch.inference_mode():
        network(*(value.unsqueeze(0) for value in inputs), [volume] * history, poses)
    by_part = counter.get_flop_counts()
    return {
        name: sum(by_part.get(f"{type(network).__name__}.{name}", {}).values())
        for name, _ in network.named_children()
    }


def flop_counter() -> FlopCounterMode:
    """PyTorch's counter with what it does not know, as a context manager."""
    return FlopCounterMode(display=False, custom_mapping=dict(SAMPLING_FLOPS))


def _deform_attn_flops(values: Any, locations: Any, weights: Any, **_: Any) -> int:
    """For each sample and channel a multiply-add for each of four corners, and one to weight it."""
    samples, channels = torch.Size(weights).numel(), values[0][-1]
    return 2 * (4 + 1) * samples * channels


def _embedding_bag_flops(table: Any, rows: Any, *_: Any, **__: Any) -> int:
    """For each row of the table that is gathered a multiply-add for each of its columns."""
    return 2 * torch.Size(rows).numel() * table[1]


SAMPLING_FLOPS: Mapping[Any, Callable[..., int]] = {
    torch.ops.occflow_ros.deform_attn: _deform_attn_flops,
    torch.ops.aten._embedding_bag: _embedding_bag_flops,
    torch.ops.aten._embedding_bag_forward_only: _embedding_bag_flops,
}
"""FLOPs of what PyTorch's own counter does not know."""


def _with_fusion(config: ModelConfig, fusion: str) -> ModelConfig:
    temporal = config.temporal.model_copy(update={"fusion": fusion})
    return config.model_copy(update={"temporal": temporal})
