"""Weights with the configuration they belong to, in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from occflow_ros.config import PRESETS, Config, ModelConfig
from occflow_ros.errors import DataError, OutputError
from occflow_ros.output import output_file

_DESCRIBED = ("model", "train")  # how a vehicle runs it is not of the weights


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file holds.

    Args:
        config: network and training that the weights were made with; the rest are defaults.
        weights: by parameter name.
        metadata: what else was saved, for example the training step.
    """

    config: Config
    weights: dict[str, Tensor]
    metadata: dict[str, Any]


def save(
    path: Path, network: nn.Module, config: Config, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, configuration and JSON-able metadata; a failure leaves no half a file.

    Raises:
        OutputError: where the file cannot be written.
    """
    save_tensors(path, network.state_dict(), config, metadata)


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    config: Config,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """As `save`, of any tensors by name; `load` reads it back. Raises OutputError."""
    weights = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = {
        "config": config.model_dump_json(include=set(_DESCRIBED)),
        "metadata": json.dumps(dict(metadata or {})),
    }
    with output_file(path) as partial:
        try:
            save_file(weights, partial, metadata=header)
            partial.chmod(0o644)  # safetensors lets the owner alone read it
        except SafetensorError as error:
            raise OutputError(f"{path}: cannot be written: {error}") from None


def load(path: Path) -> Checkpoint:
    """Read a file that `save` wrote.

    Raises:
        DataError: names the file where it is missing, corrupt or not a checkpoint of this package.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: expected a safetensors checkpoint: {error}") from None
    try:
        values = json.loads(header["config"])
        config = Config.model_validate({part: values[part] for part in _DESCRIBED})
        return Checkpoint(config, weights, json.loads(header["metadata"]))
    except (KeyError, ValidationError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path}: expected this package's config in the metadata: {error}"
        ) from None


def load_weights(
    path: Path, expected: ModelConfig, parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Weights of a file, after every check that they fit.

    Args:
        path: checkpoint.
        expected: the network they are for.
        parameters: the network's own state, for names and shapes.

    Raises:
        DataError: names the file and what differs, expected and got.
    """
    loaded = load(path)
    if differences := _differences(expected, loaded.config.model):
        raise DataError(
            f"{path}: expected weights of {preset_name(expected)}, "
            f"got {preset_name(loaded.config.model)}: {'; '.join(differences)}"
        )
    shapes = {name: tuple(value.shape) for name, value in parameters.items()}
    got = {name: tuple(value.shape) for name, value in loaded.weights.items()}
    wrong = sorted(name for name in shapes.keys() | got.keys() if shapes.get(name) != got.get(name))
    if wrong:
        first = wrong[0]
        raise DataError(
            f"{path}: {len(wrong)} parameters do not fit, the first is {first}: "
            f"expected {shapes.get(first, 'none')}, got {got.get(first, 'none')}"
        )
    return loaded.weights


def fitting_weights(path: Path, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a file, maybe of another network, that fit by name and shape.

    For a network that is to be trained further with another grid, rig or size.

    Args:
        path: checkpoint.
        parameters: the network's own state, for names and shapes.

    Raises:
        DataError: where the file cannot be read or nothing in it fits.
    """
    loaded = load(path).weights
    fitting = {
        name: loaded[name]
        for name, value in parameters.items()
        if name in loaded and loaded[name].shape == value.shape
    }
    if not fitting:
        raise DataError(f"{path}: expected parameters of the network's names and shapes, got none")
    return fitting


def preset_name(model: ModelConfig) -> str:
    """`preset NAME` of a model configuration, or `a custom configuration`."""
    for name, config in PRESETS.items():
        if fits(config.model, model):
            return f"preset {name}"
    return "a custom configuration"


def fits(expected: ModelConfig, got: ModelConfig) -> bool:
    """Whether weights of one network are weights of the other, in shape and in meaning."""
    return not _differences(expected, got)


_FREE_TO_DIFFER: Any = {
    "image_hw_px": True,
    "backbone": {"pretrained", "frozen_stages", "checkpointing"},
    "sharpness_per_m": True,
    "level_m": True,
    "temporal": {"beta", "history"},
}
"""Settings that leave shape and meaning of the weights as they are."""


def _differences(expected: ModelConfig, got: ModelConfig) -> list[str]:
    """Settings of the network that are not the same."""
    want = _flatten(expected.model_dump(exclude=_FREE_TO_DIFFER))
    have = _flatten(got.model_dump(exclude=_FREE_TO_DIFFER))
    return [
        f"{key}: expected {value}, got {have[key]}"
        for key, value in want.items()
        if value != have[key]
    ]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, dict)
        flat.update(_flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat
