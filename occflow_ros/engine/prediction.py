"""One prediction as evaluations take it, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.scene import VoxelScene
from occflow_ros.engine.view import View, rendered_view, voxel_view
from occflow_ros.geometry.se3 import Array
from occflow_ros.structures import OccupancyFlow

Classes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was predicted for one camera set.

    Args:
        scene: occupied voxels and their velocity.
        odom_T_base: (4, 4) pose of its ego frame.
        view: what rays see of it: the rendered fields of a network, else its voxels.
        classes: (X, Y, Z) uint8 of its voxels, empty ones too; None where it has no classes.
        class_names: what the numbers of the classes mean, as data sets number them differently.

    Raises:
        ValueError: where the classes are not on the grid or have no names.
    """

    scene: VoxelScene
    odom_T_base: Array
    view: View
    classes: Classes | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.classes is not None and self.classes.shape != self.scene.grid.shape:
            raise ValueError(f"classes: expected {self.scene.grid.shape}, got {self.classes.shape}")
        if (self.classes is None) != (not self.class_names):
            raise ValueError("class_names: expected them beside classes, and only there")

    def classes_in(self, names: tuple[str, ...]) -> Classes | None:
        """The classes where these names number them, else None."""
        return self.classes if self.class_names == names else None

    @staticmethod
    def of_fields(flow: OccupancyFlow, odom_T_base: Array, sharpness_per_m: float) -> Prediction:
        """Of a network: rays see what equation 14 renders with this ξ."""
        view = rendered_view(flow, sharpness_per_m)
        return Prediction(scene_of(flow), odom_T_base, view)

    @staticmethod
    def of_voxels(
        scene: VoxelScene,
        odom_T_base: Array,
        classes: Classes | None = None,
        class_names: tuple[str, ...] = (),
    ) -> Prediction:
        """Of voxels alone, as messages and label files have them."""
        return Prediction(scene, odom_T_base, voxel_view(scene), classes, class_names)


def scene_of(flow: OccupancyFlow) -> VoxelScene:
    """The fields as occupied voxels; velocity is zero in the others."""
    occupied = flow.occupied
    velocity_mps = flow.velocity_mps.float() * occupied.unsqueeze(-1)
    return VoxelScene(flow.grid, occupied.cpu().numpy(), velocity_mps.cpu().numpy())
