"""The network G of equation 1: images of N cameras and past volumes to occupancy and flow."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from occflow_ros.models.boundary import check_cameras, check_history
from occflow_ros.models.heads import Heads, Prediction
from occflow_ros.models.lifter import Lifter
from occflow_ros.models.neck import FeaturePyramid
from occflow_ros.models.preprocess import ImageNormalizer
from occflow_ros.models.refiner import Refiner
from occflow_ros.models.temporal_rivals import AnyFusion
from occflow_ros.models.transformers_backbone import AnyBackbone


class OccFlowNet(nn.Module):
    """Stateless: past volumes and poses are arguments, whoever calls owns them.

    Args:
        preprocess, backbone, neck, lifter, temporal, refiner, heads: ready stages.
        weights_source: where the weights come from, for people to read.
    """

    def __init__(
        self,
        preprocess: ImageNormalizer,
        backbone: AnyBackbone,
        neck: FeaturePyramid,
        lifter: Lifter,
        temporal: AnyFusion,
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
        """`lift`, then `predict`; the arguments are checked before either computes."""
        check_cameras(images, K, base_T_camera, present)
        check_history(self._volume_shape(len(images)), history, past_T_current)
        volume = self._lift(images, K, base_T_camera, present)
        return self._predict(volume, history, past_T_current)

    def lift(self, images: Tensor, K: Tensor, base_T_camera: Tensor, present: Tensor) -> Tensor:
        """One camera set to its feature volume, the thing that history is made of.

        Args:
            images: (B, N, 3, H, W) uint8 RGB on the device of the network.
            K: (B, N, 3, 3) intrinsics in pixels of these images. Matrices are best left on the
                CPU: they are checked, and on a GPU that would wait for it.
            base_T_camera: (B, N, 4, 4) optical frames to the ego frame.
            present: (B, N) bool, False where the image is missing.

        Returns:
            V (B, C, X, Y, Z) in the ego frame.

        Raises:
            ValueError: where shapes do not belong together, or the matrices of a camera that is
                present are not finite and rigid.
        """
        check_cameras(images, K, base_T_camera, present)
        return self._lift(images, K, base_T_camera, present)

    def predict(
        self, volume: Tensor, history: Sequence[Tensor], past_T_current: Tensor
    ) -> Prediction:
        """The current volume and past ones, each in its own ego frame, to both fields.

        Args:
            volume: (B, C, X, Y, Z).
            history: past volumes like `volume`, newest first; may be empty.
            past_T_current: (B, n, 4, 4) float64, current ego frame into each past one, best left
                on the CPU.

        Raises:
            ValueError: where volumes, history and poses do not belong together, or a pose is not
                finite and rigid.
        """
        shape = self._volume_shape(len(volume))
        if tuple(volume.shape) != shape:
            raise ValueError(f"volume: expected {shape} (B, C, X, Y, Z), got {tuple(volume.shape)}")
        check_history(shape, history, past_T_current)
        return self._predict(volume, history, past_T_current)

    def _lift(self, images: Tensor, K: Tensor, base_T_camera: Tensor, present: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        features = self.neck(self.backbone(self.preprocess(images)))
        rig = [value.to(images.device, non_blocking=True) for value in (K, base_T_camera, present)]
        return self.lifter(features, *rig, (height, width))

    def _predict(
        self, volume: Tensor, history: Sequence[Tensor], past_T_current: Tensor
    ) -> Prediction:
        return self.heads(self.refiner(self.temporal(volume, history, past_T_current)))

    def _volume_shape(self, batch: int) -> tuple[int, ...]:
        return (batch, self.lifter.channels, *self.lifter.grid.shape)
