"""Print a resolved configuration: a preset, or a YAML file with what it leaves to the preset."""

from __future__ import annotations

import argparse

from occflow_ros import config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow config`."""
    add_config_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Print the configuration as YAML."""
    print(config.dump(config.resolve(args.config)), end="")


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """The `--config` option that every command taking a configuration shares."""
    parser.add_argument(
        "--config",
        default="nano",
        metavar="PRESET|FILE",
        help=f"a preset ({', '.join(config.PRESETS)}) or a YAML file (default: %(default)s)",
    )
