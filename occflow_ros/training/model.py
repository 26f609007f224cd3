"""Network and objective as one module: what data-parallel training wraps."""

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
from occflow_ros.training.objective import Objective
from occflow_ros.training.sample import TrainingSample


@dataclass(frozen=True, slots=True)
class Past:
    """What the network remembers of a clip, newest first.

    Args:
        volumes: (1, C, X, Y, Z) each, lifted.
        past_T_current: (1, n, 4, 4) of their ego frames.
    """

    volumes: list[Tensor]
    past_T_current: Tensor


class TrainingModel(nn.Module):
    """Sample to loss, in one of the two stages.

    Args:
        network: to train.
        config: of network and training.
    """

    def __init__(self, network: OccFlowNet, config: Config) -> None:
        super().__init__()
        self.network = network
        start_per_m = config.train.rendering.sharpness_per_m[0]
        self.sharpness = nn.Parameter(torch.tensor(0.1 * math.log(start_per_m)))
        self._config = config
        self.train()
        self.begin_stage(joint=False)

    def begin_stage(self, joint: bool) -> None:
        """Choose what is learned: flow in the joint stage, sharpness in the static one."""
        learned = self._config.train.rendering.sharpness == "learned"
        only_joint = self._config.train.static_stage.steps == 0
        self.network.heads.flow.requires_grad_(joint)
        self.sharpness.requires_grad_(learned and (only_joint or not joint))
        self._objective = Objective(self._config.model.grid.voxels, self._config.train, joint)

    def sharpness_per_m(self, progress: float) -> Tensor | float:
        """ξ of equation 13 at this share of its schedule."""
        rendering = self._config.train.rendering
        if rendering.sharpness == "learned":
            return learned_sharpness(self.sharpness)
        return scheduled_sharpness(progress, *rendering.sharpness_per_m)

    def forward(
        self, sample: TrainingSample, progress: float, generator: torch.Generator
    ) -> TotalLoss:
        """Equation 12 of one sample.

        Args:
            sample: on the device of the network but for its clip.
            progress: share of the schedule of ξ that is done.
            generator: on the CPU, draws the rays.
        """
        prediction = self.predict(sample.current, self.past(sample.clip))
        return self.losses(prediction, sample, progress, generator)

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
        progress: float,
        generator: torch.Generator,
    ) -> TotalLoss:
        """Equation 12 of a prediction; arguments as in `forward`."""
        return self._objective(prediction, sample, self.sharpness_per_m(progress), generator)

    def _computing(self) -> torch.autocast:
        reduced = self._config.train.precision == "bfloat16"
        return torch.autocast(self.sharpness.device.type, torch.bfloat16, enabled=reduced)

    def _batch(self, frame: Frame) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The arguments of `OccFlowNet.lift` for a batch of one."""
        rig = frame.rig
        images = frame.images.unsqueeze(0).to(self.sharpness.device, non_blocking=True)
        return images, rig.K.unsqueeze(0), rig.base_T_camera.unsqueeze(0), rig.present.unsqueeze(0)
