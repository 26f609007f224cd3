"""Make occupancy and flow labels from LiDAR and boxes, for data without any: docs/labels.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from occflow_ros import config
from occflow_ros.cli.arguments import (
    add_selection_arguments,
    add_source_argument,
    positive_float,
    positive_int,
    selection_of,
)
from occflow_ros.data.drive import Drive
from occflow_ros.data.selection import open_drives
from occflow_ros.data.truth import read_lidar_mask, read_truth
from occflow_ros.errors import DataError
from occflow_ros.labels.agreement import Agreement, agreement_table, compare
from occflow_ros.labels.make import Progress, make_labels, sets_to_label
from occflow_ros.labels.options import LabelOptions
from occflow_ros.labels.store import label_path
from occflow_ros.table import as_text

_DEFAULTS = LabelOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow labels`."""
    add_source_argument(parser)
    add_selection_arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the labels of all drives; the nuScenes loader reads DATAROOT/gts",
    )
    parser.add_argument("--overwrite", action="store_true", help="make labels again that are there")
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="sets at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="print how well the labels agree with the occupancy that the drive has",
    )
    _add_settings(parser.add_argument_group("how labels are made"))


def _add_settings(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--grid",
        choices=tuple(config.PRESETS),
        help="that of a preset (default: the one of Occ3D and OpenOcc, as of nuscenes)",
    )
    for name, kind, metavar, text in (
        ("window_s", positive_float, "S", "sweeps up to this long before and after a set count"),
        ("reach_m", positive_float, "M", "of these, those taken within this distance of it"),
        ("max_sweeps", positive_int, "N", "of these, about so many, evenly over the drive"),
        ("min_range_m", positive_float, "M", "nearer returns are of the ego vehicle"),
        ("box_margin_m", positive_float, "M", "boxes grow by this to the sides and above"),
    ):
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=getattr(_DEFAULTS, name),
            metavar=metavar,
            help=f"{text} (default: %(default)s)",
        )


def run(args: argparse.Namespace) -> None:
    """Make what is missing; raises DataError and OutputError."""
    options, agreement = _options(args), Agreement()
    for drive in open_drives(args.source, selection_of(args)):
        if all(camera_set.boxes is None for camera_set in drive.sets):
            _warn(f"{drive.name}: no boxes, so that what moves leaves a trail of static voxels")
        bar = _bar(drive.name)
        made = make_labels(drive, args.out, options, args.overwrite, args.workers, bar)
        print(f"{drive.name}: labels of {made.made} sets made, {made.kept} kept")
        if args.compare:
            agreement += _agreement(drive, args.out)
    if args.compare:
        print(as_text(agreement_table("Labels beside the occupancy of the drives", agreement)))
    print(f"the labels are in {args.out}")


def _options(args: argparse.Namespace) -> LabelOptions:
    grid = _DEFAULTS.grid if args.grid is None else config.preset(args.grid).model.grid.voxels
    return LabelOptions(
        grid=grid,
        window_s=args.window_s,
        reach_m=args.reach_m,
        max_sweeps=args.max_sweeps,
        min_range_m=args.min_range_m,
        box_margin_m=args.box_margin_m,
    )


def _agreement(drive: Drive, folder: Path) -> Agreement:
    total = Agreement()
    for camera_set in sets_to_label(drive):
        if camera_set.occupancy is None:
            raise DataError(
                f"{drive.name}: expected occupancy at {camera_set.stamp_ns} ns to --compare with,"
                " found none"
            )
        path = label_path(folder, drive, camera_set)
        label, known = read_truth(path), read_lidar_mask(path)
        if known is None:
            raise DataError(f"{path}: expected mask_lidar, found none")
        try:
            total += compare(label, known, read_truth(camera_set.occupancy))
        except ValueError as error:
            raise DataError(f"{camera_set.occupancy}: {error}") from None
    return total


def _bar(description: str) -> Progress:
    def wrapped(items: Iterable[Any], total: int, unit: str) -> Iterable[Any]:
        return tqdm(items, total=total, desc=f"{description}: {unit}s", unit=unit)

    return wrapped


def _warn(message: str) -> None:
    print(f"occflow: warning: {message}", file=sys.stderr)
