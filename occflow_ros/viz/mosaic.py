"""The images of one camera set in one picture, arranged as the cameras look out of the vehicle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.geometry.camera import Image
from occflow_ros.viz.canvas import blank, draw_text, text_width_px
from occflow_ros.viz.palette import MUTED, PANEL

_GAP_PX = 6
_MAX_COLUMNS = 3


def draw_mosaic(
    images: Mapping[str, Image],
    forward_xy: Mapping[str, npt.ArrayLike],
    width_px: int,
    max_height_px: int,
) -> Image:
    """Camera images from left to right, those that look ahead above those that look back.

    Args:
        images: (H, W, 3) by camera name; a camera of the rig may be missing.
        forward_xy: where each camera of the rig looks, along ego x and y.
        width_px: of the picture.
        max_height_px: the cells shrink until the picture is not higher.
    """
    rows = arrange({name: np.asarray(vector) for name, vector in forward_xy.items()})
    columns = max(len(row) for row in rows)
    aspect = np.median([image.shape[0] / image.shape[1] for image in images.values()])
    cell_width = (width_px - _GAP_PX * (columns - 1)) // columns
    cell_height = min(
        round(cell_width * aspect), (max_height_px - _GAP_PX * (len(rows) - 1)) // len(rows)
    )
    canvas = blank(len(rows) * (cell_height + _GAP_PX) - _GAP_PX, width_px)
    for i, row in enumerate(rows):
        left = (width_px - len(row) * (cell_width + _GAP_PX) + _GAP_PX) // 2
        for j, name in enumerate(row):
            y, x = i * (cell_height + _GAP_PX), left + j * (cell_width + _GAP_PX)
            canvas[y : y + cell_height, x : x + cell_width] = _cell(
                name, images.get(name), cell_height, cell_width
            )
    return canvas


def arrange(forward_xy: Mapping[str, npt.NDArray]) -> list[list[str]]:
    """Rows of camera names, each from left to right as a passenger who turns round sees them."""
    azimuth = {name: np.arctan2(vector[1], vector[0]) for name, vector in forward_xy.items()}
    by_azimuth = sorted(azimuth, key=lambda name: -azimuth[name])
    if len(by_azimuth) <= _MAX_COLUMNS:
        return [by_azimuth]
    ahead = [name for name in by_azimuth if abs(azimuth[name]) < np.pi / 2.0]
    behind = sorted(set(by_azimuth) - set(ahead), key=lambda name: azimuth[name] % (2.0 * np.pi))
    return [row for row in (ahead, behind) if row]


def _cell(name: str, image: Image | None, height_px: int, width_px: int) -> Image:
    cell = blank(height_px, width_px, PANEL)
    if image is None:
        note = "no image"
        draw_text(cell, note, ((width_px - text_width_px(note)) // 2, height_px // 2), MUTED)
    else:
        _paste_fitted(cell, image)
    _label(cell, name)
    return cell


def _paste_fitted(cell: Image, image: Image) -> None:
    scale = min(size / full for size, full in zip(cell.shape[:2], image.shape[:2]))
    height, width = (max(1, round(full * scale)) for full in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    top, left = (cell.shape[0] - height) // 2, (cell.shape[1] - width) // 2
    cell[top : top + height, left : left + width] = cv2.resize(
        image, (width, height), interpolation=method
    )


def _label(cell: Image, name: str) -> None:
    tag = cell[:20, : text_width_px(name, 7) + 14]
    tag[:] = tag // 4
    draw_text(cell, name, (6, 14), cap_height_px=7)


def camera_directions(base_T_camera: Mapping[str, npt.NDArray]) -> dict[str, Sequence[float]]:
    """Where each camera looks along ego x and y: its optical z axis, by name."""
    return {name: pose[:2, 2].tolist() for name, pose in base_T_camera.items()}
