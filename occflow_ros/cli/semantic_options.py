"""Options of commands that run the semantic network by itself: where its depth comes from."""

from __future__ import annotations

import argparse
from pathlib import Path

from occflow_ros.config import Config
from occflow_ros.engine import checkpoint
from occflow_ros.errors import ConfigError
from occflow_ros.weights import UNTRAINED, choose_weights

RENDERED = "rendered"


def add_depth_arguments(group: argparse._ActionsContainer) -> None:
    """`--depth` and `--occupancy-weights`."""
    group.add_argument(
        "--depth",
        default=RENDERED,
        metavar="rendered|DIR",
        help="of the images, for MonoOcc by itself: rendered by the network of occupancy that"
        " --preset names, or files as occflow depth makes them (default: %(default)s)",
    )
    group.add_argument(
        "--occupancy-weights",
        default="",
        metavar="FILE",
        help="of the network that renders it, or untrained (default: what comes with the package)",
    )


def semantic_checkpoint(weights: str) -> Path | None:
    """The file where it is a checkpoint of MonoOcc; raises DataError where it is none of any kind.

    Args:
        weights: as given to `--weights`: a file, `untrained` or nothing.
    """
    if weights in ("", UNTRAINED):
        return None
    path = Path(weights).expanduser()
    return path if checkpoint.kind_of(path) == "mono" else None


def chosen_depth(args: argparse.Namespace, config: Config) -> tuple[Path | None, Path | None]:
    """Folder of depth files, None: rendered; and checkpoint of the network that renders it.

    Raises:
        ConfigError: where there is nothing to render depth with, or both are given.
    """
    if args.depth != RENDERED:
        if args.occupancy_weights:
            raise ConfigError(f"--occupancy-weights: expected --depth rendered, got {args.depth}")
        return Path(args.depth).expanduser(), None
    weights = choose_weights(args.occupancy_weights, config.model)
    if weights is None and args.occupancy_weights != UNTRAINED:
        raise ConfigError(
            "--depth: expected --occupancy-weights to render it with, as none come with the "
            f"package for the preset {args.preset}, or a folder of depth files"
        )
    return None, weights


def refuse_depth(args: argparse.Namespace, got: str) -> None:
    """Raise ConfigError where one of the options is given that nothing would take.

    Args:
        args: of the command.
        got: what is there in place of a checkpoint of MonoOcc.
    """
    given = {"--depth": args.depth != RENDERED, "--occupancy-weights": args.occupancy_weights}
    for option, value in given.items():
        if value:
            raise ConfigError(f"{option}: expected --weights of MonoOcc, got {got}")
