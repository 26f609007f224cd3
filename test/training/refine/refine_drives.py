"""A recording folder by hand with true classes, and what a made-up model says of it."""

import numpy as np

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import Camera, Drive, OccupancyTruth
from occflow_ros.data.drive_writer import Capture, CapturedSet
from occflow_ros.data.recording import recording_writer
from occflow_ros.data.source import open_drive
from occflow_ros.geometry import se3
from occflow_ros.offboard.corrupt import CorruptionOptions, corrupt_drive
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-16.0, -16.0, -1.0), (16.0, 16.0, 3.0), (20, 20, 2))
OPTICAL = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
SHAPE_HW = (20, 40)
COUNT = 3
SPACING_M = 4.0


def truth(number):
    """A road with a few cars; three voxels of four are seen."""
    chance = np.random.default_rng(number)
    semantics = np.full(GRID.shape, FREE, np.uint8)
    semantics[..., 0] = NAMES.index("driveable_surface")
    semantics[..., 1][chance.random(GRID.shape[:2]) < 0.2] = NAMES.index("car")
    velocity_mps = np.zeros((*GRID.shape, 2), np.float32)
    seen = chance.random(GRID.shape) < 0.75
    return OccupancyTruth(semantics, velocity_mps, seen, GRID.lower_m, GRID.upper_m)


def write(folder):
    """The drive in `folder`/drive and its recording in `folder`/said."""
    mount = se3.from_rotation_translation(OPTICAL, (0.0, 0.0, 1.0))
    K = np.array([[20.0, 0.0, 20.0], [0.0, 20.0, 10.0], [0.0, 0.0, 1.0]])
    front = Camera("front", SHAPE_HW[1], SHAPE_HW[0], K, mount)
    with recording_writer(folder / "drive", Drive("street", {"front": front}, ())) as writer:
        for number in range(COUNT):
            stamp_ns = (number + 1) * 500_000_000
            pose = se3.from_rotation_translation(np.eye(3), (SPACING_M * number, 0.0, 0.0))
            image = Capture(np.zeros((*SHAPE_HW, 3), np.uint8), stamp_ns, pose)
            writer.add_set(CapturedSet(stamp_ns, pose, {"front": image}, occupancy=truth(number)))
    drive = open_drive(folder / "drive")
    options = CorruptionOptions(dropout=0.3)
    said = folder / "said" / drive.name
    return drive, corrupt_drive(drive, said, GRID, options, lambda places, _: places)
