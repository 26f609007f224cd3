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

_NUMBERS = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was predicted for one camera set.

    Args:
        scene: occupied voxels, their velocity and, where it is known, what they are.
        odom_T_base: (4, 4) pose of its ego frame.
        view: what rays see of it: the rendered fields of a network, else its voxels.
    """

    scene: VoxelScene
    odom_T_base: Array
    view: View

    def classes_in(self, names: tuple[str, ...], empty: int) -> Classes | None:
        """The class of each voxel as these names number them, as data sets differ in that.

        Args:
            names: wanted.
            empty: number of voxels that are not occupied, and of those that nobody knows the class
                of.

        Returns:
            (X, Y, Z); None where the prediction has no classes, or some with other names.
        """
        scene = self.scene
        if scene.class_id is None or not set(scene.class_names) <= set(names):
            return None
        table = np.full(_NUMBERS, empty, np.uint8)
        table[: len(scene.class_names)] = [names.index(name) for name in scene.class_names]
        return np.where(scene.occupied, table[scene.class_id], np.uint8(empty))

    @staticmethod
    def of_fields(flow: OccupancyFlow, odom_T_base: Array, sharpness_per_m: float) -> Prediction:
        """Of a network: rays see what equation 14 renders with this ξ."""
        view = rendered_view(flow, sharpness_per_m)
        return Prediction(scene_of(flow), odom_T_base, view)

    @staticmethod
    def of_voxels(scene: VoxelScene, odom_T_base: Array) -> Prediction:
        """Of voxels alone, as messages and label files have them."""
        return Prediction(scene, odom_T_base, voxel_view(scene))


def scene_of(flow: OccupancyFlow) -> VoxelScene:
    """The fields as occupied voxels; velocity is zero in the others."""
    occupied = flow.occupied
    velocity_mps = flow.velocity_mps.float() * occupied.unsqueeze(-1)
    return VoxelScene(
        grid=flow.grid,
        occupied=occupied.cpu().numpy(),
        velocity_mps=velocity_mps.cpu().numpy(),
        class_id=None if flow.class_id is None else flow.class_id.cpu().numpy(),
        class_names=flow.class_names,
    )
