"""Any rig, from images with their own sizes, stamps and places to the streamed answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from tiny_network import HW_PX, as_trained, assert_same, differs, frame, ring, tiny_config

from occflow_ros.data.synthetic import make_world, nuscenes_rig, render
from occflow_ros.engine.assemble import View, assemble_frame
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import project_from_base
from occflow_ros.models.build import build_network
from occflow_ros.structures import Clip

TWELVE = tuple(f"cam_{index}" for index in range(12))
THREE = TWELVE[:3]


def stream():
    config = tiny_config()
    return OccupancyStream(as_trained(build_network(config.model)), config)


def views(index, names, cameras):
    """What the named ones of a ring of cameras see at frame `index` of the drive."""
    item = frame(index, cameras)
    numbers = {f"cam_{number}": number for number in range(cameras)}
    return {
        name: View(
            image=item.images[numbers[name]].permute(1, 2, 0).numpy(),
            K=item.rig.K[numbers[name]].double().numpy(),
            base_T_camera=item.rig.base_T_camera[numbers[name]].double().numpy(),
            odom_T_base=item.odom_T_base.numpy(),
        )
        for name in names
    }


def assembled(index, names, rig, cameras):
    """Frame `index` of the drive with images of `names` alone, as a set of the cameras `rig`."""
    item = frame(index, cameras)
    images = views(index, names, cameras)
    return assemble_frame(images, rig, item.stamp_ns, item.odom_T_base.numpy(), HW_PX)


def drive(one, names, rig=None, cameras=12):
    """Last of three answers."""
    return [one.step(assembled(index, names, rig or names, cameras)) for index in range(3)][-1]


@pytest.mark.parametrize("count", range(1, 13))
def test_a_rig_of_1_to_12_cameras_is_a_larger_one_without_the_others(count):
    got = drive(stream(), TWELVE[:count])
    assert_same(got, drive(stream(), TWELVE[:count], rig=TWELVE))
    if count > 1:
        assert differs(got, drive(stream(), TWELVE[: count - 1]), by_m=0.01)


def test_a_camera_may_miss_a_set():
    """It stays in the rig and the history is kept."""
    one = stream()
    frames = [
        assembled(0, THREE, THREE, 3),
        assembled(1, (THREE[0], THREE[2]), THREE, 3),
        assembled(2, THREE, THREE, 3),
    ]
    for index, item in enumerate(frames):
        got = one.step(item)
        assert one.last_reset is None
        assert_same(got, one.forward_clip(Clip(tuple(frames[: index + 1]))))
    complete = drive(stream(), THREE, cameras=3)
    assert differs(got, complete, by_m=0.05)
    assert differs(got, stream().step(frames[-1]), by_m=0.05)


@pytest.mark.parametrize("after", [THREE[:2], (*THREE, "cam_3"), (*THREE[:2], "cam_3")])
def test_another_rig_starts_over_and_says_why(after):
    one = stream()
    drive(one, THREE, cameras=4)
    got = one.step(assembled(3, after, after, 4))
    assert one.last_reset == (
        f"the rig changed from {', '.join(THREE)} at 32×64 px to {', '.join(after)} at 32×64 px"
    )
    assert_same(got, stream().step(assembled(3, after, after, 4)), atol_m=0)
    one.step(assembled(4, after, after, 4))
    assert one.last_reset is None


SIZES_HW_PX = ((48, 80), (31, 97), (240, 320), (64, 64), (20, 160))


def bright_spot(hw_px, at_px, width_px):
    """An image that is black but for a Gaussian spot at a place between pixels."""
    rows, columns = np.indices(hw_px)
    far = ((columns - at_px[0]) ** 2 + (rows - at_px[1]) ** 2) / (2 * width_px**2)
    return np.repeat((255 * np.exp(-far)).round().astype(np.uint8)[..., None], 3, axis=2)


def looking_at_a_spot(index, hw_px):
    """A view with its own size, focal lengths, centre, place and instant, and the spot in odom."""
    height, width = hw_px
    K = np.array([[0.8 * width, 0, 0.47 * width], [0, 0.7 * width, 0.6 * height], [0, 0, 1]])
    at_px = (0.53 * width, 0.74 * height)
    turned = Rotation.from_rotvec((0.01 * index, -0.02, 0.1 * index)).as_matrix()
    odom_T_base = se3.from_rotation_translation(turned, (2.5 + 0.2 * index, 3.0, 3.1))
    base_T_camera = ring(len(SIZES_HW_PX)).base_T_camera[index].double().numpy()
    scale = max(HW_PX[0] / height, HW_PX[1] / width)
    image = bright_spot(hw_px, at_px, 1.5 / scale)
    ray = np.linalg.inv(K) @ (*at_px, 1.0)
    spot_m = se3.transform_points(odom_T_base @ base_T_camera, 6.0 * ray)
    return View(image, K, base_T_camera, odom_T_base), spot_m


def test_a_point_is_where_the_fitted_camera_says_whatever_the_image_s_size():
    """To a twentieth of a pixel; what 8 bits and the resizing leave is a hundredth."""
    seen, spots_m = zip(*(looking_at_a_spot(*item) for item in enumerate(SIZES_HW_PX)))
    images = {f"cam_{index}": view for index, view in enumerate(seen)}
    odom_T_base = se3.from_rotation_translation(
        Rotation.from_euler("z", 0.4).as_matrix(), (3, 3, 3)
    )
    item = assemble_frame(images, list(images), 0, odom_T_base, HW_PX)
    spots_base_m = se3.transform_points(se3.inverse(odom_T_base), np.stack(spots_m))
    location, visible = project_from_base(
        torch.from_numpy(spots_base_m).float(), item.rig.K, item.rig.base_T_camera, HW_PX
    )  # (N, P, 2), (N, P)
    rows, columns = torch.meshgrid(*map(torch.arange, HW_PX), indexing="ij")
    for index, image in enumerate(item.images[:, 0].float()):
        found_px = torch.stack([(image * axis).sum() / image.sum() for axis in (columns, rows)])
        expected_px = location[index, index] * torch.tensor(HW_PX[::-1]) - 0.5
        assert visible[index, index]
        torch.testing.assert_close(found_px, expected_px, atol=0.05, rtol=0)


def enlarged(view, factor, more_sky_px):
    """The same view with factor × factor pixels for each, and rows above that are cut off."""
    sky = np.full((more_sky_px, view.image.shape[1], 3), 200, np.uint8)
    image = np.concatenate((sky, view.image)).repeat(factor, axis=0).repeat(factor, axis=1)
    half = 0.5 * (factor - 1)
    to_larger = np.array([[factor, 0, half], [0, factor, half + factor * more_sky_px], [0, 0, 1]])
    return replace(view, image=image, K=to_larger @ view.K)


def test_mixed_resolutions_are_the_same_rig():
    def larger(index):
        item, plain = frame(index), views(index, THREE, 3)
        mixed = {
            name: enlarged(view, factor, sky)
            for (name, view), factor, sky in zip(plain.items(), (1, 2, 5), (0, 7, 3))
        }
        return assemble_frame(mixed, THREE, item.stamp_ns, item.odom_T_base.numpy(), HW_PX)

    one, other = stream(), stream()
    for index in range(3):
        assert_same(one.step(larger(index)), other.step(assembled(index, THREE, THREE, 3)))


# The same world elsewhere

HEIGHT_M = 1000.0  # high above the ground plane of the renderer, which cannot be moved


def moved_world(street, time_s, odom2_T_odom):
    """All that stands around the ego at a time, as one body under a sky without clouds."""
    solids = street.primitives_at(time_s)
    ego_m = torch.from_numpy(street.odom_T_base(time_s)[:3, 3])
    near = (solids.world_T_local[:, :3, 3] - ego_m).norm(dim=1) < 40.0
    kept = ("half_m", "taper", "shape", "material", "color", "variant", "class_id")
    motion = torch.from_numpy(odom2_T_odom)
    parts = replace(
        street.parts,
        owner=torch.zeros(int(near.sum()), dtype=torch.int64),
        object_T_local=motion @ solids.world_T_local[near],
        **{name: getattr(street.parts, name)[near] for name in kept},
    )
    sun, noise = motion[:3, :3] @ street.sun, torch.zeros_like(street.noise)
    return replace(street, parts=parts, sun=sun, noise=noise)


def rendered_drive(street, odom2_T_odom):
    """Three camera sets, each image rendered at its own instant."""
    rig = nuscenes_rig(*HW_PX)
    names = [camera.name for camera in rig.cameras[:3]]
    frames = []
    for time_s in (0.0, 0.5, 1.0):
        world, images = moved_world(street, time_s, odom2_T_odom), {}
        for camera, offset_s in zip(rig.cameras[:3], rig.offsets_s):
            pose = odom2_T_odom @ street.odom_T_base(time_s + offset_s)
            seen = render(world, time_s, camera.K, pose @ camera.base_T_camera, *HW_PX)
            images[camera.name] = View(seen.image.numpy(), camera.K, camera.base_T_camera, pose)
        here = odom2_T_odom @ street.odom_T_base(time_s)
        frames.append(assemble_frame(images, names, 1 + int(time_s * 1e9), here, HW_PX))
    return frames


def yaw_and_shift(yaw_rad, shift_m):
    x_m, y_m, z_m = shift_m
    rotation = Rotation.from_euler("z", yaw_rad).as_matrix()
    return se3.from_rotation_translation(rotation, (x_m, y_m, HEIGHT_M + z_m))


@pytest.fixture(scope="module")
def street_and_drive():
    street = make_world(1, 5.0)
    return street, rendered_drive(street, yaw_and_shift(0.0, (0.0, 0.0, 0.0)))


@pytest.mark.parametrize("yaw_rad", [0.0, np.pi / 2, 0.7])
def test_moving_the_world_with_its_cameras_changes_nothing(street_and_drive, yaw_rad):
    """Streets, houses, traffic and sun are moved, rendered anew and seen by moved cameras.

    Rays that are turned round to other floats, so that a few pixels in 100,000 differ by one grey
    level, and the answer by about 0.2 mm.
    """
    street, here = street_and_drive
    there = rendered_drive(street, yaw_and_shift(yaw_rad, (5e5, -3e5, 120.0)))
    one, other, still = stream(), stream(), stream()
    for item, item_moved in zip(here, there):
        grey_levels = (item.images.int() - item_moved.images.int()).abs()
        assert grey_levels.max() <= 1 and (grey_levels > 0).float().mean() < 1e-3
        answer = other.step(item_moved)
        assert_same(answer, one.step(item), atol_m=5e-3)
        not_moved = still.step(replace(item_moved, odom_T_base=here[0].odom_T_base))
    assert item.images.float().std() > 30.0
    assert differs(answer, not_moved, by_m=0.1)
