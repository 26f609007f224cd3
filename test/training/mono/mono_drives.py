"""Drives made by hand with true classes of voxels, and settings of a tiny semantic network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occflow_ros.config import GridConfig
from occflow_ros.data import classes
from occflow_ros.data.drive import Camera, CameraSet, Drive, OccupancyTruth, SensorFile
from occflow_ros.data.sensors import write_image, write_lidar
from occflow_ros.data.truth import write_truth
from occflow_ros.depth.folder import DepthFolder
from occflow_ros.depth.frame_depth import DepthFiles
from occflow_ros.geometry import se3
from occflow_ros.mono_config import ClassesConfig, MonoConfig
from occflow_ros.training_config import AugmentationConfig

NAMES = classes.NAMES
HW_PX = (32, 64)
OPTICAL = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
K = np.array([[32.0, 0.0, 31.5], [0.0, 32.0, 15.5], [0.0, 0.0, 1.0]])
BOX = ((0.0, -8.0, -2.0), (16.0, 8.0, 2.0))
"""Voxels of 4 m in the truths, 4 × 4 × 1 of them."""
INTERVAL_NS = 100_000_000
LATE_NS = 20_000_000  # by so much images come after the sweep
SPEED_MPS = 10.0


@dataclass(frozen=True)
class InFolder:
    """As `MonoDrive`, without a choice of sets."""

    folder: Path
    drive: Drive


def network_classes(*names, empty="free"):
    return ClassesConfig(names=names or NAMES, empty=empty)


def config(shape=(4, 4, 2), names=None, empty="free", **train):
    """Of a grid over `BOX`; nothing is changed by chance unless `train` says so."""
    still = {"augmentation": AugmentationConfig(flip=0.0, jitter=0.0), "samples_per_step": 1}
    model = {
        "grid": GridConfig(lower_m=BOX[0], upper_m=BOX[1], shape=shape),
        "image_hw_px": HW_PX,
        "classes": ClassesConfig(names=names or NAMES, empty=empty),
    }
    return MonoConfig.model_validate({"model": model, "train": {**still, **train}})


def truth(shape=(4, 4, 2), observed=None, **placed):
    """Free but for what is placed: `car=(0, 1, 0)`, a list for several."""
    semantics = np.full(shape, NAMES.index("free"), np.uint8)
    for name, places in placed.items():
        for place in places if isinstance(places, list) else [places]:
            semantics[place] = NAMES.index(name)
    return OccupancyTruth(
        semantics,
        np.zeros((*shape, 2), np.float32),
        np.ones(shape, bool) if observed is None else observed,
        *BOX,
    )


def pose_at(stamp_ns):
    """The ego drives along x of odom."""
    pose = np.eye(4)
    pose[0, 3] = SPEED_MPS * 1e-9 * stamp_ns
    return pose


def camera(name, y_m=0.0, backwards=False):
    turn = np.diag((-1.0, -1.0, 1.0)) if backwards else np.eye(3)
    pose = se3.from_rotation_translation(turn @ np.array(OPTICAL), (0.0, y_m, 0.0))
    return Camera(name, HW_PX[1], HW_PX[0], K, pose)


def write_drive(folder, truths, points_m=None, cameras=("front", "back"), missing=()):
    """One set for each truth, None for none; images 20 ms late, sweeps at the set's own time.

    `missing` are numbers and cameras without an image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sets = []
    for number, one in enumerate(truths):
        stamp_ns = (10 + number) * INTERVAL_NS
        images = {}
        for place, name in enumerate(cameras):
            path = folder / f"{name}_{number}.png"
            write_image(path, np.full((*HW_PX, 3), 10 * number + place, np.uint8))
            late_ns = stamp_ns + LATE_NS
            if (number, name) not in missing:
                images[name] = SensorFile(path, late_ns, pose_at(late_ns))
        if one is not None:
            write_truth(folder / f"{number}.npz", one)
        sweep = folder / f"{number}.bin"
        if points_m is not None:
            write_lidar(sweep, np.array(points_m, np.float32))
        sets.append(
            CameraSet(
                stamp_ns=stamp_ns,
                odom_T_base=pose_at(stamp_ns),
                images=images,
                lidar=None if points_m is None else SensorFile(sweep, stamp_ns, pose_at(stamp_ns)),
                occupancy=None if one is None else folder / f"{number}.npz",
            )
        )
    rig = {name: camera(name, backwards=name == "back") for name in cameras}
    return Drive("made", rig, tuple(sets), base_T_lidar=np.eye(4))


def write_depths(drive, folder, only=None):
    """The depth of each image: 1 m and its set's number, 0.5 m more for the second camera."""
    depth = DepthFolder(folder)
    for number, one in enumerate(drive.sets):
        for name, image in one.images.items():
            if only is None or number in only:
                depth_m = np.full((8, 16), 1.0 + number + 0.5 * list(drive.cameras).index(name))
                depth.write(drive.name, name, image.stamp_ns, depth_m)
    return DepthFiles(folder)
