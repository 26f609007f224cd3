"""Lovász-softmax against its definition, and where it must be the Jaccard loss itself."""

from itertools import pairwise, permutations

import pytest
import torch

from occflow_ros.losses.lovasz import jaccard_steps, lovasz_softmax_loss


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def jaccard_loss(wrong, true):
    """Δ_c of a set of voxels that are wrong: 1 − IoU with all others right."""
    positives = {voxel for voxel, is_true in enumerate(true) if is_true}
    return len(wrong) / len(positives | wrong)


def extension(errors, true):
    """Lovász extension by its definition: the largest over all orders of the voxels.

    The Jaccard loss is submodular, so the order from most to least wrong is one of the largest.
    """
    return max(
        sum(
            errors[order[count - 1]]
            * (jaccard_loss(set(order[:count]), true) - jaccard_loss(set(order[: count - 1]), true))
            for count in range(1, len(order) + 1)
        )
        for order in permutations(range(len(errors)))
    )


def brute_force(logits, classes):
    probability = logits.softmax(dim=1)
    losses = []
    for number in sorted(set(classes.tolist())):
        true = (classes == number).tolist()
        errors = [
            1 - one if is_true else one
            for one, is_true in zip(probability[:, number].tolist(), true)
        ]
        losses.append(extension(errors, true))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_lovasz_extension_of_the_jaccard_loss(seed):
    logits = 2.0 * random(5, 3, seed=seed)
    classes = torch.randint(0, 3, (5,), generator=torch.Generator().manual_seed(seed))
    expected = brute_force(logits, classes)
    assert lovasz_softmax_loss(logits, classes).item() == pytest.approx(expected)


def test_by_hand():
    # Class 0 is true of the first two voxels; errors 0.2, 0.6 and, where it is not, 0.4.
    # From most wrong: voxel 1 misses (1/2), voxel 2 is invented (2/3), voxel 0 misses too (1).
    probability = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.4, 0.6]])
    first = 0.6 * 1 / 2 + 0.4 * (2 / 3 - 1 / 2) + 0.2 * (1 - 2 / 3)
    # Class 1 is true of the last; errors 0.2, 0.6, 0.4: invented (1/2), missed (1), invented (1).
    second = 0.6 * 1 / 2 + 0.4 * (1 - 1 / 2)
    loss = lovasz_softmax_loss(probability.log(), torch.tensor([0, 0, 1]))
    assert loss.item() == pytest.approx((first + second) / 2)


def test_certain_predictions_cost_one_minus_the_iou():
    true = torch.tensor([0, 0, 0, 1, 1, 2])
    said = torch.tensor([0, 0, 1, 1, 2, 2])
    logits = 100.0 * torch.nn.functional.one_hot(said, 4).double()
    iou = [2 / 3, 1 / 3, 1 / 2]  # the fourth class is nowhere true
    expected = sum(1 - one for one in iou) / 3
    assert lovasz_softmax_loss(logits, true).item() == pytest.approx(expected)
    assert lovasz_softmax_loss(100.0 * torch.eye(4)[true], true).item() == pytest.approx(0.0)


def test_steps_add_up_to_the_loss_of_all_voxels():
    true = torch.tensor([True, False, False, True])
    steps = jaccard_steps(true)
    assert steps.tolist() == pytest.approx([1 / 2, 2 / 3 - 1 / 2, 3 / 4 - 2 / 3, 1 - 3 / 4])
    assert all(later >= earlier for earlier, later in pairwise(steps.cumsum(0).tolist()))


def test_gradient():
    classes = torch.tensor([0, 2, 1, 0, 2, 2, 0])
    logits = random(7, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: lovasz_softmax_loss(one, classes), logits)


def test_nothing_known_costs_nothing():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = lovasz_softmax_loss(logits, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"classes: expected \(4\), got \(3,\)"):
        lovasz_softmax_loss(torch.zeros(4, 2), torch.zeros(3, dtype=torch.long))
