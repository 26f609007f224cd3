"""The prediction as 2D costmaps for planners, now and some seconds ahead."""

from __future__ import annotations

import array
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from geometry_msgs.msg import Point, Pose
from nav_msgs.msg import MapMetaData, OccupancyGrid
from torch import Tensor

from occflow_ros.errors import ConfigError
from occflow_ros.geometry.se3 import Array, inverse
from occflow_ros.messages.voxel_arrays import VoxelArrays
from occflow_ros.node_config import CostmapConfig
from occflow_ros.ros.stamps import NS_PER_S, header_message, stamp_ns, time_message
from occflow_ros.structures import CameraRig, Frame, OccupancyFlow, VoxelGrid

UNKNOWN = -1
INFLATED = 99
MIN_DEPTH_M = 0.1

Cells = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]


class CostmapConverter:
    """Highest occupancy probability of each column within a band of heights, in percent.

    A column that lies in no present camera's image is unknown, −1. Around occupied cells, what is
    known costs at least 99·(1 − d/r) at distance d between cell centres and inflation radius r.

    Args:
        grid: of the predictions.
        settings: heights that block the way, in the ego frame, of which voxels with their centre
            within count; and the inflation radius.

    Raises:
        ConfigError: where no voxel lies in the band, or its cells are not square.
    """

    def __init__(self, grid: VoxelGrid, settings: CostmapConfig) -> None:
        lower_m, upper_m = settings.z_m
        heights_m = grid.centers_m()[0, 0, :, 2]
        self._in_band = (heights_m >= lower_m) & (heights_m <= upper_m)
        if not self._in_band.any():
            raise ConfigError(
                f"node.costmap.z_m: expected heights within {grid}, got {settings.z_m}"
            )
        if abs(grid.voxel_size_m[0] - grid.voxel_size_m[1]) > 1e-6:
            raise ConfigError(f"costmap: expected square cells, got {grid.voxel_size_m}")
        self._grid = grid
        self._inflation_m = settings.inflation_m
        self._levels = self._in_band.nonzero().squeeze(1)
        centers_m = grid.centers_m()
        self._xy_m = centers_m[:, 0, 0, 0], centers_m[0, :, 0, 1]
        self._z_m = float(heights_m[self._levels[len(self._levels) // 2]])
        self._last_seen: tuple[Frame | None, Mask] = (None, np.zeros(grid.shape[:2], bool))

    def __call__(self, prediction: OccupancyFlow, frame: Frame, frame_id: str) -> OccupancyGrid:
        """The costmap in the ego frame `frame_id` at the prediction's time."""
        levels = self._levels.to(prediction.sdf_m.device)
        nearest_m = prediction.sdf_m[:, :, levels].amin(dim=2).cpu()  # (X, Y)
        probability = torch.sigmoid(-nearest_m * prediction.sharpness_per_m)
        cells = probability.mul(100).round().to(torch.int8).numpy()
        known = self._seen(frame)
        occupied = (nearest_m <= prediction.level_m).numpy() & known
        return self._message(cells, occupied, known, prediction.stamp_ns, frame_id, 0.0)

    def ahead(self, voxels: VoxelArrays, frame: Frame, horizon_s: float) -> OccupancyGrid:
        """Where what is occupied now will be after `horizon_s` at constant velocity.

        The cells stay in the ego frame at the prediction's time, which is therefore the stamp of
        the header; the time that they are meant for is `info.map_load_time`. What leaves a cell
        leaves it free. What enters an unknown one makes it known; nothing leaves an unknown one.
        """
        column, level = np.divmod(voxels.index, self._grid.shape[2])
        seen = self._seen(frame)
        counts = self._in_band.numpy()[level] & seen.reshape(-1)[column]
        moved_m = voxels.center_m[counts, :2] + horizon_s * voxels.velocity_mps[counts]
        probability = voxels.probability[counts]
        place = (moved_m - self._grid.lower_m[:2]) / self._grid.voxel_size_m[:2]
        inside = ((place >= 0) & (place < self._grid.shape[:2])).all(axis=1)
        place, probability = place[inside].astype(np.int64), probability[inside]
        order = np.argsort(probability)  # of voxels that meet in a cell, the likeliest is last
        cells = np.zeros(self._grid.shape[:2], np.int8)
        occupied = np.zeros(self._grid.shape[:2], bool)
        cells[*place[order].T] = np.rint(100 * probability[order])
        occupied[*place.T] = True
        header = voxels.header
        return self._message(
            cells, occupied, seen | occupied, stamp_ns(header), header.frame_id, horizon_s
        )

    def _seen(self, frame: Frame) -> Mask:
        """Columns (X, Y) in the image of a camera; kept for the next map of the same frame."""
        last, columns = self._last_seen
        if last is not frame:
            columns = seen(self._xy_m, self._z_m, frame.rig, frame.images.shape[-2:])
            self._last_seen = frame, columns
        return columns

    def _message(
        self,
        cells: Cells,
        occupied: Mask,
        known: Mask,
        stamp_ns: int,
        frame_id: str,
        horizon_s: float,
    ) -> OccupancyGrid:
        """The message of cells (X, Y) in percent, inflated around those occupied."""
        if self._inflation_m:
            cells = np.maximum(cells, self._inflated(occupied))
        cells = np.where(known, cells, np.int8(UNKNOWN))
        return OccupancyGrid(
            header=header_message(stamp_ns, frame_id),
            info=MapMetaData(
                map_load_time=time_message(stamp_ns + round(horizon_s * NS_PER_S)),
                resolution=self._grid.voxel_size_m[0],
                width=self._grid.shape[0],
                height=self._grid.shape[1],
                origin=Pose(position=Point(x=self._grid.lower_m[0], y=self._grid.lower_m[1])),
            ),
            data=array.array("b", cells.T.tobytes()),  # (Y, X)
        )

    def _inflated(self, occupied: Mask) -> Cells:
        """99·(1 − d/r) at distance d from the nearest occupied cell, 0 from r on, (X, Y)."""
        if not occupied.any():
            return np.zeros(occupied.shape, np.int8)
        apart = cv2.distanceTransform(
            (~occupied).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        share = 1.0 - apart * (self._grid.voxel_size_m[0] / self._inflation_m)
        return np.rint(INFLATED * share.clip(min=0.0)).astype(np.int8)


def seen(xy_m: Sequence[Tensor], z_m: float, rig: CameraRig, image_hw_px: tuple[int, int]) -> Mask:
    """Which points of a level grid in the ego frame lie in the image of a camera that is present.

    A camera sees what is on the inner side of five planes: a least depth and the image's four
    edges. On a grid, the side is that of a sum of one number a row and one a column. Occlusion does
    not count: a point behind a wall lies in the image too.

    Args:
        xy_m: the X and the Y places that the grid is made of.
        z_m: height of the grid.
        rig: at the network's image size.
        image_hw_px: that size.

    Returns:
        (X, Y)
    """
    x_m, y_m = (places_m.double().numpy() for places_m in xy_m)
    found = np.zeros((len(x_m), len(y_m)), bool)
    cameras = zip(rig.K[rig.present].cpu(), rig.base_T_camera[rig.present].cpu())
    for K, base_T_camera in cameras:
        planes = _planes(K.double().numpy(), base_T_camera.double().numpy(), image_hw_px)
        inside = np.ones_like(found)
        for a, b, c, d in planes:
            inside &= (a * x_m)[:, None] >= -(b * y_m + (c * z_m + d))
        found |= inside
    return found


def _planes(K: Array, base_T_camera: Array, image_hw_px: tuple[int, int]) -> Array:
    """Planes (5, 4) of a camera in the ego frame: (a, b, c, d)·(x, y, z, 1) ≥ 0 is inside."""
    height_px, width_px = image_hw_px
    u, v, depth = K @ inverse(base_T_camera)[:3]  # u / depth is the column in pixels
    return np.stack(
        (
            depth - (0.0, 0.0, 0.0, MIN_DEPTH_M),
            u + 0.5 * depth,
            (width_px - 0.5) * depth - u,
            v + 0.5 * depth,
            (height_px - 0.5) * depth - v,
        )
    )
