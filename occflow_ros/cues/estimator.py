"""What makes cues: an estimator names its recipe and turns images into flow or masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from occflow_ros.cues.cue import FlowCue, Mask
from occflow_ros.cues.images import CameraImage, ImagePair


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a cue depends on beside the images.

    Args:
        name: of the estimator, and of the folder with its cues.
        version: of its code, raised whenever other cues come out.
        settings: numbers and words that change what comes out.
        arguments: of `occflow cues`, which make these cues.
    """

    name: str
    version: int
    arguments: tuple[str, ...]
    settings: Mapping[str, float | str] = field(default_factory=dict)


class FlowEstimator(Protocol):
    """Optical flow between the two images of a pair."""

    @property
    def recipe(self) -> Recipe:
        """What the flow depends on beside the images."""

    def origin(self, pair: ImagePair) -> str:
        """Hash of the files that the flow is taken from, empty where only from the images."""

    def estimate(self, pair: ImagePair) -> tuple[FlowCue, FlowCue]:
        """Flow earlier → later and later → earlier; raises DataError."""


class MaskEstimator(Protocol):
    """Pixels of things that can move by themselves, whether or not they do."""

    @property
    def recipe(self) -> Recipe:
        """What the mask depends on beside the image."""

    def origin(self, image: CameraImage) -> str:
        """Hash of the file that the mask is taken from, empty where only from the image."""

    def estimate(self, image: CameraImage) -> Mask:
        """(H, W) bool; raises DataError."""
