"""Write a recorded bag as one HTML file that any browser shows, offline and without ROS."""

from __future__ import annotations

import argparse
from pathlib import Path

from occflow_ros.cli.arguments import positive_int
from occflow_ros.viewer.page import write_page
from occflow_ros.viewer.recorded_run import MAX_SETS, read_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow view`."""
    parser.add_argument(
        "--bag",
        type=Path,
        default=Path("out/demo/bag"),
        metavar="DIR",
        help="rosbag2 folder with OccupancyFlow messages (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("viewer.html"),
        metavar="FILE",
        help="the page (default: %(default)s)",
    )
    parser.add_argument(
        "--topic", metavar="NAME", help="of the predictions (default: the only one)"
    )
    parser.add_argument(
        "--max-sets",
        type=positive_int,
        default=MAX_SETS,
        metavar="N",
        help="of more sets, every second, third, ... is shown (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    recorded = read_run(args.bag, args.topic, args.max_sets)
    write_page(args.out, recorded, str(args.bag))
    shown = f"{len(recorded.sets)} of {recorded.recorded} sets"
    print(f"{args.out}: {shown}, {args.out.stat().st_size / 1e6:.1f} MB")
