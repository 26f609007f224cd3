"""Rigid transforms against hand-computed numbers."""

import numpy as np
import pytest

from occflow_ros.geometry import se3

QUARTER_LEFT = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))


def random_transform(rng):
    return se3.from_quaternion_translation(rng.normal(size=4), rng.normal(size=3) * 100)


def test_a_quarter_turn_to_the_left():
    half = np.sqrt(0.5)
    transform = se3.from_quaternion_translation((0.0, 0.0, half, half), (10.0, 0.0, 1.0))
    assert transform[:3, :3] == pytest.approx(np.array(QUARTER_LEFT), abs=1e-12)
    assert se3.transform_points(transform, np.array([[1.0, 2.0, 3.0]])) == pytest.approx(
        np.array([[8.0, 1.0, 4.0]])
    )


def test_a_quaternion_of_any_length_means_its_direction():
    once = se3.from_quaternion_translation((0.1, 0.2, 0.3, 0.4), (0, 0, 0))
    twice = se3.from_quaternion_translation((0.2, 0.4, 0.6, 0.8), (0, 0, 0))
    assert np.allclose(once, twice)


def test_quaternions_come_back_up_to_sign():
    rng = np.random.default_rng(0)
    for _ in range(20):
        transform = random_transform(rng)
        again = se3.from_quaternion_translation(*se3.to_quaternion_translation(transform))
        assert np.allclose(again, transform, atol=1e-12)


def test_the_inverse_undoes():
    transform = random_transform(np.random.default_rng(1))
    assert np.allclose(se3.inverse(transform) @ transform, np.eye(4), atol=1e-12)


def test_transforms_chain_over_any_leading_shape():
    rng = np.random.default_rng(2)
    a_T_b, b_T_c, points = random_transform(rng), random_transform(rng), rng.normal(size=(2, 5, 3))
    chained = se3.transform_points(a_T_b, se3.transform_points(b_T_c, points))
    assert np.allclose(se3.transform_points(a_T_b @ b_T_c, points), chained)


def test_twelve_numbers_are_the_first_three_rows():
    values = [0.0, -1.0, 0.0, 5.0, 1.0, 0.0, 0.0, 6.0, 0.0, 0.0, 1.0, 7.0]
    transform = se3.from_row_major_12(values)
    assert transform[:3, :3].tolist() == [list(row) for row in QUARTER_LEFT]
    assert transform[:, 3].tolist() == [5.0, 6.0, 7.0, 1.0]
    assert se3.to_row_major_12(transform) == values


def test_interpolation_halves_angle_and_way():
    first = np.eye(4)
    second = se3.from_rotation_translation(QUARTER_LEFT, (4.0, 2.0, 0.0))
    middle = se3.interpolate(first, second, 0.5)
    assert middle[:2, 0] == pytest.approx([np.cos(np.pi / 4), np.sin(np.pi / 4)])
    assert middle[:3, 3] == pytest.approx([2.0, 1.0, 0.0])
    assert np.allclose(se3.interpolate(first, second, 0.0), first)
    assert np.allclose(se3.interpolate(first, second, 1.0), second)


def test_interpolation_takes_the_short_way_round():
    def turned(yaw_deg):
        half = np.radians(yaw_deg) / 2
        return se3.from_quaternion_translation((0, 0, np.sin(half), np.cos(half)), (0, 0, 0))

    assert np.allclose(se3.interpolate(turned(170), turned(-170), 0.5), turned(180), atol=1e-9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0] * 11, r"expected 12 numbers .*got shape \(11,\)"),
        ([np.nan] * 12, "expected a finite 4x4 transform"),
        ([1.0, 0, 0, np.inf, 0, 1.0, 0, 0, 0, 0, 1.0, 0], "expected a finite 4x4 transform"),
        ([2.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0], "expected a rigid transform"),
        ([-1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0], "expected a rigid transform"),
    ],
    ids=["eleven", "not a number", "infinitely far", "scaled", "mirrored"],
)
def test_what_is_not_rigid_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        se3.from_row_major_12(values)


@pytest.mark.parametrize("quat", [(0, 0, 0, 0), (np.nan, 0, 0, 1)])
def test_a_quaternion_without_direction_is_refused(quat):
    with pytest.raises(ValueError, match="expected a quaternion of non-zero length"):
        se3.from_quaternion_translation(quat, (0, 0, 0))


def test_between_two_poses():
    rng = np.random.default_rng(2)
    first, second = random_transform(rng), random_transform(rng)
    np.testing.assert_allclose(first @ se3.between(first, second), second, atol=1e-10)
    assert (se3.between(first, first.copy()) == np.eye(4)).all()
