"""The network G of equation 1: images of N cameras and past volumes to occupancy and flow."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from occflow_ros.models.backbone import Backbone
from occflow_ros.models.heads import Heads, Prediction
from occflow_ros.models.lifter import Lifter
from occflow_ros.models.neck import FeaturePyramid
from occflow_ros.models.preprocess import ImageNormalizer
from occflow_ros.models.refiner import Refiner
from occflow_ros.models.temporal import TemporalFusion


class OccFlowNet(nn.Module):
    """Stateless: past volumes and poses are arguments, whoever calls owns them.

    Args:
        preprocess, backbone, neck, lifter, temporal, refiner, heads: ready stages.
        weights_source: where the weights come from, for people to read.
    """

    def __init__(
        self,
        preprocess: ImageNormalizer,
        backbone: Backbone,
        neck: FeaturePyramid,
        lifter: Lifter,
        temporal: TemporalFusion,
        refiner: Refiner,
        heads: Heads,
        weights_source: str,
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.backbone = backbone
        self.neck = neck
        self.lifter = lifter
        self.temporal = temporal
        self.refiner = refiner
        self.heads = heads
        self.weights_source = weights_source

    @property
    def stages(self) -> dict[nn.Module, str]:
        """What to call each module's part of the time."""
        return {
            self.preprocess: "preprocess",
            self.backbone: "backbone",
            self.neck: "backbone",
            self.lifter: "lift",
            self.temporal: "temporal",
            self.refiner: "refine",
            self.heads: "heads",
        }

    def forward(
        self,
        images: Tensor,
        K: Tensor,
        base_T_camera: Tensor,
        present: Tensor,
        history: Sequence[Tensor],
        past_T_current: Tensor,
    ) -> Prediction:
        """`lift`, then `predict`."""
        volume = self.lift(images, K, base_T_camera, present)
        return self.predict(volume, history, past_T_current)

    def lift(self, images: Tensor, K: Tensor, base_T_camera: Tensor, present: Tensor) -> Tensor:
        """One camera set to its feature volume, the thing that history is made of.

        Args:
            images: (B, N, 3, H, W) uint8 RGB.
            K: (B, N, 3, 3) intrinsics in pixels of these images.
            base_T_camera: (B, N, 4, 4) optical frames to the ego frame.
            present: (B, N) bool, False where the image is missing.

        Returns:
            V (B, C, X, Y, Z) in the ego frame.
        """
        height, width = images.shape[-2:]
        features = self.neck(self.backbone(self.preprocess(images)))
        return self.lifter(features, K, base_T_camera, present, (height, width))

    def predict(
        self, volume: Tensor, history: Sequence[Tensor], past_T_current: Tensor
    ) -> Prediction:
        """The current volume and past ones, each in its own ego frame, to both fields.

        Args:
            volume: (B, C, X, Y, Z).
            history: past volumes like `volume`, newest first; may be empty.
            past_T_current: (B, n, 4, 4) float64, current ego frame into each past one.

        Raises:
            ValueError: where volumes, history and poses do not belong together.
        """
        return self.heads(self.refiner(self.temporal(volume, history, past_T_current)))
