"""The world: solids, how they move, and the ego's path, all in closed form over time."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from occflow_ros.data.drive import Box
from occflow_ros.data.synthetic.motion import Motion, states_at
from occflow_ros.data.synthetic.primitives import Primitives
from occflow_ros.data.synthetic.road import Road
from occflow_ros.geometry import se3

_Record = TypeVar("_Record", "World", "Parts", Motion, Road)


@dataclass(frozen=True, slots=True)
class Parts:
    """P solids in the frames of the objects that they belong to.

    Args:
        owner: (P,) int64 index of the object; 0 is the street, whose frame is the world.
        object_T_local: (P, 4, 4) float64.
        half_m: (P, 3) float32.
        taper: (P, 3) float32.
        shape: (P,) int64.
        material: (P,) int64.
        color: (P, 3) float32 linear RGB.
        variant: (P,) float32 in [0, 1).
        class_id: (P,) int64.
    """

    owner: Tensor
    object_T_local: Tensor
    half_m: Tensor
    taper: Tensor
    shape: Tensor
    material: Tensor
    color: Tensor
    variant: Tensor
    class_id: Tensor


@dataclass(frozen=True, slots=True)
class World:
    """A street with its traffic. The fixed frame `odom` of a drive is the frame of the world.

    Args:
        seed: it was made from.
        road: the street.
        parts: all solids.
        motion: of the K objects; the entry of object 0, the street, has no meaning.
        categories: nuScenes category of each object, empty for object 0.
        sizes_lwh_m: (K, 3) float64 annotated sizes.
        ego: motion of the base, one entry.
        crosswalks_m: (C,) places along the street.
        sun: (3,) float64 unit vector towards the sun.
        noise: table of `textures.noise_table`.
    """

    seed: int
    road: Road
    parts: Parts
    motion: Motion
    categories: tuple[str, ...]
    sizes_lwh_m: Tensor
    ego: Motion
    crosswalks_m: Tensor
    sun: Tensor
    noise: Tensor

    @property
    def device(self) -> torch.device:
        """Where its tensors lie and its images are rendered."""
        return self.noise.device

    def to(self, device: torch.device | str) -> World:
        """The same world on another device."""
        return replace(
            _on_device(self, device),
            road=_on_device(self.road, device),
            parts=_on_device(self.parts, device),
            motion=_on_device(self.motion, device),
            ego=_on_device(self.ego, device),
        )

    def primitives_at(self, time_s: float) -> Primitives:
        """All solids at a time; their order never changes."""
        states = states_at(self.motion, self.road, time_s)
        parts, owner = self.parts, self.parts.owner
        is_street = owner == 0
        identity = torch.eye(4, dtype=torch.float64, device=self.device)
        world_T_object = torch.where(
            is_street[:, None, None], identity, states.world_T_object[owner]
        )
        yaw_rate = torch.where(is_street, 0.0, states.yaw_rate_rad_per_s[owner])
        world_T_local = world_T_object @ parts.object_T_local
        arm = world_T_local[:, :3, 3] - world_T_object[:, :3, 3]
        velocity = torch.where(is_street[:, None], 0.0, states.velocity_mps[owner])
        return Primitives(
            world_T_local=world_T_local,
            half_m=parts.half_m,
            taper=parts.taper,
            shape=parts.shape,
            material=parts.material,
            color=parts.color,
            variant=parts.variant,
            class_id=parts.class_id,
            instance=owner,
            velocity_mps=velocity + turning_velocity(yaw_rate, arm),
            yaw_rate_rad_per_s=yaw_rate,
        )

    def odom_T_base(self, time_s: float) -> se3.Array:  # noqa: N802
        """(4, 4) pose of the ego."""
        return states_at(self.ego, self.road, time_s).world_T_object[0].cpu().numpy()

    def boxes_at(self, time_s: float, range_m: float = 60.0) -> tuple[Box, ...]:
        """Annotations of the objects within a distance of the ego."""
        states = states_at(self.motion, self.road, time_s)
        odom_T_base = self.odom_T_base(time_s)
        base_T_odom = se3.inverse(odom_T_base)
        poses = states.world_T_object.cpu().numpy()
        velocities = states.velocity_mps.cpu().numpy() @ base_T_odom[:3, :3].T
        boxes = []
        for index in range(1, len(self.categories)):
            length, width, height = self.sizes_lwh_m[index].tolist()
            base_T_box = base_T_odom @ poses[index]
            base_T_box[2, 3] += 0.5 * height
            if (base_T_box[:2, 3] ** 2).sum() > range_m**2:
                continue
            boxes.append(
                Box(
                    id=f"{self.seed}-{index}",
                    category=self.categories[index],
                    base_T_box=base_T_box,
                    size_lwh_m=(length, width, height),
                    velocity_mps=(float(velocities[index, 0]), float(velocities[index, 1])),
                )
            )
        return tuple(boxes)


def turning_velocity(yaw_rate_rad_per_s: Tensor, arm_m: Tensor) -> Tensor:
    """ω × r of points (M, 3) around an upright axis, ω (M,)."""
    x, y, _ = arm_m.unbind(-1)
    rate = yaw_rate_rad_per_s
    return torch.stack((-rate * y, rate * x, torch.zeros_like(x)), dim=-1)


def _on_device(record: _Record, device: torch.device | str) -> _Record:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    moved: dict[str, Any] = {
        name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)
    }
    return replace(record, **moved)
