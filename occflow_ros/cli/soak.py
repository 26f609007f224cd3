"""Send very many synthetic sets through the real node over DDS: fails where one is unaccounted for
or memory grows. Ten minutes in real time: `--sets 6000 --rate-hz 10`.
"""

from __future__ import annotations

import argparse

from occflow_ros.cli.arguments import positive_float, positive_int
from occflow_ros.errors import OccflowError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow soak`."""
    parser.add_argument(
        "--sets", type=positive_int, default=10_000, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--rate-hz",
        type=positive_float,
        metavar="HZ",
        help="of the sets (default: as fast as they go)",
    )
    parser.add_argument(
        "--max-growth-mib",
        type=positive_float,
        default=16.0,
        metavar="MIB",
        help="of resident memory after the first fifth (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Print what became of the sets and of memory; raises OccflowError where either is wrong."""
    try:
        from occflow_ros.ros.soak import soak
    except ImportError as error:
        raise OccflowError(
            f"soak: expected a sourced ROS 2 with this package built, got: {error}"
        ) from None
    report = soak(args.sets, args.rate_hz)
    first, last = report.settled[0], report.settled[-1]
    print(f"sets:    {report.sent} sent, of which {report.faulty} faulty")
    print(f"         {', '.join(f'{n} {key}' for key, n in sorted(report.outcomes.items()))}")
    print(f"         {report.unaccounted} unaccounted, {report.results} results published")
    print(f"memory:  {first.resident_mib:.1f} MiB after {first.sets} sets")
    print(f"         {last.resident_mib:.1f} MiB after {last.sets} sets")
    print(f"growth:  {report.growth_mib:.1f} MiB, {report.growth_blocks} of Python's blocks")
    for problem in report.problems(args.max_growth_mib):
        raise OccflowError(f"soak: {problem}")
