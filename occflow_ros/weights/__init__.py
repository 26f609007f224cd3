"""Trained weights that come with the package; `docs/weights.md` says how they were made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from occflow_ros.config import PRESETS, ModelConfig
from occflow_ros.engine.checkpoint import fits
from occflow_ros.errors import DataError
from occflow_ros.mono_config import MONO_PRESETS

UNTRAINED = "untrained"

_SHIPPED_REFINE = Path(__file__).with_name("refine_nano.safetensors")


def choose_weights(asked: str, model: ModelConfig) -> Path | None:
    """The checkpoint to take.

    Args:
        asked: a file, `untrained`, or nothing for the weights that come with the package.
        model: the network they are for.

    Returns:
        None for random weights: asked for, or where the package has none for this network.
    """
    if asked == UNTRAINED:
        return None
    fitting = (name for name, config in PRESETS.items() if fits(config.model, model))
    return Path(asked).expanduser() if asked else _first_shipped(fitting)


def choose_semantics_weights(asked: str, model: ModelConfig) -> Path:
    """The checkpoint of the semantic network, which brings its own configuration and classes.

    Args:
        asked: a file, or nothing for the one that comes with the package.
        model: the network that it runs beside.

    Raises:
        DataError: where the package has none on this network's grid.
    """
    if asked:
        return Path(asked).expanduser()
    if (path := shipped_semantics(model)) is None:
        raise DataError(
            "semantics_weights: expected a checkpoint of MonoOcc, as none comes with the package "
            f"for the grid {model.grid.model_dump()}"
        )
    return path


def choose_refine_weights(asked: Path | None) -> Path:
    """The checkpoint of stage 1 of a refinement, which brings its own grid and classes.

    Args:
        asked: a file, or None for the one that comes with the package, which is for what the node
            records with the weights that come with it.
    """
    return _SHIPPED_REFINE if asked is None else asked.expanduser()


def shipped_semantics(model: ModelConfig) -> Path | None:
    """The semantic checkpoint that comes with the package for this network's grid, if any."""
    same_grid = (name for name, mono in MONO_PRESETS.items() if mono.model.grid == model.grid)
    return _first_shipped(same_grid)


def _first_shipped(presets: Iterable[str]) -> Path | None:
    paths = (Path(__file__).with_name(f"{name}.safetensors") for name in presets)
    return next((path for path in paths if path.is_file()), None)
