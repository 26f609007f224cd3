"""One picture of one camera set: its images, the prediction, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.sensors import load_view
from occflow_ros.geometry.camera import Image
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.birds_eye import draw_birds_eye
from occflow_ros.viz.canvas import beside, blank, draw_text, text_width_px, titled
from occflow_ros.viz.legend import draw_class_legend, draw_legend
from occflow_ros.viz.mosaic import camera_directions, draw_mosaic
from occflow_ros.viz.palette import MUTED, PANEL, Color, class_table
from occflow_ros.viz.voxel_view import draw_voxels

_VIEW_HW_PX = (420, 740)
_NARROW_VIEW_HW_PX = (420, 560)
_MAX_MOSAIC_PX = 460
_GAP_PX = 12
_MARGIN_PX = 16


@dataclass(frozen=True, slots=True)
class Caption:
    """Words in a figure.

    Args:
        title: of the whole figure.
        prediction: beside the name of the prediction's row.
        reference: name of the row that the prediction is compared with.
        reference_note: beside it.
    """

    title: str
    prediction: str = ""
    reference: str = "Ground truth"
    reference_note: str = ""


def draw_set(
    drive: Drive,
    camera_set: CameraSet,
    prediction: VoxelScene,
    reference: VoxelScene | None,
    caption: Caption,
) -> Image:
    """`draw_figure` of a recorded set; raises DataError where an image cannot be read."""
    files = camera_set.images
    images = {name: load_view(drive.cameras[name], file).image for name, file in files.items()}
    directions = camera_directions(
        {name: camera.base_T_camera for name, camera in drive.cameras.items()}
    )
    return draw_figure(images, directions, prediction, reference, caption)


def draw_figure(
    images: Mapping[str, Image],
    forward_xy: Mapping[str, npt.ArrayLike],
    prediction: VoxelScene,
    reference: VoxelScene | None,
    caption: Caption,
) -> Image:
    """Camera images over 3D and bird's-eye views of the prediction and its reference.

    Where the prediction has classes, a second 3D view shows them.

    Args:
        images: (H, W, 3) RGB by camera name.
        forward_xy: where each camera of the rig looks, along ego x and y.
        prediction: what the network says.
        reference: the same from the source, None where the source has none.
        caption: the words.
    """
    with_classes = prediction.class_id is not None
    rows = [_views("Prediction", caption.prediction, prediction, with_classes)]
    if reference is not None:
        rows.append(_views(caption.reference, caption.reference_note, reference, with_classes))
    width = rows[0].shape[1]
    stack = [
        heading(caption.title, width),
        draw_mosaic(images, forward_xy, width, _MAX_MOSAIC_PX),
        *rows,
        draw_legend(prediction.grid, width, _pixels_per_m(prediction.grid)),
    ]
    if with_classes:
        scenes = (prediction,) if reference is None else (prediction, reference)
        stack.append(draw_class_legend(class_colors_of(scenes), width))
    return framed(stack)


def _views(name: str, note: str, scene: VoxelScene, with_classes: bool) -> Image:
    height, width = _NARROW_VIEW_HW_PX if with_classes else _VIEW_HW_PX
    views = [draw_voxels(scene, height, width), draw_birds_eye(scene, height)]
    if with_classes:
        views.append(_class_view(scene, height, width))
    return titled(beside(views, _GAP_PX), name, note)


def _class_view(scene: VoxelScene, height_px: int, width_px: int) -> Image:
    if scene.class_id is not None:
        colors = class_table(scene.class_names)[scene.class_id]  # (X, Y, Z, 3)
        return draw_voxels(scene, height_px, width_px, colors=colors)
    view = blank(height_px, width_px, PANEL)
    note = "no classes in this source"
    draw_text(view, note, ((width_px - text_width_px(note)) // 2, height_px // 2), MUTED)
    return view


def class_colors_of(scenes: Sequence[VoxelScene]) -> dict[str, Color]:
    """Of the classes that occupied voxels have, by name."""
    colors: dict[str, Color] = {}
    for scene in scenes:
        if scene.class_id is None:
            continue
        table = class_table(scene.class_names)
        for number in np.unique(scene.class_id[scene.occupied]):
            if number < len(scene.class_names):
                red, green, blue = table[number].tolist()
                colors.setdefault(scene.class_names[number], (red, green, blue))
    return colors


def _pixels_per_m(grid: VoxelGrid) -> float:
    return _VIEW_HW_PX[0] / (grid.upper_m[0] - grid.lower_m[0])


def heading(title: str, width_px: int) -> Image:
    """A strip with the title of a figure."""
    strip = blank(40, width_px)
    draw_text(strip, title, (2, 28), bold=True, cap_height_px=12)
    return strip


def framed(images: Sequence[Image]) -> Image:
    """Images of one width below each other, with a margin at both sides."""
    figure = np.vstack([np.vstack((image, blank(4, image.shape[1]))) for image in images])
    margin = blank(figure.shape[0], _MARGIN_PX)
    return np.hstack((margin, figure, margin))
