"""Equation 9 by hand: what of the teacher's voxels the student lacks."""

import math

import pytest
import torch

from occflow_ros.losses.distillation import distillation_loss

QUARTER = math.log(3.0)  # a logit of ln 3 against 0 is a probability of 3/4


def voxels(*rows):
    """(1, C, 1, 1, Z) from a row of channels for each voxel."""
    return torch.tensor(rows, dtype=torch.float64).T[None, :, None, None, :]


def mask(*values):
    return torch.tensor(values).view(1, 1, 1, -1)


TEACHER = voxels((QUARTER, 0.0), (QUARTER, 0.0), (0.0, 0.0))


def test_divergence_of_the_teacher_from_the_student_by_hand():
    # Against 1/2: 3/4 ln(3/2) + 1/4 ln(1/2).
    student = voxels((0.0, 0.0), (5.0 + QUARTER, 5.0), (9.0, -9.0))
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    loss = distillation_loss(student, TEACHER, mask(True, True, False))
    assert loss.item() == pytest.approx(expected / 2)
    other_way = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    assert loss.item() != pytest.approx(other_way / 2, rel=0.05)


@pytest.mark.parametrize(
    ("logit", "expected"),
    [(QUARTER, 0.0), (QUARTER + 0.1, 9.23e-4), (0.0, 0.13081)],
    ids=["perfect", "close", "blank"],
)
def test_perfect_close_and_blank_students(logit, expected):
    student = voxels((logit, 0.0), (logit, 0.0), (0.0, 0.0))
    loss = distillation_loss(student, TEACHER, mask(True, True, False))
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_only_the_student_learns_and_only_where_it_counts():
    student, teacher = torch.zeros_like(TEACHER).requires_grad_(), TEACHER.clone().requires_grad_()
    distillation_loss(student, teacher, mask(True, False, True)).backward()
    assert teacher.grad is None
    # The gradient is (p − q) / voxels: the student's 1/2 minus the teacher's 3/4, over two.
    expected = voxels((-0.125, 0.125), (0.0, 0.0), (0.0, 0.0))
    torch.testing.assert_close(student.grad, expected)


def test_no_voxel_costs_nothing():
    loss = distillation_loss(0 * TEACHER, TEACHER, mask(False, False, False))
    assert loss.item() == 0.0


def test_gradient_is_that_of_the_formula():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 2, 1, 2, generator=generator, dtype=torch.float64)
    where = torch.rand(2, 2, 1, 2, generator=generator) > 0.3
    assert torch.autograd.gradcheck(
        lambda x: distillation_loss(x, teacher, where), (student.requires_grad_(),)
    )


def test_a_teacher_of_another_shape_is_refused():
    with pytest.raises(
        ValueError, match=r"teacher: expected \(1, 2, 1, 1, 3\), got \(1, 3, 1, 1, 3\)"
    ):
        distillation_loss(TEACHER, torch.zeros(1, 3, 1, 1, 3), mask(True, True, True))
    with pytest.raises(ValueError, match=r"where: expected \(1, 1, 1, 3\), got \(1, 1, 1, 2\)"):
        distillation_loss(TEACHER, TEACHER, mask(True, True))
