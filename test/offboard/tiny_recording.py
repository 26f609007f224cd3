"""Recordings of a few voxels and what is left of them on disk, for tests."""

import numpy as np

from occflow_ros.data.drive import Camera
from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), (8, 8, 2))
WORDS = Vocabulary(("car", "road", "free"), empty=2, movable=(0,))
K = np.array([[50.0, 0, 20], [0, 50, 10], [0, 0, 1]])
AHEAD = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1], [0, 0, 0, 1]])


def write_recording(folder, count=30, name="street", jumps=(), cameras=True, seed=0):
    """A drive of 1 m a frame at 10 Hz whose pose jumps by a kilometre before some frames."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = np.arange(count) + 1000.0 * sum(
        (np.arange(count) >= jump for jump in jumps), np.zeros(count)
    )
    info = RecordingInfo(
        name=name,
        grid=GRID,
        vocabulary=WORDS,
        frame_names=tuple(f"{place:06d}" for place in range(count)),
        stamps_ns=tuple(10**9 + place * 10**8 for place in range(count)),
        world_T_base=poses,
        cameras=(Camera("front", 40, 20, K, AHEAD),) if cameras else (),
    )
    store = FrameStore.create(folder, info)
    chance = np.random.default_rng(seed)
    for place in range(count):
        class_id = chance.choice(np.array([0, 1, 2, 2], np.uint8), GRID.shape)
        velocity_mps = np.zeros((*GRID.shape, 2), np.float32)
        velocity_mps[class_id == 0, 0] = 2.0
        store.write(place, RecordedFrame(class_id, velocity_mps))
    return store


def contents(folder):
    """Bytes of every file below a folder, by its name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
