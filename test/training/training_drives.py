"""Small drives in every structure with exact cues, and what must hold for a sample of them."""

from dataclasses import dataclass
from pathlib import Path

import kitti_sets
import numpy as np
import tiny_network
import torch

from occflow_ros.config import Config, override
from occflow_ros.cues import CueFolder
from occflow_ros.cues.make import make_flow, make_movable
from occflow_ros.cues.truth import TruthFiles, TruthFlow, TruthMask
from occflow_ros.data.drive import Drive
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.synthetic import SceneOptions, optical_flow, write_synthetic
from occflow_ros.geometry.camera import pixel_rays, project
from occflow_ros.structures import VoxelGrid
from occflow_ros.training.dataset import TrainingDrive, load_sample

GRID = VoxelGrid((-16.0, -16.0, -1.0), (16.0, 16.0, 3.0), (20, 20, 2))
KITTI_HW_PX = (32, kitti_sets.WIDTH_PX)  # the top 16 rows are cut
STRUCTURES = {
    "recording": ("recording", {"keyframes": 3, "rate_hz": 10.0}),
    "nuscenes": ("nuscenes", {"keyframes": 3, "rate_hz": 2.0}),
    "nuscenes_sweeps": ("nuscenes", {"keyframes": 3, "rate_hz": 5.0, "sweeps": 1}),
    "kitti_raw": (kitti_sets.write_raw, {}),
    "kitti_odometry": (kitti_sets.write_odometry, {}),
    "kitti_tracking": (kitti_sets.write_tracking, {}),
}
INTERVAL_S = {"nuscenes": 0.5}  # between sets, else 0.1


@dataclass(frozen=True)
class Written:
    """A data set on disk, its only drive, the folder of its exact cues and its settings."""

    folder: Path
    drive: Drive
    cues: Path
    config: Config

    def training_drive(self, indices=range(100), drive=None, flow="truth", movable="truth"):
        cues = CueFolder(self.cues, self.folder, flow, movable)
        return TrainingDrive(drive or self.drive, cues, indices)

    def sample(self, index=1, drive=None, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return load_sample(self.training_drive(drive=drive), index, self.config, generator)

    def depth_m(self, index=1):
        """(N, H, W) exact depth of the images as the network takes them."""
        height, _ = self.config.model.image_hw_px
        maps = []
        for camera in self.drive.cameras:
            with np.load(self.folder / "truth" / camera / f"{index:06d}.npz") as file:
                maps.append(torch.from_numpy(file["depth_m"][-height:]))
        return torch.stack(maps)


def write(kind, folder):
    writer, options = STRUCTURES[kind]
    if writer in ("recording", "nuscenes"):
        hw_px = tiny_network.HW_PX
        small = SceneOptions(seed=1, image_hw_px=hw_px, grid=GRID, truth="all", **options)
        write_synthetic(folder / "drive", writer, small)
    else:
        hw_px = KITTI_HW_PX
        recorded = kitti_sets.record()
        writer(folder / "drive", recorded)
        _write_kitti_truth(folder / "drive", recorded)
    selection = Selection(keyframes_only=kind != "nuscenes_sweeps")
    (drive,) = open_drives(folder / "drive", selection)
    files = TruthFiles(folder / "drive", drive)
    make_flow(drive, TruthFlow(files), folder / "cues")
    make_movable(drive, TruthMask(files), folder / "cues")
    settings = (
        f"model.image_hw_px=[{hw_px[0]}, {hw_px[1]}]",
        f"model.interval_s={INTERVAL_S.get(kind, 0.1)}",
        "model.temporal.history=1",
        "train.rendering.lidar_rays=8",
    )
    config = override(tiny_network.tiny_config(), settings)
    return Written(folder / "drive", drive, folder / "cues", config)


def _write_kitti_truth(folder, recorded):
    """What `image_truth` writes; flow out of the drive is left unknown."""
    views = [one.renderings["cam2"] for one in recorded.sets]
    (folder / "truth" / "cam2").mkdir(parents=True)
    for number, view in enumerate(views):
        arrays = {"depth_m": view.depth_m.numpy(), "semantic": view.semantic.numpy()}
        for name, other in (("forward", number + 1), ("backward", number - 1)):
            flow = optical_flow(recorded.world, view, views[min(max(other, 0), len(views) - 1)])
            arrays[f"flow_{name}_px"] = flow.flow_px.float().numpy()
            arrays[f"visible_{name}"] = flow.visible.numpy() & (0 <= other < len(views))
        np.savez(folder / "truth" / "cam2" / f"{number:06d}.npz", **arrays)


def static_flow_errors_px(sample, other, depth_m):
    """Exact flow of what stands still less the flow by depth and poses, over pixels, and which."""
    rig = sample.current.rig
    height, width = sample.images.shape[-2:]
    directions = torch.stack([pixel_rays(K, height, width) for K in rig.K])  # (N, H, W, 3)
    points_m = (directions * depth_m.unsqueeze(-1)).flatten(1, 2)  # (N, H·W, 3)
    here_px, _ = project(rig.K, points_m)
    there_m = transform(torch.linalg.inv(other.base_T_camera) @ rig.base_T_camera, points_m)
    there_px, in_front = project(other.K, there_m)
    error_px = (there_px - here_px - other.flow_px.flatten(1, 2)).norm(dim=-1)
    counts = other.known & ~sample.movable & depth_m.isfinite() & (depth_m < 100.0)
    return error_px[counts.flatten(1) & in_front]


def transform(dst_T_src, points_m):
    """(N, 4, 4) of points (N, P, 3)."""
    return points_m @ dst_T_src[:, :3, :3].transpose(1, 2) + dst_T_src[:, None, :3, 3]


def lidar_depth_errors(sample, depth_m):
    """Relative error of inverse depth at the LiDAR returns in the images, linear on a plane."""
    rig = sample.current.rig
    points_m = sample.lidar.points_m.expand(len(rig.names), -1, 3)
    in_camera_m = transform(torch.linalg.inv(rig.base_T_camera), points_m)
    pixels, in_front = project(rig.K, in_camera_m)
    height, width = depth_m.shape[-2:]
    scaled = (pixels + 0.5) / pixels.new_tensor((width, height)) * 2.0 - 1.0
    inside = in_front & (scaled.abs() < 1.0).all(dim=-1)
    inverse = torch.nn.functional.grid_sample(
        depth_m.unsqueeze(1).reciprocal(), scaled.unsqueeze(1), align_corners=False
    )  # (N, 1, 1, P)
    return (inverse[:, 0, 0] * in_camera_m[..., 2] - 1.0).abs()[inside]
