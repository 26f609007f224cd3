"""Scene-class affinity: by hand on four voxels, and where logarithms could go wrong."""

import math

import pytest
import torch

from occflow_ros.losses.scene_affinity import geometric_affinity_loss, semantic_affinity_loss
from occflow_ros.structures import UNKNOWN_CLASS_ID as UNKNOWN


def logits_of(*probabilities):
    """(1, C, 1, 1, Z) from a row of class probabilities for each voxel."""
    return torch.tensor(probabilities).log().T[None, :, None, None, :]


def volume(*values):
    return torch.tensor(values, dtype=torch.uint8).view(1, 1, 1, -1)


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return value.requires_grad_()


HALVES = logits_of((0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.25, 0.25, 0.5), (0.2, 0.2, 0.6))
CLASSES = volume(0, 0, 1, UNKNOWN)


def test_semantic_affinity_by_hand():
    # Class 0: hits 1.0 of 1.25 claimed and 2 true; 0.75 of 1 other voxel rejected.
    # Class 1: hits 0.25 of 0.75 claimed and 1 true; 1.5 of 2 other voxels rejected.
    # Class 2 does not occur.
    first = math.log(1.0 / 1.25) + math.log(1.0 / 2) + math.log(0.75 / 1)
    second = math.log(0.25 / 0.75) + math.log(0.25 / 1) + math.log(1.5 / 2)
    loss = semantic_affinity_loss(HALVES, CLASSES)
    assert loss.item() == pytest.approx(-(first + second) / 2)


def test_geometric_affinity_by_hand():
    # Occupied: 0.75 hit of 0.5 + 0.5 + 0.75 claimed and 1 true; 1 of 2 empty voxels rejected.
    expected = -(math.log(0.75 / 1.75) + math.log(0.75 / 1) + math.log(1.0 / 2))
    assert geometric_affinity_loss(HALVES, CLASSES, 0).item() == pytest.approx(expected)


def test_the_empty_class_may_have_any_number():
    order = [1, 2, 0]
    swapped = volume(2, 2, 0, UNKNOWN)
    moved = geometric_affinity_loss(HALVES[:, order], swapped, 2)
    torch.testing.assert_close(moved, geometric_affinity_loss(HALVES, CLASSES, 0))


@pytest.mark.parametrize(
    "loss", [semantic_affinity_loss, lambda *args: geometric_affinity_loss(*args, 0)]
)
@pytest.mark.parametrize(
    ("right", "least", "most"),
    [
        (200.0, 0.0, 1e-6),
        (6.0, 0.0, 0.05),
        (0.0, 1.0, 4.0),
        (-92.0, 50.0, 300.0),
        (-200.0, 50.0, 300.0),
    ],
    ids=["perfect", "close", "blank", "wrong by more than 1 / p can be", "all wrong"],
)
def test_perfect_close_blank_and_wrong_predictions_have_finite_gradients(loss, right, least, most):
    classes = volume(0, 0, 1, 1, UNKNOWN, 0)
    logits = torch.zeros(1, 3, 1, 1, 6)
    logits[0, 0], logits[0, 1] = right * (classes[0] == 0), right * (classes[0] == 1)
    logits.requires_grad_()
    value = loss(logits, classes)
    value.backward()
    assert least <= value.item() <= most
    assert logits.grad.isfinite().all()
    assert logits.grad[..., 4].abs().max() == 0.0  # of the voxel that is not known


@pytest.mark.parametrize(
    ("classes", "semantic", "geometric"),
    [
        (volume(UNKNOWN, UNKNOWN), 0.0, 0.0),
        # Only class 0: all claims are right, half of what is there is found, nothing to reject.
        (volume(0, 0), math.log(2), 0.0),
        (volume(1, 1), math.log(2), math.log(2)),
    ],
    ids=["nothing known", "all empty", "all occupied"],
)
def test_what_cannot_be_told_is_left_out(classes, semantic, geometric):
    logits = torch.zeros(1, 2, 1, 1, 2, requires_grad=True)
    values = semantic_affinity_loss(logits, classes), geometric_affinity_loss(logits, classes, 0)
    assert [value.item() for value in values] == pytest.approx([semantic, geometric])
    sum(values).backward()
    assert logits.grad.isfinite().all()


def test_a_batch_is_the_mean_over_its_samples():
    logits = random(2, 3, 1, 1, 4)
    classes = torch.cat((volume(0, 1, 1, 2), volume(0, 0, 1, UNKNOWN)))
    each = [semantic_affinity_loss(logits[i : i + 1], classes[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(semantic_affinity_loss(logits, classes), (each[0] + each[1]) / 2)


def test_gradients_are_those_of_the_formulas():
    classes = volume(0, 1, 1, 2, UNKNOWN, 0)
    logits = random(1, 4, 1, 1, 6)
    assert torch.autograd.gradcheck(lambda x: semantic_affinity_loss(x, classes), (logits,))
    assert torch.autograd.gradcheck(lambda x: geometric_affinity_loss(x, classes, 0), (logits,))


def test_what_does_not_fit_says_expected_and_got():
    with pytest.raises(ValueError, match=r"classes: expected \(1, 1, 1, 4\), got \(1, 1, 1, 3\)"):
        semantic_affinity_loss(HALVES, volume(0, 1, 2))
    with pytest.raises(ValueError, match="empty_id: expected one of 3 classes, got 3"):
        geometric_affinity_loss(HALVES, CLASSES, 3)
