"""Weights with the configuration they belong to, in one safetensors file.

A file is of a kind, which its header names: each kind has its own configuration and network. A file
without one is of the first kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from occflow_ros.config import PRESETS, Config, ModelConfig
from occflow_ros.errors import DataError, OutputError
from occflow_ros.mono_config import MONO_PRESETS, MonoConfig, MonoModelConfig
from occflow_ros.output import output_file
from occflow_ros.refine_config import REFINE_PRESETS, RefineConfig, RefineModelConfig

AnyConfig = Config | MonoConfig | RefineConfig
AnyModelConfig = ModelConfig | MonoModelConfig | RefineModelConfig
ConfigT = TypeVar("ConfigT", bound=AnyConfig)

_DESCRIBED = ("model", "train")  # how a vehicle runs it is not of the weights


@dataclass(frozen=True, slots=True)
class Checkpoint(Generic[ConfigT]):
    """What a file holds.

    Args:
        config: network and training that the weights were made with; the rest are defaults.
        weights: by parameter name.
        metadata: what else was saved, for example the training step.
    """

    config: ConfigT
    weights: dict[str, Tensor]
    metadata: dict[str, Any]


def _of_occflow(model: ModelConfig) -> dict[str, Any]:
    return model.model_dump(
        exclude={
            "image_hw_px": True,
            "backbone": {"architecture", "pretrained", "frozen_stages", "checkpointing"},
            "sharpness_per_m": True,
            "level_m": True,
            "temporal": {"beta", "history"},
        }
    )


def _of_mono(model: MonoModelConfig) -> dict[str, Any]:
    """A voxel's place is told to the network relative to the camera, so the grid may move."""
    settings = model.model_dump(
        exclude={
            "grid": {"lower_m", "upper_m"},
            "image_hw_px": True,
            "backbone": {"architecture", "pretrained", "frozen_stages", "checkpointing"},
            "frames": True,
            "proposals": {"threshold", "max_queries"},
        }
    )
    size_m = model.grid.voxels.voxel_size_m
    settings["grid"]["voxel_size_m"] = tuple(round(side_m, 6) for side_m in size_m)
    return settings


def _of_refine(model: RefineModelConfig) -> dict[str, Any]:
    """How many frames a window has is no matter of the weights."""
    return model.model_dump(exclude={"local_frames", "reference_frames", "reference_radius"})


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of file.

    Args:
        network: what messages call it.
        config: type of its configuration.
        model: type of the network's part of it.
        presets: by name.
        bound: settings of the network that shape and meaning of the weights depend on.
    """

    network: str
    config: type[AnyConfig]
    model: type[AnyModelConfig]
    presets: Mapping[str, AnyConfig]
    bound: Callable[[Any], dict[str, Any]]


_KINDS = {
    "occflow": _Kind("OccFlow", Config, ModelConfig, PRESETS, _of_occflow),
    "mono": _Kind("MonoOcc", MonoConfig, MonoModelConfig, MONO_PRESETS, _of_mono),
    "refine": _Kind("OccFiner", RefineConfig, RefineModelConfig, REFINE_PRESETS, _of_refine),
}


def save(
    path: Path, network: nn.Module, config: AnyConfig, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, configuration and JSON-able metadata; a failure leaves no half a file.

    Raises:
        OutputError: where the file cannot be written.
    """
    save_tensors(path, network.state_dict(), config, metadata)


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    config: AnyConfig,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """As `save`, of any tensors by name; `load` reads it back. Raises OutputError."""
    weights = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = {
        "kind": _kind_name(type(config)),
        "config": config.model_dump_json(include=set(_DESCRIBED)),
        "metadata": json.dumps(dict(metadata or {})),
    }
    with output_file(path) as partial:
        try:
            save_file(weights, partial, metadata=header)
            partial.chmod(0o644)  # safetensors lets the owner alone read it
        except SafetensorError as error:
            raise OutputError(f"{path}: cannot be written: {error}") from None


@overload
def load(path: Path) -> Checkpoint[Config]: ...


@overload
def load(path: Path, expected: type[ConfigT]) -> Checkpoint[ConfigT]: ...


def load(path: Path, expected: type[Any] = Config) -> Checkpoint[Any]:
    """Read a file that `save` wrote.

    Args:
        path: checkpoint.
        expected: what its configuration must be.

    Raises:
        DataError: names the file where it is missing, corrupt, not a checkpoint of this package or
            one of another kind.
    """
    loaded = load_any(path)
    if not isinstance(loaded.config, expected):
        want, got = (_KINDS[_kind_name(one)] for one in (expected, type(loaded.config)))
        raise DataError(f"{path}: expected weights of {want.network}, got those of {got.network}")
    return loaded


def load_any(path: Path) -> Checkpoint[Any]:
    """As `load`, whatever the kind."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: expected a safetensors checkpoint: {error}") from None
    kind = _KINDS[_kind_in(path, header)]
    try:
        values = json.loads(header["config"])
        config = kind.config.model_validate({part: values[part] for part in _DESCRIBED})
        return Checkpoint(config, weights, json.loads(header["metadata"]))
    except (KeyError, ValidationError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path}: expected this package's config in the metadata: {error}"
        ) from None


def kind_of(path: Path) -> str:
    """`occflow`, `mono` or `refine`, without reading weights; raises DataError as `load` does."""
    try:
        with safe_open(path, framework="pt") as file:
            return _kind_in(path, file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: expected a safetensors checkpoint: {error}") from None


def _kind_in(path: Path, header: Mapping[str, str]) -> str:
    kind = header.get("kind", next(iter(_KINDS)))
    if kind not in _KINDS:
        raise DataError(f"{path}: expected a checkpoint of kind {' or '.join(_KINDS)}, got {kind}")
    return kind


def _kind_name(config: type[AnyConfig]) -> str:
    return next(name for name, kind in _KINDS.items() if issubclass(config, kind.config))


def load_weights(
    path: Path, expected: AnyModelConfig, parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Weights of a file, after every check that they fit.

    Args:
        path: checkpoint.
        expected: the network they are for.
        parameters: the network's own state, for names and shapes.

    Raises:
        DataError: names the file and what differs, expected and got.
    """
    loaded = load(path, _kind_of_model(expected).config)
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
    """Weights of a file, maybe of another network or kind, that fit by name and shape.

    For a network that is to be trained further with another grid, rig or size, or one that begins
    with the backbone and neck of another kind.

    Args:
        path: checkpoint.
        parameters: the network's own state, for names and shapes.

    Raises:
        DataError: where the file cannot be read or nothing in it fits.
    """
    loaded = load_any(path).weights
    fitting = {
        name: loaded[name]
        for name, value in parameters.items()
        if name in loaded and loaded[name].shape == value.shape
    }
    if not fitting:
        raise DataError(f"{path}: expected parameters of the network's names and shapes, got none")
    return fitting


def begin_with(network: nn.Module, path: Path) -> tuple[int, int]:
    """Give a network the values of a file where they fit, see `fitting_weights`.

    Returns:
        how many of its parameters fit, and how many it has.

    Raises:
        DataError: as `fitting_weights`.
    """
    own = network.state_dict()
    fitting = fitting_weights(path, own)
    network.load_state_dict(own | fitting)
    return len(fitting), len(own)


def sharpness_per_m(path: Path | None, model: ModelConfig) -> float:
    """ξ of equation 13 with which training of a checkpoint ended; raises DataError.

    It is that of the network's configuration where the file does not say, or there is none.
    """
    known = None if path is None else load(path).metadata.get("sharpness_per_m")
    return model.sharpness_per_m if known is None else float(known)


def preset_name(model: AnyModelConfig) -> str:
    """`preset NAME` of a model configuration, or `a custom configuration`."""
    for name, config in _kind_of_model(model).presets.items():
        if fits(config.model, model):
            return f"preset {name}"
    return "a custom configuration"


def fits(expected: AnyModelConfig, got: AnyModelConfig) -> bool:
    """Whether weights of one network are weights of the other, in shape and in meaning."""
    return type(expected) is type(got) and not _differences(expected, got)


def _kind_of_model(model: AnyModelConfig) -> _Kind:
    return next(kind for kind in _KINDS.values() if isinstance(model, kind.model))


def _differences(expected: AnyModelConfig, got: AnyModelConfig) -> list[str]:
    """Settings of two networks of a kind that are not the same."""
    bound = _kind_of_model(expected).bound
    want, have = _flatten(bound(expected)), _flatten(bound(got))
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
