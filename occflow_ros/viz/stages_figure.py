"""The same camera set as several predictions have it, side by side: before, after, truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from occflow_ros.data.scene import VoxelScene
from occflow_ros.geometry.camera import Image
from occflow_ros.viz.birds_eye import draw_birds_eye
from occflow_ros.viz.canvas import beside, blank, titled
from occflow_ros.viz.figure import class_colors_of, framed, heading
from occflow_ros.viz.legend import draw_class_legend
from occflow_ros.viz.palette import class_table
from occflow_ros.viz.voxel_view import Viewpoint, draw_voxels

_COLUMN_PX = 340
_VIEW_PX = 220
_GAP_PX = 10
_VIEWPOINT = Viewpoint(eye_m=(-40.0, 12.0, 32.0), target_m=(4.0, 0.0, -5.0), fov_deg=58.0)


def draw_stages(title: str, scenes: Sequence[tuple[str, VoxelScene]]) -> Image:
    """A column for each scene: from behind and above, then from straight above, by class.

    Args:
        title: of the figure.
        scenes: with their names, from left to right; those without classes by height and motion.
    """
    columns = [_column(name, scene) for name, scene in scenes]
    height = max(column.shape[0] for column in columns)
    body = beside([_padded(column, height) for column in columns], _GAP_PX)
    width = body.shape[1]
    legend = draw_class_legend(class_colors_of([scene for _, scene in scenes]), width)
    return framed([heading(title, width), body, legend])


def _column(name: str, scene: VoxelScene) -> Image:
    colors = None
    if scene.class_id is not None:
        colors = class_table(scene.class_names)[scene.class_id]  # (X, Y, Z, 3)
    ahead = draw_voxels(scene, _VIEW_PX, _COLUMN_PX, _VIEWPOINT, colors)
    (x0, y0, _), (x1, y1, _) = scene.grid.lower_m, scene.grid.upper_m
    above = draw_birds_eye(scene, round(_COLUMN_PX * (x1 - x0) / (y1 - y0)), colors)
    gap = blank(_GAP_PX, _COLUMN_PX)
    return titled(np.vstack((ahead, gap, above[:, :_COLUMN_PX])), name)


def _padded(image: Image, height_px: int) -> Image:
    below = height_px - image.shape[0]
    return np.vstack((image, blank(below, image.shape[1]))) if below else image
