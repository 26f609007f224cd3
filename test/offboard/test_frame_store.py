"""Frames come back from a store as they went in, and what is wrong is refused."""

from pathlib import Path

import numpy as np
import pytest

from occflow_ros.data.drive import Camera
from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.errors import DataError, OutputError
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((0.0, -1.0, 0.0), (2.0, 1.0, 0.5), (4, 4, 1))
WORDS = Vocabulary(("car", "road", "free"), empty=2, movable=(0,))
K = np.array([[50.0, 0, 20], [0, 50, 10], [0, 0, 1]])
CAMERA = Camera("front", 40, 20, K, np.eye(4), (0.1, 0.0, 0.0, 0.0))


def _info(count: int = 2, **changes) -> RecordingInfo:
    values = {
        "name": "street",
        "grid": GRID,
        "vocabulary": WORDS,
        "frame_names": tuple(f"{i:06d}" for i in range(count)),
        "stamps_ns": tuple(i * 500_000_000 for i in range(count)),
        "world_T_base": np.tile(np.eye(4), (count, 1, 1)),
        "cameras": (CAMERA,),
    }
    return RecordingInfo(**(values | changes))


def _frame(moving: bool) -> RecordedFrame:
    class_id = np.full(GRID.shape, 2, np.uint8)
    class_id[1, 2, 0], class_id[3, 0, 0] = 0, 1
    velocity_mps = np.zeros((*GRID.shape, 2), np.float32)
    velocity_mps[1, 2, 0] = (3.5, -0.25)
    return RecordedFrame(class_id, velocity_mps if moving else None)


@pytest.mark.parametrize("moving", [True, False])
def test_frames_come_back(tmp_path: Path, moving: bool) -> None:
    FrameStore.create(tmp_path / "s", _info()).write(1, _frame(moving))
    store = FrameStore(tmp_path / "s")
    assert (store.missing, store.has(1)) == ((0,), True)
    (found,) = store.frames([1])
    np.testing.assert_array_equal(found.class_id, _frame(moving).class_id)
    if moving:
        np.testing.assert_array_equal(found.velocity_mps, _frame(True).velocity_mps)
    else:
        assert found.velocity_mps is None


def test_the_description_comes_back(tmp_path: Path) -> None:
    info = _info()
    found = FrameStore(_made(tmp_path, info)).info
    assert (found.name, found.grid, found.vocabulary) == (info.name, GRID, WORDS)
    assert (found.frame_names, found.stamps_ns) == (info.frame_names, info.stamps_ns)
    np.testing.assert_array_equal(found.world_T_base, info.world_T_base)
    (camera,) = found.cameras
    np.testing.assert_array_equal(camera.K, K)
    assert camera.distortion == CAMERA.distortion


def test_a_store_is_gone_on_with_only_by_the_same_recording(tmp_path: Path) -> None:
    folder = _made(tmp_path, _info())
    FrameStore(folder).write(0, _frame(True))
    assert FrameStore.create(folder, _info()).has(0)
    with pytest.raises(OutputError, match="another recording"):
        FrameStore.create(folder, _info(3))


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    store = FrameStore.create(tmp_path / "s", _info())
    with pytest.raises(ValueError, match=r"expected \(4, 4, 1\)"):
        store.write(0, RecordedFrame(np.zeros((2, 2, 2), np.uint8)))
    with pytest.raises(ValueError, match="expected 0 to 2, got 9"):
        store.write(0, RecordedFrame(np.full(GRID.shape, 9, np.uint8)))
    assert store.missing == (0, 1)


def test_damaged_frames_are_named(tmp_path: Path) -> None:
    folder = _made(tmp_path, _info())
    store = FrameStore(folder)
    with pytest.raises(DataError, match=r"000000\.npz: frame is missing"):
        store.load(0)
    store.write(0, _frame(True))
    whole = (folder / "frames" / "000000.npz").read_bytes()
    (folder / "frames" / "000000.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"000000\.npz"):
        store.load(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stamps_ns": (5, 5)}, "ascending"),
        ({"frame_names": ("a", "a")}, "different frame names"),
        ({"world_T_base": np.full((2, 4, 4), np.nan)}, "pose of frame 000000"),
        ({"world_T_base": np.eye(4)[None]}, r"\(2, 4, 4\)"),
    ],
)
def test_wrong_descriptions_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        _info(**changes)


def _made(tmp_path: Path, info: RecordingInfo) -> Path:
    FrameStore.create(tmp_path / "s", info)
    return tmp_path / "s"
