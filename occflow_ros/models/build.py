"""The one place where hyper-parameters meet modules."""

from __future__ import annotations

from pathlib import Path

import torch

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
from occflow_ros.models.neck import FeaturePyramid
from occflow_ros.models.occflow_net import OccFlowNet
from occflow_ros.models.preprocess import ImageNormalizer
from occflow_ros.models.pretrained import load_imagenet_weights
from occflow_ros.models.refiner import Refiner
from occflow_ros.models.temporal import BackwardForwardAttention, SliceAttention, TemporalFusion
from occflow_ros.models.temporal_rivals import AnyFusion, BevForwardFusion, ConcatConvFusion
from occflow_ros.models.tpv import PLANES
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
    if weights is not None:
        network.load_state_dict(checkpoint.load_weights(weights, config, network.state_dict()))
        network.weights_source = str(weights)
    elif config.backbone.pretrained:
        load_imagenet_weights(network.backbone, config.backbone.pretrained)
        network.weights_source += f", backbone from {config.backbone.pretrained}"
    return network.eval()


def _network(config: ModelConfig, weights_source: str) -> OccFlowNet:
    channels, refiner = config.channels, config.refiner
    output_grid = config.grid.voxels
    volume_grid = output_grid.coarsen(2)
    return OccFlowNet(
        preprocess=ImageNormalizer(),
        backbone=_backbone(config.backbone),
        neck=FeaturePyramid(config.backbone.size.widths, channels),
        lifter=_lifter(config.lifter, volume_grid, channels, len(config.backbone.size.widths)),
        temporal=_temporal(config, volume_grid),
        refiner=Refiner(channels, refiner.channels, refiner.blocks, refiner.output_channels),
        heads=Heads(
            refiner.output_channels, config.heads.hidden, output_grid, config.heads.ground_z_m
        ),
        weights_source=weights_source,
    )


def _backbone(config: BackboneConfig) -> Backbone:
    return Backbone(config.family, *config.size, config.frozen_stages, config.checkpointing)


def _lifter(config: LifterConfig, grid: VoxelGrid, channels: int, levels: int) -> Lifter:
    points = (config.image_points_hw, config.image_points_zh, config.image_points_wz)

    def layer() -> TpvLayer:
        planes = [
            PlaneLayer(
                CrossPlaneAttention(
                    plane, grid.shape, channels, config.heads, config.cross_plane_points
                ),
                ImageCrossAttention(channels, config.heads, levels, image_points),
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
