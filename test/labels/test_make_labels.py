"""Files of labels: where they lie, what is kept, what is refused; agreement with exact truth."""

from dataclasses import replace

import label_drives as made
import numpy as np
import pytest

from occflow_ros import cli
from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.data.source import open_drive
from occflow_ros.data.synthetic import SceneOptions, write_synthetic
from occflow_ros.data.truth import read_lidar_mask, read_truth
from occflow_ros.errors import DataError, OutputError
from occflow_ros.labels.agreement import Agreement, agreement_table, compare
from occflow_ros.labels.make import Made, make_labels, sets_to_label
from occflow_ros.labels.options import LabelOptions
from occflow_ros.labels.store import label_path, with_labels
from occflow_ros.structures import VoxelGrid
from occflow_ros.table import as_text

OPTIONS = LabelOptions(grid=made.GRID)
STREET = VoxelGrid((-16.0, -16.0, -1.0), (16.0, 16.0, 3.0), (80, 80, 10))  # voxels of 0.4 m


def hand_made(folder, boxes=((), ())):
    wall = made.points([6.25], made.steps(-1.9, 1.9), made.steps(0.15, 2.45))
    sweep_m = np.concatenate((made.ground()[made.ground()[:, 0] < 6.0], wall))
    return made.make_drive(folder, [sweep_m] * 2, boxes)


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Root of a synthetic nuScenes data set of four keyframes with exact truth."""
    folder = tmp_path_factory.mktemp("street") / "data"
    write_synthetic(
        folder, "nuscenes", SceneOptions(seed=1, keyframes=4, image_hw_px=(64, 112), grid=STREET)
    )
    return folder


def test_what_is_there_is_kept(tmp_path):
    drive, out = hand_made(tmp_path), tmp_path / "out"
    first, second = (label_path(out, drive, one) for one in drive.sets)
    assert make_labels(drive, out, OPTIONS) == Made(made=2, kept=0)
    assert first == out / "hand" / "0" / "labels.npz"
    times = first.stat().st_mtime_ns, second.stat().st_mtime_ns
    content = second.read_bytes()
    second.write_bytes(content[:100])  # damaged
    assert make_labels(drive, out, OPTIONS, workers=2) == Made(made=1, kept=1)
    assert first.stat().st_mtime_ns == times[0] and second.read_bytes() == content
    assert make_labels(drive, out, OPTIONS) == Made(made=0, kept=2)
    assert make_labels(drive, out, OPTIONS, overwrite=True) == Made(made=2, kept=0)
    assert first.stat().st_mtime_ns > times[0]
    assert sorted(path.name for path in out.rglob("*.*")) == ["labels.npz"] * 2


def test_labels_on_another_grid_are_not_mixed(tmp_path):
    drive, out = hand_made(tmp_path), tmp_path / "out"
    make_labels(drive, out, OPTIONS)
    with pytest.raises(OutputError, match="expected labels on .* --overwrite"):
        make_labels(drive, out, LabelOptions(grid=made.GRID.coarsen(2)))
    assert (
        make_labels(drive, out, LabelOptions(grid=made.GRID.coarsen(2)), overwrite=True).made == 2
    )


def test_labels_take_the_place_of_a_drives_occupancy(tmp_path):
    drive, out = hand_made(tmp_path), tmp_path / "out"
    make_labels(replace(drive, sets=drive.sets[:1]), out, OPTIONS)
    first, second = with_labels(drive, out).sets
    truth = read_truth(first.occupancy)
    assert truth.grid == made.GRID
    assert truth.semantics[12, 8, 5] == NAMES.index("manmade")
    known = read_lidar_mask(first.occupancy)
    assert known[6, 8, 4] and not known[14, 8, 4]
    assert second.occupancy is None
    with pytest.raises(DataError, match="expected labels of hand"):
        with_labels(drive, tmp_path / "elsewhere")


def test_a_drive_without_lidar_is_refused(tmp_path):
    with pytest.raises(DataError, match="hand: expected LiDAR"):
        make_labels(made.without_lidar(hand_made(tmp_path)), tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_a_damaged_sweep_is_named_and_no_label_is_left(tmp_path):
    drive = hand_made(tmp_path)
    drive.sets[1].lidar.path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1\.npy"):
        make_labels(drive, tmp_path / "out", OPTIONS)
    assert not list(tmp_path.rglob("labels.npz"))


def test_a_name_that_leads_elsewhere_is_refused(tmp_path):
    with pytest.raises(DataError, match="can be that of a folder"):
        make_labels(replace(hand_made(tmp_path), name="../up"), tmp_path / "out", OPTIONS)


def test_sets_between_annotated_ones_get_no_labels(tmp_path):
    assert len(sets_to_label(hand_made(tmp_path, boxes=(None, None)))) == 2
    drive = hand_made(tmp_path, boxes=((), None))
    assert sets_to_label(drive) == [drive.sets[0]]


def test_agreement_by_hand():
    grid = VoxelGrid((0.0, 0.0, 0.0), (4.0, 1.0, 1.0), (4, 1, 1))
    car, wall = NAMES.index("car"), NAMES.index("manmade")

    def scene(classes, speeds_mps, observed):
        return OccupancyTruth(
            np.array(classes, np.uint8).reshape(grid.shape),
            np.array([(v, 0.0) for v in speeds_mps], np.float32).reshape(*grid.shape, 2),
            np.array(observed).reshape(grid.shape),
            grid.lower_m,
            grid.upper_m,
        )

    truth = scene((car, car, wall, FREE), (5.0, 5.0, 0.0, 0.0), (True, True, True, True))
    label = scene((car, wall, FREE, wall), (4.0, 0.0, 0.0, 0.0), (True, True, False, False))
    known = np.array([True, True, True, False]).reshape(grid.shape)
    got = compare(label, known, truth)
    assert (got.both.true_positives, got.both.false_negatives, got.both.false_positives) == (
        2,
        1,
        0,
    )
    assert got.movable.iou == 0.5
    assert got.labelled.iou == 1.0
    assert got.masks.recall == 0.5
    assert (got.visible, got.known) == (3, 3)
    assert got.objects.mean_mps == 1.0
    assert got.moving.mean_mps == 3.0
    assert got.still.voxels == 0
    assert (got + got).visible == 6
    assert "camera masks: recall" in as_text(agreement_table("hand", got))
    with pytest.raises(ValueError, match="expected labels on"):
        compare(replace(label, upper_m=(8.0, 1.0, 1.0)), known, truth)


def test_labels_of_a_synthetic_street_agree_with_its_truth(street, tmp_path):
    drive = open_drive(street)
    make_labels(drive, tmp_path, LabelOptions(grid=STREET))
    total = Agreement()
    for exact, labelled in zip(drive.sets, with_labels(drive, tmp_path).sets):
        # the path that the loader reads within `gts` is the one that is written
        assert exact.occupancy.relative_to(street / "gts") == labelled.occupancy.relative_to(
            tmp_path
        )
        truth, label = read_truth(exact.occupancy), read_truth(labelled.occupancy)
        total += compare(label, read_lidar_mask(labelled.occupancy), truth)
    assert total.both.iou > 0.85 and total.both.precision > 0.95
    assert total.labelled.iou > 0.85
    assert total.masks.precision > 0.95 and total.masks.recall > 0.5
    assert total.known / total.visible > 0.8
    assert total.objects.voxels > 50 and total.objects.mean_mps < 0.1
    assert total.still.mean_mps < 0.1


def test_the_command_makes_compares_and_resumes(street, tmp_path, capsys):
    arguments = ["labels", "--source", str(street), "--out", str(tmp_path), "--grid", "nano"]
    assert cli.main(arguments) == 0
    assert "synthetic-0001: labels of 4 sets made, 0 kept" in capsys.readouterr().out
    assert cli.main([*arguments, "--compare"]) == 1
    captured = capsys.readouterr()
    assert "labels of 0 sets made, 4 kept" in captured.out
    assert "labels.npz: expected labels on VoxelGrid(lower_m=(-16.0" in captured.err


def test_the_command_warns_where_nothing_is_annotated(tmp_path, capsys, monkeypatch):
    drive = hand_made(tmp_path, boxes=(None, None))
    monkeypatch.setattr("occflow_ros.cli.labels.open_drives", lambda *_: iter([drive]))
    assert cli.main(["labels", "--source", "hand", "--out", str(tmp_path / "out")]) == 0
    assert "warning: hand: no boxes" in capsys.readouterr().err
    assert (
        cli.main(["labels", "--source", "hand", "--out", str(tmp_path / "out"), "--compare"]) == 1
    )
    assert "expected occupancy at 0 ns to --compare with" in capsys.readouterr().err
