"""Images and their geometry against closed forms."""

import numpy as np
import pytest
import torch
from synthetic_scenes import box, camera, solid, straight_world

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.synthetic import make_world, nuscenes_rig, render, render_rig
from occflow_ros.data.synthetic.primitives import Shape
from occflow_ros.data.synthetic.raycast import GROUND, SKY
from occflow_ros.data.synthetic.rig import CHANNELS, camera_name
from occflow_ros.data.synthetic.road import KERB_HEIGHT_M, KERB_M
from occflow_ros.data.synthetic.street import Law


def test_depth_class_and_normal_of_a_box():
    world = straight_world((box(4.0, 2.0, 3.0), Law(20.0, 0.0)))
    view = render(world, 0.0, *camera())
    assert view.depth_m[30, 40].item() == pytest.approx(18.0, abs=1e-4)
    assert view.semantic[30, 40] == NAMES.index("car")
    assert view.instance[30, 40] == 1
    torch.testing.assert_close(view.normal[30, 40], torch.tensor([-1.0, 0.0, 0.0]))
    on_box = view.instance == 1
    assert on_box[30].nonzero().squeeze(1).tolist() == list(range(35, 46))
    assert on_box[:, 40].nonzero().squeeze(1).tolist() == list(range(22, 39))


def test_depth_of_an_ellipsoid():
    world = straight_world((solid(Shape.ELLIPSOID, (1.0, 2.0, 1.5)), Law(10.0, 0.0)))
    view = render(world, 0.0, *camera())
    assert view.depth_m[30, 40].item() == pytest.approx(9.0, abs=1e-4)
    torch.testing.assert_close(view.normal[30, 40], torch.tensor([-1.0, 0.0, 0.0]))


def test_depth_of_the_ground_is_focal_length_times_height_over_row():
    view = render(straight_world(), 0.0, *camera(position_m=(0.0, 0.0, 1.6)))
    rows = torch.arange(31, 60)
    torch.testing.assert_close(view.depth_m[31:, 40], 100.0 * 1.6 / (rows - 30.0))
    assert (view.semantic[31:, 40] == NAMES.index("driveable_surface")).all()
    assert (view.primitive[31:, 40] == GROUND).all()
    assert (view.primitive[:30] == SKY).all()
    assert torch.isinf(view.depth_m[:30]).all() and (view.semantic[:30] == FREE).all()


def test_sidewalk_is_raised_and_the_kerb_has_a_face():
    position = (0.0, KERB_M - 6.0, 1.5)
    view = render(straight_world(), 0.0, *camera(position_m=position, yaw_rad=np.pi / 2))
    column_z = view.point_m[31:, 40, 2]
    column_d = view.point_m[31:, 40, 1]
    on_face = (column_z > 1e-3) & (column_z < KERB_HEIGHT_M - 1e-3)
    assert on_face.sum() >= 2
    torch.testing.assert_close(
        column_d[on_face], torch.full_like(column_d[on_face], KERB_M), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(view.normal[31:, 40][on_face][0], torch.tensor([0.0, -1.0, 0.0]))
    assert view.point_m[32, 40, 2].item() == pytest.approx(KERB_HEIGHT_M, abs=1e-5)
    assert (view.semantic[31:, 40][on_face] == NAMES.index("sidewalk")).all()


def test_shadow_falls_where_the_sun_says():
    # The sun stands at 45° behind the box, so that 3 m of height cast 3 m towards the camera.
    sun = (np.sqrt(0.5), 0.0, np.sqrt(0.5))
    world = straight_world((box(2.0, 4.0, 3.0), Law(20.0, 0.0)), sun=sun)
    bare = straight_world(sun=sun)
    view, without = (render(w, 0.0, *camera(focal_px=400.0, height_px=200)) for w in (world, bare))
    column = slice(view.image.shape[0] // 2 + 1, None)
    x = view.point_m[column, 40, 0]
    ground = view.primitive[column, 40] == GROUND
    changed = (view.image[column, 40] != without.image[column, 40]).any(dim=-1)
    assert torch.equal(changed[ground], x[ground] > 16.0)


def test_rotating_the_camera_about_its_axis_turns_the_image():
    world = make_world(1, 5.0)
    K, _, height, width = camera(height_px=61, width_px=81)
    pose = world.odom_T_base(1.0) @ nuscenes_rig(61, 81).cameras[0].base_T_camera
    upside_down = pose @ np.diag([-1.0, -1.0, 1.0, 1.0])
    upright, turned = (render(world, 1.0, K, p, height, width) for p in (pose, upside_down))
    same = (upright.primitive == turned.primitive.flip(0, 1)).float().mean()
    assert same > 0.995
    solid_ground = upright.primitive == turned.primitive.flip(0, 1)
    torch.testing.assert_close(
        upright.depth_m[solid_ground], turned.depth_m.flip(0, 1)[solid_ground], rtol=1e-3, atol=1e-3
    )


def test_two_cameras_see_the_same_surfaces():
    world = make_world(4, 5.0)
    K, _, height, width = camera(focal_px=70.0)
    base = world.odom_T_base(2.0) @ nuscenes_rig(60, 80).cameras[0].base_T_camera
    shifted = base.copy()
    shifted[:3, 3] += base[:3, 0] * 0.3
    first, second = (render(world, 2.0, K, pose, height, width) for pose in (base, shifted))
    solid_pixels = first.primitive.flatten() >= 0
    points = first.point_m.reshape(-1, 3)[solid_pixels]
    camera_T_odom = torch.linalg.inv(second.odom_T_camera)
    local = points @ camera_T_odom[:3, :3].T + camera_T_odom[:3, 3]
    pixel = (local @ second.K.T)[:, :2] / local[:, 2:]
    u, v = pixel.round().long().unbind(1)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v, points = u[inside], v[inside], points[inside]
    seen = second.primitive[v, u] == first.primitive.flatten()[solid_pixels][inside]
    gap = points[seen] - second.point_m[v[seen], u[seen]]
    out_of_surface = (gap * second.normal[v[seen], u[seen]]).sum(dim=1).abs()
    assert seen.float().mean() > 0.75
    assert out_of_surface.median() < 1e-3


def test_same_seed_same_bytes_and_another_seed_another_street():
    rig = nuscenes_rig(24, 40)
    first, again, other = (render_rig(make_world(seed, 5.0), rig, 1.0) for seed in (7, 7, 8))
    for name in first:
        assert torch.equal(first[name].image, again[name].image)
        assert torch.equal(first[name].depth_m, again[name].depth_m)
        assert not torch.equal(first[name].image, other[name].image)


def test_workers_change_nothing():
    world, rig = make_world(7, 5.0), nuscenes_rig(24, 40)
    alone, together = (render_rig(world, rig, 1.0, workers) for workers in (1, 3))
    assert list(alone) == list(together) == [camera_name(channel) for channel in CHANNELS]
    for name in alone:
        assert torch.equal(alone[name].image, together[name].image)


def test_each_camera_fires_at_its_own_instant():
    rig = nuscenes_rig(24, 40)
    views = render_rig(make_world(7, 5.0), rig, 1.0)
    assert views["cam_front"].time_s == 1.0
    assert views["cam_back"].time_s == pytest.approx(1.05)
    assert views["cam_front_left"].time_s < 1.0 < views["cam_front_right"].time_s
    assert max(abs(offset) for offset in rig.offsets_s) <= 0.05


def test_front_camera_looks_forward_and_left_camera_left():
    cameras = {camera.name: camera for camera in nuscenes_rig(90, 160).cameras}
    np.testing.assert_allclose(cameras["cam_front"].base_T_camera[:3, 2], [1, 0, 0], atol=1e-12)
    assert cameras["cam_front_left"].base_T_camera[1, 2] > 0.5
    assert cameras["cam_back"].K[0, 0] == pytest.approx(80.9)


def test_a_wrong_matrix_is_named():
    with pytest.raises(ValueError, match=r"expected a positive size, K \(3, 3\)"):
        render(straight_world(), 0.0, np.eye(4), np.eye(4), 10, 10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_shows_the_same_street():
    world, rig = make_world(3, 5.0), nuscenes_rig(48, 80)
    on_cpu, on_gpu = render_rig(world, rig, 1.0), render_rig(world.to("cuda"), rig, 1.0)
    for name, view in on_cpu.items():
        same = (view.primitive == on_gpu[name].primitive.cpu()).float().mean()
        assert same > 0.99
