"""Precision, recall and specificity of whole scenes: scene-class affinity of MonoScene.

Cao and de Charette, CVPR 2022, section 3.3; L_scal^sem and L_scal^geo of MonoOcc's equation 10.
"""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.losses.semantic_occupancy import check_volumes
from occflow_ros.structures import UNKNOWN_CLASS_ID

_LEAST = 1e-30
"""Below this a share has no gradient; 1 / _LEAST is still finite in float32."""


def semantic_affinity_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """L_scal^sem = −mean_c (ln P_c + ln R_c + ln S_c), see `_affinity_loss`.

    The mean is over the classes that occur in the sample, the empty one among them: the paper's sum
    is over all, but what does not occur has no precision.

    Args:
        logits: (B, C, X, Y, Z), p their softmax over C.
        classes: (B, X, Y, Z) uint8, UNKNOWN_CLASS_ID where unknown.

    Returns:
        scalar, the mean over the B samples; a sample without known voxels counts as zero.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_volumes(logits, classes)
    number = torch.arange(logits.shape[1], dtype=torch.uint8, device=classes.device)
    truth = classes.unsqueeze(1) == number.view(1, -1, 1, 1, 1)  # (B, C, X, Y, Z)
    return _affinity_loss(logits.softmax(dim=1), truth, classes != UNKNOWN_CLASS_ID)


def geometric_affinity_loss(logits: Tensor, classes: Tensor, empty_id: int) -> Tensor:
    """L_scal^geo: the same of the one class "occupied", whose probability is 1 − p(empty).

    Args:
        logits: (B, C, X, Y, Z), p their softmax over C.
        classes: (B, X, Y, Z) uint8, UNKNOWN_CLASS_ID where unknown.
        empty_id: number of the class of empty voxels.

    Returns:
        scalar, the mean over the B samples; one without known occupied voxels counts as zero.

    Raises:
        ValueError: where the shapes do not belong together or there is no such class.
    """
    check_volumes(logits, classes)
    if not 0 <= empty_id < logits.shape[1]:
        raise ValueError(f"empty_id: expected one of {logits.shape[1]} classes, got {empty_id}")
    known = classes != UNKNOWN_CLASS_ID
    occupied = 1.0 - logits.softmax(dim=1)[:, empty_id]
    truth = known & (classes != empty_id)
    return _affinity_loss(occupied.unsqueeze(1), truth.unsqueeze(1), known)


def _affinity_loss(probability: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """−mean (ln P + ln R + ln S) over the classes that occur.

    With sums over the known voxels i of a sample, p_i the probability of the class and t_i whether
    it is there: P = Σ p_i t_i / Σ p_i, R = Σ p_i t_i / Σ t_i and
    S = Σ (1 − p_i)(1 − t_i) / Σ (1 − t_i), which is 1 where the class is everywhere.

    Args:
        probability: (B, C, X, Y, Z).
        truth: (B, C, X, Y, Z) bool, False where not known.
        known: (B, X, Y, Z) bool.
    """
    known = known.unsqueeze(1)  # (B, 1, X, Y, Z)
    hit = _sum(probability, truth)  # (B, C)
    rejected = _sum(1.0 - probability, known & ~truth)
    present, total = (mask.flatten(2).sum(dim=2) for mask in (truth, known))
    absent = total - present
    log_precision = _log(hit) - _log(_sum(probability, known))
    log_recall = _log(hit) - _log(present.to(hit))
    log_specificity = torch.where(absent > 0, _log(rejected) - _log(absent.to(hit)), 0.0)
    loss = torch.where(present > 0, -(log_precision + log_recall + log_specificity), 0.0)
    return (loss.sum(dim=1) / (present > 0).sum(dim=1).clamp(min=1)).mean()


def _sum(value: Tensor, where: Tensor) -> Tensor:
    """Over the voxels that count, (B, C, X, Y, Z) to (B, C)."""
    return torch.where(where, value, 0.0).flatten(2).sum(dim=2)


def _log(value: Tensor) -> Tensor:
    return value.clamp(min=_LEAST).log()
