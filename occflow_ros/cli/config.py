"""Print a resolved configuration: a preset, or a YAML file with what it leaves to the preset."""

from __future__ import annotations

import argparse

from occflow_ros import config
from occflow_ros.cli.arguments import add_preset_argument
from occflow_ros.mono_config import MONO_PRESETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow config`."""
    add_preset_argument(parser, (*config.PRESETS, *MONO_PRESETS))


def run(args: argparse.Namespace) -> None:
    """Print the configuration as YAML."""
    kind = MONO_PRESETS if args.preset in MONO_PRESETS else config.PRESETS
    print(config.dump(config.resolve_among(kind, args.preset)), end="")
