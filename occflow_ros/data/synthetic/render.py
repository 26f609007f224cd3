"""One camera image of the world with its exact geometry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.data.synthetic.candidates import image_rectangles, rectangle_pairs
from occflow_ros.data.synthetic.color import colors
from occflow_ros.data.synthetic.raycast import first_hits
from occflow_ros.data.synthetic.shading import to_pixels
from occflow_ros.data.synthetic.surfaces import per_solid, semantics, surfaces_of
from occflow_ros.data.synthetic.world import World
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import pixel_rays

NEAR_M = 0.1


@dataclass(frozen=True, slots=True)
class Rendering:
    """What one camera sees at one instant.

    Args:
        time_s: of the exposure.
        K: (3, 3) float64 intrinsics in pixels.
        odom_T_camera: (4, 4) float64 pose of the optical frame.
        image: (H, W, 3) uint8 RGB.
        depth_m: (H, W) float32 z along the optical axis, inf for the sky.
        semantic: (H, W) uint8 of `occflow_ros.data.classes`, FREE for the sky.
        instance: (H, W) int32 object number, 0 for the street and the sky.
        primitive: (H, W) int64 index of the solid, GROUND or SKY.
        point_m: (H, W, 3) float64 surface point in `odom`; unit direction where the sky is.
        normal: (H, W, 3) float32 outward unit normal in `odom` axes, zero for the sky.
    """

    time_s: float
    K: Tensor
    odom_T_camera: Tensor
    image: Tensor
    depth_m: Tensor
    semantic: Tensor
    instance: Tensor
    primitive: Tensor
    point_m: Tensor
    normal: Tensor


def render(
    world: World,
    time_s: float,
    K: Tensor | se3.Array,
    odom_T_camera: Tensor | se3.Array,
    height_px: int,
    width_px: int,
) -> Rendering:
    """Render on the device of the world, one ray through the centre of each pixel.

    Args:
        K: (3, 3) intrinsics in pixels.
        odom_T_camera: (4, 4) pose of the optical frame at `time_s`.

    Raises:
        ValueError: where the image size is not positive or a matrix has another shape.
    """
    K, pose = (_matrix(value, world.device) for value in (K, odom_T_camera))
    if min(height_px, width_px) < 1 or K.shape != (3, 3) or pose.shape != (4, 4):
        raise ValueError(
            f"expected a positive size, K (3, 3) and odom_T_camera (4, 4); got "
            f"{(height_px, width_px)}, {tuple(K.shape)}, {tuple(pose.shape)}"
        )
    primitives = world.primitives_at(time_s)
    rays = pixel_rays(K, height_px, width_px).reshape(-1, 3) @ pose[:3, :3].T  # (H·W, 3)
    camera_T_odom = torch.linalg.inv(pose)
    lower, upper = image_rectangles(primitives, camera_T_odom, K, height_px, width_px, NEAR_M)

    def pairs(chosen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        yield from rectangle_pairs(lower, torch.where(chosen[:, None], upper, lower), width_px)

    hits = first_hits(primitives, world.road, pose[:3, 3], rays.float(), pairs, NEAR_M)
    surfaces = surfaces_of(primitives, world.road, pose[:3, 3], rays, hits)
    color = colors(world, primitives, surfaces, rays.float(), hits.distance, K[0, 0].float())
    instance = per_solid(primitives.instance, hits.primitive, 0)
    shape = (height_px, width_px)
    return Rendering(
        time_s=time_s,
        K=K,
        odom_T_camera=pose,
        image=to_pixels(color).reshape(*shape, 3),
        depth_m=hits.distance.reshape(shape),
        semantic=semantics(primitives, surfaces).to(torch.uint8).reshape(shape),
        instance=instance.to(torch.int32).reshape(shape),
        primitive=hits.primitive.reshape(shape),
        point_m=surfaces.point_m.reshape(*shape, 3),
        normal=surfaces.normal.reshape(*shape, 3),
    )


def _matrix(value: Tensor | se3.Array, device: torch.device) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64, device=device)
