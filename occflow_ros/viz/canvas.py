"""Drawing on RGB images: smooth text, arrows, panels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from occflow_ros.geometry.camera import Image
from occflow_ros.viz.palette import BACKGROUND, MUTED, TEXT, Color

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_OVERSAMPLING = 4
_CAP_HEIGHT_PX = 21.0  # of the font at scale 1
SUBPIXEL_BITS = 4

_JPEG_QUALITIES = (90, 80, 70, 60, 50)
_FULL_COLOR = (
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    if hasattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR")  # OpenCV 4.7 and later
    else ()
)


def blank(height_px: int, width_px: int, color: Color = BACKGROUND) -> Image:
    """A canvas (H, W, 3) in one colour."""
    return np.full((height_px, width_px, 3), color, dtype=np.uint8)


def text_width_px(text: str, cap_height_px: float = 9.0) -> int:
    """Width that `draw_text` needs."""
    return round(cv2.getTextSize(text, _FONT, cap_height_px / _CAP_HEIGHT_PX, 1)[0][0])


def draw_text(
    image: Image,
    text: str,
    xy_px: tuple[int, int],
    color: Color = TEXT,
    cap_height_px: float = 9.0,
    bold: bool = False,
) -> None:
    """Write ASCII text in place, its baseline starting at `xy_px`; what leaves the image is cut."""
    scale = cap_height_px / _CAP_HEIGHT_PX * _OVERSAMPLING
    thickness = round(scale * (2.6 if bold else 1.7))
    (width, ascent), descent = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = 2 * _OVERSAMPLING
    mask = np.zeros((ascent + descent + 2 * pad, width + 2 * pad), dtype=np.uint8)
    cv2.putText(mask, text, (pad, pad + ascent), _FONT, scale, 255, thickness, cv2.LINE_AA)
    small = cv2.resize(
        mask, None, fx=1 / _OVERSAMPLING, fy=1 / _OVERSAMPLING, interpolation=cv2.INTER_AREA
    )
    x = xy_px[0] - pad // _OVERSAMPLING
    y = xy_px[1] - round((pad + ascent) / _OVERSAMPLING)
    _blend(image, small, (x, y), color)


def draw_arrow(
    image: Image,
    start_xy_px: Sequence[float],
    end_xy_px: Sequence[float],
    color: Color,
    thickness_px: int = 2,
) -> None:
    """An arrow in place with a head of fixed size, over a dark outline that sets it off."""
    start, end = np.asarray(start_xy_px, dtype=float), np.asarray(end_xy_px, dtype=float)
    length = float(np.linalg.norm(end - start))
    if length < 1.0:
        return
    along = (end - start) / length
    across = np.array((-along[1], along[0]))
    head = min(5.0 + 1.5 * thickness_px, length)
    neck = end - along * head
    tip = np.stack((end, neck + across * head * 0.5, neck - across * head * 0.5))
    for tone, outline_px in (((10, 14, 20), 2), (color, 0)):
        width = thickness_px + outline_px
        cv2.line(image, _fixed(start), _fixed(neck), tone, width, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.fillConvexPoly(image, _fixed_points(tip), tone, cv2.LINE_AA, SUBPIXEL_BITS)
        if outline_px:
            corners = [_fixed_points(tip)]
            cv2.polylines(image, corners, True, tone, outline_px, cv2.LINE_AA, SUBPIXEL_BITS)


def titled(image: Image, title: str, note: str = "") -> Image:
    """The image under a strip with its title on the left and a note on the right."""
    strip = blank(30, image.shape[1])
    draw_text(strip, title, (2, 20), bold=True, cap_height_px=10)
    if note:
        draw_text(strip, note, (strip.shape[1] - text_width_px(note) - 4, 20), MUTED)
    return np.vstack((strip, image))


def beside(images: Sequence[Image], gap_px: int) -> Image:
    """Images of one height next to each other."""
    gap = blank(images[0].shape[0], gap_px)
    columns = [part for image in images for part in (gap, image)]
    return np.hstack(columns[1:])


def jpeg(image: Image, most_bytes: int | None = None) -> bytes:
    """The image as a file's content.

    Args:
        image: to write.
        most_bytes: quality is lowered until it has no more, as far as that does; None for the best.
    """
    best, *lower = _JPEG_QUALITIES
    data = _jpeg(image, best)
    while most_bytes is not None and lower and len(data) > most_bytes:
        data = _jpeg(image, lower.pop(0))
    return data


def _jpeg(image: Image, quality: int) -> bytes:
    settings = (cv2.IMWRITE_JPEG_QUALITY, quality, *_FULL_COLOR)
    _, data = cv2.imencode(".jpg", image[..., ::-1], settings)
    return bytes(data.tobytes())


def _blend(image: Image, mask: np.ndarray, xy_px: tuple[int, int], color: Color) -> None:
    x, y = xy_px
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + mask.shape[0], image.shape[0]), min(x + mask.shape[1], image.shape[1])
    if top >= bottom or left >= right:
        return
    alpha = mask[top - y : bottom - y, left - x : right - x, None] / 255.0
    area = image[top:bottom, left:right]
    area[:] = np.round(area * (1.0 - alpha) + np.array(color) * alpha)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.round(point * (1 << SUBPIXEL_BITS)).astype(int)
    return int(x), int(y)


def _fixed_points(points: np.ndarray) -> np.ndarray:
    return np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
