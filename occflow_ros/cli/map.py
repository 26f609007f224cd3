"""Map what stands still in one drive or in many (OccFiner, appendix B): docs/offboard.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from occflow_ros.cli.arguments import named_path, positive_float
from occflow_ros.cli.engine_options import add_worker_arguments, engine_options
from occflow_ros.cli.recording_options import add_recording_arguments, add_vote_arguments
from occflow_ros.offboard.city_map.align import read_transform
from occflow_ros.offboard.city_map.build import MapOptions, MapReport
from occflow_ros.offboard.city_map.comparison import comparison, true_map
from occflow_ros.offboard.city_map.export import EXPORTS, export_map
from occflow_ros.offboard.city_map.make import make_map
from occflow_ros.offboard.city_map.nav import NavOptions
from occflow_ros.offboard.city_map.store import GROUP, CityMap
from occflow_ros.offboard.engines import open_engine
from occflow_ros.offboard.propagation import PropagationOptions
from occflow_ros.output import write_text
from occflow_ros.table import Table, as_markdown, as_text

_NAV = NavOptions()
_TRUTH = "truth"
_TABLE = "map.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow map`."""
    add_recording_arguments(
        parser,
        "refined drives or recordings as occflow refine takes them, all with poses in one"
        " fixed frame",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the map; regions that are there are kept",
    )
    parser.add_argument(
        "--align",
        type=_alignment,
        action="append",
        default=[],
        metavar="DRIVE=FILE",
        help="12 or 16 numbers, row by row, of the transform from the fixed frame of a drive into"
        " that of the map; may be repeated",
    )
    parser.add_argument(
        "--voxel-size",
        type=positive_float,
        metavar="M",
        help="edge of the voxels of the map (default: those of the recordings)",
    )
    add_vote_arguments(parser)
    parser.add_argument(
        "--export",
        nargs="+",
        choices=EXPORTS,
        default=[],
        help="ply: coloured points; bt: OctoMap; nav: 2D map for Nav2's map_server",
    )
    parser.add_argument(
        "--nav-band",
        type=positive_float,
        nargs=2,
        default=_NAV.band_m,
        metavar=("LOW", "HIGH"),
        help="heights over the ground, in metres, at which something blocks the way in the 2D map"
        " (default: {} {})".format(*_NAV.band_m),
    )
    add_worker_arguments(parser.add_argument_group("where it is computed"))
    group = parser.add_argument_group("how much of it is right")
    group.add_argument(
        "--truth",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="synthetic drives of the map: compare with the map that their truth gives",
    )
    group.add_argument(
        "--beside",
        type=named_path,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="with --truth, another map of these drives to compare; may be repeated",
    )


def run(args: argparse.Namespace) -> None:
    """Map what is not mapped yet, then write files and the picture.

    Raises:
        ConfigError: where options do not fit the recordings.
        DataError: where a recording cannot be read, or they do not fit together.
        OutputError: where the folder holds another map or cannot be written.
    """
    options = MapOptions(
        args.voxel_size, weights=PropagationOptions(sensor=args.sensor, free=args.free)
    )
    nav = NavOptions((args.nav_band[0], args.nav_band[1]))
    with open_engine(engine_options(args)) as engine:
        made = make_map(args.input, args.data, args.out, options, dict(args.align), engine, _bar)
    for name, note in made.notes:
        print(f"occflow: warning: {name}: {note}", file=sys.stderr)
    print(as_text(_summary(made.city, made.report)))
    title = f"Static map of {', '.join(name for name, _ in made.city.info.drives[:4])}"
    for line in export_map(made.city, args.out, args.export, nav, title):
        print(f"{args.out}/{line}")
    if args.truth:
        _compare(args, made.city)


def _compare(args: argparse.Namespace, city: CityMap) -> None:
    """Print the table, and write it beside the map."""
    with open_engine(engine_options(args)) as engine:
        true = true_map(args.truth, city, args.out / _TRUTH, engine, _bar)
    others = {name: CityMap(folder) for name, folder in args.beside}
    table = comparison({**others, "this map": city}, true)
    print(as_text(table))
    write_text(args.out / _TABLE, as_markdown(table) + "\n")
    print(f"{args.out / _TABLE} has the table, {args.out / _TRUTH} the true map")


def _summary(city: CityMap, report: MapReport) -> Table:
    info = city.info
    lattice, vocabulary = info.lattice, info.vocabulary
    size_m = np.array(lattice.shape) * lattice.voxel_size_m
    counts = [city.counts(number) for number in city.finished]
    occupied = sum(one.occupied(vocabulary) for one in counts)
    frames = sum(frames for _, frames in info.drives)
    rows = [
        ("drives", f"{len(info.drives)}, {frames} frames"),
        ("size", _product(size_m.round(1).tolist()) + " m"),
        ("voxels", f"{_product(lattice.shape)} of {_product(lattice.voxel_size_m)} m"),
        ("occupied", f"{occupied:,}"),
        ("empty", f"{sum(one.voxels[vocabulary.empty] for one in counts):,}"),
        ("chunks", f"{len(counts)} of {_product(lattice.region_shape)} voxels"),
        ("on disk", f"{_disk_bytes(city) / 2**20:.2f} MiB in {city.folder / GROUP}"),
    ]
    if report.made:
        rows += [
            ("mapped now", f"{report.made} chunks in {report.seconds:.1f} s, {report.kept} kept"),
            ("frames per s", f"{frames * _done(report) / report.seconds:.2f}"),
            ("memory", f"{report.peak_bytes / 2**20:.0f} MiB at most in a process"),
        ]
    return Table("Map", ("what", "value"), tuple(rows), numbers=0)


def _done(report: MapReport) -> float:
    """Share of the map that was made now."""
    return report.made / (report.made + report.kept)


def _disk_bytes(city: CityMap) -> int:
    return sum(path.stat().st_size for path in (city.folder / GROUP).rglob("*") if path.is_file())


def _product(values: Iterable[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _alignment(text: str) -> tuple[str, Any]:
    name, _, path = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"expected DRIVE=FILE, got {text!r}")
    return name, read_transform(Path(path))


def _bar(items: Iterable[Any], total: int, title: str, unit: str) -> Iterable[Any]:
    return tqdm(items, total=total, desc=title, unit=unit)
