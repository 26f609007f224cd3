"""Network and objective of *Let Occ Flow* as one learner, in two stages (section 3.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from occflow_ros.config import Config
from occflow_ros.engine.feature_buffer import relative_poses
from occflow_ros.losses.total import TotalLoss
from occflow_ros.models.heads import Prediction
from occflow_ros.models.occflow_net import OccFlowNet
from occflow_ros.rendering.neus import learned_sharpness, scheduled_sharpness
from occflow_ros.structures import Clip, Frame
from occflow_ros.training.learner import Learner, Stage
from occflow_ros.training.objective import Objective
from occflow_ros.training.sample import TrainingSample

STATIC, JOINT = 0, 1
"""The stages."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the network remembers of a clip, newest first.

    Args:
        volumes: (1, C, X, Y, Z) each, lifted.
        past_T_current: (1, n, 4, 4) of their ego frames.
    """

    volumes: list[Tensor]
    past_T_current: Tensor


class OccFlowLearner(Learner[TrainingSample]):
    """Sample to loss: first the static world, then all that moves too.

    Args:
        network: to train.
        config: of network and training.
    """

    network: OccFlowNet
    unit = "rays"

    def __init__(self, network: OccFlowNet, config: Config) -> None:
        super().__init__()
        self.network = network
        start_per_m = config.train.rendering.sharpness_per_m[0]
        self.sharpness = nn.Parameter(torch.tensor(0.1 * math.log(start_per_m)))
        self.stages = tuple(
            Stage(stage.steps, stage.factors)
            for stage in (config.train.static_stage, config.train.joint_stage)
        )
        self._config = config
        self.train()
        self.begin_stage(STATIC)

    def begin_stage(self, index: int) -> None:
        """Choose what is learned: flow in the joint stage, sharpness in the static one."""
        joint = index == JOINT
        learned = self._config.train.rendering.sharpness == "learned"
        only_joint = self._config.train.static_stage.steps == 0
        self.network.heads.flow.requires_grad_(joint)
        self.sharpness.requires_grad_(learned and (only_joint or not joint))
        self._objective = Objective(self._config.model.grid.voxels, self._config.train, joint)

    def beside(self) -> tuple[nn.Parameter, ...]:
        """ξ of equation 13."""
        return (self.sharpness,)

    def sharpness_per_m(self, step: int) -> float:
        """ξ of equation 13 at this step."""
        sharpness = self._sharpness_per_m(step)
        return sharpness if isinstance(sharpness, float) else sharpness.item()

    def numbers(self, step: int) -> dict[str, float]:
        """ξ of equation 13."""
        return {"sharpness_per_m": self.sharpness_per_m(step)}

    def size(self, sample: TrainingSample) -> int:
        """Rays that are rendered; a sweep with fewer returns than wanted counts as full."""
        rendering = self._config.train.rendering
        height, width = rendering.camera_grid_hw
        lidar = 0 if sample.lidar is None else rendering.lidar_rays
        return len(sample.current.rig.names) * height * width + lidar

    def forward(self, sample: TrainingSample, step: int, generator: torch.Generator) -> TotalLoss:
        """Equation 12 of one sample; the generator draws the rays."""
        prediction = self.predict(sample.current, self.past(sample.clip))
        return self.losses(prediction, sample, step, generator)

    def past(self, clip: Clip) -> Past:
        """Lifted without gradient, as the stream remembers it."""
        *past, current = clip.frames
        newest_first = past[::-1]
        with self._computing(), torch.no_grad():
            volumes = [self.network.lift(*self._batch(frame)) for frame in newest_first]
        poses = relative_poses([frame.odom_T_base for frame in newest_first], current.odom_T_base)
        return Past(volumes, poses)

    def predict(self, current: Frame, past: Past) -> Prediction:
        """For the current frame of a clip, with its past."""
        with self._computing():
            batch = self._batch(current)
            prediction: Prediction = self.network(*batch, past.volumes, past.past_T_current)
        return prediction

    def losses(
        self,
        prediction: Prediction,
        sample: TrainingSample,
        step: int,
        generator: torch.Generator,
    ) -> TotalLoss:
        """Equation 12 of a prediction; arguments as in `forward`."""
        return self._objective(prediction, sample, self._sharpness_per_m(step), generator)

    def _sharpness_per_m(self, step: int) -> Tensor | float:
        """As `sharpness_per_m`, with its gradient where it is learned."""
        train = self._config.train
        if train.rendering.sharpness == "learned":
            return learned_sharpness(self.sharpness)
        # The schedule ends with the static stage.
        progress = min(1.0, step / (train.static_stage.steps or train.steps))
        return scheduled_sharpness(progress, *train.rendering.sharpness_per_m)

    def _computing(self) -> torch.autocast:
        reduced = self._config.train.precision == "bfloat16"
        return torch.autocast(self.sharpness.device.type, torch.bfloat16, enabled=reduced)

    def _batch(self, frame: Frame) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The arguments of `OccFlowNet.lift` for a batch of one."""
        rig = frame.rig
        images = frame.images.unsqueeze(0).to(self.sharpness.device, non_blocking=True)
        return images, rig.K.unsqueeze(0), rig.base_T_camera.unsqueeze(0), rig.present.unsqueeze(0)
