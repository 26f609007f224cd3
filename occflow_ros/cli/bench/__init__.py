"""Measure the numbers that the project states, on this machine, and print them as a table."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import torch

from occflow_ros.cli.arguments import (
    add_cameras_argument,
    add_device_argument,
    add_preset_argument,
    positive_int,
)
from occflow_ros.config import Config, RunConfig, StreamConfig, resolve
from occflow_ros.measurement import Measurement, Options, table
from occflow_ros.output import write_text

SUITES = (
    "network",
    "train",
    "ops",
    "metrics",
    "refine",
    "synth",
    "messages",
    "synchronizer",
    "node",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow bench`."""
    parser.add_argument("suite", nargs="?", choices=SUITES, help="one suite (default: all)")
    add_preset_argument(parser)
    add_device_argument(parser)
    add_cameras_argument(parser)
    parser.add_argument(
        "--precision",
        choices=get_args(StreamConfig.model_fields["precision"].annotation),
        help="in place of the preset's stream.precision",
    )
    parser.add_argument(
        "--compile", action="store_true", default=None, help="as stream.compile: true"
    )
    parser.add_argument(
        "--semantics",
        choices=get_args(RunConfig.model_fields["semantics"].annotation),
        help="mono: the suite network also runs MonoOcc beside the network",
    )
    parser.add_argument(
        "--repeat", type=positive_int, default=20, help="timed runs (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")


def run(args: argparse.Namespace) -> None:
    """Print the numbers as they are made."""
    config = _with_stream(resolve(args.preset), precision=args.precision, compile=args.compile)
    options = Options(
        config=config.model_copy(update={"semantics": args.semantics or config.semantics}),
        device=args.device,
        repeat=args.repeat,
        cameras=args.cameras,
    )
    print(f"{machine(options.device)}\n")
    measurements: list[Measurement] = []
    for line in table(
        _kept(_measure([args.suite] if args.suite else SUITES, options), measurements)
    ):
        print(line, flush=True)
    if args.json:
        write_text(args.json, json.dumps(_document(options, measurements), indent=2) + "\n")


def machine(device: str) -> str:
    """One line that names what the numbers were measured on."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return (
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )


def _with_stream(config: Config, **changes: str | bool | None) -> Config:
    """The configuration with those settings of `stream` that were given."""
    given = {name: value for name, value in changes.items() if value is not None}
    return config.model_copy(update={"stream": config.stream.model_copy(update=given)})


def _document(options: Options, measurements: list[Measurement]) -> dict[str, Any]:
    return {
        "machine": machine(options.device),
        "device": options.device,
        "repeat": options.repeat,
        "cameras": options.cameras,
        "config": options.config.model_dump(mode="json"),
        "measurements": [asdict(measurement) for measurement in measurements],
    }


def _kept(measured: Iterable[Measurement], into: list[Measurement]) -> Iterator[Measurement]:
    for measurement in measured:
        into.append(measurement)
        yield measurement


def _measure(suites: tuple[str, ...] | list[str], options: Options) -> Iterator[Measurement]:
    for suite in suites:
        yield from importlib.import_module(f"occflow_ros.cli.bench.{suite}").measure(options)
