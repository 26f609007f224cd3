"""All cues of one image as training takes them."""

from __future__ import annotations

from dataclasses import dataclass

from occflow_ros.cues.cue import FlowCue, Mask
from occflow_ros.cues.fit import fit_flow, fit_mask
from occflow_ros.cues.folder import CueFolder
from occflow_ros.cues.images import CameraImage, image_of
from occflow_ros.data.drive import Drive
from occflow_ros.geometry.camera import ImageFit


@dataclass(frozen=True, slots=True)
class CameraCues:
    """Cues of one image, at the network's size.

    Args:
        forward: flow to the next set, None where the camera has no image there.
        backward: flow to the previous set, None where the camera has no image there.
        movable: (H, W) bool, None where no masks are used.
    """

    forward: FlowCue | None
    backward: FlowCue | None
    movable: Mask | None


def load_camera_cues(
    cues: CueFolder,
    drive: Drive,
    index: int,
    camera: str,
    image_hw_px: tuple[int, int],
    previous: int | None = None,
) -> CameraCues:
    """Cues of the image that a camera has in the set at `index`.

    Args:
        cues: to read.
        drive: that holds the set.
        index: of the set.
        camera: name.
        image_hw_px: size of the network's images.
        previous: set that the flow backward leads to, None for the one before.

    Raises:
        IndexError: where the camera has no image in the set.
        DataError: where a cue is missing or damaged; names the command that makes it.
    """
    image = image_of(drive, index, camera)
    if image is None:
        raise IndexError(f"{drive.name}: expected an image of {camera} in set {index}, found none")
    fit = ImageFit(image.size_hw_px, image_hw_px)

    def flow_to(other: CameraImage | None) -> FlowCue | None:
        if other is None or not cues.has_flow:
            return None
        return fit_flow(cues.flow(image, other), fit)

    return CameraCues(
        forward=flow_to(image_of(drive, index + 1, camera)),
        backward=flow_to(image_of(drive, index - 1 if previous is None else previous, camera)),
        movable=fit_mask(cues.movable(image), fit) if cues.has_movable else None,
    )
