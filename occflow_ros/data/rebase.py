"""A drive seen from another base frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from occflow_ros.data.drive import CameraSet, Drive, SensorFile
from occflow_ros.geometry import se3


def on_the_road(drive: Drive, ground_z_m: float) -> Drive:
    """The drive with its base moved straight down, or up, to the road.

    For networks that expect the road at the height of the base, where the base is a LiDAR on a
    roof. The true occupancy is left out, as it lies in the old frame.

    Args:
        drive: as it was recorded.
        ground_z_m: height of the road in its base frame, −1.73 for the Velodyne of KITTI.
    """
    old_T_new = np.eye(4)
    old_T_new[2, 3] = ground_z_m
    new_T_old = se3.inverse(old_T_new)

    def sensor(file: SensorFile) -> SensorFile:
        return replace(file, odom_T_base=file.odom_T_base @ old_T_new)

    def moved(one: CameraSet) -> CameraSet:
        boxes = one.boxes and tuple(
            replace(box, base_T_box=new_T_old @ box.base_T_box) for box in one.boxes
        )
        return replace(
            one,
            odom_T_base=one.odom_T_base @ old_T_new,
            images={name: sensor(file) for name, file in one.images.items()},
            lidar=None if one.lidar is None else sensor(one.lidar),
            boxes=boxes,
            occupancy=None,
        )

    return replace(
        drive,
        cameras={
            name: replace(camera, base_T_camera=new_T_old @ camera.base_T_camera)
            for name, camera in drive.cameras.items()
        },
        sets=tuple(moved(one) for one in drive.sets),
        base_T_lidar=None if drive.base_T_lidar is None else new_T_old @ drive.base_T_lidar,
    )
