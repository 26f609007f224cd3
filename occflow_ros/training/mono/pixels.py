"""Labels of single pixels, from LiDAR points whose class is known (equation 7)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from occflow_ros.data.point_labels import read_labelled_points
from occflow_ros.data.semantic_kitti import IGNORED
from occflow_ros.data.sensors import read_lidar
from occflow_ros.engine.rendered_depth import points_in_image
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import project
from occflow_ros.mono_config import ClassesConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID, Frame
from occflow_ros.training.mono.sample import PixelClasses
from occflow_ros.training.mono.truth import Classes, InFolder, VoxelClasses, class_table

BLOCK_PX = 2


def pixel_classes(
    one: InFolder, index: int, frame: Frame, voxels: VoxelClasses, classes: ClassesConfig
) -> PixelClasses:
    """What the points of the set's sweep say of the images of a frame; nothing without a sweep.

    A point has the class that the data set's labels of points give it. Without such labels it has
    that of the true voxel in which it lies, so that any data set with true voxels has some. Points
    without a class, and those where nothing is, are left out.

    Points are moved by what the ego drove between sweep and image; what moves by itself is not. The
    nearest point of each `BLOCK_PX`² pixels counts.

    Args:
        one: the drive.
        index: of the set.
        frame: of this set, of any of its cameras.
        voxels: of this set.
        classes: of the network.

    Raises:
        DataError: where the sweep or its labels cannot be read.
    """
    points_m, class_id = _labelled_points(one, index, voxels, classes)
    cameras, places, numbers = [], [], []
    for camera, kept, location in _visible(frame, points_m):
        cameras.append(torch.full((len(kept),), camera))
        places.append(location)
        numbers.append(class_id[kept])
    number = torch.cat(numbers)
    known = (number != UNKNOWN_CLASS_ID) & (number != classes.empty_id)
    return PixelClasses(torch.cat(cameras)[known], torch.cat(places)[known], number[known])


def _labelled_points(
    one: InFolder, index: int, voxels: VoxelClasses, classes: ClassesConfig
) -> tuple[Tensor, Tensor]:
    """Points (P, 3) float64 in the ego frame and their numbers (P,) uint8 of the network."""
    drive, camera_set = one.drive, one.drive.sets[index]
    sweep = camera_set.lidar
    if sweep is None or drive.base_T_lidar is None:
        return torch.zeros((0, 3), dtype=torch.float64), torch.zeros(0, dtype=torch.uint8)
    base_T_sweep = se3.inverse(camera_set.odom_T_base) @ sweep.odom_T_base @ drive.base_T_lidar
    if camera_set.point_labels is not None:
        labelled = read_labelled_points(sweep.path, camera_set.point_labels)
        points_m = se3.transform_points(base_T_sweep, labelled.points_m.astype(np.float64))
        class_id, vocabulary = labelled.class_id, labelled.vocabulary
    else:
        points = read_lidar(sweep.path).astype(np.float64)
        points_m = se3.transform_points(base_T_sweep, points)
        class_id, vocabulary = _voxel_of(points_m, voxels), voxels.vocabulary
    table = class_table(vocabulary, classes, f"{drive.name}, set {index}")
    return torch.from_numpy(points_m), torch.from_numpy(table[class_id])


def _voxel_of(points_m: se3.Array, voxels: VoxelClasses) -> Classes:
    """Class (P,) of the voxels in which points (P, 3) lie, IGNORED where it is not known."""
    index, inside = voxels.grid.index_of(torch.from_numpy(points_m))
    x, y, z = index.T.numpy()  # (3, P)
    known = inside.numpy() & voxels.known[x, y, z]
    return np.where(known, voxels.class_id[x, y, z], IGNORED).astype(np.uint8)


def _visible(frame: Frame, points_m: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Each camera that is there, which points (M,) it shows and their locations (M, 2)."""
    height, width = frame.images.shape[-2:]
    for camera in frame.rig.present.nonzero().flatten().tolist():
        K, pose = frame.rig.K[camera].double(), frame.rig.base_T_camera[camera].double()
        in_camera_m = (points_m - pose[:3, 3]) @ pose[:3, :3]
        kept = points_in_image(in_camera_m, K, (height, width), BLOCK_PX)
        pixels, _ = project(K, in_camera_m[kept])
        yield camera, kept, ((pixels + 0.5) / pixels.new_tensor((width, height))).float()
