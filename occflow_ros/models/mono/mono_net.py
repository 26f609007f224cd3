"""MonoOcc: images and depth of single cameras to a semantic voxel map (section III)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from occflow_ros.models.mono.cross_view import CrossViewTransformer
from occflow_ros.models.mono.head import SemanticDecoder, VoxelHead
from occflow_ros.models.mono.merge import merge_cameras
from occflow_ros.models.mono.prediction import MonoPrediction
from occflow_ros.models.mono.proposals import ProposalNetwork, select, voxelize
from occflow_ros.models.mono.views import CameraViews, Views
from occflow_ros.models.mono.volume import SparseToDense
from occflow_ros.models.neck import FeaturePyramid
from occflow_ros.models.preprocess import ImageNormalizer
from occflow_ros.models.transformers_backbone import AnyBackbone
from occflow_ros.structures import VoxelGrid


class MonoOccNet(nn.Module):
    """One network for each camera by itself; their volumes are merged by visibility.

    Args:
        preprocess, backbone, neck, proposals, volume, head, semantic_decoder: ready stages.
        cross_view: between the frames of the privileged branch; None: frames stay independent.
        threshold: occupancy probability from which on a cell becomes a query.
        max_queries: N_d at most.
        frames: images of a camera that are looked at, older ones are left out.
        class_names: of the logits.
        empty_id: number of the class of empty voxels.
        weights_source: where the weights come from, for people to read.
    """

    def __init__(
        self,
        preprocess: ImageNormalizer,
        backbone: AnyBackbone,
        neck: FeaturePyramid,
        cross_view: CrossViewTransformer | None,
        proposals: ProposalNetwork,
        volume: SparseToDense,
        head: VoxelHead,
        semantic_decoder: SemanticDecoder,
        threshold: float,
        max_queries: int,
        frames: int,
        class_names: tuple[str, ...],
        empty_id: int,
        weights_source: str,
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.backbone = backbone
        self.neck = neck
        self.cross_view = cross_view
        self.proposals = proposals
        self.volume = volume
        self.head = head
        self.semantic_decoder = semantic_decoder
        self.threshold, self.max_queries, self.frames = threshold, max_queries, frames
        self.class_names, self.empty_id = class_names, empty_id
        self.weights_source = weights_source

    @property
    def grid(self) -> VoxelGrid:
        """Of the logits."""
        return self.proposals.grid

    @property
    def volume_grid(self) -> VoxelGrid:
        """Of the voxel features."""
        return self.grid.coarsen(2)

    @property
    def channels(self) -> int:
        """C of the voxel features."""
        return self.volume.lifting.query.shape[0]

    def forward(self, views: Views, depth_m: Tensor) -> MonoPrediction:
        """Images, newest first, and depth of the newest to classes of voxels.

        Args:
            views: of N cameras; images older than `frames` are left out.
            depth_m: (B, N, h, w) along the optical axes of the newest images, of any resolution
                over the whole images; unknown where it is 0 or not finite.

        Raises:
            ValueError: where the depth does not belong to the images, or a row has no image now.
        """
        _check(views, depth_m)
        cameras = views.newest(self.frames).by_camera()  # M = B · N single cameras
        features = self._features(cameras)
        filled = voxelize(depth_m.flatten(0, 1).to(cameras.K), cameras, self.grid)
        proposals = self.proposals(filled)
        queries = select(proposals, self.threshold, self.max_queries)
        volumes = self.volume(features, queries, cameras)
        split = (-1, views.num_cameras)
        present, seen = (
            value.unflatten(0, split) for value in (cameras.present[:, 0], volumes.seen)
        )  # (B, N), (B, N, Q)
        merged = merge_cameras(volumes.tokens.unflatten(0, split), seen, present)
        volume = merged.transpose(1, 2).unflatten(2, self.volume_grid.shape)
        newest = features[0].unflatten(0, cameras.present.shape)[:, 0]
        return MonoPrediction(
            logits=self.head(volume),
            volume=volume,
            proposals=proposals.unflatten(0, split),
            seen=seen.any(dim=1).unflatten(1, self.volume_grid.shape),
            features=newest.unflatten(0, split),
        )

    def _features(self, cameras: CameraViews) -> list[Tensor]:
        """Pyramid of each image, L maps (M · T, C, h, w)."""
        maps = self.neck(self.backbone(self.preprocess(cameras.images)))
        times = cameras.present.shape[1]
        return list(maps) if self.cross_view is None else self.cross_view(maps, times)


def _check(views: Views, depth_m: Tensor) -> None:
    batch, cameras = len(views.images), views.num_cameras
    if depth_m.ndim != 4 or tuple(depth_m.shape[:2]) != (batch, cameras):
        raise ValueError(
            f"depth_m: expected ({batch}, {cameras}, h, w), got {tuple(depth_m.shape)}"
        )
    if not torch.compiler.is_compiling() and not views.present[:, 0].any(dim=1).all():
        raise ValueError("present: expected an image of one of the cameras at the newest time")
