"""Optical flow, LiDAR, occupancy, visibility and boxes against closed forms and each other."""

import cv2
import numpy as np
import pytest
import torch
from synthetic_scenes import box, camera, solid, straight_world

from occflow_ros.data.classes import FREE, MOVABLE, NAMES
from occflow_ros.data.synthetic import (
    lidar_sweep,
    make_world,
    nuscenes_rig,
    occupancy_truth,
    optical_flow,
    render,
    render_rig,
)
from occflow_ros.data.synthetic.primitives import Shape
from occflow_ros.data.synthetic.raycast import SKY
from occflow_ros.data.synthetic.street import Law
from occflow_ros.data.synthetic.visibility import mark_crossed
from occflow_ros.geometry import se3
from occflow_ros.structures import VoxelGrid

CAR, DRIVEABLE = NAMES.index("car"), NAMES.index("driveable_surface")
GRID = VoxelGrid((-16.0, -16.0, -1.0), (16.0, 16.0, 3.0), (80, 80, 10))


def _front(world, time_s, height_px=96, width_px=160):
    front = nuscenes_rig(height_px, width_px).cameras[0]
    pose = world.odom_T_base(time_s) @ front.base_T_camera
    return render(world, time_s, front.K, pose, height_px, width_px)


def _warped(image, flow_px):
    height, width = flow_px.shape[:2]
    v, u = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(image, u + flow_px[..., 0], v + flow_px[..., 1], cv2.INTER_LINEAR)


def test_flow_of_a_box_that_comes_closer():
    # The front face goes from 18 m to 16 m: a pixel 4 columns from the centre moves to 4·18/16.
    world = straight_world((box(4.0, 2.0, 3.0), Law(20.0, 0.0, -2.0)))
    views = [render(world, time_s, *camera()) for time_s in (0.0, 1.0)]
    flow = optical_flow(world, *views)
    assert flow.flow_px[30, 44].tolist() == pytest.approx([4 * 18 / 16 - 4, 0.0], abs=1e-4)
    assert flow.flow_px[34, 40].tolist() == pytest.approx([0.0, 4 * 18 / 16 - 4], abs=1e-4)
    assert flow.visible[30, 44]
    assert flow.flow_px[2, 3].tolist() == pytest.approx([0.0, 0.0], abs=1e-9)
    assert flow.visible[2, 3]


def test_what_a_car_will_cover_is_not_visible():
    world = straight_world((box(1.0, 3.0, 4.0), Law(10.0, -6.0, lateral_mps=6.0)))
    views = [render(world, time_s, *camera()) for time_s in (0.0, 1.0)]
    flow = optical_flow(world, *views)
    assert views[0].instance[34, 40] == 0 and views[1].instance[34, 40] == 1
    assert not flow.visible[34, 40]
    assert flow.visible[34, 5]


def test_next_image_warped_by_the_flow_is_this_image():
    world = make_world(0, 8.0)
    first, second = _front(world, 4.0), _front(world, 4.1)
    flow = optical_flow(world, first, second)
    warped = _warped(second.image.numpy(), flow.flow_px.numpy())
    error = np.abs(warped.astype(float) - first.image.numpy()).mean(axis=-1)
    still = np.abs(second.image.numpy().astype(float) - first.image.numpy()).mean(axis=-1)
    visible = flow.visible.numpy()
    moving = visible & (first.instance.numpy() > 0)
    assert visible.mean() > 0.6 and moving.sum() > 500
    assert np.median(error[visible]) < 2.5 and error[visible].mean() < 0.35 * still[visible].mean()
    assert np.median(error[moving]) < 2.5


def test_flow_of_what_stands_still_follows_from_depth_and_ego_motion():
    world = make_world(0, 8.0)
    first, second = _front(world, 4.0), _front(world, 4.2)
    flow = optical_flow(world, first, second).flow_px.double()
    height, width = first.depth_m.shape
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixel = torch.stack((u, v, torch.ones_like(u)), dim=-1).double()
    local = pixel @ torch.linalg.inv(first.K).T * first.depth_m.double()[..., None]
    second_T_first = torch.linalg.inv(second.odom_T_camera) @ first.odom_T_camera
    local = local @ second_T_first[:3, :3].T + second_T_first[:3, 3]
    projected = local @ second.K.T
    expected = projected[..., :2] / projected[..., 2:] - pixel[..., :2]
    still = (first.instance == 0) & (first.primitive != SKY) & (local[..., 2] > 0.5)
    assert still.float().mean() > 0.3
    torch.testing.assert_close(flow[still], expected[still], atol=2e-2, rtol=1e-4)


def test_range_of_a_wall_in_every_beam():
    # A wall across the street, 12 m ahead of the LiDAR, which looks along −y of the base.
    world = straight_world((box(1.0, 300.0, 60.0), Law(12.5 + 0.94, 0.0)))
    rig = nuscenes_rig(8, 16)
    points = lidar_sweep(world, 0.0, rig).points_m
    base = points @ rig.base_T_lidar[:3, :3].T + rig.base_T_lidar[:3, 3]
    on_wall = (base[:, 0] > 12.9) & (base[:, 2] > 0.2)
    assert on_wall.sum() > 1000
    np.testing.assert_allclose(base[on_wall, 0], 12.94, atol=1e-4)
    on_street = (base[:, 0] < 12.9) & (np.abs(base[:, 1]) < 6.9)
    np.testing.assert_allclose(base[on_street, 2], 0.0, atol=1e-4)
    assert np.linalg.norm(points, axis=1).max() <= 80.0


def test_lidar_points_lie_in_occupied_voxels():
    world, rig = make_world(6, 5.0), nuscenes_rig(24, 40)
    truth = occupancy_truth(world, 2.0, GRID, [])
    sweep = lidar_sweep(world, 2.0, rig)
    points = se3.transform_points(rig.base_T_lidar, sweep.points_m.astype(float))
    index, inside = GRID.index_of(torch.from_numpy(points))
    classes = truth.semantics[tuple(index[inside].T.numpy())]
    assert inside.sum() > 5000
    assert (classes != FREE).mean() > 0.99
    assert (classes == sweep.class_id[inside.numpy()]).mean() > 0.9
    assert set(np.unique(sweep.class_id[sweep.moving])) <= set(MOVABLE)


def test_classes_of_lidar_points():
    """A car ahead of the ego drives, one behind it stands, and the street is empty."""
    model = box(4.0, 2.0, 1.6)
    world = straight_world((model, Law(10.0, 0.0, 5.0)), (model, Law(-12.0, 0.0)))
    rig = nuscenes_rig(8, 16)
    sweep = lidar_sweep(world, 0.0, rig)
    x, y, z = se3.transform_points(rig.base_T_lidar, sweep.points_m.astype(float)).T
    moving, standing = (np.abs(x - center) < 2.001 for center in (10.0, -12.0))
    on_car = (moving | standing) & (np.abs(y) < 1.001) & (z > 0.001)
    assert (on_car & moving).sum() > 100 and (on_car & standing).sum() > 100
    np.testing.assert_array_equal((sweep.class_id == CAR) & (x > -50.0), on_car)
    np.testing.assert_array_equal(sweep.moving, on_car & moving)
    road = ~on_car & (np.abs(y) < 3.0) & (x > -50.0)
    assert (sweep.class_id[road] == DRIVEABLE).all()


def test_occupancy_and_velocity_of_a_moving_box():
    law = Law(6.0, 2.0, 5.0)
    truth = occupancy_truth(straight_world((box(4.0, 2.0, 1.6), law)), 0.4, GRID, [])
    x, y, z = np.nonzero(truth.semantics == CAR)
    # At 0.4 s the box fills [6, 10] × [1, 3] × [0, 1.6], which are whole voxels of 0.4 m.
    lower = [round((6.0 + 16.0) / 0.4), round((1.0 + 16.0) / 0.4), round(1.0 / 0.4)]
    assert [x.min(), y.min()] == pytest.approx(lower[:2], abs=1)
    assert (x.max() - x.min() + 1) * 0.4 == pytest.approx(4.0, abs=0.81)
    assert (y.max() - y.min() + 1) * 0.4 == pytest.approx(2.0, abs=0.81)
    assert z.min() == 2 and (z.max() - z.min() + 1) * 0.4 == pytest.approx(1.6, abs=0.81)
    velocity = truth.velocity_mps[truth.semantics == CAR]
    np.testing.assert_allclose(velocity, np.tile([5.0, 0.0], (len(velocity), 1)), atol=1e-4)
    assert (truth.velocity_mps[truth.semantics != CAR] == 0.0).all()


def test_velocity_is_over_ground_in_ego_axes():
    # The ego drives towards −x; the box goes along +x of the world, backwards for the ego.
    mover = (box(4.0, 2.0, 1.6), Law(0.0, 4.0, 5.0))
    world = straight_world(mover, ego=Law(2.0, 0.0, -3.0, yaw_rad=np.pi))
    truth = occupancy_truth(world, 0.0, GRID, [])
    x, y, _ = np.nonzero(truth.semantics == CAR)
    assert y.mean() < 40 and abs(x.mean() - 45) < 1.5
    velocity = truth.velocity_mps[truth.semantics == CAR]
    np.testing.assert_allclose(velocity, np.tile([-5.0, 0.0], (len(velocity), 1)), atol=1e-4)


def test_driving_on_moves_the_occupancy_by_whole_voxels():
    mover = (box(4.0, 2.0, 1.6), Law(8.1, 2.1))
    here, there = (
        occupancy_truth(straight_world(mover, ego=Law(s, 0.0)), 0.0, GRID, []).semantics
        for s in (0.0, 2.0)
    )
    assert (here == CAR).sum() > 100
    np.testing.assert_array_equal(here[5:], there[:-5])


@pytest.mark.parametrize("offset_m", np.linspace(0.0, 0.4, 5))
def test_a_thin_pole_stands_in_every_layer(offset_m):
    pole = solid(Shape.CYLINDER, (0.03, 0.03, 1.2), class_name="manmade")
    truth = occupancy_truth(straight_world((pole, Law(5.0 + offset_m, 1.0))), 0.0, GRID, [])
    columns = truth.semantics == NAMES.index("manmade")
    assert columns.any(axis=(0, 1))[2:8].all()
    assert columns.any(axis=2).sum() <= 4


def test_ground_is_one_layer_with_its_class():
    truth = occupancy_truth(straight_world(), 0.0, GRID, [])
    assert ((truth.semantics != FREE).sum(axis=2) == 1).all()
    middle = truth.semantics[:, 40]
    assert (middle[:, 2] == DRIVEABLE).all()
    assert (truth.semantics[:, 2, 2] == NAMES.index("terrain")).all()


def test_nothing_is_observed_behind_a_wall():
    world = straight_world((box(1.0, 60.0, 20.0), Law(8.5, 0.0)))
    view = render(world, 0.0, *camera())
    observed = occupancy_truth(world, 0.0, GRID, [view]).observed
    row = observed[:, 39, 6]
    assert row[41:60].all() and row[60] and not row[62:].any()
    assert not observed[:39].any()


def test_voxels_crossed_by_one_ray():
    grid = VoxelGrid((0.0, 0.0, 0.0), (4.0, 4.0, 1.0), (4, 4, 1))
    seen = torch.zeros(16, dtype=torch.bool)
    direction = torch.nn.functional.normalize(torch.tensor([[2.0, 1.0, 0.0]]), dim=1)
    mark_crossed(grid, torch.tensor([-1.0, 0.2, 0.5]), direction, torch.tensor([4.0]), seen)
    assert seen.nonzero().squeeze(1).tolist() == [0, 1, 5, 9]


def test_boxes_agree_with_the_occupancy():
    world = make_world(3, 5.0)
    truth = occupancy_truth(world, 2.0, GRID, [])
    centers = GRID.centers_m().double().numpy().reshape(-1, 3)
    semantics = truth.semantics.reshape(-1)
    velocity = truth.velocity_mps.reshape(-1, 2)
    checked = 0
    for annotated in world.boxes_at(2.0, range_m=13.0):
        local = se3.transform_points(se3.inverse(annotated.base_T_box), centers)
        inside = (np.abs(local) < 0.4 * np.array(annotated.size_lwh_m)).all(axis=1)
        if annotated.category != "vehicle.car" or inside.sum() < 5:
            continue
        checked += 1
        assert (semantics[inside] == CAR).mean() > 0.6
        on_car = inside & (semantics == CAR)
        assert np.abs(velocity[on_car] - annotated.velocity_mps).max() < 0.6
    assert checked >= 3


def test_images_lidar_and_occupancy_of_a_rig_agree():
    world, rig = make_world(1, 5.0), nuscenes_rig(45, 80)
    views = list(render_rig(world, rig, 2.0).values())
    truth = occupancy_truth(world, 2.0, GRID, views)
    assert 0.1 < truth.observed.mean() < 0.9
    base_T_odom = torch.from_numpy(se3.inverse(world.odom_T_base(2.0)))
    front = views[0]
    point = front.point_m[front.depth_m < 14.0]
    index, inside = GRID.index_of(point @ base_T_odom[:3, :3].T + base_T_odom[:3, 3])
    hit = truth.semantics[tuple(index[inside].T.numpy())]
    agree = hit == front.semantic[front.depth_m < 14.0][inside].numpy()
    assert agree.mean() > 0.85
    assert (hit != FREE).mean() > 0.99
