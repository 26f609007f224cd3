"""Typed configuration: every default lives here, and only here.

ROS parameters, command-line help and the dumped YAML derive from these types. A YAML file names a
preset and what differs from it; an unknown key fails by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import yaml
from pydantic import (
    BaseModel,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)

from occflow_ros.errors import ConfigError
from occflow_ros.node_config import NodeConfig
from occflow_ros.structures import VoxelGrid
from occflow_ros.training_config import (
    FactorsConfig,
    LossesConfig,
    LossTermConfig,
    MotionConfig,
    OptimizerConfig,
    RenderingConfig,
    StageConfig,
    TrainConfig,
)
from occflow_ros.validation import StrictModel, explain

ModelT = TypeVar("ModelT", bound=BaseModel)


class GridConfig(StrictModel):
    """Where the output voxels lie in the ego frame."""

    lower_m: tuple[float, float, float] = (-40.0, -40.0, -1.0)
    upper_m: tuple[float, float, float] = (40.0, 40.0, 5.4)
    shape: tuple[int, int, int] = (200, 200, 16)

    @property
    def voxels(self) -> VoxelGrid:
        """The output grid."""
        return VoxelGrid(self.lower_m, self.upper_m, self.shape)


class BackboneSize(NamedTuple):
    """Blocks and channels of the four stages, at strides 4, 8, 16 and 32."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]


BACKBONES = {
    "convnext_nano": BackboneSize((2, 2, 4, 2), (32, 64, 128, 256)),
    "convnext_tiny": BackboneSize((3, 3, 9, 3), (96, 192, 384, 768)),
    "convnext_small": BackboneSize((3, 3, 27, 3), (96, 192, 384, 768)),
    "convnext_base": BackboneSize((3, 3, 27, 3), (128, 256, 512, 1024)),
    "convnext_xlarge": BackboneSize((3, 3, 27, 3), (256, 512, 1024, 2048)),
    "resnet50": BackboneSize((3, 4, 6, 3), (256, 512, 1024, 2048)),
}
"""Sizes by name; all but `convnext_nano`, which is ours, have public ImageNet weights."""


_PerStage = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]


class BackboneConfig(StrictModel):
    """2D image backbone and how training treats it."""

    name: Literal[
        "convnext_nano",
        "convnext_tiny",
        "convnext_small",
        "convnext_base",
        "convnext_xlarge",
        "resnet50",
        "transformers",
    ] = "convnext_base"
    architecture: str = Field(
        "", description="with transformers: folder or owner/name on the hub of any of its backbones"
    )
    depths: _PerStage | None = Field(None, description="other blocks per stage")
    widths: _PerStage | None = Field(None, description="other channels per stage")
    pretrained: str = Field(
        "", description="ImageNet weights: file, folder or owner/name on the hub; empty: random"
    )
    frozen_stages: int = Field(
        0, ge=0, le=4, description="first stages, stem included, that training leaves as they are"
    )
    checkpointing: bool = Field(
        False, description="compute activations again in the backward pass, to save memory"
    )

    @model_validator(mode="after")
    def _architecture_is_said_once(self) -> BackboneConfig:
        if (self.name == "transformers") != bool(self.architecture):
            raise ValueError(
                "architecture: expected it with the name transformers, and only there, got"
                f" {self.architecture!r} with {self.name}"
            )
        if not self.architecture:
            return self
        if self.depths is not None or self.widths is not None:
            raise ValueError("depths, widths: expected none with transformers, its files have them")
        if self.frozen_stages not in (0, 4):
            raise ValueError(
                f"frozen_stages: expected 0 or 4 with transformers, got {self.frozen_stages}"
            )
        return self

    @property
    def family(self) -> Literal["convnext", "resnet"]:
        """Which kind of network the name stands for; raises ConfigError for `transformers`."""
        self._check_named()
        return "resnet" if self.name == "resnet50" else "convnext"

    @property
    def size(self) -> BackboneSize:
        """Blocks and channels, after what differs from the name; raises ConfigError as `family`."""
        self._check_named()
        named = BACKBONES[self.name]
        return BackboneSize(self.depths or named.depths, self.widths or named.widths)

    def _check_named(self) -> None:
        if self.name not in BACKBONES:
            raise ConfigError(
                f"backbone.name: expected one of {', '.join(BACKBONES)}, got {self.name}"
            )


class LifterConfig(StrictModel):
    """TPV encoder, equations 2 and 3."""

    layers: int = Field(4, ge=1, description="TPV encoder layers")
    heads: int = Field(6, ge=1, description="attention heads")
    cross_plane_points: int = Field(12, ge=1, description="sampling points across planes")
    image_points_hw: int = Field(48, ge=1, description="image points per query of the HW plane")
    image_points_zh: int = Field(48, ge=1, description="image points per query of the ZH plane")
    image_points_wz: int = Field(8, ge=1, description="image points per query of the WZ plane")
    ffn_ratio: float = Field(2.0, gt=0, description="width of the FFN over the channels")


class TemporalConfig(StrictModel):
    """Temporal fusion, equations 4 to 6 and Algorithm 1, or one of its rivals in Table 4."""

    fusion: Literal["backward_forward", "concat_conv", "bev_forward"] = Field(
        "backward_forward", description="Algorithm 1, or a rival of Table 4"
    )
    history: int = Field(2, ge=0, description="past volumes that are fused")
    heads: int = Field(6, ge=1, description="attention heads")
    points: int = Field(8, ge=1, description="sampling points per frame")
    beta: float = Field(0.5, description="β at the start, the weight of what attention adds")


class RefinerConfig(StrictModel):
    """3D refine module."""

    blocks: tuple[int, int, int] = Field((1, 2, 4), description="residual blocks per stage")
    channels: int = Field(192, ge=1, description="of the first stage; stage l has 2^l times these")
    output_channels: int = Field(96, ge=1, description="channels at the output resolution")


class HeadsConfig(StrictModel):
    """SDF and flow MLPs, equation 7."""

    hidden: int = Field(96, ge=1, description="hidden width of both")
    ground_z_m: float = Field(0.0, description="height of the road at which training starts")


class ModelConfig(StrictModel):
    """The network; the defaults are the paper's nuScenes setting."""

    grid: GridConfig = GridConfig()
    image_hw_px: tuple[int, int] = (512, 1408)
    backbone: BackboneConfig = BackboneConfig()
    channels: int = Field(192, ge=1, description="channels C of pyramid, planes and volumes")
    lifter: LifterConfig = LifterConfig()
    temporal: TemporalConfig = TemporalConfig()
    refiner: RefinerConfig = RefinerConfig()
    heads: HeadsConfig = HeadsConfig()
    sharpness_per_m: float = Field(10.0, gt=0, description="occupancy probability is σ(−ξ·sdf)")
    level_m: float = Field(0.1, description="occupied where sdf ≤ this")
    interval_s: float = Field(0.5, gt=0, description="time over which the flow is a displacement")

    @model_validator(mode="after")
    def _sizes_fit(self) -> ModelConfig:
        if any(count % 2 for count in self.grid.shape):
            raise ValueError(f"grid.shape: expected even numbers, got {self.grid.shape}")
        if any(side % 32 for side in self.image_hw_px):  # the coarsest map has this stride
            raise ValueError(f"image_hw_px: expected multiples of 32, got {self.image_hw_px}")
        for name, heads in (("lifter", self.lifter.heads), ("temporal", self.temporal.heads)):
            if self.channels % heads:
                raise ValueError(
                    f"channels: expected a multiple of {name}.heads = {heads}, got {self.channels}"
                )
        return self


class StreamConfig(StrictModel):
    """When history may be used, else it is visibly reset, and how the network computes."""

    max_gap_s: float = Field(1.5, gt=0, description="longer gaps between frames clear history")
    max_jump_m: float = Field(25.0, gt=0, description="longer steps of the ego clear history")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of matrix products and convolutions"
    )
    compile: bool = Field(False, description="torch.compile the stages; warming up takes longer")


class RunConfig(StrictModel):
    """Everything that a trained network needs to run; the node's parameters."""

    model: ModelConfig = ModelConfig()
    stream: StreamConfig = StreamConfig()
    semantics: Literal["none", "mono"] = Field(
        "none", description="what each occupied voxel is; mono: MonoOcc, beside the network"
    )
    node: NodeConfig = NodeConfig()


class Config(RunConfig):
    """The same, and how the network is trained."""

    train: TrainConfig = TrainConfig()

    @property
    def run(self) -> RunConfig:
        """What is left where nothing is to be trained."""
        return RunConfig(
            model=self.model, stream=self.stream, semantics=self.semantics, node=self.node
        )


NUSCENES = ModelConfig()

KITTI = ModelConfig(
    grid=GridConfig(lower_m=(0.0, -25.6, -2.0), upper_m=(51.2, 25.6, 4.4), shape=(256, 256, 32)),
    image_hw_px=(352, 1216),
    heads=HeadsConfig(ground_z_m=-1.73),  # the base frame is the LiDAR's
    interval_s=0.1,
)

SMALL = ModelConfig(
    image_hw_px=(256, 704),
    backbone=BackboneConfig(name="convnext_tiny"),
    channels=96,
    lifter=LifterConfig(
        layers=3, cross_plane_points=8, image_points_hw=8, image_points_zh=32, image_points_wz=32
    ),
    temporal=TemporalConfig(points=4),
    refiner=RefinerConfig(blocks=(1, 1, 1), channels=48, output_channels=48),
    heads=HeadsConfig(hidden=48),
)

NANO = ModelConfig(
    grid=GridConfig(shape=(100, 100, 8)),
    image_hw_px=(128, 352),
    backbone=BackboneConfig(name="convnext_nano"),
    channels=48,
    lifter=LifterConfig(
        layers=2,
        heads=4,
        cross_plane_points=4,
        image_points_hw=8,
        image_points_zh=8,
        image_points_wz=8,
    ),
    temporal=TemporalConfig(heads=4, points=4),
    refiner=RefinerConfig(blocks=(1, 1, 1), channels=48, output_channels=32),
    heads=HeadsConfig(hidden=32),
)

NANO_TRAIN = TrainConfig(
    losses=LossesConfig(
        optical_flow=LossTermConfig(weight=0.02),  # its pixels are four times as wide
        lidar=LossTermConfig(weight=1.0),
        line_of_sight=LossTermConfig(weight=0.2),
        dynamic_regularization=LossTermConfig(weight=1.0),  # with 0.1, what stands moved at 1.6 m/s
        flow_smoothness=LossTermConfig(weight=0.05),
    ),
    motion=MotionConfig(dynamic_threshold_px=2.0),
    rendering=RenderingConfig(
        camera_grid_hw=(12, 32), samples=96, sharpness="scheduled", sharpness_per_m=(1.0, 5.0)
    ),
    optimizer=OptimizerConfig(learning_rate=6e-4, warm_up_steps=50, milestones=(0.5, 0.75, 0.9)),
    static_stage=StageConfig(
        steps=2400,
        factors=FactorsConfig(backbone=1.0, heads=5.0),  # nothing is pretrained
    ),
    joint_stage=StageConfig(
        steps=3200,
        factors=FactorsConfig(backbone=0.25, neck=0.25, lifter=0.25, temporal=0.4, heads=5.0),
    ),
    samples_per_step=1,
    precision="float32",
)

PRESETS: dict[str, Config] = {
    "nano": Config(model=NANO, train=NANO_TRAIN),
    "small": Config(model=SMALL),
    "nuscenes": Config(model=NUSCENES),
    "kitti": Config(model=KITTI),
}


def preset(name: str) -> Config:
    """A named configuration; raises ConfigError where the name is unknown."""
    return _preset_of(PRESETS, name)


def resolve(preset_or_file: str) -> Config:
    """The named preset, or the configuration in that YAML file; raises ConfigError."""
    return resolve_among(PRESETS, preset_or_file)


def parse(values: dict[str, Any]) -> Config:
    """Configuration from plain values: optional `preset`, then what differs from it.

    Raises:
        ConfigError: names each unknown key and each value out of range.
    """
    return _parse_among(PRESETS, values)


def load(path: Path) -> Config:
    """Configuration from a YAML file; raises ConfigError with the file's name."""
    return _load_among(PRESETS, path)


def resolve_among(presets: Mapping[str, ModelT], preset_or_file: str) -> ModelT:
    """As `resolve`, of any kind of configuration; a file without `preset` begins with the first."""
    path = Path(preset_or_file)
    is_file = path.suffix or path.is_file()
    return _load_among(presets, path) if is_file else _preset_of(presets, preset_or_file)


def _preset_of(presets: Mapping[str, ModelT], name: str) -> ModelT:
    if name not in presets:
        raise ConfigError(f"preset: expected one of {sorted(presets)}, got {name!r}")
    return presets[name]


def _parse_among(presets: Mapping[str, ModelT], values: dict[str, Any]) -> ModelT:
    values = dict(values)
    base = _preset_of(presets, values.pop("preset", next(iter(presets))))
    return validate(type(base), _merge(base.model_dump(), values))


def _load_among(presets: Mapping[str, ModelT], path: Path) -> ModelT:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(values).__name__}")
    try:
        return _parse_among(presets, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def override(config: ModelT, settings: Sequence[str]) -> ModelT:
    """The configuration with `key.of.the.value=value` settings, each value as in YAML.

    Raises:
        ConfigError: names each unknown key and each value out of range.
    """
    values = config.model_dump()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"expected KEY=VALUE, got {setting!r}")
        change: Any = yaml.safe_load(text)
        for name in reversed(key.split(".")):
            change = {name: change}
        values = _merge(values, change)
    return validate(type(config), values)


def validate(kind: type[ModelT], values: dict[str, Any]) -> ModelT:
    """Settings of one kind from plain values; raises ConfigError naming what is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from None


def dump(config: BaseModel) -> str:
    """The whole resolved configuration as YAML; `load` reads it back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if nested else value
    return merged
