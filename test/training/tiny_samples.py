"""Training samples in memory: a painted plane that an ego with few cameras drives over."""

from dataclasses import replace

import torch
from tiny_network import pose, ring, tiny_config

from occflow_ros.config import Config
from occflow_ros.geometry.camera import pixel_rays, project
from occflow_ros.structures import Clip, Frame
from occflow_ros.training.draws import Drawn
from occflow_ros.training.sample import LidarReturns, OtherImages, TrainingSample
from occflow_ros.training_config import (
    AugmentationConfig,
    LossesConfig,
    MotionConfig,
    OptimizerConfig,
    RenderingConfig,
    StageConfig,
    TrainConfig,
)

HW_PX = (32, 64)
LOSSES = (
    "reprojection",
    "optical_flow",
    "lidar",
    "eikonal",
    "hessian",
    "depth_smoothness",
    "flow_smoothness",
    "dynamic_regularization",
    "soft_sparsity",
    "adaptive_sparsity",
)
FLOW_LOSSES = ("flow_smoothness", "dynamic_regularization")
MOVED_PX = 20.0
_CENTER_M = (5000.0, 0.0)  # where the drive begins
_PAINTED_M = 6.0  # of the ground about it, which all lies in the grid
_KNOWN_M = 7.0  # within the grid


def tiny_train(static=3, joint=3, rendering=None, motion=None, optimizer=None, **changes):
    """Settings of training with a few rays and steps."""
    rays = {
        "camera_grid_hw": (4, 8),
        "lidar_rays": 40,
        "samples": 24,
        "near_m": 0.5,
        "far_m": 20.0,
        "sharpness": "scheduled",
    }
    return TrainConfig(
        **{
            "rendering": RenderingConfig(**rays | (rendering or {})),
            "motion": MotionConfig(**motion or {}),
            "optimizer": OptimizerConfig(
                **{"learning_rate": 1e-3, "warm_up_steps": 2} | (optimizer or {})
            ),
            "augmentation": AugmentationConfig(flip=0.0, jitter=0.0),
            "static_stage": StageConfig(steps=static),
            "joint_stage": StageConfig(steps=joint),
            "samples_per_step": 1,
            "precision": "float32",
            **changes,
        }
    )


def tiny_run(**changes):
    """Network and training, both tiny."""
    return Config(model=tiny_config().model, train=tiny_train(**changes))


def only(*names):
    """The losses of these names, all with weight 1."""
    terms = {name: {"weight": 1.0, "enabled": name in names} for name in LOSSES}
    return LossesConfig.model_validate(terms)


def plane_sample(number=0, cameras=2, present=None, moving=False, lidar=True):
    """A step of an ego over the plane z = 0, with exact optical flow and LiDAR returns.

    With `moving`, all pixels belong to movable things and all optical flow is 20 px off; else it
    is known where the plane is near.
    """
    past, now, next_ = (_frame(number + step, cameras, present) for step in (-1, 0, 1))
    clip = Clip((_frame(number - 2, cameras, present), past, now))
    return TrainingSample(
        clip=clip,
        images=now.images,
        previous=_other(now, past, -1.0, moving),
        following=_other(now, next_, 1.0, moving),
        movable=torch.full((cameras, *HW_PX), moving),
        lidar=_lidar() if lidar else None,
    )


class Samples(torch.utils.data.Dataset):
    """As `ClipDataset`, of samples in memory; `broken` draws tell this problem."""

    def __init__(self, samples, broken=(), problem="/data/cam_0/7.jpg: expected an image"):
        self._samples, self._broken, self._problem = samples, broken, problem

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, draw):
        if draw.index in self._broken:
            return Drawn(draw, None, self._problem)
        return Drawn(draw, self._samples[draw.index])


def without_known_flow(sample):
    """Nothing is known about motion, and no other image is there."""
    gone = {
        name: replace(
            other,
            present=torch.zeros_like(other.present),
            known=torch.zeros_like(other.known),
            flow_px=torch.full_like(other.flow_px, torch.nan),
        )
        for name, other in (("previous", sample.previous), ("following", sample.following))
    }
    return replace(sample, **gone)


def _frame(index, cameras, present):
    odom_T_base = pose(5000.0 + 0.6 * index, 0.02 * index**2, 0.03 * index)
    rig = ring(cameras, HW_PX, present)
    points_m, hit = _ground(rig, torch.inf)
    points_m = points_m.double() @ odom_T_base[:3, :3].T + odom_T_base[:3, 3]
    painted = hit & ((points_m[..., :2] - torch.tensor(_CENTER_M)).norm(dim=-1) < _PAINTED_M)
    images = torch.where(painted.unsqueeze(-1), _paint(points_m), 0.9).movedim(-1, 1)
    images = torch.where(rig.present[:, None, None, None], images, 0.0)
    return Frame(
        stamp_ns=(10 + index) * 500_000_000,
        images=(255.0 * images).to(torch.uint8),
        rig=rig,
        odom_T_base=odom_T_base,
    )


def _ground(rig, within_m):
    """Where the rays of all pixels meet z = 0, (N, H, W, 3), and whether they do so so near."""
    directions = torch.stack([pixel_rays(K, *HW_PX) for K in rig.K])  # (N, H, W, 3)
    turned = torch.einsum("nij,nhwj->nhwi", rig.base_T_camera[:, :3, :3], directions)
    origin_m = rig.base_T_camera[:, None, None, :3, 3]
    range_m = -origin_m[..., 2] / turned[..., 2]
    points_m = origin_m + range_m.unsqueeze(-1) * turned
    return points_m, (range_m > 0) & (points_m[..., :2].norm(dim=-1) < within_m)


def _paint(points_m):
    x, y, _ = points_m.unbind(-1)
    return 0.5 + 0.4 * torch.stack((x.sin(), y.sin(), (x + 2 * y).cos()), dim=-1)


def _other(now, then, elapsed, moving):
    base_T_then = torch.linalg.inv(now.odom_T_base) @ then.odom_T_base
    poses = (base_T_then @ then.rig.base_T_camera.double()).float()
    points_m, hit = _ground(now.rig, _KNOWN_M)
    rotation, origin_m = poses[:, :3, :3], poses[:, None, None, :3, 3]
    in_camera = torch.einsum("nji,nhwj->nhwi", rotation, points_m - origin_m)
    pixels, in_front = project(then.rig.K, in_camera.flatten(1, 2))  # (N, H·W, 2)
    height, width = HW_PX
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    flow_px = pixels.unflatten(1, HW_PX) - torch.stack((columns, rows), dim=-1)
    exact = (hit & in_front.unflatten(1, HW_PX)).unsqueeze(-1)
    offset_px = torch.tensor((MOVED_PX if moving else 0.0, 0.0))
    return OtherImages(
        images=then.images,
        K=then.rig.K,
        base_T_camera=poses,
        present=then.rig.present & now.rig.present,
        elapsed=torch.full((len(then.rig.names),), elapsed),
        flow_px=torch.where(exact, flow_px, 0.0) + offset_px,
        known=(exact.squeeze(-1) | moving) & then.rig.present[:, None, None],
    )


def _lidar():
    origin_m = torch.tensor((0.0, 0.0, 2.0))
    angle = torch.linspace(0, 2 * torch.pi, 120)
    reach_m = torch.linspace(2.0, 7.0, 120)
    points_m = torch.stack((angle.cos() * reach_m, angle.sin() * reach_m, 0 * angle), dim=-1)
    return LidarReturns(origin_m, points_m)
