"""Typed configuration of OccFiner's first stage: refining what an onboard model said of a window.

The defaults are the paper's on SemanticKITTI (section D.1); where it is silent, ours.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from occflow_ros.config import GridConfig
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI, Vocabulary
from occflow_ros.mono_config import ClassesConfig
from occflow_ros.training_config import LossTermConfig, OptimizerConfig, ScheduleConfig
from occflow_ros.validation import StrictModel


class RefineClassesConfig(ClassesConfig):
    """What a voxel can be, before and after, and what of it moves by itself."""

    movable: tuple[str, ...] = Field(
        tuple(SEMANTIC_KITTI.names[number] for number in SEMANTIC_KITTI.movable),
        description="classes that can move; the others never keep a velocity",
    )

    @staticmethod
    def of(vocabulary: Vocabulary) -> RefineClassesConfig:
        """Those of a recording."""
        names = vocabulary.names
        return RefineClassesConfig(
            names=names,
            empty=names[vocabulary.empty],
            movable=tuple(names[number] for number in vocabulary.movable),
        )

    @property
    def vocabulary(self) -> Vocabulary:
        """The same with numbers."""
        movable = tuple(self.names.index(name) for name in self.movable)
        return Vocabulary(self.names, self.empty_id, movable)

    @model_validator(mode="after")
    def _movable_are_classes(self) -> RefineClassesConfig:
        if unknown := [name for name in self.movable if name not in self.names]:
            raise ValueError(f"movable: expected some of {list(self.names)}, got {unknown}")
        return self


class PropagationConfig(StrictModel):
    """DualFlow4D blocks between soft split and composition, equations 3 to 6."""

    blocks: int = Field(2, ge=0, description="N; 0: frames and columns stay by themselves")
    channels: int = Field(256, ge=1, description="c_e of a token")
    heads: PositiveInt = Field(4, description="of the focal attention")
    patch: int = Field(7, ge=1, description="side of a patch of the soft split, in BEV cells")
    stride: int = Field(3, ge=1, description="from patch to patch")
    window: int = Field(3, ge=1, description="side of a window of the focal attention, in tokens")
    margin: int = Field(1, ge=0, description="tokens around a window that it sees finely too")
    ffn_ratio: float = Field(4.0, gt=0, description="width of the FFNs over the channels")

    @model_validator(mode="after")
    def _patches_cover(self) -> PropagationConfig:
        if self.patch % 2 == 0 or self.stride > self.patch // 2 + 1:
            raise ValueError(
                "patch, stride: expected an odd patch and a stride of at most half of it and 1, "
                f"got {self.patch} and {self.stride}"
            )
        if self.channels % self.heads:
            raise ValueError(
                f"channels: expected a multiple of heads = {self.heads}, got {self.channels}"
            )
        return self


class RefineModelConfig(StrictModel):
    """The network; the defaults are the paper's."""

    grid: GridConfig = GridConfig(
        lower_m=(0.0, -25.6, -2.0), upper_m=(51.2, 25.6, 4.4), shape=(256, 256, 32)
    )
    classes: RefineClassesConfig = RefineClassesConfig()
    local_frames: int = Field(4, ge=1, description="T_l, neighbours that are refined together")
    reference_frames: int = Field(2, ge=0, description="T_r, more distant ones that are looked at")
    reference_radius: int = Field(10, ge=1, description="n, frames from the local ones at most")
    embedding: int = Field(32, ge=1, description="channels of an embedded column of voxels")
    channels: int = Field(80, ge=1, description="c of the BEV features")
    encoder_blocks: int = Field(4, ge=1, description="of the encoders, each halves the BEV")
    propagation: PropagationConfig = PropagationConfig()
    positional_embedding: bool = Field(True, description="relative coordinates of equation 1")
    temporal_embedding: bool = Field(False, description="of a frame's place; the paper tried it")

    @model_validator(mode="after")
    def _slots_fit(self) -> RefineModelConfig:
        heights, channels = self.grid.shape[2], self.propagation.channels
        if self.propagation.blocks and channels % heights:
            raise ValueError(
                f"propagation.channels: expected a multiple of the {heights} heights of the grid, "
                f"got {channels}"
            )
        return self


class RefineLossesConfig(StrictModel):
    """Equation 13."""

    cross_entropy: LossTermConfig = LossTermConfig(weight=1.0)
    lovasz: LossTermConfig = LossTermConfig(weight=1.0)


class FlipConfig(StrictModel):
    """Mirroring by chance, of classes and relative coordinates."""

    x: float = Field(0.5, ge=0, le=1, description="chance to mirror front and back")
    y: float = Field(0.5, ge=0, le=1, description="chance to mirror left and right")


class RefineFactorsConfig(StrictModel):
    """Learning rates of the modules over the base rate."""

    features: float = Field(1.0, ge=0)
    positions: float = Field(1.0, ge=0)
    times: float = Field(1.0, ge=0)
    propagation: float = Field(1.0, ge=0)
    head: float = Field(1.0, ge=0)


class RefineTrainConfig(ScheduleConfig):
    """How the network is trained; Adam is AdamW without decay, 0.98^epoch a milestone an epoch."""

    losses: RefineLossesConfig = RefineLossesConfig()
    flip: FlipConfig = FlipConfig()
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=1e-3,
        weight_decay=0.0,
        warm_up_steps=0,
        milestones=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        decay=0.98,
    )
    factors: RefineFactorsConfig = RefineFactorsConfig()
    steps: int = Field(4_790, ge=1, description="optimizer steps; 10 epochs of SemanticKITTI")
    samples_per_step: int = Field(8, ge=1, description="windows, over all processes")


class RefineConfig(StrictModel):
    """Network and training."""

    model: RefineModelConfig = RefineModelConfig()
    train: RefineTrainConfig = RefineTrainConfig()


REFINE_KITTI = RefineModelConfig()

REFINE_NANO = RefineModelConfig(
    grid=GridConfig(shape=(100, 100, 8)),
    classes=RefineClassesConfig.of(OCC3D),
    reference_radius=5,
    embedding=32,
    channels=32,
    encoder_blocks=2,
    propagation=PropagationConfig(
        blocks=2, channels=64, heads=4, patch=5, stride=2, window=5, margin=1, ffn_ratio=2.0
    ),
)

REFINE_NANO_TRAIN = RefineTrainConfig(
    optimizer=OptimizerConfig(
        learning_rate=2e-3, weight_decay=0.0, warm_up_steps=20, milestones=(0.6, 0.8, 0.9)
    ),
    steps=1_000,
    samples_per_step=1,
    precision="float32",
)

REFINE_PRESETS: dict[str, RefineConfig] = {
    "refine_nano": RefineConfig(model=REFINE_NANO, train=REFINE_NANO_TRAIN),
    "refine_kitti": RefineConfig(model=REFINE_KITTI),
}
