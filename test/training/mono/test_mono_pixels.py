"""Labels of pixels from LiDAR points, of a camera with a focal length of 32 px."""

from dataclasses import replace

import mono_drives
import numpy as np
import pytest
import torch

from occflow_ros.data.point_labels import write_kitti_labels
from occflow_ros.data.sensors import load_frame
from occflow_ros.mono_config import ClassesConfig
from occflow_ros.training.mono.pixels import pixel_classes
from occflow_ros.training.mono.truth import read_voxel_classes

AHEAD_M = mono_drives.SPEED_MPS * 1e-9 * mono_drives.LATE_NS  # 0.2 m from sweep to image
POINTS = (
    (8.2, 1.0, -1.0),  # 8 m ahead of the camera at (27.5, 19.5)
    (12.2, 1.5, -1.5),  # the same pixel, farther away
    (8.2, -1.0, 1.0),  # (35.5, 11.5)
    (-7.8, 0.0, 0.0),  # 8 m behind: (31.5, 15.5) of the other camera
    (4.2, 0.0, 3.0),  # above the image
)
LOCATIONS = [(28.0 / 64, 20.0 / 32), (36.0 / 64, 12.0 / 32), (32.0 / 64, 16.0 / 32)]


def labelled(folder, labels, truth=None, classes=None, points=POINTS, missing=()):
    drive = mono_drives.write_drive(folder, [truth or mono_drives.truth()], points, missing=missing)
    if labels is not None:
        write_kitti_labels(folder / "0.label", np.array(labels, np.uint16))
        drive = replace(drive, sets=(replace(drive.sets[0], point_labels=folder / "0.label"),))
    one = mono_drives.InFolder(folder, drive)
    frame = load_frame(drive, drive.sets[0], mono_drives.HW_PX)
    return pixel_classes(one, 0, frame, read_voxel_classes(one, 0), classes or ClassesConfig())


def names_of(pixels, classes=None):
    return [(classes or ClassesConfig()).names[number] for number in pixels.class_id.tolist()]


def test_the_nearest_point_of_each_block_counts(tmp_path):
    pixels = labelled(tmp_path, [10, 50, 40, 70, 81])
    assert names_of(pixels) == ["car", "road", "vegetation"]
    assert pixels.camera.tolist() == [0, 0, 1]
    torch.testing.assert_close(pixels.location, torch.tensor(LOCATIONS))


@pytest.mark.parametrize("label", [0, 52])
def test_points_without_a_class_say_nothing(label, tmp_path):
    """Yet they stand before others."""
    assert names_of(labelled(tmp_path, [label, 50, 40, 70, 81])) == ["road", "vegetation"]


def test_classes_that_the_network_lacks_say_nothing(tmp_path):
    classes = ClassesConfig(names=("empty", "vegetation", "car"))
    pixels = labelled(tmp_path, [10, 50, 40, 70, 81], classes=classes)
    assert pixels.class_id.tolist() == [2, 1]


def test_without_labels_of_points_their_voxels_say(tmp_path):
    """Points in free voxels, in unobserved ones and out of the grid have no class."""
    observed = np.ones((4, 4, 2), bool)
    observed[2, 1, 1] = False
    truth = mono_drives.truth(
        observed=observed, car=(2, 2, 0), manmade=[(2, 1, 1), (3, 2, 0), (3, 0, 1)]
    )
    classes = mono_drives.network_classes()
    points = (*POINTS, (20.2, -6.0, 0.0))  # past voxel (3, 0, 1)
    pixels = labelled(tmp_path, None, truth, classes, points)
    assert names_of(pixels, classes) == ["car"]
    torch.testing.assert_close(pixels.location, torch.tensor(LOCATIONS[:1]))


def test_cameras_that_are_not_there_see_nothing(tmp_path):
    pixels = labelled(tmp_path, [10, 50, 40, 70, 81], missing=[(0, "front")])
    assert pixels.camera.tolist() == [1]
    assert names_of(pixels) == ["vegetation"]


def test_without_a_sweep_nothing_is_labelled(tmp_path):
    pixels = labelled(tmp_path, None, points=None, classes=mono_drives.network_classes())
    assert len(pixels.camera) == 0 and pixels.location.shape == (0, 2)
