"""Types and options of arguments that several subcommands take."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from occflow_ros import config
from occflow_ros.data.selection import Selection, Split
from occflow_ros.engine.device import available_device

_SCENE = "nuScenes scene, KITTI drive or sequence"


def positive_int(text: str) -> int:
    """A whole number from 1 on."""
    return _at_least(1, text)


def count(text: str) -> int:
    """A whole number from 0 on."""
    return _at_least(0, text)


def positive_float(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def named_path(text: str) -> tuple[str, Path]:
    """`NAME=PATH`, the name a word."""
    name, _, path = text.partition("=")
    if not re.fullmatch(r"[\w.-]+", name) or not path:
        raise argparse.ArgumentTypeError(f"expected NAME=PATH, the name a word, got {text!r}")
    return name, Path(path)


def sets_range(text: str) -> range:
    """`A:B` as a range, either end may be left out."""
    start, _, stop = text.partition(":")
    return range(int(start or 0), int(stop or 2**31))


def add_drive_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The options of every command that reads a drive: `--source`, `--scene` and `--version`.

    Args:
        parser: of the command.
        default: what is read without `--source`, for its help; None where it must be given.
    """
    add_source_argument(parser, default)
    parser.add_argument("--scene", metavar="NAME", help=f"{_SCENE} (default: the only)")
    _add_version_argument(parser)


def add_source_argument(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The `--source` option; arguments as in `add_drive_arguments`."""
    parser.add_argument(
        "--source",
        type=Path,
        required=default is None,
        metavar="DIR",
        help="recording folder, or root of a nuScenes or KITTI data set"
        + (f" (default: {default})" if default else ""),
    )


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """The `--data` option of every command that goes through drives of several folders."""
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="recording folders, or roots of nuScenes or KITTI data sets",
    )


def add_sets_argument(parser: argparse.ArgumentParser) -> None:
    """The `--sets` option: a part of each drive."""
    parser.add_argument(
        "--sets",
        type=sets_range,
        default=sets_range(":"),
        metavar="A:B",
        help="of each drive (default: all)",
    )


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Which drives of its folders a command takes: `--scene`, `--split` and so on."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--scene",
        action="append",
        default=[],
        metavar="NAME",
        help=f"{_SCENE}; may be repeated (default: all that there are)",
    )
    which.add_argument(
        "--split",
        choices=get_args(Split),
        help="official one of nuScenes, of KITTI odometry or, as in the paper, of KITTI tracking",
    )
    _add_version_argument(parser)
    add_sweeps_argument(parser)


def add_sweeps_argument(parser: argparse.ArgumentParser) -> None:
    """The `--sweeps` option."""
    parser.add_argument(
        "--sweeps", action="store_true", help="take what lies between nuScenes keyframes too"
    )


def selection_of(args: argparse.Namespace) -> Selection:
    """What the options of `add_selection_arguments` say."""
    return Selection(tuple(args.scene), args.version, args.split, keyframes_only=not args.sweeps)


def add_preset_argument(
    parser: argparse._ActionsContainer, presets: Sequence[str] = tuple(config.PRESETS)
) -> None:
    """The `--preset` option of every command that takes a configuration; the first is default."""
    parser.add_argument(
        "--preset",
        default=presets[0],
        metavar="PRESET|FILE",
        help=f"a preset ({', '.join(presets)}) or a YAML file (default: %(default)s)",
    )


def add_device_argument(parser: argparse._ActionsContainer) -> None:
    """The `--device` option of every command that computes with torch."""
    parser.add_argument(
        "--device", type=available_device, default="cpu", help="torch device (default: %(default)s)"
    )


def add_cameras_argument(parser: argparse.ArgumentParser) -> None:
    """The `--cameras` option of every command that takes or counts steps without real cameras."""
    parser.add_argument(
        "--cameras",
        type=positive_int,
        default=6,
        help="of a ring around the ego, each 70° wide (default: %(default)s)",
    )


def _add_version_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--version",
        metavar="NAME",
        help="tables of nuScenes; training or testing of KITTI tracking (default: the only)",
    )


def _at_least(smallest: int, text: str) -> int:
    value = int(text)
    if value < smallest:
        raise argparse.ArgumentTypeError(f"expected at least {smallest}, got {text}")
    return value
