"""Cross entropy of voxels and pixels, and of proposals, by hand."""

import math

import pytest
import torch

from occflow_ros.data import semantic_kitti
from occflow_ros.losses.proposals import CoarseOccupancy, proposal_loss
from occflow_ros.losses.semantic_occupancy import (
    class_balance,
    pixel_cross_entropy,
    voxel_cross_entropy,
)
from occflow_ros.structures import UNKNOWN_CLASS_ID as UNKNOWN

QUARTER = math.log(3.0)  # a logit of ln 3 against 0 is a probability of 3/4


def volume(*values):
    """(1, 1, 1, Z) uint8 classes of one column of voxels."""
    return torch.tensor(values, dtype=torch.uint8).view(1, 1, 1, -1)


def column(*logits):
    """(1, 2, 1, 1, Z) logits of two classes, of the second over the first."""
    second = torch.tensor(logits)
    return torch.stack((torch.zeros_like(second), second)).view(1, 2, 1, 1, -1)


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return value.requires_grad_()


def test_the_mark_of_unknown_voxels_is_that_of_the_labels():
    assert UNKNOWN == semantic_kitti.IGNORED


def test_balance_is_one_over_the_logarithm_of_the_count():
    weights = class_balance(torch.tensor([10_000, 100, 0, 1]))
    expected = [1 / math.log(10_000.001), 1 / math.log(100.001), 1.0, 1.0]
    assert weights.tolist() == pytest.approx(expected)


def test_a_class_that_never_occurs_changes_nothing():
    classes, logits = volume(0, 1, 1), random(1, 3, 1, 1, 3)
    counts = torch.tensor([50, 100, 0])
    with_class = voxel_cross_entropy(logits, classes, class_balance(counts))
    other_weight = class_balance(counts) * torch.tensor([1.0, 1.0, 7.0])
    torch.testing.assert_close(voxel_cross_entropy(logits, classes, other_weight), with_class)


def test_voxel_cross_entropy_is_a_weighted_mean_over_what_is_known():
    # Probabilities of the true classes: 1/4, 3/4, 1/2; the last voxel is unknown.
    logits, classes = column(QUARTER, QUARTER, 0.0, 50.0), volume(0, 1, 1, UNKNOWN)
    loss = voxel_cross_entropy(logits, classes, torch.tensor([3.0, 1.0]))
    expected = (3 * math.log(4) + math.log(4 / 3) + math.log(2)) / 5
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize(("logit", "expected"), [(80.0, 0.0), (5.0, 0.0067), (0.0, math.log(2))])
def test_voxel_cross_entropy_of_a_perfect_close_and_blank_prediction(logit, expected):
    loss = voxel_cross_entropy(column(-logit, logit), volume(0, 1), torch.ones(2))
    assert loss.item() == pytest.approx(expected, abs=1e-4)


def test_a_batch_is_the_mean_over_its_samples():
    logits, weights = random(2, 3, 2, 2, 2), torch.tensor([1.0, 2.0, 3.0])
    classes = torch.tensor([0, 1, 2, 2, 255, 255, 255, 255] + [1] * 8, dtype=torch.uint8)
    classes = classes.view(2, 2, 2, 2)
    each = [voxel_cross_entropy(logits[i : i + 1], classes[i : i + 1], weights) for i in (0, 1)]
    together = voxel_cross_entropy(logits, classes, weights)
    torch.testing.assert_close(together, (each[0] + each[1]) / 2)


def test_pixels_are_interpolated_between_cells():
    # A map of 1 × 2 cells with centres at x = 1/4 and 3/4 of the image; the second class has the
    # logits 0 and 2 ln 3 there, ln 3 in the middle, and those of the border cells outside.
    logits = torch.zeros(2, 2, 1, 2)
    logits[1, 1, 0, 1] = 2 * QUARTER
    location = torch.tensor([[0.5, 0.1], [0.0, 0.9], [1.0, 0.5], [0.5, 0.5], [0.5, 0.5]])
    camera = torch.tensor([1, 1, 1, 0, 0])
    class_id = torch.tensor([1, 0, 1, 0, UNKNOWN], dtype=torch.uint8)
    loss = pixel_cross_entropy(logits, camera, location, class_id)
    expected = (math.log(4 / 3) + math.log(2) + math.log(10 / 9) + math.log(2)) / 4
    assert loss.item() == pytest.approx(expected)


def test_nothing_known_costs_nothing_and_has_a_gradient_of_zero():
    logits = random(1, 2, 1, 1, 2)
    voxel_cross_entropy(logits, volume(UNKNOWN, UNKNOWN), torch.ones(2)).backward()
    assert logits.grad.abs().max() == 0.0
    maps = random(1, 2, 3, 3)
    none = torch.zeros(0, dtype=torch.long)
    loss = pixel_cross_entropy(maps, none, torch.zeros(0, 2), none.to(torch.uint8))
    loss.backward()
    assert loss.item() == 0.0
    assert maps.grad.abs().max() == 0.0


def test_a_cell_is_occupied_where_one_of_its_voxels_is_and_unknown_where_that_is_not_known():
    classes = torch.zeros(1, 2, 2, 8, dtype=torch.uint8)
    classes[0, 1, 0, 2] = 3  # the second cell is occupied
    classes[0, 0, 1, 5] = UNKNOWN  # the third may be
    classes[0, 0, 0, 6], classes[0, 1, 1, 7] = UNKNOWN, 1  # the fourth is, whatever is unknown
    truth = CoarseOccupancy.of(classes, empty_id=0)
    assert truth.occupied.flatten().tolist() == [False, True, False, True]
    assert truth.known.flatten().tolist() == [True, True, False, True]


def test_half_of_the_proposal_loss_is_of_the_occupied_cells():
    # One camera does not see the last cell; the third is unknown.
    occupied = torch.tensor([True, False, False, False]).view(1, 1, 1, 4)
    known = torch.tensor([True, True, False, True]).view(1, 1, 1, 4)
    logits = torch.tensor([[QUARTER, QUARTER, 9.0, -50.0], [0.0, 0.0, 9.0, 50.0]])
    sees = torch.tensor([[True] * 4, [True, True, True, False]])
    loss = proposal_loss(
        logits.view(1, 2, 1, 1, 4), CoarseOccupancy(occupied, known), sees.view(1, 2, 1, 1, 4)
    )
    of_occupied = (math.log(4 / 3) + math.log(2)) / 2
    of_empty = (math.log(4) + 0.0 + math.log(2)) / 3
    assert loss.item() == pytest.approx((of_occupied + of_empty) / 2)


@pytest.mark.parametrize(("logit", "expected"), [(60.0, 0.0), (4.0, 0.0181), (0.0, math.log(2))])
def test_proposal_loss_of_a_perfect_close_and_blank_prediction(logit, expected):
    occupied = torch.tensor([True, False]).view(1, 1, 1, 2)
    cells = CoarseOccupancy(occupied, torch.ones_like(occupied))
    logits = torch.tensor([logit, -logit]).view(1, 1, 1, 1, 2)
    loss = proposal_loss(logits, cells, torch.ones(1, 1, 1, 1, 2, dtype=torch.bool))
    assert loss.item() == pytest.approx(expected, abs=1e-4)


def test_gradients_are_those_of_the_formulas():
    classes = torch.tensor([0, 1, 2, 2, 255, 0, 1, 255], dtype=torch.uint8).view(1, 2, 2, 2)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda logits: voxel_cross_entropy(logits, classes, weights), (random(1, 3, 2, 2, 2),)
    )
    location = torch.rand(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    camera, class_id = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 1, 2, 255, 2])
    assert torch.autograd.gradcheck(
        lambda logits: pixel_cross_entropy(logits, camera, location, class_id.to(torch.uint8)),
        (random(2, 3, 2, 3),),
    )
    columns = torch.tensor([1, 0, 0, 0], dtype=torch.uint8).expand(1, 2, 2, 4)
    cells = CoarseOccupancy.of(columns, empty_id=0)
    sees = torch.ones(1, 2, 1, 1, 2, dtype=torch.bool)
    assert torch.autograd.gradcheck(
        lambda logits: proposal_loss(logits, cells, sees), (random(1, 2, 1, 1, 2),)
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: class_balance(torch.tensor([0.3, 0.7])),
            r"frequencies: expected counts of voxels, .* got \[0.3",
        ),
        (lambda: class_balance(torch.zeros(3)), "expected counts"),
        (lambda: class_balance(torch.tensor([5.0, -1.0])), "expected counts"),
        (
            lambda: voxel_cross_entropy(torch.zeros(1, 2, 2, 2, 2), volume(0), torch.ones(2)),
            r"classes: expected \(1, 2, 2, 2\), got \(1, 1, 1, 1\)",
        ),
        (
            lambda: voxel_cross_entropy(column(0.0), volume(0).long(), torch.ones(2)),
            "classes: expected uint8, got torch.int64",
        ),
        (
            lambda: voxel_cross_entropy(column(0.0), volume(0), torch.ones(3)),
            r"class_weights: expected \(2\), got \(3,\)",
        ),
        (
            lambda: pixel_cross_entropy(
                torch.zeros(1, 2, 3, 3), torch.zeros(4).long(), torch.zeros(3, 2), torch.zeros(4)
            ),
            r"location: expected \(4, 2\), got \(3, 2\)",
        ),
        (
            lambda: CoarseOccupancy.of(torch.zeros(1, 2, 3, 2, dtype=torch.uint8), 0),
            r"classes: expected even sides, got \(2, 3, 2\)",
        ),
        (
            lambda: proposal_loss(
                torch.zeros(1, 1, 2, 2, 2),
                CoarseOccupancy.of(torch.zeros(1, 2, 2, 2, dtype=torch.uint8), 0),
                torch.ones(1, 1, 2, 2, 2).bool(),
            ),
            r"truth: expected \(1, 2, 2, 2\), got \(1, 1, 1, 1\)",
        ),
    ],
)
def test_what_does_not_fit_says_expected_and_got(call, message):
    with pytest.raises(ValueError, match=message):
        call()
