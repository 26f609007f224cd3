"""Render a synthetic driving scene and write it as nuScenes, SemanticKITTI or a recording."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from occflow_ros.cli.arguments import add_device_argument, count, positive_float, positive_int
from occflow_ros.data.drive_writer import CapturedSet
from occflow_ros.data.synthetic.write import DriveFormat, SceneOptions, Truth, write_synthetic
from occflow_ros.errors import ConfigError

_DEFAULTS = SceneOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow synth`."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--format",
        choices=get_args(DriveFormat),
        default="nuscenes",
        help="what is written (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=_DEFAULTS.seed, help="of the world (default: %(default)s)"
    )
    parser.add_argument(
        "--frames",
        type=positive_int,
        default=_DEFAULTS.keyframes,
        metavar="N",
        help="annotated camera sets, of semantickitti every fifth one with voxels"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--rate-hz",
        type=positive_float,
        default=_DEFAULTS.rate_hz,
        metavar="HZ",
        help="of the annotated sets (default: %(default)s)",
    )
    parser.add_argument(
        "--image-size",
        type=_image_size,
        default=_DEFAULTS.image_hw_px,
        metavar="HxW",
        help="of the images in pixels (default: {}x{})".format(*_DEFAULTS.image_hw_px),
    )
    parser.add_argument(
        "--sweeps",
        type=count,
        default=_DEFAULTS.sweeps,
        metavar="N",
        help="sets without annotation between two annotated ones (default: %(default)s)",
    )
    parser.add_argument(
        "--truth",
        choices=get_args(Truth),
        default=_DEFAULTS.truth,
        help="occupancy of each annotated set, or also depth, optical flow and masks of each image"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--back",
        action="store_true",
        help="drive the street of this seed, number of frames and rate the other way, in one frame"
        " with the drive there",
    )
    add_device_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a filled folder")


def run(args: argparse.Namespace) -> None:
    """Write the scene; raises ConfigError and OutputError."""
    try:
        options = SceneOptions(
            seed=args.seed,
            keyframes=args.frames,
            rate_hz=args.rate_hz,
            image_hw_px=args.image_size,
            sweeps=args.sweeps,
            truth=args.truth,
            back=args.back,
            device=args.device,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    write_synthetic(args.out, args.format, options, args.overwrite, progress=_bar)
    print(f"wrote {args.out} ({args.format}, {options.num_sets} camera sets)")


def _bar(sets: Iterator[CapturedSet], total: int) -> Iterable[CapturedSet]:
    return tqdm(sets, total=total, desc="rendering", unit="set")


def _image_size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, got {text!r}")
    return int(height), int(width)
