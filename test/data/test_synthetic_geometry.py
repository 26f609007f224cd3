"""Rays, solids, lattice rectangles and the street in closed form."""

import math

import numpy as np
import pytest
import torch

from occflow_ros.data.synthetic import road as street
from occflow_ros.data.synthetic.candidates import rectangle_pairs
from occflow_ros.data.synthetic.motion import states_at
from occflow_ros.data.synthetic.primitives import Shape, contains, normals, span
from occflow_ros.data.synthetic.road import make_road
from occflow_ros.data.synthetic.street import Law, make_world, motion_of
from occflow_ros.data.synthetic.textures import stripes


def _rows(*values: float) -> list[torch.Tensor]:
    return [torch.tensor([value]) for value in values]


@pytest.mark.parametrize(
    ("shape", "solid", "origin", "direction", "expected"),
    [
        (Shape.FRUSTUM, (1, 2, 3, 0, 0, 0), (-5, 0, 0), (1, 0, 0), (4, 6)),
        (Shape.FRUSTUM, (1, 2, 3, 0, 0, 0), (0, 0, 10), (0, 0, -1), (7, 13)),
        (Shape.FRUSTUM, (2, 1, 1, 1, 0, 0), (5, 0, 0), (-1, 0, 0), (4, 7)),
        (Shape.FRUSTUM, (2, 1, 1, 0, 0, 0.5), (0, 5, 0.5), (0, -1, 0), (4.75, 5.25)),
        (Shape.ELLIPSOID, (1, 2, 3, 0, 0, 0), (0, -9, 0), (0, 1, 0), (7, 11)),
        (Shape.ELLIPSOID, (2, 1, 1, 0, 0, 0), (-5, 0, 0.6), (1, 0, 0), (3.4, 6.6)),
        (Shape.CYLINDER, (1, 1, 2, 0, 0, 0), (-4, 0, 1), (2, 0, 0), (1.5, 2.5)),
        (Shape.CYLINDER, (1, 1, 2, 0, 0, 0), (0, 0, 5), (0, 0, -1), (3, 7)),
    ],
)
def test_span_is_where_the_line_enters_and_leaves(shape, solid, origin, direction, expected):
    enter, leave = span(shape, _rows(*origin), _rows(*direction), _rows(*solid))
    assert (enter.item(), leave.item()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", list(Shape))
def test_span_of_a_line_beside_the_solid_is_empty(shape):
    enter, leave = span(shape, _rows(-5, 1.5, 0), _rows(1, 0, 0), _rows(1, 1, 1, 0, 0, 0))
    assert enter.item() > leave.item()


def test_contains_agrees_with_the_span_of_random_lines():
    generator = torch.Generator().manual_seed(0)
    half = torch.tensor([[1.0, 0.7, 1.3]])
    taper = torch.tensor([[0.3, 0.1, 0.2]])
    point = torch.rand((1, 500, 3), generator=generator) * 3.0 - 1.5
    origin = torch.tensor([3.0, 0.2, 0.4])
    direction = point[0] - origin
    for shape in Shape:
        solid = [value.expand(500) for value in torch.cat((half, taper), dim=1)[0]]
        enter, leave = span(
            shape, [o.expand(500) for o in origin], list(direction.unbind(1)), solid
        )
        inside = contains(shape, point, half, taper, torch.zeros(1, 3))[0]
        assert 0 < inside.sum() < 500
        assert torch.equal(inside, (enter < 1.0) & (leave > 1.0))


def test_normals_point_out_of_the_nearest_face():
    shape = torch.tensor([0, 0, 1, 2, 2])
    point = torch.tensor(
        [[1.0, 0.1, 0.2], [0.5, 0.0, 1.0], [0.0, 2.0, 0.0], [0.6, 0.8, 0.0], [0.1, 0.0, -1.0]]
    )
    half = torch.tensor([[1.0, 1, 1], [1, 1, 1], [1, 2, 1], [1, 1, 1], [1, 1, 1]])
    expected = torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0], [0.6, 0.8, 0], [0, 0, -1.0]])
    torch.testing.assert_close(normals(shape, point, half, torch.zeros(5, 3)), expected)


def test_normal_of_a_leaning_face():
    taper = torch.tensor([[1.0, 0.0, 0.0]])
    point = torch.tensor([[1.0, 0.0, 0.0]])
    normal = normals(torch.tensor([0]), point, torch.tensor([[2.0, 1, 1]]), taper)
    torch.testing.assert_close(normal, torch.tensor([[1.0, 0.0, 1.0]]) / math.sqrt(2.0))


def test_rectangle_pairs_lists_every_cell_once():
    lower = torch.tensor([[0, 1], [2, 2], [1, 0]])
    upper = torch.tensor([[2, 3], [2, 5], [2, 2]])
    which, cell = (torch.cat(rows) for rows in zip(*rectangle_pairs(lower, upper, columns=10)))
    assert list(zip(which.tolist(), cell.tolist())) == [
        (0, 1),
        (0, 2),
        (0, 11),
        (0, 12),
        (2, 10),
        (2, 11),
    ]


def test_rectangle_pairs_in_chunks_are_the_same(monkeypatch):
    lower, upper = torch.zeros((20, 2), dtype=torch.int64), torch.full((20, 2), 3)
    whole = [torch.cat(rows) for rows in zip(*rectangle_pairs(lower, upper, 3))]
    monkeypatch.setattr("occflow_ros.data.synthetic.candidates.PAIRS_PER_CHUNK", 20)
    chunks = list(rectangle_pairs(lower, upper, 3))
    assert len(chunks) > 5
    for one, parts in zip(whole, zip(*chunks)):
        assert torch.equal(one, torch.cat(parts))


@pytest.fixture(scope="module")
def road():
    return make_road((11.0, 1.5), (260.0, 110.0), (0.4, 2.0), -300.0, 500.0)


def test_place_on_the_street_and_back(road):
    arc = torch.linspace(-100.0, 300.0, 50, dtype=torch.float64)
    offset = torch.linspace(-14.0, 14.0, 50, dtype=torch.float64)
    position, yaw, _ = road.pose_at(arc, offset)
    found_arc, found_offset, found_yaw = road.locate(position)
    torch.testing.assert_close(found_arc, arc, atol=1e-3, rtol=0)
    torch.testing.assert_close(found_offset, offset, atol=1e-4, rtol=0)
    torch.testing.assert_close(found_yaw, yaw, atol=1e-4, rtol=0)


def test_arc_length_is_the_length_of_the_curve(road):
    arc = torch.linspace(0.0, 200.0, 4001, dtype=torch.float64)
    position, _, _ = road.pose_at(arc, torch.zeros_like(arc))
    torch.testing.assert_close(
        (position[1:] - position[:-1]).norm(dim=1).sum().item(), 200.0, atol=1e-2, rtol=0
    )
    assert position[0].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_velocity_and_yaw_rate_are_the_derivatives_of_the_pose(road):
    motion = motion_of(
        [
            Law(3.0, -1.6, 8.0, surge_m=1.2),
            Law(90.0, 1.6, -7.0, yaw_rad=math.pi),
            Law(30.0, -4.0, lateral_mps=1.3, offset_limits_m=(-6.0, 6.0)),
        ]
    )
    step_s, time_s = 1e-2, 2.3
    before, after = (states_at(motion, road, time_s + d) for d in (-step_s, step_s))
    now = states_at(motion, road, time_s)
    moved = after.world_T_object[:, :3, 3] - before.world_T_object[:, :3, 3]
    torch.testing.assert_close(moved / (2 * step_s), now.velocity_mps, atol=3e-3, rtol=0)
    turn = before.world_T_object[:, :3, :3].mT @ after.world_T_object[:, :3, :3]
    yaw_rate = torch.atan2(turn[:, 1, 0], turn[:, 0, 0]) / (2 * step_s)
    torch.testing.assert_close(yaw_rate[:2], now.yaw_rate_rad_per_s[:2], atol=1e-3, rtol=0)


def test_position_is_the_integral_of_velocity():
    world = make_world(2, 10.0)
    times_s = torch.linspace(0.0, 4.0, 201, dtype=torch.float64)
    states = [states_at(world.motion, world.road, float(time_s)) for time_s in times_s]
    velocity = torch.stack([state.velocity_mps for state in states])
    travelled = torch.trapezoid(velocity, times_s, dim=0)[1:]
    first, last = states[0].world_T_object[1:, :3, 3], states[-1].world_T_object[1:, :3, 3]
    torch.testing.assert_close(last - first, travelled, atol=2e-2, rtol=0)


@pytest.mark.parametrize("back", [False, True])
def test_nobody_drives_into_another(back):
    world = make_world(5, 15.0, back)
    vehicles = [i for i, name in enumerate(world.categories) if name.startswith("vehicle")]
    for time_s in (0.0, 7.0, 15.0):
        position = states_at(world.motion, world.road, time_s).world_T_object[vehicles, :2, 3]
        distance = torch.cdist(position, position) + 99.0 * torch.eye(len(vehicles))
        assert distance.min() > 1.2
        ego = torch.from_numpy(world.odom_T_base(time_s)[:2, 3])
        assert (position - ego).norm(dim=1).min() > 2.0


def test_the_way_back_is_through_the_same_street_on_its_other_side():
    there, back = make_world(5, 15.0), make_world(5, 15.0, back=True)
    for name in ("object_T_local", "half_m", "class_id", "color"):
        standing = [getattr(world.parts, name)[world.parts.owner == 0] for world in (there, back)]
        torch.testing.assert_close(*standing, atol=0, rtol=0)
    first, last = back.odom_T_base(0.0), there.odom_T_base(15.0)
    assert np.linalg.norm(first[:2, 3] - last[:2, 3]) < 7.0  # the other lane; each surges ahead
    ahead = [world.odom_T_base(7.0)[:2, 0] for world in (there, back)]
    assert ahead[0] @ ahead[1] < -0.9
    assert 10 < len(back.categories) < len(there.categories)


def test_stripes_keep_their_mean_at_any_width():
    value = torch.linspace(0.0, 10.0, 1001)[:-1]
    for width in (0.001, 0.3, 2.7):
        painted = stripes(value, 1.0, 0.3, torch.full_like(value, width))
        assert painted.mean().item() == pytest.approx(0.3, abs=0.02)
        assert painted.min() >= -1e-3 and painted.max() <= 1.001
    assert painted.max() - painted.min() < 0.15


def test_lanes_lie_inside_the_kerbs():
    assert street.LANE_M < street.BIKE_LANE_END_M < street.KERB_M < street.SIDEWALK_END_M


def test_a_world_needs_a_positive_duration():
    with pytest.raises(ValueError, match="duration_s: expected a positive time"):
        make_world(0, 0.0)
