"""Typed settings of training: rays, losses, data and schedule.

The defaults are the paper's (section B.3) and, where it is silent, those of public configurations.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from occflow_ros.validation import StrictModel


class LossTermConfig(StrictModel):
    """One loss of equation 12."""

    weight: float = Field(ge=0, description="λ in the sum")
    enabled: bool = Field(True, description="whether it enters the sum at all")


def _term(weight: float) -> LossTermConfig:
    return LossTermConfig(weight=weight)


class LossesConfig(StrictModel):
    """Weights and switches of all losses, and what they are computed with."""

    reprojection: LossTermConfig = _term(1.0)
    optical_flow: LossTermConfig = _term(5e-3)
    lidar: LossTermConfig = _term(0.2)
    line_of_sight: LossTermConfig = LossTermConfig(weight=0.2, enabled=False)  # not the paper's
    eikonal: LossTermConfig = _term(0.1)
    hessian: LossTermConfig = _term(0.05)
    depth_smoothness: LossTermConfig = _term(0.02)
    flow_smoothness: LossTermConfig = _term(0.01)
    dynamic_regularization: LossTermConfig = _term(0.1)
    soft_sparsity: LossTermConfig = _term(0.005)
    adaptive_sparsity: LossTermConfig = _term(0.01)
    ssim_weight: float = Field(0.85, ge=0, le=1, description="share of D-SSIM over L1")
    auto_mask: bool = Field(True, description="what does not move in the image teaches nothing")
    flow_margin: float = Field(
        0.1, ge=0, description="how far out of the image flow may lead, as a share of its size"
    )
    max_dynamic_scale: float = Field(20.0, ge=1, description="largest γ of equation 11")
    lidar_scale_invariance: float = Field(0.85, ge=0, le=1, description="λ of the range loss")
    sparsity_slack_m: float = Field(4.0, ge=0, description="thickness behind a surface left alone")


class MotionConfig(StrictModel):
    """What tells moving rays from static ones, and what each kind teaches."""

    disentanglement: bool = Field(
        True, description="dynamic rays teach flow only, static ones geometry only (equation 10)"
    )
    forward_static_flow: bool = Field(
        True, description="optical flow to the next images supervises static geometry"
    )
    backward_static_flow: bool = Field(
        True, description="optical flow to the auxiliary previous images does too"
    )
    dynamic_threshold_px: float = Field(
        8.0, gt=0, description="optical minus static flow of a dynamic ray"
    )


class AuxiliaryConfig(StrictModel):
    """How the auxiliary previous frame is drawn: by a Gaussian over the way of the ego."""

    mean_m: float = Field(0.5, ge=0, description="way most wanted")
    std_m: float = Field(0.5, gt=0, description="spread of the way")
    range_m: tuple[float, float] = Field((0.0, 6.0), description="least and largest way")
    span: int = Field(1, ge=1, description="sets back at most; cues are needed for as many")


class RenderingConfig(StrictModel):
    """Rays of a step and samples along them (section B.5)."""

    camera_grid_hw: tuple[int, int] = Field(
        (32, 88), description="cells of each image, one random pixel in each is a ray"
    )
    lidar_rays: int = Field(0, ge=0, description="LiDAR rays per camera set; 0: cameras only")
    samples: int = Field(256, ge=2, description="along each ray")
    near_m: float = Field(0.5, ge=0, description="range where rays start")
    far_m: float = Field(80.0, gt=0, description="range where rays end")
    max_samples_at_once: int = Field(2**20, ge=2, description="bound of samples in memory")
    sharpness: Literal["learned", "scheduled"] = Field(
        "learned", description="ξ of equation 13: learned in stage 1, or from start to end over it"
    )
    sharpness_per_m: tuple[float, float] = Field(
        (2.718, 16.0), description="ξ at the start, and at the end of a schedule"
    )

    @model_validator(mode="after")
    def _segment_is_not_empty(self) -> RenderingConfig:
        if self.near_m >= self.far_m:
            raise ValueError(f"expected near_m < far_m, got {self.near_m} and {self.far_m}")
        if self.max_samples_at_once < self.samples:
            raise ValueError(
                f"max_samples_at_once: expected room for one ray of {self.samples} samples, "
                f"got {self.max_samples_at_once}"
            )
        return self

    @field_validator("camera_grid_hw")
    @classmethod
    def _has_neighbours(cls, cells: tuple[int, int]) -> tuple[int, int]:
        if min(cells) < 2:
            raise ValueError(f"expected at least 2 × 2 cells, got {cells}")
        return cells


class AugmentationConfig(StrictModel):
    """Changes of the samples by chance."""

    flip: float = Field(0.5, ge=0, le=1, description="chance to mirror left and right")
    jitter: float = Field(0.5, ge=0, le=1, description="chance to change the colours")
    brightness: float = Field(0.2, ge=0, lt=1, description="largest change, as a share")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest change, as a share")
    saturation: float = Field(0.2, ge=0, lt=1, description="largest change, as a share")
    hue: float = Field(0.05, ge=0, le=0.5, description="largest change, in turns")


class FactorsConfig(StrictModel):
    """Learning rates of the modules over the base rate."""

    backbone: float = Field(0.1, ge=0)
    neck: float = Field(1.0, ge=0)
    lifter: float = Field(1.0, ge=0)
    temporal: float = Field(1.0, ge=0)
    refiner: float = Field(1.0, ge=0)
    heads: float = Field(1.0, ge=0)


class StageConfig(StrictModel):
    """One of the two stages."""

    steps: int = Field(ge=0, description="optimizer steps; 0 leaves the stage out")
    factors: FactorsConfig = FactorsConfig()


class OptimizerConfig(StrictModel):
    """AdamW, its schedule and what guards it; the schedule starts anew in each stage."""

    learning_rate: float = Field(1e-4, gt=0, description="base rate after warm-up")
    weight_decay: float = Field(0.01, ge=0, description="decoupled")
    warm_up_steps: int = Field(1000, ge=0, description="linear, from zero")
    milestones: tuple[float, ...] = Field(
        (0.6, 0.8), description="shares of a stage at which the rate decays"
    )
    decay: float = Field(0.4, gt=0, le=1, description="of the rate at each milestone")
    max_gradient_norm: float = Field(35.0, gt=0, description="longer gradients are shortened")
    max_skipped: int = Field(
        100, ge=1, description="steps in a row with a non-finite gradient that end the run"
    )

    @field_validator("milestones")
    @classmethod
    def _ascend_within_a_stage(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if list(shares) != sorted(shares) or not all(0 < share < 1 for share in shares):
            raise ValueError(f"expected ascending shares between 0 and 1, got {shares}")
        return shares


class ScheduleConfig(StrictModel):
    """What any training has, whatever is learned."""

    optimizer: OptimizerConfig = OptimizerConfig()
    samples_per_step: int = Field(8, ge=1, description="over all processes")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="of the network's products; losses are always in float32"
    )
    seed: int = Field(0, ge=0, description="of weights, order, rays and augmentation")


class TrainConfig(ScheduleConfig):
    """Everything about training."""

    losses: LossesConfig = LossesConfig()
    motion: MotionConfig = MotionConfig()
    auxiliary: AuxiliaryConfig = AuxiliaryConfig()
    rendering: RenderingConfig = RenderingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    static_stage: StageConfig = StageConfig(steps=28_000)
    joint_stage: StageConfig = StageConfig(
        steps=28_000, factors=FactorsConfig(neck=0.25, lifter=0.25, temporal=0.4)
    )

    @property
    def steps(self) -> int:
        """Optimizer steps of both stages."""
        return self.static_stage.steps + self.joint_stage.steps

    @model_validator(mode="after")
    def _trains(self) -> TrainConfig:
        if self.steps == 0:
            raise ValueError("expected steps in one of the stages, got none")
        return self
