"""The picture of a network in training: a held-out set, and a sample it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from occflow_ros.config import Config
from occflow_ros.data.clips import load_clip
from occflow_ros.data.scene import truth_scene
from occflow_ros.engine.prediction import scene_of
from occflow_ros.engine.rendered_depth import exact_depths, lidar_depths
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.engine.view import FAR_M, N_SAMPLES, NEAR_M
from occflow_ros.evaluation.subject import Subject
from occflow_ros.geometry.camera import Image, pixel_rays
from occflow_ros.losses.dynamic import RayMotion, classify_rays
from occflow_ros.losses.reprojection import expected_points, reproject
from occflow_ros.metrics.accuracy import load_truth
from occflow_ros.rendering.field import volume_field
from occflow_ros.rendering.rays import camera_rays, clip_to_grid
from occflow_ros.rendering.renderer import Samples, render
from occflow_ros.structures import CameraRig, Frame, OccupancyFlow
from occflow_ros.training.sample import TrainingSample
from occflow_ros.viz.mosaic import camera_directions
from occflow_ros.viz.training_pictures import (
    DYNAMIC,
    MOVABLE,
    Row,
    depth_colors,
    depth_scale,
    draw_points,
    draw_training_picture,
    motion_colors,
    overlay,
)

_NEAREST_M = 2.0
"""Where the colours of depth begin."""

_STRIDE = 2
"""Every second row and column of the images is rendered."""

_FULL_MPS = 10.0
"""Speed that is drawn with full brightness."""

_FULL_SHARE = 0.75
"""Share of the optical flow of a sample that is drawn with less than that."""

_SAMPLES_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What the N cameras of a frame see in a prediction, at h × w of their pixels.

    Args:
        depth_m: (N, h, w) along the optical axis; rays that meet nothing end at the grid's border.
        velocity_mps: (N, h, w, 2) along ego x and y.
        pixels: (N, h, w, 2) columns and rows of the pixels.
        end_m: (N, h, w, 3) where the rays end, in the ego frame.
    """

    depth_m: Tensor
    velocity_mps: Tensor
    pixels: Tensor
    end_m: Tensor


def draw_progress(
    title: str,
    stream: OccupancyStream,
    held_out: Subject,
    sample: TrainingSample,
    config: Config,
    sharpness_per_m: float,
) -> Image:
    """Images, depth and motion of a held-out set; masks of a training sample; both from above.

    Args:
        title: of the picture.
        stream: of the network.
        held_out: whose middle set is shown.
        sample: with cues, on the CPU.
        config: of network and training.
        sharpness_per_m: ξ of equation 13.

    Raises:
        DataError: where an image or a truth cannot be read.
    """
    drive, camera_set = held_out.drive, held_out.drive.sets[held_out.middle]
    history, size_px = config.model.temporal.history, config.model.image_hw_px
    clip = load_clip(drive, held_out.middle, history, size_px)
    flow = stream.forward_clip(clip)
    truth = load_truth(camera_set, flow.grid)
    return draw_training_picture(
        title,
        rows=(
            *_held_out_rows(flow, clip.frames[-1], held_out, sharpness_per_m),
            *_sample_rows(stream, sample, config, sharpness_per_m),
        ),
        forward_xy=camera_directions(
            {name: camera.base_T_camera for name, camera in drive.cameras.items()}
        ),
        prediction=scene_of(flow),
        truth=None if truth is None else truth_scene(truth.coarse),
    )


def _held_out_rows(
    flow: OccupancyFlow, frame: Frame, held_out: Subject, sharpness_per_m: float
) -> tuple[Row, ...]:
    rig, drive = frame.rig, held_out.drive
    seen = look(flow, rig, _size_px(frame.images), sharpness_per_m)
    kind = "LiDAR returns" if held_out.truth_files is None else "exact, every fourth pixel"
    return (
        Row(f"Held out: {drive.name}, set {held_out.middle}", _cells(rig, _rgb(frame.images))),
        Row(
            "Rendered depth",
            _cells(rig, depth_colors(seen.depth_m, _NEAREST_M, FAR_M)),
            f"{_NEAREST_M:.0f} to {FAR_M:.0f} m",
            depth_scale(_NEAREST_M, FAR_M),
        ),
        Row("True depth", _true_depth(frame, held_out), kind),
        Row(
            "Rendered motion",
            _cells(rig, motion_colors(seen.velocity_mps, _FULL_MPS)),
            f"hue by direction as below, full brightness from {_FULL_MPS:.0f} m/s on",
        ),
    )


def _sample_rows(
    stream: OccupancyStream, sample: TrainingSample, config: Config, sharpness_per_m: float
) -> tuple[Row, ...]:
    rig, size_px = sample.current.rig, _size_px(sample.images)
    seen = look(stream.forward_clip(sample.clip), rig, size_px, sharpness_per_m)
    motion, static_px = _motion(seen, sample, config.train.motion.dynamic_threshold_px)
    dynamic = motion.dynamic.view(seen.depth_m.shape).numpy()  # (N, h, w)
    movable = sample.movable.numpy()
    masked = [
        overlay(image, {MOVABLE: movable[camera], DYNAMIC: dynamic[camera]})
        for camera, image in enumerate(_rgb(sample.images))
    ]
    known = sample.following.known.unsqueeze(-1)
    cues_px = torch.where(known, sample.following.flow_px, torch.nan)
    full_px = _bright_px(sample)
    return (
        Row("A training sample", _cells(rig, masked), "yellow: movable; red: dynamic, too"),
        Row(
            "Optical flow of the cues to the next images",
            _cells(rig, _image_motion(cues_px, full_px)),
            f"hue by direction, full brightness from {full_px:.0f} px on",
        ),
        Row(
            "The same flow if all stood still at the rendered depth",
            _cells(rig, _image_motion(static_px, full_px)),
        ),
    )


def look(
    flow: OccupancyFlow, rig: CameraRig, image_hw_px: tuple[int, int], sharpness_per_m: float
) -> Seen:
    """Render a prediction for all cameras of a rig.

    Args:
        flow: the prediction.
        rig: in its ego frame, with intrinsics for images of this size.
        image_hw_px: H and W.
        sharpness_per_m: ξ of equation 13.
    """
    first = _STRIDE // 2
    grid = [pixel_rays(K, *image_hw_px)[first::_STRIDE, first::_STRIDE] for K in rig.K]
    directions = torch.stack(grid)  # (N, h, w, 3)
    shape = directions.shape[:3]
    device = flow.sdf_m.device
    rays = camera_rays(
        directions.flatten(1, 2).to(device), rig.base_T_camera.to(device), NEAR_M, FAR_M
    )
    rays = clip_to_grid(rays, flow.grid)
    with torch.inference_mode():
        view = render(
            volume_field(flow.grid, flow.sdf_m.float(), flow.flow_m.float()),
            rays,
            sharpness_per_m,
            n_samples=N_SAMPLES,
            max_samples_at_once=_SAMPLES_AT_ONCE,
            closed=True,
            per_ray=_ends,
        )
    assert view.flow_m is not None and view.depth_m is not None
    pixels = torch.einsum("nij,nhwj->nhwi", rig.K, directions)[..., :2]  # (N, h, w, 2)
    return Seen(
        depth_m=view.depth_m.view(shape).cpu(),
        velocity_mps=(view.flow_m / flow.interval_s).view(*shape, 2).cpu(),  # (N, h, w, 2)
        pixels=pixels,
        end_m=view.per_ray["end_m"].view(*shape, 3).cpu(),  # (N, h, w, 3)
    )


def _ends(samples: Samples) -> dict[str, Tensor]:
    return {"end_m": expected_points(samples.points_m, samples.weights)}


def _motion(seen: Seen, sample: TrainingSample, threshold_px: float) -> tuple[RayMotion, Tensor]:
    """Rays by motion as the losses tell them, and the flow (N, h, w, 2) of what stands still."""
    other, (cameras, height, width) = sample.following, seen.depth_m.shape
    camera = torch.arange(cameras).repeat_interleave(height * width)
    column, row = seen.pixels.round().long().flatten(0, 2).unbind(-1)
    there_px, in_front = reproject(
        seen.end_m.flatten(0, 2).unsqueeze(1), other.K[camera], other.base_T_camera[camera]
    )
    static_px = there_px.squeeze(1) - seen.pixels.flatten(0, 2)
    known = other.known & other.present[:, None, None]
    motion = classify_rays(
        other.flow_px[camera, row, column],
        static_px,
        known[camera, row, column] & in_front.squeeze(1),
        sample.movable[camera, row, column],
        threshold_px,
    )
    drawn = torch.where(in_front, static_px, torch.nan)
    return motion, drawn.view(cameras, height, width, 2)


def _true_depth(frame: Frame, held_out: Subject) -> dict[str, Image]:
    """Points with their depth, by camera."""
    drive, index = held_out.drive, held_out.middle
    there = drive.sets[index].images
    if held_out.truth_files is None:
        truths, names = lidar_depths(drive, drive.sets[index]), list(there)
    else:
        truths = exact_depths(drive, index, held_out.truth_files)
        names = [name for name in drive.cameras if name in there]
    pictures = {}
    for name, truth in zip(names, truths):
        K = frame.rig.K[frame.rig.names.index(name)].double()
        along_axis = truth.directions / truth.directions[:, 2:]
        pixels = (along_axis.double() @ K.T)[:, :2].numpy()  # (P, 2)
        far_first = np.argsort(-truth.depth_m)
        colors = depth_colors(truth.depth_m, _NEAREST_M, FAR_M)
        pictures[name] = draw_points(_size_px(frame.images), pixels[far_first], colors[far_first])
    return pictures


def _bright_px(sample: TrainingSample) -> float:
    """Optical flow with full brightness."""
    length_px = sample.following.flow_px[sample.following.known].norm(dim=-1).numpy()
    return max(1.0, float(np.quantile(length_px, _FULL_SHARE))) if length_px.size else 1.0


def _image_motion(flow_px: Tensor, full_px: float) -> Image:
    """Upwards and to the left in the image as forward and to the left from above."""
    return motion_colors(-flow_px.flip(-1).numpy(), full_px)


def _cells(rig: CameraRig, images: Image | Sequence[Image]) -> dict[str, Image]:
    """By name, of the cameras that have an image; (N, h, w, 3) or N images."""
    return {name: images[i] for i, name in enumerate(rig.names) if rig.present[i]}


def _rgb(images: Tensor) -> Image:
    """(N, 3, H, W) to (N, H, W, 3)."""
    return images.movedim(1, -1).contiguous().numpy()


def _size_px(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]
