"""Measure the numbers that the project states, on this machine, and print them as a table."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from occflow_ros.cli.arguments import add_device_argument, add_preset_argument, positive_int
from occflow_ros.config import resolve
from occflow_ros.measurement import Measurement, Options
from occflow_ros.output import write_text

SUITES = ("network", "synth", "messages")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow bench`."""
    parser.add_argument("suite", nargs="?", choices=SUITES, help="one suite (default: all)")
    add_preset_argument(parser)
    add_device_argument(parser)
    parser.add_argument(
        "--repeat", type=positive_int, default=20, help="timed runs (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")


def run(args: argparse.Namespace) -> None:
    """Print a row for each measurement as it is made."""
    options = Options(config=resolve(args.preset), device=args.device, repeat=args.repeat)
    print(f"{machine(options.device)}\n")
    measurements = []
    for measurement in _measure([args.suite] if args.suite else SUITES, options):
        print(measurement.row(), flush=True)
        measurements.append(measurement)
    if args.json:
        rows = [asdict(measurement) for measurement in measurements]
        document = {"machine": machine(options.device), "measurements": rows}
        write_text(args.json, json.dumps(document, indent=2) + "\n")


def machine(device: str) -> str:
    """One line that names what the numbers were measured on."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return (
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )


def _measure(suites: tuple[str, ...] | list[str], options: Options) -> Iterator[Measurement]:
    for suite in suites:
        yield from importlib.import_module(f"occflow_ros.cli.bench.{suite}").measure(options)
