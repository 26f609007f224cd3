"""Replay a drive through the real node over DDS, and write a bag, pictures and a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from occflow_ros.cli.arguments import (
    add_device_argument,
    add_drive_arguments,
    add_preset_argument,
    positive_float,
    positive_int,
)
from occflow_ros.config import Config, RunConfig, resolve
from occflow_ros.demo.pipeline import DemoOptions, run_demo
from occflow_ros.errors import OccflowError
from occflow_ros.table import as_text
from occflow_ros.weights import shipped_semantics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow demo`."""
    add_drive_arguments(parser, default="a synthetic drive, made once")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="folder for the results (default: %(default)s)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the results that are in it"
    )
    add_preset_argument(parser)
    parser.add_argument(
        "--weights",
        default="",
        metavar="FILE",
        help="checkpoint, or untrained (default: those that come with the preset)",
    )
    parser.add_argument(
        "--semantics",
        choices=get_args(RunConfig.model_fields["semantics"].annotation),
        help="what each voxel is (default: mono where weights for it come with the package)",
    )
    parser.add_argument(
        "--semantics-weights",
        default="",
        metavar="FILE",
        help="checkpoint of MonoOcc (default: those that come with the package)",
    )
    parser.add_argument(
        "--rate",
        type=positive_float,
        default=0.5,
        metavar="R",
        help="replay speed, times real time; two CPU cores keep up with the default: %(default)s",
    )
    parser.add_argument(
        "--frames",
        type=positive_int,
        metavar="N",
        help="replay only the first sets (default: all)",
    )
    add_device_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Run the demo and print its tables."""
    if args.source is None and (args.scene or args.version):
        raise OccflowError("--scene and --version: expected --source with a data set")
    options = DemoOptions(
        source=args.source,
        scene=args.scene,
        version=args.version,
        out=args.out,
        overwrite=args.overwrite,
        config=_config(args),
        weights=args.weights,
        semantics_weights=args.semantics_weights,
        rate=args.rate,
        max_sets=args.frames,
        device=args.device,
    )
    summary = run_demo(options)
    print("\n\n".join(as_text(table) for table in summary.tables()))
    print(
        f"\nWeights    {summary.weights_text}\nSemantics  {summary.semantics_text}\n"
        f"Report     {args.out / 'report.html'}"
    )


def _config(args: argparse.Namespace) -> Config:
    config = resolve(args.preset)
    possible = args.semantics_weights or shipped_semantics(config.model)
    default = "mono" if possible else config.semantics
    return config.model_copy(update={"semantics": args.semantics or default})
