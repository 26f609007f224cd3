"""Trained weights that come with the package; `docs/weights.md` says how they were made."""

from __future__ import annotations

from pathlib import Path

from occflow_ros.config import PRESETS, ModelConfig
from occflow_ros.engine.checkpoint import fits

UNTRAINED = "untrained"


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
    return Path(asked).expanduser() if asked else _shipped(model)


def _shipped(model: ModelConfig) -> Path | None:
    for name, config in PRESETS.items():
        path = Path(__file__).with_name(f"{name}.safetensors")
        if fits(config.model, model) and path.is_file():
            return path
    return None
