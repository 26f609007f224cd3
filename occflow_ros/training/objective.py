"""One prediction and its sample to the loss: rays are drawn, rendered and compared (section 3.3).

Per ray, chunk by chunk while it is rendered: where its samples lie in the other images, what they
see there and by how much that is wrong. Then, over the grid of rays: what needs neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.losses.dynamic import (
    RayMotion,
    classify_rays,
    disentangle,
    dynamic_regularization,
)
from occflow_ros.losses.lidar import lidar_range_loss, line_of_sight_errors
from occflow_ros.losses.optical_flow import balanced_flow_loss, optical_flow_errors
from occflow_ros.losses.photometric import SourceColors, photometric_errors, source_colors
from occflow_ros.losses.reduction import RayErrors, masked_mean
from occflow_ros.losses.reprojection import displace, expected_points, reproject
from occflow_ros.losses.sdf import (
    adaptive_sparsity_loss,
    eikonal_errors,
    hessian_loss,
    soft_sparsity_loss,
    solid_behind,
)
from occflow_ros.losses.smoothness import depth_smoothness_loss, flow_smoothness_loss
from occflow_ros.losses.total import LossTerm, TotalLoss, total_loss
from occflow_ros.models.heads import Prediction
from occflow_ros.rendering import neus
from occflow_ros.rendering.derivatives import sdf_gradient, sdf_hessian
from occflow_ros.rendering.field import Field, volume_field
from occflow_ros.rendering.rays import Rays
from occflow_ros.rendering.renderer import PerRay, Rendered, Samples, render
from occflow_ros.rendering.samplers import stratified_offsets
from occflow_ros.structures import VoxelGrid
from occflow_ros.training.rays import CameraPixels, draw_camera_pixels, draw_lidar_rays
from occflow_ros.training.sample import OtherImages, TrainingSample
from occflow_ros.training_config import TrainConfig


@dataclass(frozen=True, slots=True)
class Objective:
    """The losses of one sample.

    Args:
        grid: of the prediction.
        config: of training.
        joint: geometry and motion together (stage 2); else the static assumption (stage 1).
    """

    grid: VoxelGrid
    config: TrainConfig
    joint: bool

    def __call__(
        self,
        prediction: Prediction,
        sample: TrainingSample,
        sharpness_per_m: Tensor | float,
        generator: torch.Generator,
    ) -> TotalLoss:
        """Equation 12.

        Args:
            prediction: of a batch of one.
            sample: on the same device.
            sharpness_per_m: ξ of equation 13.
            generator: on the CPU, draws the rays.
        """
        sdf_m = prediction.sdf_m[0].float()
        flow_m = prediction.flow_m[0].float() if self.joint else None
        field = volume_field(self.grid, sdf_m, flow_m)
        with torch.autocast(sdf_m.device.type, enabled=False):
            values = self._camera_losses(field, sample, sharpness_per_m, generator)
            values |= self._lidar_losses(field, sample, sharpness_per_m, generator)
            values |= self._volume_losses(sdf_m)
            return total_loss(values, self._terms(values))

    def _camera_losses(
        self,
        field: Field,
        sample: TrainingSample,
        sharpness_per_m: Tensor | float,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        rendering = self.config.rendering
        pixels = draw_camera_pixels(
            sample.current.rig,
            (sample.images.shape[-2], sample.images.shape[-1]),
            rendering.camera_grid_hw,
            rendering.near_m,
            rendering.far_m,
            self.grid,
            generator,
            sample.images.device,
        )
        views = _Views.of(sample, pixels)
        per_ray = _PerRay(views, self.config, self.joint)
        seen = self._render(field, pixels.rays, sharpness_per_m, generator, per_ray)
        return self._grid_losses(seen, views)

    def _render(
        self,
        field: Field,
        rays: Rays,
        sharpness_per_m: Tensor | float,
        generator: torch.Generator,
        per_ray: PerRay | None = None,
    ) -> Rendered:
        """Rays end where they leave the grid: what is seen of them lies there or behind."""
        rendering = self.config.rendering
        return render(
            field,
            rays,
            sharpness_per_m,
            n_samples=rendering.samples,
            max_samples_at_once=rendering.max_samples_at_once,
            offsets=stratified_offsets(rays, generator).to(rays.near_m.device),
            closed=True,
            per_ray=per_ray,
        )

    def _grid_losses(self, seen: Rendered, views: _Views) -> dict[str, Tensor]:
        losses, pixels, found = self.config.losses, views.pixels, seen.per_ray
        target = pixels.on_grid(views.target)
        photometric = photometric_errors(
            target,
            [_colors_on_grid(found, name, pixels) for name in ("previous", "following")],
            [pixels.on_grid(pixels.of(images)) for images in views.still]
            if losses.auto_mask
            else None,
            losses.ssim_weight,
        )
        present = pixels.on_grid(views.present)
        here = views.cameras
        assert seen.depth_m is not None  # the rays are those of cameras
        depth_m = pixels.on_grid(seen.depth_m)
        values = {
            "reprojection": masked_mean(photometric.value, photometric.valid & present),
            "optical_flow": self._flow_loss(found),
            "depth_smoothness": depth_smoothness_loss(depth_m[here], target[here]),
            "adaptive_sparsity": adaptive_sparsity_loss(
                found["solid_m"], found["solid_count"], views.present
            ),
        }
        if seen.flow_m is not None:
            flow_m = pixels.on_grid(seen.flow_m)
            static = found["static"] & views.present
            values["flow_smoothness"] = flow_smoothness_loss(flow_m[here], target[here])
            values["dynamic_regularization"] = dynamic_regularization(seen.flow_m, static)
        return values

    def _flow_loss(self, found: Mapping[str, Tensor]) -> Tensor:
        """Equation 11 for the next images, and the static flow to the previous ones."""
        forward = RayErrors(found["forward.value"], found["forward.valid"])
        backward = masked_mean(found["backward.value"], found["backward.valid"])
        scale = self.config.losses.max_dynamic_scale
        return balanced_flow_loss(forward, found["dynamic"], scale) + backward

    def _lidar_losses(
        self,
        field: Field,
        sample: TrainingSample,
        sharpness_per_m: Tensor | float,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        rendering = self.config.rendering
        if sample.lidar is None or not rendering.lidar_rays:
            return {}
        rays, measured_m = draw_lidar_rays(
            sample.lidar,
            rendering.lidar_rays,
            rendering.near_m,
            rendering.far_m,
            self.grid,
            generator,
        )

        def line_of_sight(samples: Samples) -> dict[str, Tensor]:
            survival = neus.log_survival(samples.values.sdf_m, sharpness_per_m)
            ends_m, returns_m = samples.range_m[:, 1:], measured_m[samples.rows]
            slack_m = self.config.losses.sparsity_slack_m
            return {"error": line_of_sight_errors(survival, ends_m, returns_m, slack_m)}

        seen = self._render(field, rays, sharpness_per_m, generator, line_of_sight)
        every = torch.ones_like(measured_m, dtype=torch.bool)
        loss = lidar_range_loss(
            seen.range_m,
            measured_m,
            every,
            self.config.losses.lidar_scale_invariance,
        )
        return {"lidar": loss, "line_of_sight": masked_mean(seen.per_ray["error"], every)}

    def _volume_losses(self, sdf_m: Tensor) -> dict[str, Tensor]:
        return {
            "eikonal": eikonal_errors(sdf_gradient(sdf_m, self.grid)).mean(),
            "hessian": hessian_loss(sdf_hessian(sdf_m, self.grid)),
            "soft_sparsity": soft_sparsity_loss(sdf_m),
        }

    def _terms(self, values: Mapping[str, Tensor]) -> dict[str, LossTerm]:
        """Of the losses that this sample and stage have."""
        terms = {name: getattr(self.config.losses, name) for name in values}
        return {name: LossTerm(term.weight, term.enabled) for name, term in terms.items()}


@dataclass(frozen=True, slots=True)
class _Views:
    """What the rays of a sample are compared with.

    Args:
        pixels: the rays' own.
        cameras: (M,) int64, those that have an image.
        target: (R, 3) colours there.
        present: (R,) bool, the ray's camera has an image.
        movable: (R,) bool.
        previous: auxiliary previous images, with their colours (N, 3, H, W).
        following: next images, likewise.
    """

    pixels: CameraPixels
    cameras: Tensor
    target: Tensor
    present: Tensor
    movable: Tensor
    previous: _Other
    following: _Other

    @staticmethod
    def of(sample: TrainingSample, pixels: CameraPixels) -> _Views:
        device, on_cpu = pixels.camera.device, sample.current.rig.present
        present = on_cpu.to(device)
        return _Views(
            pixels=pixels,
            cameras=on_cpu.nonzero().squeeze(1).to(device),
            target=pixels.of(sample.images.movedim(1, -1)).float() / 255.0,
            present=present[pixels.camera],
            movable=pixels.of(sample.movable),
            previous=_Other.of(sample.previous, pixels),
            following=_Other.of(sample.following, pixels),
        )

    @property
    def still(self) -> tuple[Tensor, Tensor]:
        """Colours (N, H, W, 3) of the two other images."""
        return self.previous.colors.movedim(1, -1), self.following.colors.movedim(1, -1)


@dataclass(frozen=True, slots=True)
class _Other:
    """Other images and what belongs to each ray: all but `colors` (N, 3, H, W) are (R, ...)."""

    colors: Tensor
    K: Tensor
    base_T_camera: Tensor
    elapsed: Tensor
    present: Tensor
    flow_px: Tensor
    known: Tensor

    @staticmethod
    def of(other: OtherImages, pixels: CameraPixels) -> _Other:
        camera = pixels.camera
        return _Other(
            colors=other.images.float() / 255.0,
            K=other.K[camera],
            base_T_camera=other.base_T_camera[camera],
            elapsed=other.elapsed[camera],
            present=other.present[camera],
            flow_px=pixels.of(other.flow_px),
            known=pixels.of(other.known) & other.present[camera],
        )

    def rows(self, rows: slice) -> _Other:
        return _Other(
            self.colors,
            *(getattr(self, name)[rows] for name in _Other.__slots__ if name != "colors"),
        )

    def see(self, points_m: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (R, S, 2) of points (R, S, 3), and whether they can be seen at all (R, S)."""
        pixels, in_front = reproject(points_m, self.K, self.base_T_camera)
        return pixels, in_front & self.present.unsqueeze(1)


@dataclass(frozen=True, slots=True)
class _PerRay:
    """Errors of rays from their samples, called for one chunk of rays after the other."""

    views: _Views
    config: TrainConfig
    joint: bool

    def __call__(self, samples: Samples) -> dict[str, Tensor]:
        rows = samples.rows
        following, previous = (
            other.rows(rows) for other in (self.views.following, self.views.previous)
        )
        motion = self._motion(samples, following)
        weights, flow_m = self._weights_and_flow(samples, motion)
        moved = following.see(self._carried(samples.points_m, flow_m, following.elapsed))
        moved_back = previous.see(self._carried(samples.points_m, flow_m, previous.elapsed))
        return {
            **self._colors("following", following, moved, weights, rows),
            **self._colors("previous", previous, moved_back, weights, rows),
            **self._forward_flow(following, moved, weights, motion, rows),
            **self._backward_flow(previous, samples, motion),
            **self._solid_behind(samples),
            "dynamic": motion.dynamic,
            "static": motion.static,
        }

    def _motion(self, samples: Samples, following: _Other) -> RayMotion:
        """Equation 10, at the rendered depth."""
        end_m = expected_points(samples.points_m, samples.weights).detach()
        static_px, in_front = following.see(end_m)
        pixels = self.views.pixels.pixels[samples.rows]
        return classify_rays(
            following.flow_px,
            static_px.squeeze(1) - pixels,
            following.known & in_front.squeeze(1),
            self.views.movable[samples.rows],
            self.config.motion.dynamic_threshold_px,
        )

    def _weights_and_flow(
        self, samples: Samples, motion: RayMotion
    ) -> tuple[Tensor, Tensor | None]:
        flow_m = samples.values.flow_m
        if flow_m is None or not self.config.motion.disentanglement:
            return samples.weights, flow_m
        return disentangle(samples.weights, flow_m, motion.dynamic)

    def _carried(self, points_m: Tensor, flow_m: Tensor | None, elapsed: Tensor) -> Tensor:
        """Points where they are at the time of the other images."""
        return points_m if flow_m is None else displace(points_m, flow_m, elapsed)

    def _colors(
        self,
        name: str,
        other: _Other,
        seen: tuple[Tensor, Tensor],
        weights: Tensor,
        rows: slice,
    ) -> dict[str, Tensor]:
        pixels, usable = seen
        camera = self.views.pixels.camera[rows]
        colors = source_colors(
            self.views.target[rows], other.colors, camera, pixels, usable, weights
        )
        return {
            f"{name}.l1": colors.l1,
            f"{name}.color": colors.color,
            f"{name}.valid": colors.valid,
        }

    def _forward_flow(
        self,
        following: _Other,
        seen: tuple[Tensor, Tensor],
        weights: Tensor,
        motion: RayMotion,
        rows: slice,
    ) -> dict[str, Tensor]:
        """Static rays teach geometry, where that is wanted; dynamic ones motion, in stage 2."""
        known = following.known
        if self.config.motion.disentanglement:
            static = motion.static & self.config.motion.forward_static_flow
            known = known & (static | (motion.dynamic & self.joint))
        errors = self._flow_errors(following, seen, weights, known, rows)
        return {"forward.value": errors.value, "forward.valid": errors.valid}

    def _backward_flow(
        self, previous: _Other, samples: Samples, motion: RayMotion
    ) -> dict[str, Tensor]:
        known = previous.known & motion.static & self.config.motion.backward_static_flow
        seen = previous.see(samples.points_m)
        errors = self._flow_errors(previous, seen, samples.weights, known, samples.rows)
        return {"backward.value": errors.value, "backward.valid": errors.valid}

    def _flow_errors(
        self,
        other: _Other,
        seen: tuple[Tensor, Tensor],
        weights: Tensor,
        known: Tensor,
        rows: slice,
    ) -> RayErrors:
        pixels, usable = seen
        return optical_flow_errors(
            pixels,
            usable,
            self.views.pixels.pixels[rows],
            weights,
            other.flow_px,
            known,
            (other.colors.shape[-2], other.colors.shape[-1]),
            self.config.losses.flow_margin,
        )

    def _solid_behind(self, samples: Samples) -> dict[str, Tensor]:
        solid_m, count = solid_behind(
            samples.values.sdf_m,
            samples.range_m,
            samples.expected(samples.range_m).detach(),
            self.config.losses.sparsity_slack_m,
        )
        return {"solid_m": solid_m, "solid_count": count}


def _colors_on_grid(found: Mapping[str, Tensor], name: str, pixels: CameraPixels) -> SourceColors:
    l1, color, valid = (
        pixels.on_grid(found[f"{name}.{part}"]) for part in ("l1", "color", "valid")
    )
    return SourceColors(l1, color, valid)
