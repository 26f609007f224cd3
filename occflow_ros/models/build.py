"""The one place where hyper-parameters meet modules."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from occflow_ros.config import BackboneConfig, LifterConfig, ModelConfig
from occflow_ros.engine import checkpoint
from occflow_ros.models.backbone import Backbone
from occflow_ros.models.heads import Heads
from occflow_ros.models.lifter import (
    CrossPlaneAttention,
    ImageCrossAttention,
    Lifter,
    PlaneLayer,
    TpvLayer,
)
from occflow_ros.models.mono.completion import (
    Completion,
    CompletionLayer,
    VolumeSelfAttention,
)
from occflow_ros.models.mono.cross_view import CrossViewTransformer
from occflow_ros.models.mono.encoding import CellEncoding
from occflow_ros.models.mono.head import SemanticDecoder, VoxelHead
from occflow_ros.models.mono.lifting import CrossLayer, QueryLifting
from occflow_ros.models.mono.mono_net import MonoOccNet
from occflow_ros.models.mono.proposals import ProposalNetwork
from occflow_ros.models.mono.volume import SparseToDense
from occflow_ros.models.neck import FeaturePyramid
from occflow_ros.models.occflow_net import OccFlowNet
from occflow_ros.models.preprocess import ImageNormalizer
from occflow_ros.models.pretrained import load_imagenet_weights
from occflow_ros.models.refine.dual_flow import DualFlowBlock, DualFlowTransformer
from occflow_ros.models.refine.encoder import BevEncoder, ColumnClasses, ColumnCoordinates
from occflow_ros.models.refine.focal_attention import FocalAttention
from occflow_ros.models.refine.head import SegmentationHead
from occflow_ros.models.refine.patches import SoftComposition, SoftSplit
from occflow_ros.models.refine.pillar_attention import PillarAttention
from occflow_ros.models.refine.refine_net import RefineNet
from occflow_ros.models.refine.temporal import TemporalEncoding
from occflow_ros.models.refiner import Refiner
from occflow_ros.models.temporal import BackwardForwardAttention, SliceAttention, TemporalFusion
from occflow_ros.models.temporal_rivals import AnyFusion, BevForwardFusion, ConcatConvFusion
from occflow_ros.models.tpv import PLANES
from occflow_ros.models.transformers_backbone import AnyBackbone, TransformersBackbone
from occflow_ros.mono_config import (
    AttentionConfig,
    ConditioningConfig,
    MonoConfig,
    MonoModelConfig,
)
from occflow_ros.refine_config import PropagationConfig, RefineConfig, RefineModelConfig
from occflow_ros.structures import VoxelGrid


def build_network(config: ModelConfig, weights: Path | None = None, seed: int = 0) -> OccFlowNet:
    """The network of a configuration, in evaluation mode on the CPU.

    Args:
        config: sizes.
        weights: checkpoint; without one the weights are random, but for those of the backbone where
            the configuration names `pretrained` ones.
        seed: of the random weights; the caller's random state is left as it was.

    Raises:
        DataError: where the checkpoint cannot be read or belongs to another configuration, or the
            backbone's weights cannot be had or do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(config, weights_source=f"untrained (seed {seed})")
    _take_weights(network, config, weights)
    return network.eval()


def _network(config: ModelConfig, weights_source: str) -> OccFlowNet:
    channels, refiner = config.channels, config.refiner
    output_grid = config.grid.voxels
    volume_grid = output_grid.coarsen(2)
    backbone = _backbone(config.backbone)
    return OccFlowNet(
        preprocess=ImageNormalizer(),
        backbone=backbone,
        neck=FeaturePyramid(backbone.widths, channels),
        lifter=_lifter(config.lifter, volume_grid, channels, len(backbone.widths)),
        temporal=_temporal(config, volume_grid),
        refiner=Refiner(channels, refiner.channels, refiner.blocks, refiner.output_channels),
        heads=Heads(
            refiner.output_channels, config.heads.hidden, output_grid, config.heads.ground_z_m
        ),
        weights_source=weights_source,
    )


def build_mono_network(
    config: MonoModelConfig, weights: Path | None = None, seed: int = 0
) -> MonoOccNet:
    """The semantic network of a configuration; arguments and errors as of `build_network`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _mono_network(config, weights_source=f"untrained (seed {seed})")
    _take_weights(network, config, weights)
    return network.eval()


def load_mono_network(path: Path) -> MonoOccNet:
    """The semantic network that a checkpoint describes, with its weights.

    Raises:
        DataError: where the file cannot be read or holds another kind of network.
    """
    return build_mono_network(checkpoint.load(path, MonoConfig).config.model, path)


def build_refine_network(
    config: RefineModelConfig, weights: Path | None = None, seed: int = 0
) -> RefineNet:
    """The refining network of a configuration; arguments and errors as of `build_network`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _refine_network(config, weights_source=f"untrained (seed {seed})")
    if weights is not None:
        _load(network, config, weights)
    return network.eval()


def load_refine_network(path: Path) -> RefineNet:
    """The refining network that a checkpoint describes; errors as of `load_mono_network`."""
    return build_refine_network(checkpoint.load(path, RefineConfig).config.model, path)


def _take_weights(
    network: OccFlowNet | MonoOccNet, config: ModelConfig | MonoModelConfig, weights: Path | None
) -> None:
    if weights is not None:
        _load(network, config, weights)
    elif config.backbone.pretrained:
        load_imagenet_weights(network.backbone, config.backbone.pretrained)
        network.weights_source += f", backbone from {config.backbone.pretrained}"


def _load(
    network: OccFlowNet | MonoOccNet | RefineNet, config: checkpoint.AnyModelConfig, weights: Path
) -> None:
    network.load_state_dict(checkpoint.load_weights(weights, config, network.state_dict()))
    network.weights_source = str(weights)


def _refine_network(config: RefineModelConfig, weights_source: str) -> RefineNet:
    channels, heights, classes = config.channels, config.grid.shape[2], len(config.classes.names)

    def encoder(embed: nn.Module) -> BevEncoder:
        return BevEncoder(embed, config.embedding, channels, config.encoder_blocks)

    return RefineNet(
        features=encoder(ColumnClasses(classes, heights, config.embedding)),
        positions=encoder(ColumnCoordinates(heights, config.embedding))
        if config.positional_embedding
        else None,
        times=TemporalEncoding(channels) if config.temporal_embedding else None,
        propagation=_propagation(config.propagation, channels, heights)
        if config.propagation.blocks
        else None,
        head=SegmentationHead(config.embedding, channels, config.encoder_blocks, classes, heights),
        num_classes=classes,
        weights_source=weights_source,
    )


def _propagation(config: PropagationConfig, channels: int, heights: int) -> DualFlowTransformer:
    patches = (channels, config.channels, config.patch, config.stride)

    def block() -> DualFlowBlock:
        return DualFlowBlock(
            config.channels,
            FocalAttention(config.heads, config.window, config.margin),
            PillarAttention(heights),
            round(config.ffn_ratio * config.channels),
        )

    blocks = [block() for _ in range(config.blocks)]
    return DualFlowTransformer(SoftSplit(*patches), blocks, SoftComposition(*patches))


def _mono_network(config: MonoModelConfig, weights_source: str) -> MonoOccNet:
    channels, grid = config.channels, config.volume_grid
    backbone = _backbone(config.backbone)
    ffn_channels = round(config.ffn_ratio * channels)

    def cross_layers(attention: AttentionConfig | ConditioningConfig) -> list[CrossLayer]:
        return [
            CrossLayer(
                channels, attention.heads, len(backbone.widths), attention.points, ffn_channels
            )
            for _ in range(attention.layers)
        ]

    def completion_layer() -> CompletionLayer:
        completion = config.completion
        attention = VolumeSelfAttention(grid.shape, channels, completion.heads, completion.points)
        return CompletionLayer(attention, channels, ffn_channels)

    cross_view, conditioning, classes = config.cross_view, config.conditioning, config.classes
    return MonoOccNet(
        preprocess=ImageNormalizer(),
        backbone=backbone,
        neck=FeaturePyramid(backbone.widths, channels),
        cross_view=CrossViewTransformer(channels, cross_view.heads, cross_view.levels, ffn_channels)
        if cross_view.enabled
        else None,
        proposals=ProposalNetwork(config.grid.voxels, config.proposals.channels),
        volume=SparseToDense(
            encoding=CellEncoding(grid, channels),
            lifting=QueryLifting(cross_layers(config.lifting), channels),
            completion=Completion(
                [completion_layer() for _ in range(config.completion.layers)], channels
            ),
            conditioning=cross_layers(conditioning) if conditioning.enabled else [],
        ),
        head=VoxelHead(channels, len(classes.names)),
        semantic_decoder=SemanticDecoder(channels, len(classes.names)),
        threshold=config.proposals.threshold,
        max_queries=config.proposals.max_queries,
        frames=config.frames,
        class_names=classes.names,
        empty_id=classes.empty_id,
        weights_source=weights_source,
    )


def _backbone(config: BackboneConfig) -> AnyBackbone:
    if config.name == "transformers":
        frozen = config.frozen_stages > 0
        return TransformersBackbone(config.architecture, frozen, config.checkpointing)
    return Backbone(config.family, *config.size, config.frozen_stages, config.checkpointing)


def _lifter(config: LifterConfig, grid: VoxelGrid, channels: int, levels: int) -> Lifter:
    points = (config.image_points_hw, config.image_points_zh, config.image_points_wz)

    def layer() -> TpvLayer:
        planes = [
            PlaneLayer(
                CrossPlaneAttention(
                    plane, grid.shape, channels, config.heads, config.cross_plane_points
                ),
                ImageCrossAttention(channels, config.heads, levels, [0.5] * image_points),
                channels,
                round(config.ffn_ratio * channels),
            )
            for plane, image_points in zip(PLANES, points)
        ]
        return TpvLayer(planes, channels, config.heads)

    return Lifter([layer() for _ in range(config.layers)], grid, channels, points)


def _temporal(config: ModelConfig, grid: VoxelGrid) -> AnyFusion:
    temporal, channels = config.temporal, config.channels

    def attention() -> SliceAttention:
        return SliceAttention(channels, temporal.heads, temporal.points, grid.shape[:2])

    match temporal.fusion:
        case "concat_conv":
            return ConcatConvFusion(temporal.history, grid, channels)
        case "bev_forward":
            return BevForwardFusion(attention(), temporal.beta, grid)
    fusion = BackwardForwardAttention(attention(), attention(), temporal.beta)
    return TemporalFusion(fusion, grid, channels)
