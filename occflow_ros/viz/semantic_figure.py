"""One picture of one camera set by class: images, voxels drawn over them, voxels by themselves."""

from __future__ import annotations

from occflow_ros.data.drive import Camera, CameraSet, Drive, SensorFile
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.sensors import load_view
from occflow_ros.engine.assemble import View
from occflow_ros.geometry.camera import Image, ImageFit
from occflow_ros.geometry.se3 import Array
from occflow_ros.ops.area_resize import fit_image
from occflow_ros.viz.birds_eye import draw_birds_eye
from occflow_ros.viz.canvas import beside, titled
from occflow_ros.viz.figure import Caption, class_colors_of, framed, heading
from occflow_ros.viz.legend import draw_class_legend
from occflow_ros.viz.mosaic import camera_directions, draw_mosaic
from occflow_ros.viz.palette import class_table
from occflow_ros.viz.semantic_overlay import class_id_of, draw_overlay
from occflow_ros.viz.voxel_view import draw_voxels

_VIEW_HW_PX = (420, 740)
_MOST_IMAGE_WIDTH_PX = 1200
_MAX_MOSAIC_PX = 460
_GAP_PX = 12


def draw_semantic_set(
    drive: Drive,
    camera_set: CameraSet,
    prediction: VoxelScene,
    odom_T_base: Array,
    reference: VoxelScene | None,
    caption: Caption,
) -> Image:
    """Images over the same with the prediction's voxels on them, then both from behind and above.

    Args:
        drive: whose calibration holds.
        camera_set: with the images.
        prediction: of the set, with classes.
        odom_T_base: (4, 4) pose of the prediction's ego frame.
        reference: what it is held against; None where there is nothing.
        caption: the words.

    Raises:
        DataError: where an image cannot be read.
        ValueError: where the prediction has no classes.
    """
    scenes = [prediction]
    rows = [_views("Prediction", caption.prediction, prediction)]
    if reference is not None and reference.class_id is not None:
        scenes.append(reference)
        rows.append(_views(caption.reference, caption.reference_note, reference))
    width = rows[0].shape[1]
    directions = camera_directions(
        {name: camera.base_T_camera for name, camera in drive.cameras.items()}
    )
    views = {name: _view(drive.cameras[name], file) for name, file in camera_set.images.items()}
    plain = {name: view.image for name, view in views.items()}
    drawn = {name: draw_overlay(view, odom_T_base, prediction) for name, view in views.items()}
    mosaics = [draw_mosaic(images, directions, width, _MAX_MOSAIC_PX) for images in (plain, drawn)]
    legend = draw_class_legend(class_colors_of(scenes), width)
    return framed([heading(caption.title, width), *mosaics, *rows, legend])


def _views(name: str, note: str, scene: VoxelScene) -> Image:
    height, width = _VIEW_HW_PX
    colors = class_table(scene.class_names)[class_id_of(scene)]  # (X, Y, Z, 3)
    above = draw_birds_eye(scene, height, colors)
    ahead = draw_voxels(scene, height, width, colors=colors)
    return titled(beside([ahead, above], _GAP_PX), name, note)


def _view(camera: Camera, file: SensorFile) -> View:
    """The rectified image, not larger than it is drawn."""
    view = load_view(camera, file)
    height, width = view.image.shape[:2]
    if width <= _MOST_IMAGE_WIDTH_PX:
        return view
    smaller = (round(height * _MOST_IMAGE_WIDTH_PX / width), _MOST_IMAGE_WIDTH_PX)
    fit = ImageFit((height, width), smaller)
    image = fit_image(fit, view.image)
    return View(image, fit.intrinsics(view.K), view.base_T_camera, view.odom_T_base)
