"""Images and sweeps: round trips, and errors that name the file."""

import dataclasses

import numpy as np
import pytest

from occflow_ros.data.drive import CameraSet, Drive, SensorFile
from occflow_ros.data.sensors import (
    load_frame,
    load_view,
    read_image,
    read_lidar,
    write_image,
    write_lidar,
)
from occflow_ros.errors import DataError


@pytest.fixture
def drive(tmp_path, made):
    """One set of one image of each camera, taken 40 and 10 ms before the reference."""
    images = {}
    for name, before_ns in (("cam_front", 40_000_000), ("cam_back", 10_000_000)):
        path = tmp_path / f"{name}.png"
        write_image(path, made.image(len(images)))
        stamp_ns = made.START_NS - before_ns
        images[name] = SensorFile(path, stamp_ns, made.pose_at(stamp_ns))
    camera_set = CameraSet(made.START_NS, made.pose_at(made.START_NS), images)
    return Drive("drive", made.header().cameras, (camera_set,))


def test_png_keeps_every_pixel_in_rgb(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "a.png"), image)


def test_jpeg_keeps_colours(tmp_path):
    write_image(tmp_path / "a.jpg", np.full((16, 16, 3), (200, 100, 20), np.uint8))
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - (200, 100, 20)).max() <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_an_image_cut_short_is_refused(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    write_image(path, np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match=rf"a{suffix}: expected a whole image, got a corrupt one"):
        read_image(path)


@pytest.mark.parametrize("data", [b"", b"not an image", b"GIF89a"])
def test_what_is_no_image_is_refused(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(DataError, match=rf"a.jpg: expected a JPEG or PNG image, got {len(data)} b"):
        read_image(tmp_path / "a.jpg")


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a.jpg: image is missing"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"image cannot be read: Is a directory"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", ["a.npy", "a.pcd.bin"])
def test_sweeps_come_back(tmp_path, name):
    points_m = np.array([[1.5, -2.0, 0.25], [30.0, 4.0, -1.75]], np.float32)
    write_lidar(tmp_path / name, points_m)
    assert np.array_equal(read_lidar(tmp_path / name), points_m)


def test_a_sweep_may_be_half_precision_with_more_columns_and_no_returns(tmp_path):
    rows = np.array([[1, 2, 3, 9], [np.nan, 0, 0, 9], [4, np.inf, 6, 9]], np.float16)
    np.save(tmp_path / "a.npy", rows)
    points_m = read_lidar(tmp_path / "a.npy")
    assert points_m.dtype == np.float32
    assert points_m.tolist() == [[1.0, 2.0, 3.0]]


def test_wrong_sweeps_are_named(tmp_path):
    path = tmp_path / "a.npy"
    with pytest.raises(DataError, match=r"a.npy: LiDAR sweep is missing"):
        read_lidar(path)
    path.write_bytes(b"\x93NUMPY nonsense")
    with pytest.raises(DataError, match=r"a.npy: expected a LiDAR sweep in .npy"):
        read_lidar(path)
    np.save(path, np.zeros((4, 2), np.float32))
    with pytest.raises(DataError, match=r"a.npy: expected points \(N, 3 or more\), got .*\(4, 2\)"):
        read_lidar(path)
    np.save(path, np.zeros((4, 3), np.int32))
    with pytest.raises(DataError, match=r"a.npy: expected float16 or float32, got int32"):
        read_lidar(path)
    (tmp_path / "a.pcd.bin").write_bytes(b"\0" * 41)
    with pytest.raises(DataError, match=r"expected rows of 5 float32 \(20 bytes\), got 41 bytes"):
        read_lidar(tmp_path / "a.pcd.bin")


def test_an_image_of_another_size_is_refused(drive, made):
    file = drive.sets[0].images["cam_front"]
    write_image(file.path, np.zeros((24, 30, 3), np.uint8))
    message = r"cam_front.png: expected 32x24 px as cam_front is calibrated, got 30x24 px"
    with pytest.raises(DataError, match=message):
        load_view(drive.cameras["cam_front"], file)


def test_a_distorted_image_is_rectified(drive, made):
    front = drive.cameras["cam_front"]
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, 16:] = 255
    write_image(drive.sets[0].images["cam_front"].path, image)
    distorted = dataclasses.replace(front, distortion=(-0.4, 0.0, 0.0, 0.0))
    plain = load_view(front, drive.sets[0].images["cam_front"]).image
    rectified = load_view(distorted, drive.sets[0].images["cam_front"]).image
    assert np.array_equal(plain, image)
    assert not np.array_equal(rectified, plain)


def test_the_reference_of_a_frame_is_the_set_or_a_camera(drive, made):
    of_set = load_frame(drive, drive.sets[0], (12, 16))
    of_camera = load_frame(drive, drive.sets[0], (12, 16), reference="cam_front")
    assert of_set.stamp_ns == made.START_NS
    assert of_camera.stamp_ns == made.START_NS - 40_000_000
    # The camera sits 1.5 m ahead of base; 40 ms earlier at 6 m/s base was 0.24 m behind.
    assert of_set.rig.base_T_camera[0, 0, 3].item() == pytest.approx(1.5 - 0.24, abs=1e-5)
    assert of_camera.rig.base_T_camera[0, 0, 3].item() == pytest.approx(1.5, abs=1e-5)
    assert of_camera.rig.base_T_camera[1, 0, 3].item() == pytest.approx(-1.5 + 0.18, abs=1e-5)


def test_a_missing_camera_is_marked_absent(drive):
    whole = drive.sets[0]
    partial = dataclasses.replace(whole, images={"cam_back": whole.images["cam_back"]})
    frame = load_frame(drive, partial, (12, 16))
    assert frame.rig.present.tolist() == [False, True]
    assert frame.images[0].max() == 0
    with pytest.raises(DataError, match="expected an image of the reference camera cam_front"):
        load_frame(drive, partial, (12, 16), reference="cam_front")
    with pytest.raises(DataError, match="expected an image in the set at 16"):
        load_frame(drive, dataclasses.replace(whole, images={}), (12, 16))
