"""Cross entropy of what voxels and pixels are: L_ssc and L_sem of MonoOcc (section III-E)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from occflow_ros.losses.reduction import masked_mean
from occflow_ros.losses.reprojection import sample_images
from occflow_ros.losses.shapes import check_shape
from occflow_ros.structures import UNKNOWN_CLASS_ID


def class_balance(frequencies: Tensor) -> Tensor:
    """w_c = 1 / ln(n_c + 0.001): what is rare counts more, by no more than the logarithm.

    Of MonoScene, after the balancing of SSCNet. The counts are to be large, as those of a whole
    training set are: where n_c < e, among them classes that never occur, w_c = 1. No voxel is
    weighted with that of a class that never occurs.

    Args:
        frequencies: (C,) n_c, how many voxels of the training set are of each class.

    Returns:
        (C,) float32 in (0, 1]; only ratios matter to `voxel_cross_entropy`.

    Raises:
        ValueError: where they are no counts, or all zero.
    """
    check_shape("frequencies", frequencies, ("C",))
    counts = frequencies.double()
    if not (counts.isfinite().all() and (counts >= 0).all() and (counts >= 1).any()):
        raise ValueError(
            f"frequencies: expected counts of voxels, one or more of them positive, "
            f"got {frequencies.tolist()}"
        )
    return (1.0 / (counts + 1e-3).clamp(min=math.e).log()).float()


def voxel_cross_entropy(logits: Tensor, classes: Tensor, class_weights: Tensor) -> Tensor:
    """L_ssc of MonoScene: −Σ_i w_{c_i} ln p_i(c_i) / Σ_i w_{c_i} over the voxels that are known.

    Args:
        logits: (B, C, X, Y, Z), p their softmax over C.
        classes: (B, X, Y, Z) uint8, UNKNOWN_CLASS_ID where unknown.
        class_weights: (C,) w, at least zero.

    Returns:
        scalar, the mean over the B samples; a sample without known voxels counts as zero.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_volumes(logits, classes)
    check_shape("class_weights", class_weights, (logits.shape[1],))
    weights = class_weights.to(logits)
    errors = cross_entropy(  # (B, X, Y, Z), zero where ignored
        logits, classes.long(), weights, ignore_index=UNKNOWN_CLASS_ID, reduction="none"
    )
    known = classes != UNKNOWN_CLASS_ID
    weight = torch.where(known, weights[torch.where(known, classes, 0).long()], 0.0)
    share = weight.flatten(1).sum(dim=1).clamp(min=torch.finfo(weight.dtype).tiny)  # (B,)
    return (errors.flatten(1).sum(dim=1) / share).mean()


def pixel_cross_entropy(
    logits: Tensor, camera: Tensor, location: Tensor, class_id: Tensor
) -> Tensor:
    """L_sem: mean −ln p(c) over sparse pixels whose class is known, of Sem of equation 7.

    The logits are interpolated at the pixels, which need not lie at cells of the map.

    Args:
        logits: (M, C, h, w) Sem of M images.
        camera: (P,) int64, the pixel's image.
        location: (P, 2) (x, y) in units of the image, (0, 0) its top left corner and (1, 1) its
            bottom right one.
        class_id: (P,) uint8, UNKNOWN_CLASS_ID where unknown.

    Returns:
        scalar, zero where no class is known.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("logits", logits, ("M", "C", "h", "w"))
    check_shape("camera", camera, ("P",))
    check_shape("location", location, (len(camera), 2))
    check_shape("class_id", class_id, camera.shape)
    height, width = logits.shape[-2:]
    cells = location.to(logits) * logits.new_tensor((width, height)) - 0.5
    found = sample_images(logits, camera, cells.unsqueeze(1)).squeeze(1)  # (P, C)
    errors = cross_entropy(found, class_id.long(), ignore_index=UNKNOWN_CLASS_ID, reduction="none")
    return masked_mean(errors, class_id != UNKNOWN_CLASS_ID)


def check_volumes(logits: Tensor, classes: Tensor) -> None:
    """Raise ValueError unless these are logits (B, C, X, Y, Z) and classes (B, X, Y, Z) uint8."""
    check_shape("logits", logits, ("B", "C", "X", "Y", "Z"))
    check_shape("classes", classes, (len(logits), *logits.shape[2:]))
    if classes.dtype != torch.uint8:
        raise ValueError(f"classes: expected uint8, got {classes.dtype}")
