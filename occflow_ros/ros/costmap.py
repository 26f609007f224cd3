"""The prediction as a 2D costmap for planners."""

from __future__ import annotations

import array

import torch
from geometry_msgs.msg import Point, Pose
from nav_msgs.msg import MapMetaData, OccupancyGrid
from torch import Tensor

from occflow_ros.errors import ConfigError
from occflow_ros.geometry.camera import project_from_base
from occflow_ros.ros.stamps import header_message
from occflow_ros.structures import CameraRig, Frame, OccupancyFlow, VoxelGrid

UNKNOWN = -1


class CostmapConverter:
    """Highest occupancy probability of each column within a band of heights, in percent.

    Args:
        grid: of the predictions.
        z_m: heights that block the way, in the ego frame; voxels with their centre within count.

    Raises:
        ConfigError: where no voxel lies in the band, or its cells are not square.
    """

    def __init__(self, grid: VoxelGrid, z_m: tuple[float, float]) -> None:
        self._grid = grid
        heights_m = grid.centers_m()[0, 0, :, 2]
        self._levels = ((heights_m >= z_m[0]) & (heights_m <= z_m[1])).nonzero().squeeze(1)
        if not len(self._levels):
            raise ConfigError(f"node.costmap.z_m: expected heights within {grid}, got {z_m}")
        if abs(grid.voxel_size_m[0] - grid.voxel_size_m[1]) > 1e-6:
            raise ConfigError(f"costmap: expected square cells, got {grid.voxel_size_m}")
        self._columns_m = grid.centers_m()[:, :, self._levels[len(self._levels) // 2]]

    def __call__(self, prediction: OccupancyFlow, frame: Frame, frame_id: str) -> OccupancyGrid:
        """The costmap in the ego frame `frame_id` at the prediction's time."""
        levels = self._levels.to(prediction.sdf_m.device)
        percent = prediction.probability[:, :, levels].amax(dim=2).mul(100).round()  # (X, Y)
        cells = percent.to("cpu", torch.int8)
        cells[~seen(self._columns_m, frame.rig, frame.images.shape[-2:])] = UNKNOWN
        header = header_message(prediction.stamp_ns, frame_id)
        return OccupancyGrid(
            header=header,
            info=MapMetaData(
                map_load_time=header.stamp,
                resolution=self._grid.voxel_size_m[0],
                width=self._grid.shape[0],
                height=self._grid.shape[1],
                origin=Pose(position=Point(x=self._grid.lower_m[0], y=self._grid.lower_m[1])),
            ),
            data=array.array("b", cells.T.contiguous().numpy().tobytes()),  # (Y, X)
        )


def seen(points_m: Tensor, rig: CameraRig, image_hw_px: tuple[int, int]) -> Tensor:
    """Which points (..., 3) of the ego frame lie in the image of a camera that is present.

    Occlusion does not count: a point behind a wall lies in the image too.
    """
    _, visible = project_from_base(
        points_m.reshape(-1, 3), rig.K[rig.present], rig.base_T_camera[rig.present], image_hw_px
    )
    return visible.any(dim=0).reshape(points_m.shape[:-1])
