"""The auxiliary previous frame, to which backward static flow is supervised."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def draw_auxiliary_frame(
    distances_m: Sequence[float],
    mean_m: float,
    std_m: float,
    range_m: tuple[float, float],
    generator: torch.Generator,
) -> int | None:
    """Draw a previous frame by how far the ego has come since.

    P(i) ∝ exp(−(d_i − μ)² / 2σ²) over the candidates with d_i in the range, both ends included.

    Args:
        distances_m: of each candidate, ‖ego position at t − ego position then‖.
        mean_m: μ, the distance most wanted.
        std_m: σ, positive.
        range_m: least and largest distance.
        generator: on the CPU.

    Returns:
        index into `distances_m`, None where no candidate is in range.

    Raises:
        ValueError: where σ or the range is not such.
    """
    least_m, largest_m = range_m
    if not std_m > 0.0 or not least_m <= largest_m:
        raise ValueError(f"expected std_m > 0 and a range that grows, got {std_m} and {range_m}")
    near = [index for index, d in enumerate(distances_m) if least_m <= d <= largest_m]
    if not near:
        return None
    distance_m = torch.tensor([distances_m[index] for index in near], dtype=torch.float64)
    # The softmax of the exponents does not underflow where all candidates are far from the mean.
    chance = torch.softmax(-0.5 * ((distance_m - mean_m) / std_m) ** 2, dim=0)
    return near[int(torch.multinomial(chance, 1, generator=generator))]
