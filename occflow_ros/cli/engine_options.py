"""Options of the commands whose work is spread over processes and machines."""

from __future__ import annotations

import argparse

from occflow_ros.cli.arguments import add_device_argument, positive_int
from occflow_ros.offboard.engines import ENGINES, EngineOptions

_DEFAULTS = EngineOptions()


def add_engine_arguments(group: argparse._ActionsContainer) -> None:
    """`--workers`, `--engine`, `--address` and `--device`."""
    add_worker_arguments(group)
    add_device_argument(group)


def add_worker_arguments(group: argparse._ActionsContainer) -> None:
    """`--workers`, `--engine` and `--address`, of commands that compute on CPUs only."""
    group.add_argument(
        "--workers",
        type=positive_int,
        metavar="N",
        help="parts at a time (default: 1, with Ray as many as it has CPUs)",
    )
    group.add_argument(
        "--engine",
        choices=ENGINES,
        default=_DEFAULTS.name,
        help="processes of this machine, or Ray (default: %(default)s)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT|auto",
        help="of a Ray cluster whose machines share the folders (default: start one here)",
    )


def engine_options(args: argparse.Namespace) -> EngineOptions:
    """What the options of the functions above say; raises ConfigError."""
    device = getattr(args, "device", _DEFAULTS.device)
    return EngineOptions(args.engine, args.workers, args.address, device)
