"""The paper's Tables 4 to 6 in small: each part of the method is left out or replaced in turn.

All rows have the same number of optimizer steps; rows with the same network begin with the same
weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occflow_ros.config import Config, override
from occflow_ros.engine import checkpoint
from occflow_ros.engine.inspection import temporal_parameters
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.scene_flow import BASELINE_M
from occflow_ros.models.build import build_network
from occflow_ros.table import number
from occflow_ros.training.dataset import ClipDataset, TrainingDrive
from occflow_ros.training.held_out import score, stream_of
from occflow_ros.training.occflow_learner import OccFlowLearner
from occflow_ros.training.study import Ablation, Numbers, Runner, Study

COLUMNS = {
    "de_px": "DE",
    "epe_px": "EPE",
    "de_fg_px": "DE_FG",
    "epe_fg_px": "EPE_FG",
    "d1": "D1_5%",
    "f1": "F1_10%",
    "sf1": "SF1_10%",
    "epe_moving_px": "EPE_moving",
}
"""Of the paper's tables, and the error on what really moves; by name in `Scores.numbers`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One method to train.

    Args:
        name: of its folder.
        settings: `key=value` in which it differs from the preset.
        two_stages: static world first; else all steps are joint, at the rates of the static stage,
            since those of the joint stage are for weights that are trained already.
    """

    name: str
    settings: tuple[str, ...] = ()
    two_stages: bool = True


_CAMERA_ONLY = "train.rendering.lidar_rays=0"
_LIDAR = "train.rendering.lidar_rays=1024"
_NOT_DISENTANGLED = (
    "train.motion.disentanglement=false",
    "train.losses.dynamic_regularization.enabled=false",
    "train.losses.max_dynamic_scale=1.0",
)
"""All that the paper does with the dynamic mask but for static flow supervision."""

FULL = Variant("full", (_CAMERA_ONLY,))
CONCAT_CONV = Variant("concat_conv", (_CAMERA_ONLY, "model.temporal.fusion=concat_conv"))
BEV_FORWARD = Variant("bev_forward", (_CAMERA_ONLY, "model.temporal.fusion=bev_forward"))
FORWARD_ONLY = Variant(
    "forward_static_flow", (_CAMERA_ONLY, "train.motion.backward_static_flow=false")
)
NO_STATIC_FLOW = Variant(
    "no_static_flow", (*FORWARD_ONLY.settings, "train.motion.forward_static_flow=false")
)
FULL_LIDAR = Variant("lidar_full", (_LIDAR,))
TWO_STAGES = Variant("lidar_two_stages", (_LIDAR, *_NOT_DISENTANGLED))
ONE_STAGE = Variant("lidar_one_stage", TWO_STAGES.settings, two_stages=False)

_PARAMETERS = "temporal module (M)"

ABLATIONS = {
    "temporal": Ablation(
        "Temporal module (Table 4), cameras only",
        {
            "concatenation and 3D convolution": CONCAT_CONV,
            "BEV pooling and forward attention": BEV_FORWARD,
            "backward-forward attention": FULL,
        },
        COLUMNS,
        more=(_PARAMETERS,),
    ),
    "stages": Ablation(
        "Optimization strategy (Table 5), with LiDAR rays",
        {
            "neither": ONE_STAGE,
            "two stages": TWO_STAGES,
            "two stages, dynamic disentanglement": FULL_LIDAR,
        },
        COLUMNS,
    ),
    "static-flow": Ablation(
        "Static flow supervision (Table 6), cameras only",
        {"none": NO_STATIC_FLOW, "forward": FORWARD_ONLY, "forward and backward": FULL},
        COLUMNS,
    ),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What every row gets.

    Args:
        steps: optimizer steps of both stages.
        static_share: share of the static stage in them.
        seeds: each row is trained with seeds 0 to `seeds` − 1.

    Raises:
        ConfigError: where one of the two stages has no step.
    """

    steps: int
    static_share: float
    seeds: int

    def __post_init__(self) -> None:
        if not 0 < self.static_steps < self.steps:
            raise ConfigError(
                f"expected steps for both stages, got {self.static_steps} static ones of "
                f"{self.steps}"
            )

    @property
    def static_steps(self) -> int:
        """Of a run with two stages."""
        return round(self.steps * self.static_share)

    @staticmethod
    def share_of(config: Config) -> float:
        """Share of the static stage in the steps of a configuration."""
        return config.train.static_stage.steps / config.train.steps

    def apply(self, config: Config, variant: Variant, seed: int) -> Config:
        """The preset's configuration as one row trains it; raises ConfigError."""
        static = self.static_steps if variant.two_stages else 0
        settings = [
            *variant.settings,
            f"train.static_stage.steps={static}",
            f"train.joint_stage.steps={self.steps - static}",
            f"train.seed={seed}",
        ]
        if not variant.two_stages:
            factors = config.train.static_stage.factors.model_dump_json()
            settings.append(f"train.joint_stage.factors={factors}")
        return override(config, settings)


@dataclass(frozen=True, slots=True)
class OccFlowStudy(Study[Variant]):
    """What is the same in all runs.

    Args:
        config: of the full method, before any row or budget changes it.
        budget: of each row.
        drives: to train on.
        held_out: to compare with, with exact depth and optical flow.
        every: compare each k-th set of them.
        out: folder, with one for each row and seed.
        runner: of all runs.

    Raises:
        DataError: where a drive to compare with has no exact depth and optical flow.
    """

    config: Config
    budget: Budget
    drives: Sequence[TrainingDrive]
    held_out: Sequence[Subject]
    every: int
    out: Path
    runner: Runner

    def __post_init__(self) -> None:
        for one in self.held_out:
            if one.truth_files is None:
                raise DataError(
                    f"{one.drive.name}: expected exact depth and optical flow to compare with: "
                    "occflow synth --truth all"
                )

    @property
    def seeds(self) -> int:
        """Each row is trained with seeds 0 to `seeds` − 1."""
        return self.budget.seeds

    def trained(self, variant: Variant, seed: int) -> dict[str, Any]:
        """Settings and data."""
        config = self.budget.apply(self.config, variant, seed)
        settings = config.model_dump(mode="json", include={"model", "train"})
        return {"config": settings, "data": self.runner.fingerprint}

    def compared(self) -> dict[str, Any]:
        """The sets that are held out."""
        held_out = [f"{one.drive.name} {one.sets}" for one in self.held_out]
        return {"held_out": held_out, "every": self.every}

    def train(self, variant: Variant, seed: int, folder: Path, needed: Path | None) -> None:
        """Both stages; nothing is needed."""
        del needed
        config = self.budget.apply(self.config, variant, seed)
        learner = OccFlowLearner(build_network(config.model, seed=seed), config)
        self.runner.train(learner, ClipDataset(self.drives, config), config, folder)

    def score(self, variant: Variant, seed: int, weights: Path) -> Numbers:
        """As `occflow train` validates."""
        config = self.budget.apply(self.config, variant, seed)
        network = build_network(config.model, weights)
        sharpness_per_m = checkpoint.load(weights).metadata["sharpness_per_m"]
        with stream_of(network, config, self.runner.process.device) as stream:
            scores = score(stream, self.held_out, config, sharpness_per_m, self.every)
        return scores.numbers()

    def about(self) -> dict[str, Any]:
        """Budget and what is compared with."""
        return {
            "steps": self.budget.steps,
            "static_share": self.budget.static_share,
            "held_out": [one.drive.name for one in self.held_out],
            "every": self.every,
        }

    def note(self, seeds: int) -> str:
        """Budget, data and units."""
        budget, (height, width) = self.budget, self.config.model.image_hw_px
        return (
            f"Steps of a run: {budget.steps}, {budget.static_steps} of them static where there are "
            f"two stages; seeds: {seeds}, mean ± standard deviation; drives to train on: "
            f"{len(self.drives)}, to compare with: {len(self.held_out)}, one set in {self.every}. "
            f"Errors in px of {width}×{height} images, outliers as shares; disparity with KITTI's "
            f"baseline of {BASELINE_M:.4f} m; foreground: movable classes."
        )

    def cell(self, column: str, variant: Variant) -> str:
        """Size of the temporal module, in millions of parameters."""
        assert column == _PARAMETERS, column
        fusion = override(self.config, variant.settings).model.temporal.fusion
        return number(temporal_parameters(self.config.model)[fusion] / 1e6, 3)
