"""Whether cells of the coarse grid are worth a query: what teaches the query network.

The paper has it from VoxFormer's first stage, which trains it beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from occflow_ros.losses.reduction import masked_mean
from occflow_ros.losses.shapes import check_mask, check_shape
from occflow_ros.structures import UNKNOWN_CLASS_ID


@dataclass(frozen=True, slots=True)
class CoarseOccupancy:
    """Occupancy of the cells of a grid of half the resolution.

    Args:
        occupied: (B, X', Y', Z') bool, one of the cell's eight voxels is.
        known: (B, X', Y', Z') bool; a cell with unknown voxels is where another is occupied.
    """

    occupied: Tensor
    known: Tensor

    @staticmethod
    def of(classes: Tensor, empty_id: int) -> CoarseOccupancy:
        """From (B, X, Y, Z) uint8, UNKNOWN_CLASS_ID where unknown.

        Raises:
            ValueError: where the sides are not even numbers.
        """
        check_shape("classes", classes, ("B", "X", "Y", "Z"))
        if any(side % 2 for side in classes.shape[1:]):
            raise ValueError(f"classes: expected even sides, got {tuple(classes.shape[1:])}")
        unknown = classes == UNKNOWN_CLASS_ID
        occupied = _any_of_eight(~unknown & (classes != empty_id))
        return CoarseOccupancy(occupied, known=occupied | ~_any_of_eight(unknown))


def proposal_loss(logits: Tensor, truth: CoarseOccupancy, sees: Tensor) -> Tensor:
    """Binary cross entropy, half from the occupied cells and half from the empty ones.

    Few cells are occupied, and one that gets no query is lost; one too many is seen to be empty
    later on.

    Args:
        logits: (B, N, X', Y', Z') of occupancy, per camera.
        truth: of the same cells.
        sees: (B, N, X', Y', Z') bool, cells in the camera's image; others do not count.

    Returns:
        scalar; a half without cells counts as zero.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("logits", logits, ("B", "N", "X'", "Y'", "Z'"))
    check_mask("sees", sees, logits.shape)
    check_mask("truth", truth.occupied, (len(logits), *logits.shape[2:]))
    occupied = sees & truth.occupied.unsqueeze(1)
    empty = sees & (truth.known & ~truth.occupied).unsqueeze(1)
    return 0.5 * (masked_mean(softplus(-logits), occupied) + masked_mean(softplus(logits), empty))


def _any_of_eight(voxels: Tensor) -> Tensor:
    """(B, X, Y, Z) bool to (B, X', Y', Z'), whether one of the cell's eight voxels is set."""
    cells = voxels.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).unflatten(1, (-1, 2))
    return cells.any(dim=6).any(dim=4).any(dim=2)  # of (B, X', 2, Y', 2, Z', 2)
