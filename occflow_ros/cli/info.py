"""What a configuration makes: sizes and shapes, parameters and FLOPs by part, memory of history."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from occflow_ros.cli.arguments import add_cameras_argument, add_preset_argument
from occflow_ros.config import BackboneConfig, ModelConfig, resolve
from occflow_ros.engine import inspection
from occflow_ros.engine.inspection import PAPER_TEMPORAL_PARAMETERS, PartSize
from occflow_ros.output import write_text
from occflow_ros.viz.network_figure import network_figure

_NOTES = (
    "FLOPs are those of one streaming step with a full history: matrix products, convolutions and",
    "sampling, a multiply-add as two; not element-wise work, norms, softmax and resizing.",
    "Table 4, at 192 channels, counts more than the fusion itself: docs/network.md explains it.",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a network without running it.

    Args:
        model: its configuration.
        cameras: of the ring whose step is counted.
        parts: its modules in the order in which they run.
        temporal: parameters of the temporal module and its rivals, by `temporal.fusion`.
    """

    model: ModelConfig
    cameras: int
    parts: Sequence[PartSize]
    temporal: Mapping[str, int]

    @property
    def total(self) -> PartSize:
        """The whole network as one part."""
        parameters = sum(part.parameters for part in self.parts)
        return PartSize("total", "step", parameters, sum(part.flops for part in self.parts))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow info`."""
    add_preset_argument(parser)
    add_cameras_argument(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    parser.add_argument("--figure", type=Path, metavar="FILE.svg", help="also draw the stages here")


def run(args: argparse.Namespace) -> None:
    """Print what the configuration makes; no weights are made or loaded for it."""
    model = resolve(args.preset).model
    facts = Facts(
        model=model,
        cameras=args.cameras,
        parts=inspection.part_sizes(model, args.cameras),
        temporal=inspection.temporal_parameters(model),
    )
    print("\n".join(_lines(args.preset, facts)))
    if args.json:
        write_text(args.json, json.dumps(_document(facts), indent=2) + "\n")
    if args.figure:
        parameters = {part.name: part.parameters for part in facts.parts}
        write_text(args.figure, network_figure(model, args.cameras, parameters))


def _lines(name: str, facts: Facts) -> Iterator[str]:
    yield f"{name}\n"
    yield from (f"  {label:<10}{words}" for label, words in _settings(facts).items())
    yield f"\n  {'part':<20}{'parameters (M)':>16}{'FLOPs (G)':>16}"
    for part in (*facts.parts, facts.total):
        yield f"  {part.name:<20}{part.parameters / 1e6:>16.3f}{part.flops / 1e9:>16.2f}"
    yield f"\n  {'temporal.fusion':<20}{'parameters (M)':>16}{'Table 4 (M)':>16}{'difference':>16}"
    for fusion, count in facts.temporal.items():
        paper = PAPER_TEMPORAL_PARAMETERS[fusion]
        difference = 100 * (count / paper - 1)
        yield f"  {fusion:<20}{count / 1e6:>16.3f}{paper / 1e6:>16.2f}{difference:>14.1f} %"
    yield from ("", *(f"  {line}" for line in _NOTES))


def _settings(facts: Facts) -> dict[str, str]:
    model, grid = facts.model, facts.model.grid.voxels
    backbone, lifter, temporal, refiner = (
        model.backbone,
        model.lifter,
        model.temporal,
        model.refiner,
    )
    volume_bytes = inspection.volume_bytes(model)
    box = zip("xyz", grid.lower_m, grid.upper_m)
    return {
        "images": _times(facts.cameras, 3, *model.image_hw_px),
        "backbone": _backbone(backbone),
        "lifter": f"{lifter.layers} layers, {lifter.heads} heads; points: "
        f"{lifter.cross_plane_points} across planes, {lifter.image_points_hw} (HW), "
        f"{lifter.image_points_zh} (ZH), {lifter.image_points_wz} (WZ) into the images",
        "volume": f"{_times(model.channels, *grid.coarsen(2).shape)}, "
        f"{volume_bytes / 1e6:.2f} MB in float32",
        "history": f"{temporal.history} volumes, "
        f"{volume_bytes * temporal.history / 1e6:.2f} MB in float32",
        "temporal": f"{temporal.fusion}, {temporal.heads} heads, {temporal.points} points",
        "refiner": f"blocks {_times(*refiner.blocks, by=', ')} from {refiner.channels} channels, "
        f"{refiner.output_channels} channels out",
        "output": f"{_times(*grid.shape)} voxels of {_times(*grid.voxel_size_m)} m",
        "range": ", ".join(f"{axis} {low:g} to {high:g} m" for axis, low, high in box),
    }


def _backbone(backbone: BackboneConfig) -> str:
    if backbone.architecture:
        return f"{backbone.name}, {backbone.architecture}"
    depths, widths = (_times(*numbers, by=", ") for numbers in backbone.size)
    return f"{backbone.name}, blocks {depths}, channels {widths}"


def _document(facts: Facts) -> dict[str, Any]:
    volume_bytes = inspection.volume_bytes(facts.model)
    return {
        "model": facts.model.model_dump(mode="json"),
        "cameras": facts.cameras,
        "parts": [asdict(part) for part in (*facts.parts, facts.total)],
        "temporal_parameters": dict(facts.temporal),
        "paper_temporal_parameters": PAPER_TEMPORAL_PARAMETERS,
        "volume_bytes": volume_bytes,
        "history_bytes": volume_bytes * facts.model.temporal.history,
    }


def _times(*numbers: float, by: str = " × ") -> str:
    return by.join(f"{number:g}" for number in numbers)
