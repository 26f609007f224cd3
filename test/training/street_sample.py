"""One training sample of the synthetic world, in memory, with the exact depth of its images."""

from dataclasses import replace

import numpy as np
import torch

from occflow_ros.data.classes import MOVABLE
from occflow_ros.data.synthetic.frames import render_rig
from occflow_ros.data.synthetic.lidar import lidar_sweep
from occflow_ros.data.synthetic.optical_flow import optical_flow
from occflow_ros.data.synthetic.rig import nuscenes_rig
from occflow_ros.data.synthetic.street import make_world
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import pixel_rays
from occflow_ros.structures import CameraRig, Clip, Frame
from occflow_ros.training.sample import LidarReturns, OtherImages, TrainingSample

_INTERVAL_S = 0.5


class StreetSample:
    """What a drive along a street sees at one moment.

    `sample` is for training; `points_m` (N, H, W, 3) are the surfaces of its images in the ego
    frame (infinite for the sky), `depth_m` their depth and `directions` (N, H, W, 3) their rays.
    """

    def __init__(self, hw_px, cameras, seed=0, time_s=2.0):
        self._world = make_world(seed, 5.0)
        rig = nuscenes_rig(*hw_px)
        chosen = tuple(rig.cameras[index] for index in cameras)
        self._rig = replace(rig, cameras=chosen, offsets_s=(0.0,) * len(chosen))
        past, now, next_ = (self._views(time_s + step * _INTERVAL_S) for step in (-1, 0, 1))
        base_T_odom = self._base_T_odom(time_s)
        self.sample = TrainingSample(
            clip=Clip((self._frame(past), self._frame(now))),
            images=self._frame(now).images,
            previous=self._other(now, past, base_T_odom),
            following=self._other(now, next_, base_T_odom),
            movable=torch.stack([torch.isin(view.semantic, torch.tensor(MOVABLE)) for view in now]),
            lidar=self._lidar(time_s),
        )
        self.odom_T_base = self._world.odom_T_base(time_s)
        self.depth_m = torch.stack([view.depth_m for view in now])
        points_m = torch.stack([view.point_m for view in now])
        self.points_m = points_m @ base_T_odom[:3, :3].T + base_T_odom[:3, 3]
        self.directions = torch.stack([pixel_rays(view.K, *hw_px) for view in now])
        self.odom_T_camera = [view.odom_T_camera.numpy() for view in now]

    def _views(self, time_s):
        return list(render_rig(self._world, self._rig, time_s).values())

    def _base_T_odom(self, time_s):
        return torch.from_numpy(se3.inverse(self._world.odom_T_base(time_s)))

    def _frame(self, views):
        time_s = views[0].time_s
        return Frame(
            stamp_ns=round(time_s * 1e9),
            images=_images(views),
            rig=CameraRig(
                names=tuple(camera.name for camera in self._rig.cameras),
                K=torch.stack([view.K for view in views]).float(),
                base_T_camera=_poses(views, self._base_T_odom(time_s)),
                present=torch.ones(len(views), dtype=torch.bool),
            ),
            odom_T_base=torch.from_numpy(self._world.odom_T_base(time_s)),
        )

    def _other(self, now, then, base_T_odom):
        flows = [optical_flow(self._world, one, other) for one, other in zip(now, then)]
        elapsed = (then[0].time_s - now[0].time_s) / _INTERVAL_S
        return OtherImages(
            images=_images(then),
            K=torch.stack([view.K for view in then]).float(),
            base_T_camera=_poses(then, base_T_odom),
            present=torch.ones(len(then), dtype=torch.bool),
            elapsed=torch.full((len(then),), elapsed),
            flow_px=torch.stack([flow.flow_px for flow in flows]),
            known=torch.stack([flow.visible for flow in flows]),
        )

    def _lidar(self, time_s):
        base_T_lidar = self._rig.base_T_lidar
        points_m = lidar_sweep(self._world, time_s, self._rig).points_m.astype(np.float64)
        return LidarReturns(
            torch.from_numpy(base_T_lidar[:3, 3]).float(),
            torch.from_numpy(se3.transform_points(base_T_lidar, points_m)).float(),
        )


def _images(views):
    return torch.stack([view.image.movedim(-1, 0) for view in views])


def _poses(views, base_T_odom):
    return torch.stack([base_T_odom @ view.odom_T_camera for view in views]).float()
