"""What a privileged teacher knows about each voxel, told to the student (equation 9)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div

from occflow_ros.losses.reduction import masked_mean
from occflow_ros.losses.shapes import check_mask, check_shape


def distillation_loss(student: Tensor, teacher: Tensor, where: Tensor) -> Tensor:
    """L_distill = KL(F̃_T ‖ F̃_S), mean over voxels.

    The paper does not say how features become distributions, nor what is summed; it follows the
    frustum proportion loss of MonoScene, whose distributions are over classes. So they are here:
    the classes that each network reads from its features, Σ_k q_k (ln q_k − ln p_k) with q of the
    teacher and p of the student. The channels of two networks mean nothing to each other.

    Args:
        student: (B, classes, X, Y, Z) logits read from F̃_S.
        teacher: (B, classes, X, Y, Z) logits read from F̃_T; no gradient goes to it.
        where: (B, X, Y, Z) bool, voxels that count.

    Returns:
        scalar in nats, zero where no voxel counts.

    Raises:
        ValueError: where the shapes differ.
    """
    check_shape("student", student, ("B", "classes", "X", "Y", "Z"))
    check_shape("teacher", teacher, student.shape)
    check_mask("where", where, (len(student), *student.shape[2:]))
    divergence = kl_div(
        student.log_softmax(dim=1),
        teacher.detach().log_softmax(dim=1),
        reduction="none",
        log_target=True,
    ).sum(dim=1)  # (B, X, Y, Z)
    return masked_mean(divergence, where)
