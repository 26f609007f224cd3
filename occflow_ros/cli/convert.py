"""Write a drive as a rosbag2 MCAP that `ros2 bag play --clock` plays, for the node or any other."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from occflow_ros.cli.arguments import add_drive_arguments, add_sweeps_argument
from occflow_ros.data.source import open_drive
from occflow_ros.errors import OccflowError
from occflow_ros.output import check_free


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow convert`."""
    add_drive_arguments(parser)
    add_sweeps_argument(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="BAG", help="folder of the bag to make"
    )
    parser.add_argument(
        "--transport",
        choices=("compressed", "raw"),
        default="compressed",
        help="compressed: the files' bytes on image_raw/compressed; raw: decoded on image_raw"
        " (default: %(default)s)",
    )
    parser.add_argument("--no-lidar", action="store_true", help="leave the LiDAR sweeps out")
    parser.add_argument("--overwrite", action="store_true", help="replace a folder that has files")


def run(args: argparse.Namespace) -> None:
    """Write the bag; raises DataError, OutputError, and OccflowError without ROS 2."""
    try:
        from occflow_ros.ros.convert import convert
    except ImportError as error:
        raise OccflowError(f"convert: expected a sourced ROS 2, got: {error}") from None
    check_free(args.out, args.overwrite)
    drive = open_drive(args.source, args.scene, args.version, keyframes_only=not args.sweeps)

    def bar(events: Iterable[Any], total: int) -> Iterable[Any]:
        return tqdm(events, total=total, desc=drive.name, unit="event")

    made = convert(drive, args.out, args.transport, not args.no_lidar, args.overwrite, bar)
    if made.shift_ns:
        print(f"stamps are shifted by {made.shift_ns} ns: ROS reads 0 as the latest")
    print(f"{drive.name}: {made.messages} messages of {made.duration_s:.1f} s are in {args.out}")
