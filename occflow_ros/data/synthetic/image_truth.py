"""Exact truth of each image as a compressed npz: depth, optical flow and masks.

`truth/<camera>/<set>.npz` holds, for an image of H×W pixels:

    depth_m           (H, W) float32, along the optical axis, inf for the sky
    semantic          (H, W) uint8, numbers of `occflow_ros.data.classes`, free for the sky
    instance          (H, W) int32, 0 for the street and the sky
    flow_forward_px   (H, W, 2) float32, (u, v) to the same camera's image of the next set
    flow_backward_px  (H, W, 2) float32, to that of the previous set
    visible_forward   (H, W) bool, inside the other image and not hidden there
    visible_backward  (H, W) bool
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from occflow_ros.data.synthetic.frames import render_rig
from occflow_ros.data.synthetic.optical_flow import optical_flow
from occflow_ros.data.synthetic.render import Rendering
from occflow_ros.data.synthetic.rig import Rig
from occflow_ros.data.synthetic.world import World

FOLDER = "truth"


class ImageTruthWriter:
    """Writes the truth of consecutive sets into a folder.

    The flow of the first and last set leads to images before and after the drive, which exist in
    the world although they are not written.
    """

    def __init__(
        self, folder: Path, world: World, rig: Rig, interval_s: float, workers: int = 1
    ) -> None:
        self._folder = folder
        self._world = world
        self._rig = rig
        self._interval_s = interval_s
        self._workers = workers
        self._previous: Mapping[str, Rendering] | None = None
        self._current: tuple[int, float, Mapping[str, Rendering]] | None = None

    def add(self, number: int, time_s: float, renderings: Mapping[str, Rendering]) -> None:
        """Take the images of the next set, by camera name."""
        if self._current is None:
            self._previous = self._render(time_s - self._interval_s)
        else:
            self._write(renderings)
        self._current = (number, time_s, renderings)

    def finish(self) -> None:
        """Write the last set."""
        if self._current is not None:
            self._write(self._render(self._current[1] + self._interval_s))

    def _render(self, time_s: float) -> Mapping[str, Rendering]:
        return render_rig(self._world, self._rig, time_s, self._workers)

    def _write(self, following: Mapping[str, Rendering]) -> None:
        assert self._current is not None and self._previous is not None
        number, _, renderings = self._current
        for name, rendering in renderings.items():
            path = self._folder / name / f"{number:06d}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            forward = optical_flow(self._world, rendering, following[name])
            backward = optical_flow(self._world, rendering, self._previous[name])
            np.savez_compressed(
                path,
                depth_m=rendering.depth_m.cpu().numpy(),
                semantic=rendering.semantic.cpu().numpy(),
                instance=rendering.instance.cpu().numpy(),
                flow_forward_px=forward.flow_px.float().cpu().numpy(),
                flow_backward_px=backward.flow_px.float().cpu().numpy(),
                visible_forward=forward.visible.cpu().numpy(),
                visible_backward=backward.visible.cpu().numpy(),
            )
        self._previous = renderings
