"""The `occflow` command: one module per subcommand, imported when it is asked for.

A subcommand module has `add_arguments(parser)` and `run(args)`; its docstring is its help.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

from occflow_ros import __version__
from occflow_ros.errors import OccflowError

COMMANDS = {
    "ablate": "train with parts of the method left out, and compare",
    "autolabel": "label drives that nobody labelled, and compare training with and without",
    "bench": "measure the numbers that the project states",
    "config": "print a resolved configuration",
    "convert": "write a drive as a bag for `ros2 bag play`",
    "corrupt": "record a made-up onboard model: the truth with errors of known size",
    "cues": "make optical flow and movable masks of a drive, for training",
    "demo": "replay a drive through the real node over DDS and write a report",
    "depth": "make depth of images, for the semantic network",
    "evaluate": "compare predictions of data sets with their truth",
    "info": "print what a configuration makes: shapes, parameters, FLOPs",
    "labels": "make occupancy and flow labels from LiDAR and boxes",
    "map": "map what stands still in one drive or many, for other programs",
    "refine": "make recorded predictions better, with all frames at hand",
    "semantics": "say what each voxel is, as files for benchmarks and as pictures",
    "soak": "send very many sets through the real node, and account for each",
    "synth": "write a synthetic driving scene",
    "train": "train a network without 3D labels",
    "view": "write a recorded bag as a page for the browser",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status (0 done, 1 failed, 2 bad usage, 130 Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, tidily
    try:
        args = _parser(arguments[0] if arguments else None).parse_args(arguments)
        return args.run(args) or 0
    except OccflowError as error:
        print(f"occflow: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("occflow: interrupted", file=sys.stderr)
        return 130


def _parser(command: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="occflow", description="Occupancy and flow from cameras, without 3D labels."
    )
    parser.add_argument("--version", action="version", version=f"occflow {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary)
        if name == command:
            module = importlib.import_module(f"occflow_ros.cli.{name}")
            subparser.description = module.__doc__
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser
