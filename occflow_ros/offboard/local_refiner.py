"""Stage 1 of OccFiner over a recording: local propagation, window by window (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.engine import checkpoint
from occflow_ros.models.build import build_refine_network
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.recording import Classes, RecordedFrame, Velocities
from occflow_ros.offboard.window_refiner import WindowRefiner, check_recording, window_sizes
from occflow_ros.offboard.windows import aligned_windows
from occflow_ros.refine_config import RefineConfig


class LocalRefiner:
    """A trained network that refines recordings of the model it was trained for.

    Args:
        weights: checkpoint of kind `refine`.
        device: torch device.

    Raises:
        DataError: where the checkpoint cannot be read or is one of another kind.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        config = checkpoint.load(weights, RefineConfig).config.model
        network = build_refine_network(config, weights).to(device)
        self._config = config
        self._refiner = WindowRefiner(network, torch.device(device))

    def refine(
        self, recording: FrameStore, places: range, segment: range
    ) -> Iterator[tuple[int, RecordedFrame]]:
        """Refined frames with these places, in order.

        Windows follow from the segment alone, so a frame is the same whichever places are asked
        for. A segment shorter than a window is one window of fewer frames; a reference that is not
        there is left out.

        Args:
            recording: what the onboard model said.
            places: of the frames to refine, within the segment.
            segment: run of frames without a jump; nothing outside of it is looked at.

        Raises:
            DataError: where the recording is on another grid or has other classes than the network,
                or a frame cannot be read.
            ValueError: where a place is not in the segment.
        """
        if places and not (segment.start <= places[0] and places[-1] < segment.stop):
            raise ValueError(f"places: expected some of {segment}, got {places}")
        info = recording.info
        check_recording(info, self._config)
        for window, answers in aligned_windows(segment, window_sizes(self._config)):
            wanted = [place for place in answers if place in places]
            if not wanted:
                continue
            frames = list(recording.frames(window.places))
            onboard = torch.from_numpy(np.stack([frame.class_id for frame in frames]))
            refined = self._refiner.classes(onboard, window, info)
            for place in wanted:
                at = place - window.local.start
                velocity_mps = kept_velocities(frames[at], refined[at], info.vocabulary)
                yield place, RecordedFrame(refined[at], velocity_mps)


def kept_velocities(
    onboard: RecordedFrame, refined: Classes, vocabulary: Vocabulary
) -> Velocities | None:
    """(X, Y, Z, 2) of the onboard model, where it saw something and something movable is there.

    The network knows nothing of motion. Zero elsewhere; None where the onboard model has none.
    """
    if onboard.velocity_mps is None:
        return None
    kept = np.isin(refined, vocabulary.movable) & (onboard.class_id != vocabulary.empty)
    return np.where(kept[..., None], onboard.velocity_mps, np.float32(0.0))
