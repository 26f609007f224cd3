"""Lovász-softmax: a convex surrogate of the mean IoU (equation 13 of OccFiner).

Berman, Rannen Triki and Blaschko, CVPR 2018, equations 8 to 11.
"""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.losses.shapes import check_shape


def lovasz_softmax_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Mean over the classes c that are true somewhere of the Lovász extension of Δ_c at m(c).

    m_i(c) = 1 − p_i(c) where c is true and p_i(c) elsewhere is how wrong voxel i is, and
    Δ_c(M) = |M| / |{c is true} ∪ M| the Jaccard loss of being wrong on the set M. With the voxels
    from most to least wrong, the extension is Σ_i m_i · (Δ_c({1 … i}) − Δ_c({1 … i − 1})). Where
    all p are 0 or 1 it is 1 − IoU.

    Args:
        logits: (M, C) of the voxels that are known, p their softmax over C.
        classes: (M,) int64, what they are.

    Returns:
        scalar, zero where no voxel is known.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("logits", logits, ("M", "C"))
    check_shape("classes", classes, (len(logits),))
    probability = logits.softmax(dim=1)
    losses = [
        _class_loss(probability[:, number], classes == number)
        for number in classes.unique().tolist()
    ]
    return torch.stack(losses).mean() if losses else logits.sum()


def jaccard_steps(true: Tensor) -> Tensor:
    """Δ({1 … i}) − Δ({1 … i − 1}) for each i, in float64: of millions of voxels each is tiny.

    Args:
        true: (M,) bool, from the most to the least wrong voxel; at least one is.
    """
    missed = true.cumsum(0).double()
    total = missed[-1]
    invented = (~true).cumsum(0)
    jaccard = 1.0 - (total - missed) / (total + invented)  # (M,)
    return torch.diff(jaccard, prepend=jaccard.new_zeros(1))


def _class_loss(probability: Tensor, true: Tensor) -> Tensor:
    wrong = torch.where(true, 1.0 - probability, probability)
    ordered, order = wrong.sort(descending=True)
    return ordered @ jaccard_steps(true[order]).to(ordered)
