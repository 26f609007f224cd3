"""What rays see of fields and of voxels: the same, within a voxel."""

import math

import numpy as np
import torch

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.scene import VoxelScene
from occflow_ros.engine.prediction import Prediction, scene_of
from occflow_ros.engine.view import FAR_M, NEAR_M, rendered_view, voxel_view
from occflow_ros.rendering.rays import Rays, camera_rays
from occflow_ros.structures import UNKNOWN_CLASS_ID, OccupancyFlow, VoxelGrid

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), (32, 32, 8))  # voxels of 0.5 m
WALL_M, VELOCITY_MPS, INTERVAL_S = 6.0, (3.0, -1.0), 0.5
OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.0], [0, 0, 0, 1]])


def wall():
    """Everything from 6 m on."""
    sdf_m = WALL_M - GRID.centers_m()[..., 0].float()
    flow_m = INTERVAL_S * torch.tensor(VELOCITY_MPS).expand(*GRID.shape, 2)
    return OccupancyFlow(0, GRID, sdf_m, flow_m, INTERVAL_S, 10.0, 0.0)


def rays_of(*directions):
    return camera_rays(torch.tensor(directions), torch.from_numpy(OPTICAL), NEAR_M, FAR_M)


def test_a_plane_in_fields_and_in_voxels():
    rays = rays_of((0.0, 0.0, 1.0), (0.5, 0.1, 1.0), (-0.9, 0.0, 1.0), (0.0, 0.15, 1.0))
    exact_m = WALL_M / rays.directions[:, 0]
    voxels = voxel_view(scene_of(wall()))(rays)
    fields = rendered_view(wall(), sharpness_per_m=20.0)(rays)
    np.testing.assert_allclose(voxels.range_m, exact_m, rtol=1e-6)
    np.testing.assert_allclose(fields.range_m, voxels.range_m, atol=0.5)
    for seen in (voxels, fields):
        np.testing.assert_allclose(seen.velocity_mps, [VELOCITY_MPS] * 4, atol=1e-4)


def test_voxels_beside_what_a_ray_can_say():
    """Behind it nothing: the far end. Within one: the near end. Directions of any length."""
    view = voxel_view(scene_of(wall()))
    nothing = view(rays_of((0.0, 0.0, -1.0)))
    assert nothing.range_m.tolist() == [FAR_M]
    assert nothing.velocity_mps.tolist() == [[0.0, 0.0]]
    ahead = torch.tensor([[1.0, 0.0, 0.0]])
    inside = torch.tensor([[7.0, 0.0, 1.0]])
    near, far = torch.tensor([NEAR_M]), torch.tensor([FAR_M])
    assert view(Rays(inside, ahead, near, far)).range_m.tolist() == [NEAR_M]
    origin = torch.tensor([[0.0, 0.0, 1.0]])
    assert view(Rays(origin, 3.0 * ahead, near, far)).range_m.tolist() == [WALL_M]


def test_velocity_is_zero_in_voxels_that_are_free():
    scene = scene_of(wall())
    assert scene.occupied.sum() == 4 * 32 * 8
    assert not scene.velocity_mps[~scene.occupied].any()
    np.testing.assert_allclose(
        np.unique(scene.velocity_mps[scene.occupied], axis=0), [VELOCITY_MPS]
    )


def test_classes_are_those_of_their_names():
    """Nothing is where nothing is occupied, and where nobody knows by what."""
    occupied = np.zeros(GRID.shape, bool)
    occupied[:3] = True
    class_id = np.full(GRID.shape, 1, np.uint8)
    class_id[1], class_id[2] = 0, UNKNOWN_CLASS_ID
    standing = np.zeros((*GRID.shape, 2), np.float32)
    scene = VoxelScene(GRID, occupied, standing, class_id, ("truck", "car"))
    prediction = Prediction.of_voxels(scene, np.eye(4))
    found = prediction.classes_in(NAMES, FREE)
    expected = [NAMES.index("car"), NAMES.index("truck"), FREE, FREE]
    assert [np.unique(found[x]).tolist() for x in range(4)] == [[number] for number in expected]
    assert prediction.classes_in(("car", "free"), 1) is None
    unnamed = Prediction.of_voxels(VoxelScene(GRID, occupied, standing), np.eye(4))
    assert unnamed.classes_in(NAMES, FREE) is None
    assert math.isfinite(prediction.view(rays_of((0.0, 0.0, 1.0))).range_m.item())
