"""Which voxels of a frame may be learned from, and labels that our own readers read back equal."""

from dataclasses import replace

import numpy as np
import pytest

from occflow_ros.data import openocc, semantic_kitti
from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import OCC3D_GRID, Camera, CameraSet, Drive, SensorFile
from occflow_ros.data.kitti_odometry import voxel_files
from occflow_ros.data.semantic_kitti_voxels import read_bits, read_labels, read_voxel_truth
from occflow_ros.data.sensors import write_lidar
from occflow_ros.data.truth import read_truth
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI, Vocabulary
from occflow_ros.errors import DataError, OutputError
from occflow_ros.geometry.se3 import from_rotation_translation
from occflow_ros.labels.store import with_labels
from occflow_ros.offboard.label_folder import LabelFolder, layout_for
from occflow_ros.offboard.pseudo_labels import (
    PseudoLabel,
    PseudoLabeller,
    PseudoLabelOptions,
    sets_of,
)
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.structures import VoxelGrid

CAR, ROAD, WALL = (NAMES.index(name) for name in ("car", "driveable_surface", "manmade"))
GRID = VoxelGrid((0.0, -4.0, -2.0), (16.0, 4.0, 2.0), (16, 8, 4))  # voxels of 1 m
OPTICAL = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
K = np.array([[80.0, 0.0, 79.5], [0.0, 80.0, 79.5], [0.0, 0.0, 1.0]])
STEP_NS = 500_000_000
CENTRE_Y, CENTRE_Z = 4, 2  # the row of voxels just beside the optical axis


class Frames:
    """A recording held in memory."""

    def __init__(self, frames, poses=None, grid=GRID, vocabulary=OCC3D):
        count = len(frames)
        self._frames = frames
        self.info = RecordingInfo(
            name="hand",
            grid=grid,
            vocabulary=vocabulary,
            frame_names=tuple(f"{place:06d}" for place in range(count)),
            stamps_ns=tuple(place * STEP_NS for place in range(count)),
            world_T_base=np.stack([np.eye(4)] * count if poses is None else poses),
        )

    def frames(self, indices):
        return (self._frames[place] for place in indices)


def frame(velocity_mps=None, **placed):
    """Free but for columns of voxels, `car=(x, y)`."""
    class_id = np.full(GRID.shape, FREE, np.uint8)
    for name, (x, y) in placed.items():
        class_id[x, y] = NAMES.index(name)
    return RecordedFrame(class_id, velocity_mps)


def ahead(x_m):
    return from_rotation_translation(np.eye(3), (x_m, 0.0, 0.0))


def drive(folder, poses, images=True, lidar=False):
    """One camera that looks ahead from the origin, 90° wide and high."""
    camera = Camera("front", 160, 160, K, from_rotation_translation(OPTICAL, (0.0, 0.0, 0.0)))
    sets = []
    for place, pose in enumerate(poses):
        stamp_ns = place * STEP_NS
        image = SensorFile(folder / "none.png", stamp_ns, pose)
        sweep = SensorFile(folder / "sweep.bin", stamp_ns, pose)
        shown = {"front": image} if images else {}
        sets.append(CameraSet(stamp_ns, pose, shown, sweep if lidar else None, token=f"t{place}"))
    return Drive("hand", {"front": camera}, tuple(sets), np.eye(4) if lidar else None)


def labeller(folder, frames, poses, segments=None, **options):
    runs = [range(len(frames))] if segments is None else segments
    settings = PseudoLabelOptions(**options)
    return PseudoLabeller(Frames(frames, poses), drive(folder, poses), runs, settings)


def test_what_lies_behind_a_wall_does_not_count(tmp_path):
    label = labeller(tmp_path, [frame(manmade=(5, slice(None)))], [ahead(0.0)]).label(0)
    row = label.known[:, CENTRE_Y, CENTRE_Z]
    assert row.tolist() == [True] * 6 + [False] * 10
    np.testing.assert_array_equal(label.known, label.visible)
    assert not label.known[0, 0].any()  # beside the opening of the camera


def test_another_frame_shows_what_lies_behind(tmp_path):
    """From 6 m further on, the wall at 5 m is behind the camera."""
    wall = frame(manmade=(5, slice(None)))
    poses = [ahead(0.0), ahead(6.0)]
    label = labeller(tmp_path, [wall, frame()], poses).label(0)
    assert label.known[:, CENTRE_Y, CENTRE_Z].all()
    assert not label.visible[6:].any()
    alone = labeller(tmp_path, [wall, frame()], poses, radius=0).label(0)
    np.testing.assert_array_equal(alone.known, alone.visible)
    apart = labeller(tmp_path, [wall, frame()], poses, [range(1), range(1, 2)]).label(0)
    np.testing.assert_array_equal(apart.known, apart.visible)


@pytest.mark.parametrize(("share", "counts"), [(0.6, True), (0.7, False)])
def test_frames_have_to_agree(tmp_path, share, counts):
    """Two of three frames in one place see a car, the third sees a wall there."""
    at = (4, CENTRE_Y)
    frames = [frame(car=at), frame(car=at), frame(manmade=at)]
    label = labeller(tmp_path, frames, [ahead(0.0)] * 3, min_agreement=share).label(0)
    assert label.known[(*at, CENTRE_Z)] == counts
    assert label.known[2, CENTRE_Y, CENTRE_Z]


def test_what_moves_is_asked_of_its_own_frame(tmp_path):
    """A car that is elsewhere in all other frames."""
    velocity_mps = np.zeros((*GRID.shape, 2), np.float32)
    velocity_mps[4, CENTRE_Y] = (5.0, 0.0)
    others = [frame(car=(place, CENTRE_Y)) for place in (7, 9, 11)]
    poses = [ahead(0.0)] * 4
    moving = labeller(tmp_path, [frame(velocity_mps, car=(4, CENTRE_Y)), *others], poses).label(0)
    standing = labeller(tmp_path, [frame(car=(4, CENTRE_Y)), *others], poses).label(0)
    assert moving.known[4, CENTRE_Y, CENTRE_Z]
    assert not standing.known[4, CENTRE_Y, CENTRE_Z]


def test_a_drive_without_images_is_seen_around_its_lidar(tmp_path):
    frames, poses = [frame(manmade=(5, slice(None)))], [ahead(0.0)]
    whole = drive(tmp_path, poses, images=False, lidar=True)
    label = PseudoLabeller(Frames(frames), whole, [range(1)], PseudoLabelOptions()).label(0)
    assert label.known[:6, CENTRE_Y].all()
    assert label.known[0, 0].all()
    assert not label.known[6:].any()
    neither = drive(tmp_path, poses, images=False)
    with pytest.raises(DataError, match="expected images or a LiDAR"):
        PseudoLabeller(Frames(frames), neither, [range(1)], PseudoLabelOptions()).label(0)


def test_a_frame_of_no_set_is_named(tmp_path):
    one = drive(tmp_path, [ahead(0.0)])
    with pytest.raises(DataError, match=r"frame 000001: .* the nearest is 0\.500 s away"):
        sets_of(Frames([frame(), frame()]), one)


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="agreement 0 to 1"):
        PseudoLabelOptions(min_agreement=1.5)


def random_label(vocabulary, shape, seed=0):
    generator = np.random.default_rng(seed)
    names = len(vocabulary.names)
    known, visible = (generator.random((2, *shape)) < 0.6).astype(bool)
    return PseudoLabel(generator.integers(0, names, shape).astype(np.uint8), None, visible, known)


def info_on(grid, vocabulary):
    return Frames([frame()], grid=grid, vocabulary=vocabulary).info


def test_occ3d_is_read_back(tmp_path):
    """On the recording's own grid; without an estimate, velocities of what can move are unknown."""
    folder, one = LabelFolder(tmp_path, "occ3d"), drive(tmp_path, [ahead(0.0)])
    label = random_label(OCC3D, GRID.shape)
    folder.write(one, 0, info_on(GRID, OCC3D), label)
    truth = read_truth(with_labels(one, tmp_path).sets[0].occupancy)
    assert truth.grid == GRID
    np.testing.assert_array_equal(truth.semantics, label.class_id)
    np.testing.assert_array_equal(truth.observed, label.known)
    movable = np.isin(label.class_id, OCC3D.movable)
    np.testing.assert_array_equal(np.isnan(truth.velocity_mps[..., 0]), movable)


def test_openocc_is_read_back_on_its_grid(tmp_path):
    """Voxels of 0.8 m are cut into eight; others, which it does not have, do not count."""
    grid = OCC3D_GRID.coarsen(2)
    folder, one = LabelFolder(tmp_path, "openocc"), drive(tmp_path, [ahead(0.0)])
    label = random_label(OCC3D, grid.shape)
    folder.write(one, 0, info_on(grid, OCC3D), label)
    truth = read_truth(tmp_path / "openocc_v2" / "hand" / "t0" / "labels.npz")
    assert truth.grid == OCC3D_GRID
    others = label.class_id == NAMES.index("others")
    for corner in np.ndindex(2, 2, 2):
        part = tuple(slice(start, None, 2) for start in corner)
        np.testing.assert_array_equal(truth.semantics[part], np.where(others, FREE, label.class_id))
        np.testing.assert_array_equal(truth.observed[part], label.known & ~others)
    with np.load(tmp_path / "openocc_v2" / "hand" / "t0" / "labels.npz") as file:
        assert set(file.files) == {*openocc.KEYS, "observed"}


def test_semantic_kitti_is_read_back(tmp_path):
    """With the sweep's hits, and what this frame alone does not see."""
    folder = LabelFolder(tmp_path, "semantic_kitti")
    one = replace(drive(tmp_path, [ahead(0.0)], lidar=True), name="08")
    write_lidar(tmp_path / "sweep.bin", np.array([[10.1, 0.1, 0.1], [99.0, 0.0, 0.0]], np.float32))
    label = random_label(SEMANTIC_KITTI, semantic_kitti.GRID.shape)
    folder.write(one, 0, info_on(semantic_kitti.GRID, SEMANTIC_KITTI), label)
    files = voxel_files(tmp_path, "08")[0]
    truth = read_voxel_truth(files)
    np.testing.assert_array_equal(truth.classes, label.class_id)
    np.testing.assert_array_equal(truth.invalid, ~label.known)
    np.testing.assert_array_equal(read_bits(files.occluded), ~label.visible)
    assert np.argwhere(read_bits(files.occupied)).tolist() == [[50, 128, 10]]
    assert 252 not in read_labels(files.label)


def test_without_a_sweep_the_surface_is_what_is_hit(tmp_path):
    folder, one = LabelFolder(tmp_path, "semantic_kitti"), drive(tmp_path, [ahead(0.0)])
    label = random_label(SEMANTIC_KITTI, semantic_kitti.GRID.shape)
    folder.write(one, 0, info_on(semantic_kitti.GRID, SEMANTIC_KITTI), label)
    hit = read_bits(voxel_files(tmp_path, "hand")[0].occupied)
    np.testing.assert_array_equal(hit, label.visible & (label.class_id != semantic_kitti.EMPTY))


def test_classes_go_by_name(tmp_path):
    """A network of three of the classes, in its own order."""
    few = Vocabulary(("free", "car", "driveable_surface"), empty=0, movable=(1,))
    assert layout_for(few) == "occ3d"
    assert layout_for(SEMANTIC_KITTI) == "semantic_kitti"
    folder, one = LabelFolder(tmp_path, "occ3d"), drive(tmp_path, [ahead(0.0)])
    label = random_label(few, GRID.shape)
    folder.write(one, 0, info_on(GRID, few), label)
    found = read_truth(folder.file(one, 0)).semantics
    np.testing.assert_array_equal(found, np.array([FREE, CAR, ROAD])[label.class_id])


@pytest.mark.parametrize(
    ("layout", "grid", "vocabulary", "message"),
    [
        ("semantic_kitti", semantic_kitti.GRID, OCC3D, "expected classes of semantic_kitti .*bus"),
        ("semantic_kitti", GRID, SEMANTIC_KITTI, "expected voxels on .*, got .*16, 8, 4"),
        ("openocc", GRID, OCC3D, "expected voxels on .*200, 200, 16"),
    ],
)
def test_other_classes_and_grids_are_refused(tmp_path, layout, grid, vocabulary, message):
    with pytest.raises(DataError, match=message):
        LabelFolder(tmp_path, layout).check(info_on(grid, vocabulary))


def test_classes_of_no_data_set_are_refused():
    with pytest.raises(DataError, match="whose files are known, got a, b"):
        layout_for(Vocabulary(("a", "b"), empty=1, movable=()))


def test_a_folder_of_other_labels_is_not_gone_on_with(tmp_path):
    folder = LabelFolder(tmp_path / "labels", "occ3d")
    folder.begin({"radius": 3})
    folder.begin({"radius": 3})
    with pytest.raises(OutputError, match=r"(?s)expected files made from .*radius.*4"):
        folder.begin({"radius": 4})


def test_half_a_set_of_files_is_made_again(tmp_path):
    folder, one = LabelFolder(tmp_path, "semantic_kitti"), drive(tmp_path, [ahead(0.0)])
    info = info_on(semantic_kitti.GRID, SEMANTIC_KITTI)
    folder.write(one, 0, info, random_label(SEMANTIC_KITTI, semantic_kitti.GRID.shape))
    assert folder.has(one, 0)
    voxel_files(tmp_path, "hand")[0].label.unlink()
    assert not folder.has(one, 0)
