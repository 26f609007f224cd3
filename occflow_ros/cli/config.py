"""Print a resolved configuration: a preset, or a YAML file with what it leaves to the preset."""

from __future__ import annotations

import argparse

from pydantic import BaseModel

from occflow_ros import config
from occflow_ros.cli.arguments import add_preset_argument
from occflow_ros.mono_config import MONO_PRESETS
from occflow_ros.refine_config import REFINE_PRESETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow config`."""
    add_preset_argument(parser, (*config.PRESETS, *MONO_PRESETS, *REFINE_PRESETS))


def run(args: argparse.Namespace) -> None:
    """Print the configuration as YAML."""
    print(config.dump(_resolve(args.preset)), end="")


def _resolve(preset: str) -> BaseModel:
    if preset in MONO_PRESETS:
        return MONO_PRESETS[preset]
    return REFINE_PRESETS[preset] if preset in REFINE_PRESETS else config.resolve(preset)
