"""Rendering of solids with a closed form, and what chunks, poses and gradients must keep."""

import math
import weakref

import pytest
import torch
from closed_form import box, exact, plane, sphere

from occflow_ros.geometry.camera import pixel_rays
from occflow_ros.rendering.field import FieldValues, volume_field
from occflow_ros.rendering.rays import Rays, camera_rays, clip_to_grid
from occflow_ros.rendering.renderer import render, render_view
from occflow_ros.rendering.samplers import stratified_offsets
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-10.0, -10.0, -2.0), (10.0, 10.0, 4.0), (100, 100, 30))  # 0.2 m voxels
VOXEL_M = 0.2
SHARPNESS_PER_M = 40.0
SAMPLES = 512
STEP_M = 20.0 / SAMPLES
MANY = 2**30
ORIGIN_M = (-9.0, 0.0, 1.0)
SOLIDS = {
    "plane": plane((0.0, 0.0, -1.0), (0.0, 0.0, 1.0)),
    "slope": plane((3.0, 0.0, 0.0), (-2.0, 0.5, 1.0)),
    "sphere": sphere((0.0, 0.5, 1.0), 2.0),
    "box": box((1.0, 0.0, 0.5), (2.0, 1.5, 1.5)),
}
# All of them hit slope, sphere and box away from edges.
AHEAD = [(1.0, 0.05 * y + 0.01, -0.05 * z - 0.01) for y in range(-1, 3) for z in range(3)]
RAYS = {
    "plane": [(1.0, 0.1, -0.3), (0.5, 0.0, -1.0)],
    "slope": AHEAD,
    "sphere": AHEAD,
    "box": AHEAD,
}


def rays_towards(directions, origin_m=ORIGIN_M, far_m=20.0):
    unit = torch.nn.functional.normalize(torch.tensor(directions), dim=-1)
    near = torch.zeros(len(unit))
    return Rays(torch.tensor(origin_m).expand(len(unit), 3), unit, near, near + far_m)


def see(field, rays, samples=SAMPLES, sharpness_per_m=SHARPNESS_PER_M, **settings):
    settings = {"n_samples": samples, "max_samples_at_once": MANY} | settings
    return render(field, rays, sharpness_per_m, **settings)


@pytest.mark.parametrize(
    ("sharpness_per_m", "tolerance_m"), [(SHARPNESS_PER_M, 1e-3), (1000.0, STEP_M / 2)]
)
@pytest.mark.parametrize("name", SOLIDS)
def test_an_exact_solid_is_seen_where_it_is(name, sharpness_per_m, tolerance_m):
    """Within 1 mm; where the surface is much thinner than a step, within half a step."""
    sdf, hit = SOLIDS[name]
    rays = rays_towards(RAYS[name])
    seen = see(exact(sdf), rays, sharpness_per_m=sharpness_per_m)
    torch.testing.assert_close(seen.opacity, torch.ones(len(rays)), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.range_m, hit(rays), atol=tolerance_m, rtol=0)


@pytest.mark.parametrize("name", SOLIDS)
def test_a_solid_in_a_volume_is_seen_where_it_is(name):
    """Flat faces within 1 mm, curved ones within a twentieth of a voxel."""
    sdf, hit = SOLIDS[name]
    rays = rays_towards(RAYS[name])
    seen = see(volume_field(GRID, sdf(GRID.centers_m())), clip_to_grid(rays, GRID))
    torch.testing.assert_close(seen.opacity, torch.ones(len(rays)), atol=1e-4, rtol=0)
    tolerance_m = VOXEL_M / 20 if name == "sphere" else 1e-3
    torch.testing.assert_close(seen.range_m, hit(rays), atol=tolerance_m, rtol=0)


def test_near_the_edge_of_a_box_a_volume_is_right_within_a_voxel():
    sdf, hit = SOLIDS["box"]
    rays = rays_towards([(8.0, y - 3.0, 0.0) for y in (1.35, 1.4, 1.45)], origin_m=(-9.0, 3.0, 1.0))
    seen = see(volume_field(GRID, sdf(GRID.centers_m())), clip_to_grid(rays, GRID))
    torch.testing.assert_close(seen.range_m, hit(rays), atol=VOXEL_M, rtol=0)


@pytest.mark.parametrize("clearance_m", [0.5, 0.05, 0.0, -0.05])
def test_a_grazing_ray_is_stopped_as_deep_as_it_gets(clearance_m):
    """The share Φ(deepest) / Φ(first) passes: half where the ray just touches."""
    sdf, _ = sphere((0.0, 2.0 + clearance_m, 1.0), 2.0)
    seen = see(exact(sdf), rays_towards([(1.0, 0.0, 0.0)]))
    passing = 1 / (1 + math.exp(-SHARPNESS_PER_M * clearance_m))
    assert seen.opacity.item() == pytest.approx(1 - passing, abs=2e-3)


def test_a_miss_sees_nothing():
    sdf, _ = SOLIDS["sphere"]
    seen = see(exact(sdf), rays_towards([(-1.0, 0.0, 0.0), (1.0, 0.0, 0.5), (0.0, 1.0, 0.0)]))
    assert (seen.opacity < 1e-6).all()
    assert (seen.range_m < 1e-5).all()


def test_a_ray_that_misses_the_grid_sees_exactly_nothing():
    """Also where the border, which repeats outside, is solid."""
    sdf_m = torch.full(GRID.shape, -1.0).requires_grad_()
    rays = clip_to_grid(rays_towards([(1.0, 0.0, 0.0)], origin_m=(-20.0, 0.0, 10.0)), GRID)
    seen = see(volume_field(GRID, sdf_m), rays)
    assert seen.opacity.item() == 0
    assert seen.range_m.item() == 0
    seen.range_m.sum().backward()
    assert not sdf_m.grad.any()


def test_a_closed_ray_ends_at_its_last_sample_with_what_is_left():
    """A hit stays where it was, a miss ends there with all of its weight."""
    sdf, hit = SOLIDS["sphere"]
    rays = rays_towards([(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)])
    open_, closed = (see(exact(sdf), rays, closed=closed) for closed in (False, True))
    torch.testing.assert_close(closed.opacity, open_.opacity)
    last_m = 20.0 - 0.5 * STEP_M
    torch.testing.assert_close(closed.range_m, open_.range_m + (1 - open_.opacity) * last_m)
    torch.testing.assert_close(closed.range_m[0], hit(rays)[0], atol=STEP_M, rtol=0)
    assert closed.range_m[1].item() == pytest.approx(last_m, abs=1e-4)


def test_a_closed_ray_that_misses_the_grid_still_sees_nothing():
    rays = clip_to_grid(rays_towards([(1.0, 0.0, 0.0)], origin_m=(-20.0, 0.0, 10.0)), GRID)
    seen = see(
        volume_field(GRID, torch.full(GRID.shape, -1.0)),
        rays,
        closed=True,
        per_ray=lambda samples: {"sum": samples.weights.sum(dim=1)},
    )
    assert seen.per_ray["sum"].item() == 0


def test_weights_of_a_closed_ray_sum_to_one():
    sdf, _ = SOLIDS["sphere"]
    rays = rays_towards([(1.0, 0.0, 0.0), (1.0, 0.0, 0.15), (0.0, 1.0, 0.0)])
    seen = see(
        exact(sdf),
        rays,
        sharpness_per_m=1.0,
        closed=True,
        per_ray=lambda samples: {"sum": samples.weights.sum(dim=1)},
    )
    torch.testing.assert_close(seen.per_ray["sum"], torch.ones(3))
    assert (seen.opacity < 0.999).any()


def test_a_ray_from_inside():
    """From the centre of a ball it leaves unseen; towards the centre it stops at once."""
    sdf, _ = sphere((0.0, 0.0, 1.0), 2.0)
    out = see(exact(sdf), rays_towards([(1.0, 0.0, 0.0)], origin_m=(0.0, 0.0, 1.0)))
    assert out.opacity.item() == pytest.approx(0, abs=1e-6)
    through = see(exact(sdf), rays_towards([(1.0, 0.0, 0.0)], origin_m=(-1.5, 0.0, 1.0)))
    assert through.opacity.item() == pytest.approx(1, abs=1e-4)
    assert through.range_m.item() == pytest.approx(1 / SHARPNESS_PER_M, abs=STEP_M)


def test_the_nearer_of_two_solids_is_seen():
    near, hit = sphere((-4.0, 0.0, 1.0), 1.0)
    far, _ = SOLIDS["box"]
    rays = rays_towards([(1.0, 0.0, 0.0)])
    both = exact(lambda points_m: torch.minimum(near(points_m), far(points_m)))
    torch.testing.assert_close(see(both, rays).range_m, hit(rays), atol=1e-3, rtol=0)


def test_stratified_rays_see_the_same():
    sdf, hit = SOLIDS["sphere"]
    rays = rays_towards(AHEAD)
    offsets = stratified_offsets(rays, torch.Generator().manual_seed(0))
    seen = see(exact(sdf), rays, offsets=offsets)
    torch.testing.assert_close(seen.range_m, hit(rays), atol=1e-3, rtol=0)
    assert not torch.equal(seen.range_m, see(exact(sdf), rays).range_m)


def test_a_moving_box_has_its_motion():
    """Flow (1.5, −0.5) m in the box and within 0.5 m of it, none elsewhere."""
    moving, _ = SOLIDS["box"]
    ground, _ = SOLIDS["plane"]
    motion_m = torch.tensor([1.5, -0.5])
    centers_m = GRID.centers_m()
    sdf_m = torch.minimum(moving(centers_m), ground(centers_m))
    flow_m = torch.where((moving(centers_m) < 0.5).unsqueeze(-1), motion_m, 0.0)
    rays = clip_to_grid(rays_towards([*AHEAD[:3], (1.0, 0.5, -0.5), (1.0, 0.0, -1.0)]), GRID)
    seen = see(volume_field(GRID, sdf_m, flow_m), rays)
    torch.testing.assert_close(seen.flow_m[:3], motion_m.expand(3, 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.flow_m[3:], torch.zeros(2, 2), atol=1e-3, rtol=0)


def test_expected_colour_is_that_of_the_surface():
    """Red left of y = 0 m and blue right of it."""
    sdf, _ = SOLIDS["box"]

    def colour(samples):
        left = (samples.points_m[..., 1:2] > 0).float()
        return {"rgb": samples.expected(torch.cat((left, 0 * left, 1 - left), dim=-1))}

    seen = see(exact(sdf), rays_towards([(1.0, 0.1, 0.0), (1.0, -0.1, 0.0)]), per_ray=colour)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(seen.per_ray["rgb"], expected, atol=1e-3, rtol=0)


def random_problem(dtype=torch.float64, rays=12):
    """Leaves and rays through a small random volume."""
    generator = torch.Generator().manual_seed(0)
    grid = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), (3, 3, 3))
    sdf_m = 0.3 + torch.randn(grid.shape, generator=generator, dtype=dtype)
    flow_m = torch.randn(*grid.shape, 2, generator=generator, dtype=dtype)
    leaves = (sdf_m, flow_m, torch.tensor(2.0, dtype=dtype))
    directions = torch.randn(rays, 3, generator=generator, dtype=dtype)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    near = torch.zeros(rays, dtype=dtype)
    bundle = clip_to_grid(Rays(torch.zeros_like(directions), directions, near, near + 9), grid)
    return grid, [leaf.requires_grad_() for leaf in leaves], bundle


def energy(samples):
    return {"energy": samples.values.sdf_m.square().mean(dim=1), "row": samples.range_m[:, 0]}


def outputs(grid, leaves, rays, **settings):
    sdf_m, flow_m, sharpness_per_m = leaves
    field = volume_field(grid, sdf_m, flow_m)
    seen = see(field, rays, 10, sharpness_per_m, per_ray=energy, **settings)
    return (seen.range_m, seen.opacity, seen.flow_m, *seen.per_ray.values())


@pytest.mark.parametrize("at_once", [MANY, 40])
def test_gradients_in_double_precision(at_once):
    grid, leaves, rays = random_problem()

    def differentiable(*leaves):
        return outputs(grid, leaves, rays, max_samples_at_once=at_once)[:4]

    assert torch.autograd.gradcheck(differentiable, leaves)


@pytest.mark.parametrize("at_once", [10, 25, 70])
def test_chunks_change_neither_values_nor_gradients(at_once):
    grid, leaves, rays = random_problem()
    offsets = stratified_offsets(rays, torch.Generator().manual_seed(1))

    def values_and_gradients(bound):
        results = outputs(grid, leaves, rays, max_samples_at_once=bound, offsets=offsets)
        loss = sum(result.square().sum() for result in results)
        return [*results, *torch.autograd.grad(loss, leaves)]

    for chunked, whole in zip(values_and_gradients(at_once), values_and_gradients(MANY)):
        torch.testing.assert_close(chunked, whole)
    with torch.no_grad():
        for chunked, whole in zip(
            outputs(grid, leaves, rays, max_samples_at_once=at_once, offsets=offsets),
            outputs(grid, leaves, rays, offsets=offsets),
        ):
            torch.testing.assert_close(chunked, whole)


@pytest.mark.parametrize("rays", [1, 7, 12])
def test_chunks_know_their_rows(rays):
    _, _, bundle = random_problem(torch.float32, rays)
    seen = see(
        exact(lambda points_m: points_m[..., 0]),
        bundle,
        10,
        max_samples_at_once=35,
        per_ray=lambda samples: {"row": torch.arange(rays)[samples.rows]},
    )
    assert seen.per_ray["row"].tolist() == list(range(rays))
    assert len(seen.range_m) == rays


def test_the_bound_holds_in_training():
    """No more samples than allowed are alive at any time, forward or backward."""
    grid, (sdf_m, _, sharpness_per_m), rays = random_problem(torch.float32)
    read = volume_field(grid, sdf_m)
    alive, most, calls = weakref.WeakSet(), 0, 0

    def field(points_m):
        nonlocal most, calls
        values = read(points_m)
        alive.add(points_m)
        most, calls = max(most, sum(points.shape[:2].numel() for points in alive)), calls + 1
        return values

    seen = see(field, rays, 10, sharpness_per_m, max_samples_at_once=30)
    assert (most, calls, len(alive)) == (30, 4, 0)
    seen.range_m.sum().backward()
    assert (most, calls, len(alive)) == (30, 8, 0)


def test_the_empty_bundle_of_rays():
    _, _, rays = random_problem(torch.float32)
    seen = see(exact(lambda points_m: points_m[..., 0]), rays[:0], 10)
    assert seen.range_m.shape == (0,)


def turned(yaw_rad, pitch_rad, translation_m):
    (sy, cy), (sp, cp) = ((math.sin(a), math.cos(a)) for a in (yaw_rad, pitch_rad))
    transform = torch.eye(4)
    yaw = torch.tensor([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    pitch = torch.tensor([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    transform[:3, :3] = yaw @ pitch
    transform[:3, 3] = torch.tensor(translation_m)
    return transform


OPTICAL = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
K = torch.tensor([[30.0, 0.0, 15.5], [0.0, 30.0, 11.5], [0.0, 0.0, 1.0]])


def test_move_camera_and_world_and_nothing_changes():
    sdf, _ = SOLIDS["sphere"]
    base_T_camera = turned(0.1, 0.05, ORIGIN_M) @ OPTICAL
    moved_T_base = turned(0.9, -0.4, (3.0, -7.0, 2.0))
    base_T_moved = torch.linalg.inv(moved_T_base)

    def moved_sdf(points_m):
        return sdf(points_m @ base_T_moved[:3, :3].T + base_T_moved[:3, 3])

    directions = pixel_rays(K, 24, 32).flatten(0, 1)
    seen = see(exact(sdf), camera_rays(directions, base_T_camera, 0.5, 20.0))
    moved = see(exact(moved_sdf), camera_rays(directions, moved_T_base @ base_T_camera, 0.5, 20.0))
    assert 0.1 < seen.opacity.mean() < 0.9
    torch.testing.assert_close(moved.depth_m, seen.depth_m, atol=1e-3, rtol=0)
    torch.testing.assert_close(moved.opacity, seen.opacity, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("yaw_rad", "x_m"), [(0.0, -5.0), (2.0, 3.0)])
def test_depth_of_a_novel_view_is_along_the_axis_and_range_along_the_ray(yaw_rad, x_m):
    """A camera 1.5 m over a road sees pixel row v at depth 1.5 m · f / (v − c_y)."""
    road, _ = plane((0.0, 0.0, -1.5), (0.0, 0.0, 1.0))
    base_T_camera = turned(yaw_rad, 0.0, (x_m, 0.0, 0.0)) @ OPTICAL
    seen = render_view(
        volume_field(GRID, road(GRID.centers_m()), torch.ones(*GRID.shape, 2)),
        GRID,
        K,
        base_T_camera,
        (24, 32),
        SHARPNESS_PER_M,
        near_m=0.0,
        far_m=50.0,
        n_samples=SAMPLES,
        max_samples_at_once=100 * SAMPLES,
    )
    assert seen.flow_m.shape == (24, 32, 2)
    row = torch.arange(24.0)
    depth_m = (1.5 * 30.0 / (row - 11.5)).unsqueeze(1).expand(24, 32)
    on_road = slice(22, 24)  # nearer than the end of the grid
    cosine = 1 / pixel_rays(K, 24, 32).norm(dim=-1)
    torch.testing.assert_close(seen.opacity[on_road], torch.ones(2, 32), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.depth_m[on_road], depth_m[on_road], atol=0.02, rtol=0)
    torch.testing.assert_close(seen.depth_m, cosine * seen.range_m)
    assert (seen.opacity[:11] < 1e-6).all()  # above the horizon


def test_rays_of_no_camera_have_no_depth_and_a_static_field_no_flow():
    sdf, _ = SOLIDS["sphere"]
    seen = see(exact(sdf), rays_towards(AHEAD))
    assert seen.depth_m is None
    assert seen.flow_m is None
    assert seen.per_ray == {}


def test_autocast_does_not_round_what_is_seen():
    grid, leaves, rays = random_problem(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = outputs(grid, leaves, rays)
    for got, expected in zip(rounded, outputs(grid, leaves, rays)):
        assert torch.equal(got, expected)


def test_what_does_not_fit_is_refused():
    rays = rays_towards(AHEAD)
    sdf, _ = SOLIDS["sphere"]
    with pytest.raises(ValueError, match="at least n_samples = 512, got 511"):
        see(exact(sdf), rays, max_samples_at_once=511)
    with pytest.raises(ValueError, match="offsets: expected 12 rows, got 13"):
        see(exact(sdf), rays, offsets=torch.zeros(13, 1))
    with pytest.raises(ValueError, match=r"expected sdf_m \(12, 512\), got \(12, 512, 3\)"):
        see(lambda points_m: FieldValues(points_m), rays)


def test_the_device_sees_what_the_cpu_sees(device):
    grid, leaves, rays = random_problem(torch.float32)
    there = Rays(
        *(getattr(rays, name).to(device) for name in ("origins_m", "directions")),
        rays.near_m.to(device),
        rays.far_m.to(device),
    )
    on_device = outputs(grid, [leaf.to(device) for leaf in leaves], there, max_samples_at_once=40)
    for got, expected in zip(on_device, outputs(grid, leaves, rays)):
        torch.testing.assert_close(got.cpu(), expected, atol=1e-5, rtol=1e-5)
