"""The weighted sum of all losses (equation 12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LossTerm:
    """How one loss enters the sum.

    Args:
        weight: λ, at least zero.
        enabled: whether it enters at all.
    """

    weight: float
    enabled: bool

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight < float("inf"):
            raise ValueError(f"weight: expected a finite number ≥ 0, got {self.weight}")


@dataclass(frozen=True, slots=True)
class TotalLoss:
    """The sum, and what it is made of.

    Args:
        value: scalar to differentiate.
        parts: each enabled loss before its weight, scalar without gradient, for logging.
    """

    value: Tensor
    parts: dict[str, Tensor]

    def not_finite(self) -> tuple[str, ...]:
        """Names of the parts that are NaN or infinite; on a GPU this waits for it, once."""
        if not self.parts:
            return ()
        finite = torch.stack(list(self.parts.values())).isfinite().tolist()
        return tuple(name for name, is_finite in zip(self.parts, finite) if not is_finite)


def total_loss(values: Mapping[str, Tensor], terms: Mapping[str, LossTerm]) -> TotalLoss:
    """Equation 12: L = Σ λ·L over the enabled terms, in their order.

    Args:
        values: scalar losses by name; those of terms that are not enabled are left out.
        terms: the weight and switch of each loss by name.

    Raises:
        ValueError: names each value that has no term, each enabled term that has no value and each
            value that is no scalar; raised too where no term is enabled.
    """
    enabled = {name: term for name, term in terms.items() if term.enabled}
    _check(values, terms, enabled)
    weighted = [term.weight * values[name] for name, term in enabled.items()]
    return TotalLoss(
        value=torch.stack(weighted).sum(),
        parts={name: values[name].detach() for name in enabled},
    )


def _check(
    values: Mapping[str, Tensor], terms: Mapping[str, LossTerm], enabled: Mapping[str, LossTerm]
) -> None:
    if not enabled:
        raise ValueError(f"terms: expected at least one enabled, got {sorted(terms)}, all disabled")
    if unknown := sorted(set(values) - set(terms)):
        raise ValueError(f"values: expected only {sorted(terms)}, got unknown {unknown}")
    if missing := sorted(set(enabled) - set(values)):
        raise ValueError(f"values: expected all of {sorted(enabled)}, {missing} missing")
    if vectors := {name: tuple(values[name].shape) for name in enabled if values[name].ndim}:
        raise ValueError(f"values: expected scalars, got shapes {vectors}")
