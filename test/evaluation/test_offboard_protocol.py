"""Offboard refinement against dense truth: what counts, by hand, and several rows beside."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation_drives import as_written, job, numbers_of, quietly

from occflow_ros import cli
from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import Camera, CameraSet, Drive, OccupancyTruth
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.engine.prediction import Prediction
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocols.offboard import OffboardProtocol, count_movers
from occflow_ros.evaluation.run import evaluate
from occflow_ros.evaluation.sources import RecordingSource, open_predictions
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.semantic_iou import ClassCounts
from occflow_ros.metrics.voxel_iou import OccupancyCounts
from occflow_ros.offboard.corrupt import CorruptionOptions, corrupt_drive
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.recording import RecordedFrame
from occflow_ros.offboard.truth import TrueFrame, anywhere_in_drive, info_of, true_frame
from occflow_ros.structures import VoxelGrid

CAR, ROAD = NAMES.index("car"), NAMES.index("driveable_surface")
GRID = VoxelGrid((-4.0, -4.0, 0.0), (20.0, 4.0, 2.0), (12, 4, 1))  # 2 m
K = np.array([[50.0, 0, 20], [0, 50, 10], [0, 0, 1]])


def ahead(x_m):
    pose = np.eye(4)
    pose[0, 3] = x_m
    return pose


def free():
    return np.full(GRID.shape, FREE, np.uint8)


def with_voxels(number, *places):
    class_id = free()
    for place in places:
        class_id[place] = number
    return class_id


def drive_of(folder, truths):
    """One set each second, 2 m farther each; truths are class, velocity along x and seen."""
    folder.mkdir(parents=True, exist_ok=True)
    sets = []
    for index, (class_id, speed_mps, seen) in enumerate(truths):
        velocity_mps = np.zeros((*GRID.shape, 2), np.float32)
        velocity_mps[class_id == CAR, 0] = speed_mps
        path = folder / f"{index}.npz"
        write_truth(path, OccupancyTruth(class_id, velocity_mps, seen, GRID.lower_m, GRID.upper_m))
        sets.append(CameraSet(index * 10**9, ahead(2.0 * index), {}, occupancy=path))
    return Drive("street", {"front": Camera("front", 40, 20, K, np.eye(4))}, tuple(sets))


def subject_of(drive):
    return Subject(folder=drive.sets[0].occupancy.parent, drive=drive, sets=range(len(drive.sets)))


def prediction_of(class_id):
    standing = np.zeros((*GRID.shape, 2), np.float32)
    scene = VoxelScene(GRID, class_id != FREE, standing, class_id, NAMES)
    return Prediction.of_voxels(scene, np.eye(4))


def test_a_place_seen_later_counts_where_it_lies_in_this_set():
    """One voxel, seen 2 m farther on: there one voxel nearer."""
    nothing, later = np.zeros(GRID.shape, bool), np.zeros(GRID.shape, bool)
    later[5, 2, 0] = True
    poses = np.stack([ahead(0.0), ahead(2.0)])
    assert np.argwhere(anywhere_in_drive([nothing, later], GRID, poses, 0)).tolist() == [[6, 2, 0]]
    assert np.argwhere(anywhere_in_drive([nothing, later], GRID, poses, 1)).tolist() == [[5, 2, 0]]
    beyond = np.zeros(GRID.shape, bool)
    beyond[11] = True
    assert not anywhere_in_drive([nothing, beyond], GRID, poses, 0).any()


def test_truth_on_a_coarser_grid_is_dense_and_remembers_what_is_seen(tmp_path):
    """Of 2×2 voxels, one hidden car makes a car that is not seen; a seen road wins only alone."""
    class_id, seen = free(), np.ones(GRID.shape, bool)
    class_id[0, 0, 0], seen[0, 0, 0] = CAR, False
    class_id[2, 0, 0] = ROAD
    drive = drive_of(tmp_path, [(class_id, 5.0, seen)])
    coarse = replace(GRID, shape=(6, 2, 1))
    truth = true_frame(drive.sets[0].occupancy, coarse)
    assert (truth.class_id[0, 0, 0], truth.observed[0, 0, 0]) == (CAR, False)
    assert (truth.class_id[1, 0, 0], truth.observed[1, 0, 0]) == (ROAD, True)
    assert truth.velocity_mps[0, 0, 0].tolist() == [5.0, 0.0]
    part = VoxelGrid((-4.0, -4.0, 0.0), (0.0, 4.0, 2.0), (2, 4, 1))  # another box
    truth = true_frame(drive.sets[0].occupancy, part)
    assert np.argwhere(truth.class_id != FREE).tolist() == [[0, 0, 0]]
    assert (truth.observed[0, 0, 0], truth.observed[1, 0, 0]) == (False, True)


def test_movers_and_ghosts_by_hand():
    """Two moving voxels, one found; a parked one, found; two ghosts, one on a trail."""
    true = with_voxels(CAR, (0, 0, 0), (1, 0, 0), (2, 0, 0))
    velocity_mps = np.zeros((*GRID.shape, 2), np.float32)
    velocity_mps[:2, 0, 0, 0] = 3.0
    truth = TrueFrame(true, velocity_mps, np.ones(GRID.shape, bool))
    predicted = with_voxels(CAR, (0, 0, 0), (2, 0, 0), (5, 0, 0), (6, 0, 0), (7, 0, 0))
    counted, passed = np.ones(GRID.shape, bool), np.zeros(GRID.shape, bool)
    counted[7], passed[6:8] = False, True
    found = count_movers(predicted, truth, counted, passed)
    assert found.moving == OccupancyCounts(1, 2, 1)
    assert found.on_trails == 1


def test_counts_of_a_set_by_hand(tmp_path):
    """Road at x 1, 5 and 17 m, the farthest one seen by the next set alone."""
    road = with_voxels(ROAD, (2, 2, 0), (4, 2, 0), (10, 2, 0))
    near, next_ = np.zeros(GRID.shape, bool), np.zeros(GRID.shape, bool)
    near[2:5], next_[9] = True, True
    drive = drive_of(tmp_path, [(road, 0.0, near), (free(), 0.0, next_)])
    protocol, predicted = OffboardProtocol(), with_voxels(ROAD, (2, 2, 0), (2, 1, 0), (8, 2, 0))
    scores = protocol.score(subject_of(drive), 0, prediction_of(predicted))
    numbers = protocol.numbers(scores)
    # (2, 2) is right, (2, 1) invented, (4, 2) missed; (8, 2) is seen by nobody
    assert numbers["seen_iou_12.8m"] == numbers["iou_12.8m"] == pytest.approx(1 / 3)
    assert numbers["seen_iou_51.2m"] == pytest.approx(1 / 3)
    assert numbers["iou_25.6m"] == numbers["miou_51.2m"] == pytest.approx(1 / 4)
    assert np.isnan(numbers["mover_iou"])
    assert protocol.reasons(scores)["mover_iou"] == "nothing of it is there"


def test_a_class_that_is_nowhere_is_not_averaged():
    """A road voxel taken for another class costs the road alone."""
    matrix = ((0, 0, 0), (1, 1, 0), (0, 0, 5))  # of "never", "road", "free"
    counts = ClassCounts(("never", "road", "free"), "free", matrix)
    assert counts.mean_iou_of_true == pytest.approx(0.5)
    assert counts.mean_iou == pytest.approx(0.25)


def recorded(drive, folder, frames):
    store = FrameStore.create(folder, info_of(drive, range(len(drive.sets)), GRID))
    for place, class_id in enumerate(frames):
        if class_id is not None:
            store.write(place, RecordedFrame(class_id))
    return store


def test_recordings_are_found_by_drive_and_frame(tmp_path):
    seen = np.ones(GRID.shape, bool)
    road = with_voxels(ROAD, (2, 2, 0))
    drive = drive_of(tmp_path / "truth", [(road, 0.0, seen), (free(), 0.0, seen)])
    recorded(drive, tmp_path / "all/street", [None, road])
    source = open_predictions(tmp_path / "all")
    assert isinstance(source, RecordingSource)
    (first, nothing), (second, prediction) = source.predictions(subject_of(drive), (0, 1))
    assert (first, nothing, second) == (0, None, 1)
    np.testing.assert_array_equal(prediction.classes_in(NAMES, FREE), road)
    other = replace(drive, name="elsewhere")
    assert [one for _, one in source.predictions(subject_of(other), (0, 1))] == [None, None]
    recorded(drive, tmp_path / "all/again", [road, road])
    with pytest.raises(DataError, match="two of street"):
        open_predictions(tmp_path / "all")


PERFECT = CorruptionOptions(0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def recordings(written, tmp_path_factory):
    """Folders by name: perfect as far as cameras see, and with errors."""
    data, folder = written("nuscenes"), tmp_path_factory.mktemp("recordings")
    (subject,) = job("offboard", data).open_subjects()
    (first, *_) = OffboardProtocol().compared(subject)
    grid = replace(read_truth(subject.drive.sets[first].occupancy).grid, shape=(50, 50, 4))
    for name, options in (("perfect", PERFECT), ("onboard", CorruptionOptions())):
        corrupt_drive(
            subject.drive, folder / name / subject.drive.name, grid, options, lambda it, _: it
        )
    return folder


def test_perfect_predictions_are_perfect_where_cameras_see(written, recordings, tmp_path):
    numbers = numbers_of(
        job("offboard", written("nuscenes"), predictions=recordings / "perfect"), tmp_path
    )
    for range_m in (12.8, 25.6, 51.2):
        assert numbers[f"seen_iou_{range_m}m"] == numbers[f"seen_miou_{range_m}m"] == 1.0
        assert 0.0 < numbers[f"iou_{range_m}m"] < 1.0  # nobody guesses what it does not see
    assert numbers["ghosts_per_frame"] == numbers["trail_ghosts_per_frame"] == 0.0


def test_rows_beside_are_of_the_same_sets(written, recordings, tmp_path):
    """A frame that one of them lacks counts for none of them."""
    data = written("nuscenes")
    (folder,) = (recordings / "onboard").iterdir()
    partial = tmp_path / "partial" / folder.name
    store = FrameStore.create(partial, FrameStore(folder).info)
    store.write(0, FrameStore(folder).load(0))
    asked = job("offboard", data, predictions=recordings / "perfect")
    others = {"onboard": recordings / "onboard", "partial": tmp_path / "partial"}
    outcome = evaluate(asked, tmp_path / "out", 1, quietly, others)
    rows = dict(outcome.beside)
    assert list(rows) == ["onboard", "partial", "this prediction"]
    assert [total.frames for total in rows.values()] == [1, 1, 1]
    assert rows["onboard"] == rows["partial"] != rows["this prediction"]
    assert outcome.total.frames == len(store.info)


def test_the_commands_give_one_table_with_all_rows(written, recordings, tmp_path, capsys):
    command = ["evaluate", "--protocol", "offboard", "--data", str(written("nuscenes"))]
    command += ["--predictions", str(recordings / "perfect"), "--out", str(tmp_path)]
    assert (
        cli.main([*command, "--worst", "1", "--beside", f"onboard={recordings / 'onboard'}"]) == 0
    )
    page = (tmp_path / "evaluation.md").read_text()
    first = page[page.index("## Completion") :].split("\n\n")[1].splitlines()
    assert [line.split("|")[1].strip() for line in first[2:]] == ["onboard", "this prediction"]
    assert as_written(tmp_path)["beside"].keys() == {"onboard", "this prediction"}
    assert "What moves" in capsys.readouterr().out
    twice = [f"--beside=a={recordings / 'onboard'}"] * 2
    assert cli.main([*command, *twice]) == 1
    assert "expected different names" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main([*command, "--beside", "nothing"])


def test_predictions_without_classes_are_refused(tmp_path):
    drive = drive_of(tmp_path, [(free(), 0.0, np.ones(GRID.shape, bool))])
    bare = VoxelScene(GRID, free() == CAR, np.zeros((*GRID.shape, 2), np.float32))
    with pytest.raises(DataError, match="expected predictions of the classes"):
        OffboardProtocol().score(subject_of(drive), 0, Prediction.of_voxels(bare, np.eye(4)))


def test_the_command_records_a_drive(written, tmp_path, capsys):
    command = ["corrupt", "--data", str(written("nuscenes")), "--out", str(tmp_path)]
    assert cli.main([*command, "--grid", "50x50x4", "--swap", "0.2"]) == 0
    (folder,) = tmp_path.iterdir()
    store = FrameStore(folder)
    assert (store.info.name, store.info.grid.shape) == (folder.name, (50, 50, 4))
    assert store.missing == ()
    assert cli.main([*command, "--swap", "1.2"]) == 1
    assert "expected shares from 0 to 1" in capsys.readouterr().err
