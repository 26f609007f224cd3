"""Options of the commands that take recorded predictions, and let them vote."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from occflow_ros.offboard.propagation import Free, PropagationOptions, Sensor

_DEFAULTS = PropagationOptions()


def add_recording_arguments(parser: argparse.ArgumentParser, inputs: str) -> None:
    """`--input` and `--data`, as `open_recordings` takes them.

    Args:
        parser: of the command.
        inputs: what it takes, for its help.
    """
    parser.add_argument("--input", type=Path, nargs="+", required=True, metavar="PATH", help=inputs)
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=(),
        metavar="DIR",
        help="drives that were predicted, for the poses and cameras that the input lacks",
    )


def add_vote_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """`--sensor` and `--free`, as `PropagationOptions` has them."""
    parser.add_argument(
        "--sensor",
        choices=get_args(Sensor),
        default=_DEFAULTS.sensor,
        help="of the onboard model, which weights the votes; none: all the same"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--free",
        choices=get_args(Free),
        default=_DEFAULTS.free,
        help="empty voxels that vote: what the sensor sees past what the frame itself holds, or"
        " all, as in the paper (default: %(default)s)",
    )
