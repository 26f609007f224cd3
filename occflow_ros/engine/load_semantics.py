"""A checkpoint of the semantic network beside a stream of occupancy and flow."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from occflow_ros.depth.rendered import render_depths
from occflow_ros.engine.semantics import SemanticEngine, SemanticStream
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.models.build import load_mono_network
from occflow_ros.models.mono.mono_net import MonoOccNet


def with_semantics(
    stream: OccupancyStream, weights: Path, sharpness_per_m: float
) -> SemanticStream:
    """The stream with a class for each voxel; the network is what the checkpoint says it is.

    Args:
        stream: of occupancy and flow, whose rendered depth the semantic network takes.
        weights: checkpoint of MonoOcc.
        sharpness_per_m: ξ of equation 13 with which depth is rendered.

    Raises:
        DataError: where the file cannot be read or holds another kind of network.
    """
    return beside(stream, load_mono_network(weights), sharpness_per_m)


def beside(stream: OccupancyStream, network: MonoOccNet, sharpness_per_m: float) -> SemanticStream:
    """As `with_semantics`, with a network that is there."""
    engine = SemanticEngine(network, stream.device, stream.precision)
    return SemanticStream(stream, engine, partial(render_depths, sharpness_per_m=sharpness_per_m))
