"""Record a made-up onboard model: the truth of synthetic drives with errors of known size."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from occflow_ros import config
from occflow_ros.cli.arguments import add_data_argument, add_selection_arguments, selection_of
from occflow_ros.data.drive import OCC3D_GRID
from occflow_ros.data.selection import open_drives
from occflow_ros.errors import ConfigError
from occflow_ros.mono_config import MONO_PRESETS
from occflow_ros.offboard.corrupt import CorruptionOptions, Progress, corrupt_drive
from occflow_ros.structures import VoxelGrid

_DEFAULTS = CorruptionOptions()
_GRIDS = {
    **{name: one.model.grid.voxels for name, one in MONO_PRESETS.items()},
    **{name: config.preset(name).model.grid.voxels for name in config.PRESETS},
}
_HELP = {
    "dropout": "share of the voxels that are missed right at the sensor",
    "dropout_per_m": "how much that grows with each metre of range",
    "swap": "share of the patches in which a class is taken for another",
    "range_noise_m": "standard deviation of the range right at the sensor, in metres",
    "range_noise": "how much that grows with the range, as a share of it",
    "depth_bias": "everything is seen too far by this share of its range",
    "velocity_noise_mps": "standard deviation of velocities of what moves",
    "patch_deg": "edge of the patches of directions that share an error, in degrees",
    "seed": "of all errors",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow corrupt`."""
    add_data_argument(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="a recording of each drive in a folder of its name; frames that are there are kept",
    )
    add_selection_arguments(parser)
    parser.add_argument(
        "--grid",
        type=_grid,
        default="mono_nano",
        metavar="PRESET|XxYxZ",
        help=f"of a preset ({', '.join(_GRIDS)}), or so many voxels over the box of Occ3D"
        " (default: %(default)s)",
    )
    group = parser.add_argument_group("errors of the model")
    for field in fields(CorruptionOptions):
        default = getattr(_DEFAULTS, field.name)
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(default),
            default=default,
            metavar="N",
            help=f"{_HELP[field.name]} (default: %(default)s)",
        )


def run(args: argparse.Namespace) -> None:
    """Record what is missing; raises ConfigError, DataError and OutputError."""
    try:
        names = [field.name for field in fields(CorruptionOptions)]
        options = CorruptionOptions(**{name: getattr(args, name) for name in names})
    except ValueError as error:
        raise ConfigError(str(error)) from None
    for folder in args.data:
        for drive in open_drives(folder, selection_of(args)):
            out = args.out / drive.name
            store = corrupt_drive(drive, out, args.grid, options, _bar(drive.name))
            print(f"{out}: {len(store.info)} frames")


def _bar(name: str) -> Progress:
    def wrapped(places: Iterable[int], total: int) -> Iterable[int]:
        return tqdm(places, total=total, desc=name, unit="frame")

    return wrapped


def _grid(text: str) -> VoxelGrid:
    if text in _GRIDS:
        return _GRIDS[text]
    size = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", text)
    if size is None:
        raise argparse.ArgumentTypeError(f"expected a preset or XxYxZ, got {text!r}")
    x, y, z = map(int, size.groups())
    return VoxelGrid(OCC3D_GRID.lower_m, OCC3D_GRID.upper_m, (x, y, z))
