"""Print a resolved configuration: a preset, or a YAML file with what it leaves to the preset."""

from __future__ import annotations

import argparse

from occflow_ros import config
from occflow_ros.cli.arguments import add_preset_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow config`."""
    add_preset_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Print the configuration as YAML."""
    print(config.dump(config.resolve(args.preset)), end="")
