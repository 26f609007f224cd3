"""Typed configuration of MonoOcc: semantic occupancy from one camera, and how it is trained.

The defaults are MonoOcc-S on SemanticKITTI (sections III and IV-B of the paper); where it is
silent, those of its public configuration.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from occflow_ros.config import BackboneConfig, GridConfig
from occflow_ros.data import classes, semantic_kitti
from occflow_ros.structures import VoxelGrid
from occflow_ros.training_config import (
    AugmentationConfig,
    LossTermConfig,
    OptimizerConfig,
    ScheduleConfig,
)
from occflow_ros.validation import StrictModel


class ClassesConfig(StrictModel):
    """What a voxel can be; the number of a class is its place in the list."""

    names: tuple[str, ...] = Field(semantic_kitti.NAMES, description="of all classes")
    empty: str = Field("empty", description="which of them says that nothing is there")

    @property
    def empty_id(self) -> int:
        """Number of the class that says that nothing is there."""
        return self.names.index(self.empty)

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> ClassesConfig:
        if len(set(self.names)) != len(self.names) or not 2 <= len(self.names) < 255:
            raise ValueError(f"names: expected 2 to 254 different ones, got {list(self.names)}")
        if self.empty not in self.names:
            raise ValueError(f"empty: expected one of {list(self.names)}, got {self.empty!r}")
        return self


class ProposalsConfig(StrictModel):
    """Queries from depth: back-projected, voxelised, corrected by a network like LMSCNet."""

    channels: int = Field(32, ge=1, description="of the correcting network at its finest scale")
    threshold: float = Field(0.5, ge=0, le=1, description="occupancy probability of a query")
    max_queries: int = Field(20_000, ge=1, description="N_d at most, the most probable ones")


class AttentionConfig(StrictModel):
    """Layers of deformable attention, each followed by an FFN."""

    layers: PositiveInt
    heads: PositiveInt = 8
    points: PositiveInt = Field(8, description="samples per head and level")


class ConditioningConfig(StrictModel):
    """Image-conditioned cross attention, equations 5 and 6."""

    enabled: bool = Field(True, description="False: the completed volume stays as it is")
    layers: PositiveInt = 3
    heads: PositiveInt = 8
    points: PositiveInt = Field(8, description="samples per head and level")


class CrossViewConfig(StrictModel):
    """Transformer between the features of adjacent frames, of the privileged branch."""

    enabled: bool = Field(False, description="False: frames stay independent until they are lifted")
    levels: int = Field(2, ge=1, le=4, description="coarsest levels of the pyramid it works on")
    heads: PositiveInt = 8


class MonoModelConfig(StrictModel):
    """The network; the defaults are MonoOcc-S."""

    grid: GridConfig = GridConfig(
        lower_m=(0.0, -25.6, -2.0), upper_m=(51.2, 25.6, 4.4), shape=(256, 256, 32)
    )
    image_hw_px: tuple[int, int] = (352, 1216)
    classes: ClassesConfig = ClassesConfig()
    backbone: BackboneConfig = BackboneConfig(name="resnet50")
    channels: int = Field(128, ge=1, description="d, channels of pyramid, queries and volumes")
    frames: int = Field(1, ge=1, description="images of a camera, this one and those before it")
    proposals: ProposalsConfig = ProposalsConfig()
    cross_view: CrossViewConfig = CrossViewConfig()
    lifting: AttentionConfig = AttentionConfig(layers=3)
    completion: AttentionConfig = AttentionConfig(layers=2)
    conditioning: ConditioningConfig = ConditioningConfig()
    ffn_ratio: float = Field(2.0, gt=0, description="width of the FFNs over the channels")

    @property
    def volume_grid(self) -> VoxelGrid:
        """Of the voxel features: half the resolution of the output."""
        return self.grid.voxels.coarsen(2)

    @model_validator(mode="after")
    def _sizes_fit(self) -> MonoModelConfig:
        if any(count % 2 for count in self.grid.shape):
            raise ValueError(f"grid.shape: expected even numbers, got {self.grid.shape}")
        if any(side % 32 for side in self.image_hw_px):  # the coarsest map has this stride
            raise ValueError(f"image_hw_px: expected multiples of 32, got {self.image_hw_px}")
        for name in ("cross_view", "lifting", "completion", "conditioning"):
            heads = getattr(self, name).heads
            if self.channels % heads:
                raise ValueError(
                    f"channels: expected a multiple of {name}.heads = {heads}, got {self.channels}"
                )
        if self.cross_view.enabled and self.frames < 2:
            raise ValueError(f"frames: expected 2 or more for cross_view, got {self.frames}")
        return self


def _term(weight: float) -> LossTermConfig:
    return LossTermConfig(weight=weight)


class MonoLossesConfig(StrictModel):
    """Weights of equation 10, and of what corrects the proposals."""

    semantic_2d: LossTermConfig = _term(4.0)  # λ1, equation 7
    distillation: LossTermConfig = _term(3.0)  # λ2, equation 9; needs a teacher
    cross_entropy: LossTermConfig = _term(2.0)  # λ3
    semantic_affinity: LossTermConfig = _term(1.0)  # λ4
    geometric_affinity: LossTermConfig = _term(0.5)  # λ5
    proposals: LossTermConfig = _term(1.0)  # trained beforehand in the paper, along with it here


class MonoFactorsConfig(StrictModel):
    """Learning rates of the modules over the base rate."""

    backbone: float = Field(0.1, ge=0)
    neck: float = Field(1.0, ge=0)
    cross_view: float = Field(1.0, ge=0)
    proposals: float = Field(1.0, ge=0)
    volume: float = Field(1.0, ge=0, description="lifting, completion and conditioning")
    head: float = Field(1.0, ge=0)
    semantic_decoder: float = Field(1.0, ge=0)


class MonoTrainConfig(ScheduleConfig):
    """How the semantic network is trained."""

    losses: MonoLossesConfig = MonoLossesConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-4, warm_up_steps=500)
    factors: MonoFactorsConfig = MonoFactorsConfig()
    steps: int = Field(19_170, ge=1, description="optimizer steps; 20 epochs of SemanticKITTI")
    samples_per_step: int = Field(4, ge=1, description="over all processes")
    cameras_per_sample: int = Field(
        0,
        ge=0,
        description="of the rig, drawn by chance; voxels they do not see do not count; 0: all",
    )


class MonoConfig(StrictModel):
    """Network and training."""

    model: MonoModelConfig = MonoModelConfig()
    train: MonoTrainConfig = MonoTrainConfig()


MONO_KITTI = MonoModelConfig()

MONO_KITTI_LARGE = MonoModelConfig(backbone=BackboneConfig(name="convnext_xlarge"))

MONO_KITTI_TEACHER = MonoModelConfig(
    backbone=BackboneConfig(name="convnext_xlarge"),
    frames=4,
    cross_view=CrossViewConfig(enabled=True),
)

MONO_NANO = MonoModelConfig(
    grid=GridConfig(shape=(100, 100, 8)),
    image_hw_px=(128, 352),
    classes=ClassesConfig(names=classes.NAMES, empty="free"),
    backbone=BackboneConfig(name="convnext_nano"),
    channels=48,
    proposals=ProposalsConfig(channels=16, max_queries=2_000),
    lifting=AttentionConfig(layers=2, heads=4, points=4),
    completion=AttentionConfig(layers=2, heads=4, points=4),
    conditioning=ConditioningConfig(layers=1, heads=4, points=4),
    cross_view=CrossViewConfig(heads=4),
)

MONO_NANO_TEACHER = MONO_NANO.model_copy(
    update={
        "backbone": BackboneConfig(name="convnext_tiny"),
        "frames": 3,
        "cross_view": CrossViewConfig(enabled=True, heads=4),
    }
)

MONO_NANO_TRAIN = MonoTrainConfig(
    optimizer=OptimizerConfig(learning_rate=1e-3, warm_up_steps=50, milestones=(0.6, 0.8, 0.9)),
    factors=MonoFactorsConfig(backbone=0.3),
    steps=4_000,
    samples_per_step=4,
    cameras_per_sample=1,
    precision="float32",
)

MONO_PRESETS: dict[str, MonoConfig] = {
    "mono_nano": MonoConfig(model=MONO_NANO, train=MONO_NANO_TRAIN),
    "mono_nano_teacher": MonoConfig(model=MONO_NANO_TEACHER, train=MONO_NANO_TRAIN),
    "mono_kitti": MonoConfig(model=MONO_KITTI),
    "mono_kitti_large": MonoConfig(model=MONO_KITTI_LARGE),
    "mono_kitti_teacher": MonoConfig(model=MONO_KITTI_TEACHER),
}
