"""Frames from images with their own stamps: sizes, order, and ego motion inside a set."""

import numpy as np
import pytest
import torch

from occflow_ros.engine.assemble import View, assemble_frame
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import ImageFit
from occflow_ros.ops.area_resize import fit_image

OPTICAL = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
K = np.array([[100.0, 0.0, 63.5], [0.0, 100.0, 47.5], [0.0, 0.0, 1.0]])
NAMES = ("front", "left")


def pose(x_m, y_m, yaw_deg):
    half = np.radians(yaw_deg) / 2
    return se3.from_quaternion_translation((0, 0, np.sin(half), np.cos(half)), (x_m, y_m, 0))


def view(odom_T_base, grey=0, hw_px=(96, 128)):
    base_T_camera = se3.from_rotation_translation(OPTICAL, (2.0, 0.0, 1.0))
    return View(np.full((*hw_px, 3), grey, np.uint8), K, base_T_camera, odom_T_base)


def test_an_image_at_the_reference_keeps_its_extrinsic():
    here = pose(1234.5, -987.25, 30)
    frame = assemble_frame({"front": view(here)}, NAMES, 5, here, (48, 64))
    expected = se3.from_rotation_translation(OPTICAL, (2.0, 0.0, 1.0))
    assert frame.rig.base_T_camera[0].numpy() == pytest.approx(expected, abs=1e-6)
    assert frame.stamp_ns == 5
    assert frame.odom_T_base.dtype == torch.float64
    assert np.array_equal(frame.odom_T_base.numpy(), here)


def test_ego_motion_between_image_and_reference_is_compensated():
    """3 m earlier on a straight road, the camera stood 3 m further back in today's base."""
    frame = assemble_frame(
        {"front": view(pose(7.0, 5.0, 0))}, NAMES, 0, pose(10.0, 5.0, 0), (48, 64)
    )
    assert frame.rig.base_T_camera[0, :3, 3].tolist() == pytest.approx([-1.0, 0.0, 1.0])


def test_a_turn_between_image_and_reference_is_compensated():
    """Before the ego turned left by 90°, the camera looked to what is now its right."""
    frame = assemble_frame({"front": view(pose(0, 0, 0))}, NAMES, 0, pose(0, 0, 90), (48, 64))
    base_T_camera = frame.rig.base_T_camera[0]
    assert base_T_camera[:3, 2].tolist() == pytest.approx([0.0, -1.0, 0.0], abs=1e-6)
    assert base_T_camera[:3, 3].tolist() == pytest.approx([0.0, -2.0, 1.0], abs=1e-6)


def test_the_world_may_lie_anywhere():
    shift = pose(5000.0, -3000.0, 77)
    image_pose, reference = pose(1.0, 2.0, 10), pose(3.0, 2.5, 14)
    near = assemble_frame({"front": view(image_pose)}, NAMES, 0, reference, (48, 64))
    far = assemble_frame({"front": view(shift @ image_pose)}, NAMES, 0, shift @ reference, (48, 64))
    assert torch.allclose(near.rig.base_T_camera, far.rig.base_T_camera, atol=1e-5)


def test_a_static_point_projects_to_the_same_pixel_from_either_time():
    image_pose, reference = pose(1.0, 2.0, 10), pose(3.0, 2.5, 14)
    point_odom_m = np.array([[12.0, 5.0, 0.5]])
    then = se3.inverse(image_pose @ view(image_pose).base_T_camera)
    expected = se3.transform_points(then, point_odom_m)
    frame = assemble_frame({"front": view(image_pose)}, NAMES, 0, reference, (48, 64))
    camera_T_base = se3.inverse(frame.rig.base_T_camera[0].double().numpy())
    point_base_m = se3.transform_points(se3.inverse(reference), point_odom_m)
    assert se3.transform_points(camera_T_base, point_base_m) == pytest.approx(expected, abs=1e-5)


def test_cameras_stand_in_the_order_of_the_rig_each_at_its_own_size():
    views = {"left": view(np.eye(4), 200, (96, 128)), "front": view(np.eye(4), 100, (192, 256))}
    frame = assemble_frame(views, NAMES, 0, np.eye(4), (48, 64))
    assert frame.images.shape == (2, 3, 48, 64)
    assert [int(image.float().mean()) for image in frame.images] == [100, 200]
    assert frame.rig.K[:, 0, 0].tolist() == [25.0, 50.0]


def test_a_missing_camera_is_black_and_absent():
    frame = assemble_frame({"left": view(np.eye(4), 200)}, NAMES, 0, np.eye(4), (48, 64))
    assert frame.rig.present.tolist() == [False, True]
    assert frame.images[0].max() == 0


def test_channels_come_first():
    image = np.zeros((96, 128, 3), np.uint8)
    image[..., 0] = 250
    red = View(image, K, np.eye(4), np.eye(4))
    frame = assemble_frame({"front": red}, ("front",), 0, np.eye(4), (48, 64))
    assert frame.images[0].float().mean(dim=(1, 2)).tolist() == [250.0, 0.0, 0.0]


@pytest.mark.parametrize("names", [(), ("right",)])
def test_unknown_or_no_images_are_refused(names):
    with pytest.raises(ValueError, match=r"expected images of \['front', 'left'\]"):
        assemble_frame({name: view(np.eye(4)) for name in names}, NAMES, 0, np.eye(4), (48, 64))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((90, 160), (13, 35)),  # the top is cut
        ((75, 248), (25, 45)),  # the sides are cut
        ((81, 63), (40, 31)),
        ((80, 120), (40, 60)),  # by whole numbers
        ((40, 64), (100, 240)),  # enlarged
        ((40, 64), (40, 64)),
    ],
)
def test_the_fast_resize_gives_the_pixels_of_its_twin(source, target):
    image = np.random.default_rng(0).integers(0, 256, (*source, 3), dtype=np.uint8)
    fit = ImageFit(source, target)
    assert np.array_equal(fit_image(fit, image), fit.image(image))
