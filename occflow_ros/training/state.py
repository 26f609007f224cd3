"""All that a run needs to go on where it stopped, in one safetensors file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from torch import Tensor, nn
from torch.optim import AdamW

from occflow_ros.engine import checkpoint
from occflow_ros.engine.checkpoint import AnyConfig
from occflow_ros.errors import DataError

_LEARNER, _OPTIMIZER = "learner.", "optimizer."


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is.

    Args:
        step: optimizer steps that are done, skipped ones too.
        skipped: steps without an update because a gradient was not finite.
        fingerprint: of the data.
    """

    step: int = 0
    skipped: int = 0
    fingerprint: str = ""


def save_state(
    path: Path, learner: nn.Module, optimizer: AdamW, config: AnyConfig, progress: Progress
) -> None:
    """Write the file, whole or not at all; raises OutputError."""
    tensors = {f"{_LEARNER}{name}": value for name, value in learner.state_dict().items()}
    for name, moments in _moments(learner, optimizer).items():
        tensors |= {f"{_OPTIMIZER}{name}.{key}": value for key, value in moments.items()}
    metadata = {
        "step": progress.step,
        "skipped": progress.skipped,
        "fingerprint": progress.fingerprint,
    }
    checkpoint.save_tensors(path, tensors, config, metadata)


def read_progress(path: Path, config: AnyConfig, fingerprint: str) -> Progress:
    """Where the run stopped.

    Raises:
        DataError: where the file cannot be read or belongs to another configuration or data.
    """
    saved = checkpoint.load(path, type(config))
    changed = [
        *_changes(saved.config.model, config.model, "model"),
        *_changes(saved.config.train, config.train, "train"),
    ]
    if changed:
        raise DataError(
            f"{path}: expected the configuration that the run began with: {'; '.join(changed)}"
        )
    progress = _progress(path, saved.metadata)
    if progress.fingerprint != fingerprint:
        raise DataError(
            f"{path}: expected the data that the run began with ({progress.fingerprint}), "
            f"got other data ({fingerprint})"
        )
    return progress


def load_state(path: Path, learner: nn.Module, optimizer: AdamW | None) -> None:
    """Take weights, and the optimizer's moments, from a file.

    Args:
        path: of a file that `save_state` wrote.
        learner: the same module.
        optimizer: of the same stage; None leaves the moments, for a stage that begins.

    Raises:
        DataError: where the file cannot be read or does not fit.
    """
    tensors = checkpoint.load_any(path).weights
    try:
        learner.load_state_dict(_under(_LEARNER, tensors))
    except RuntimeError as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from None
    if optimizer is None:
        return
    moments = _under(_OPTIMIZER, tensors)
    for name, parameter in learner.named_parameters():
        own = _under(f"{name}.", moments)
        if own:
            optimizer.state[parameter] = {
                key: value.to(parameter.device if value.ndim else "cpu")
                for key, value in own.items()
            }


def _moments(learner: nn.Module, optimizer: AdamW) -> dict[str, dict[str, Tensor]]:
    return {
        name: dict(optimizer.state[parameter])
        for name, parameter in learner.named_parameters()
        if parameter in optimizer.state
    }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _progress(path: Path, metadata: dict[str, Any]) -> Progress:
    try:
        return Progress(metadata["step"], metadata["skipped"], metadata["fingerprint"])
    except KeyError as error:
        raise DataError(f"{path}: expected the state of a training run, {error} missing") from None


def _changes(began: BaseModel, now: BaseModel, key: str) -> Iterator[str]:
    """Each setting that is not the same, by its full name."""
    for name in type(began).model_fields:
        first, second = getattr(began, name), getattr(now, name)
        if isinstance(first, BaseModel) and isinstance(second, BaseModel):
            yield from _changes(first, second, f"{key}.{name}")
        elif first != second:
            yield f"{key}.{name}: expected {first}, got {second}"
