"""Values that cross stages: grid, rig, frame, clip, and the predicted occupancy flow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

UNKNOWN_CLASS_ID = 255
"""In place of the number of a class."""


@dataclass(frozen=True, slots=True)
class VoxelGrid:
    """An axis-aligned box of voxels in the ego frame (x forward, y left, z up).

    Volumes on it are indexed (X, Y, Z). A voxel index names the voxel that contains the point.

    Args:
        lower_m: smallest corner (x, y, z).
        upper_m: largest corner (x, y, z).
        shape: number of voxels along (x, y, z).

    Raises:
        ValueError: where the box is empty or the shape is not three positive numbers.
    """

    lower_m: tuple[float, float, float]
    upper_m: tuple[float, float, float]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        if not len(self.lower_m) == len(self.upper_m) == len(self.shape) == 3:
            raise ValueError(f"expected three values each for lower_m, upper_m, shape; got {self}")
        if any(lower >= upper for lower, upper in zip(self.lower_m, self.upper_m)):
            raise ValueError(f"expected lower_m < upper_m, got {self.lower_m} and {self.upper_m}")
        if any(count < 1 for count in self.shape):
            raise ValueError(f"expected a positive shape, got {self.shape}")

    @property
    def voxel_size_m(self) -> tuple[float, float, float]:
        """Edge lengths of one voxel along (x, y, z)."""
        x, y, z = (
            (upper - lower) / count
            for lower, upper, count in zip(self.lower_m, self.upper_m, self.shape)
        )
        return x, y, z

    @property
    def num_voxels(self) -> int:
        """Voxels of the whole grid."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def coarsen(self, factor: int) -> VoxelGrid:
        """The same box with voxels `factor` times as long; raises ValueError where uneven."""
        if any(count % factor for count in self.shape):
            raise ValueError(f"expected a shape divisible by {factor}, got {self.shape}")
        x, y, z = (count // factor for count in self.shape)
        return replace(self, shape=(x, y, z))

    def centers_m(self, device: torch.device | str = "cpu") -> Tensor:
        """Voxel centres in metres, (X, Y, Z, 3) float32."""
        axes = [
            lower + size * (torch.arange(count, device=device) + 0.5)
            for lower, size, count in zip(self.lower_m, self.voxel_size_m, self.shape)
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)

    def continuous_index(self, points_m: Tensor) -> Tensor:
        """Points (..., 3) in metres to fractional indices; the centre of voxel i lies at i."""
        lower = points_m.new_tensor(self.lower_m)
        size = points_m.new_tensor(self.voxel_size_m)
        return (points_m - lower) / size - 0.5

    def index_of(self, points_m: Tensor) -> tuple[Tensor, Tensor]:
        """Containing voxel of each point.

        Args:
            points_m: (..., 3) ego coordinates.

        Returns:
            indices (..., 3) int64, clamped into the grid, and inside (...) bool.
        """
        index = torch.floor(self.continuous_index(points_m) + 0.5).long()
        shape = torch.tensor(self.shape, device=points_m.device)
        inside = ((index >= 0) & (index < shape)).all(dim=-1)
        return torch.minimum(index.clamp(min=0), shape - 1), inside

    def flatten_index(self, index: Tensor) -> Tensor:
        """Indices (x, y, z), (..., 3), to row-major ones (x·Y + y)·Z + z, (...)."""
        x, y, z = index.unbind(-1)
        _, ny, nz = self.shape
        return (x * ny + y) * nz + z

    def unflatten_index(self, flat: Tensor) -> Tensor:
        """Row-major indices (x·Y + y)·Z + z, (...), to indices (x, y, z), (..., 3)."""
        _, ny, nz = self.shape
        return torch.stack((flat // (ny * nz), flat // nz % ny, flat % nz), dim=-1)

    def centers_of(self, flat: Tensor) -> Tensor:
        """Centres in metres, (..., 3) float64, of the voxels with these row-major indices."""
        index = self.unflatten_index(flat).double()
        return index.new_tensor(self.lower_m) + (index + 0.5) * index.new_tensor(self.voxel_size_m)


@dataclass(frozen=True, slots=True)
class CameraRig:
    """Calibration of the cameras of one set at the network's image size.

    Args:
        names: one per camera.
        K: (N, 3, 3) pinhole intrinsics in pixels of the network's image.
        base_T_camera: (N, 4, 4) optical frame to the ego frame at the reference stamp; the ego
            motion between the image's own stamp and the reference is already in it.
        present: (N,) bool, False where the set lacks this camera's image.
    """

    names: tuple[str, ...]
    K: Tensor
    base_T_camera: Tensor
    present: Tensor

    def __post_init__(self) -> None:
        n = len(self.names)
        for field, value, shape in (
            ("K", self.K, (n, 3, 3)),
            ("base_T_camera", self.base_T_camera, (n, 4, 4)),
            ("present", self.present, (n,)),
        ):
            if tuple(value.shape) != shape:
                raise ValueError(f"{field}: expected shape {shape}, got {tuple(value.shape)}")
        if self.present.dtype != torch.bool:
            raise ValueError(f"present: expected bool, got {self.present.dtype}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One synchronised camera set, ready for the network.

    Args:
        stamp_ns: reference time of the set.
        images: (N, 3, H, W) uint8 RGB, zeros where the camera is absent.
        rig: calibration of the same N cameras at this size.
        odom_T_base: (4, 4) float64 pose of the ego in the fixed frame at `stamp_ns`.
    """

    stamp_ns: int
    images: Tensor
    rig: CameraRig
    odom_T_base: Tensor

    def __post_init__(self) -> None:
        n = len(self.rig.names)
        if self.images.ndim != 4 or self.images.shape[:2] != (n, 3):
            raise ValueError(f"images: expected ({n}, 3, H, W), got {tuple(self.images.shape)}")
        if self.images.dtype != torch.uint8:
            raise ValueError(f"images: expected uint8, got {self.images.dtype}")
        if tuple(self.odom_T_base.shape) != (4, 4) or self.odom_T_base.dtype != torch.float64:
            raise ValueError("odom_T_base: expected (4, 4) float64")
        if not self.rig.present.any():
            raise ValueError(f"expected an image of one of {self.rig.names}, got none")


@dataclass(frozen=True, slots=True)
class Clip:
    """Consecutive frames of one rig, oldest first; the last is the current one."""

    frames: tuple[Frame, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("expected at least one frame, got none")
        stamps = [frame.stamp_ns for frame in self.frames]
        if any(later <= earlier for earlier, later in pairwise(stamps)):
            raise ValueError(f"expected increasing stamps, got {stamps}")
        rigs = {(frame.rig.names, tuple(frame.images.shape)) for frame in self.frames}
        if len(rigs) > 1:
            raise ValueError(f"expected frames of one rig and image size, got {sorted(rigs)}")


@dataclass(frozen=True, slots=True)
class SparseVoxels:
    """The occupied voxels of one prediction.

    Args:
        index: (M,) int64 row-major index into the grid, ascending.
        probability: (M,) occupancy probability.
        velocity_mps: (M, 2) velocity over ground along ego x and y.
        class_id: (M,) uint8, `UNKNOWN_CLASS_ID` where unknown; None where there are no classes.
    """

    index: Tensor
    probability: Tensor
    velocity_mps: Tensor
    class_id: Tensor | None = None


@dataclass(frozen=True, slots=True)
class OccupancyFlow:
    """Occupancy and motion predicted for one frame.

    Args:
        stamp_ns: reference time.
        grid: where the volumes lie in the ego frame at that time.
        sdf_m: (X, Y, Z) signed distance to the nearest surface, negative inside.
        flow_m: (X, Y, Z, 2) displacement of what fills the voxel over the next `interval_s`,
            in the ego frame at `stamp_ns`, ego motion removed (x, y).
        interval_s: time between t and t+1 for which `flow_m` holds.
        sharpness_per_m: ξ in the occupancy probability σ(−s·ξ) of the signed distance s.
        level_m: a voxel counts as occupied where its signed distance is at most this.
        class_id: (X, Y, Z) uint8 what fills the voxel, a place in `class_names`, or
            `UNKNOWN_CLASS_ID`; None where no classes are estimated.
        class_names: of the network that estimates them.

    Raises:
        ValueError: where a volume is not on the grid, or classes have no names or names no classes.
    """

    stamp_ns: int
    grid: VoxelGrid
    sdf_m: Tensor
    flow_m: Tensor
    interval_s: float
    sharpness_per_m: float
    level_m: float
    class_id: Tensor | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, value, shape in (
            ("sdf_m", self.sdf_m, self.grid.shape),
            ("flow_m", self.flow_m, (*self.grid.shape, 2)),
        ):
            if tuple(value.shape) != shape:
                raise ValueError(f"{field}: expected shape {shape}, got {tuple(value.shape)}")
        self._check_classes()

    def _check_classes(self) -> None:
        if (self.class_id is None) != (not self.class_names):
            raise ValueError("class_names: expected them beside class_id, and only there")
        if self.class_id is None:
            return
        shape, dtype = tuple(self.class_id.shape), self.class_id.dtype
        if (shape, dtype) != (self.grid.shape, torch.uint8):
            raise ValueError(
                f"class_id: expected shape {self.grid.shape} of torch.uint8, got {shape} of {dtype}"
            )

    @property
    def probability(self) -> Tensor:
        """Occupancy probability σ(−s·ξ), (X, Y, Z)."""
        return torch.sigmoid(-self.sdf_m * self.sharpness_per_m)

    @property
    def occupied(self) -> Tensor:
        """(X, Y, Z) bool, signed distance ≤ `level_m`."""
        return self.sdf_m <= self.level_m

    @property
    def velocity_mps(self) -> Tensor:
        """(X, Y, Z, 2) velocity over ground along ego x and y."""
        return self.flow_m / self.interval_s

    def sparse(self) -> SparseVoxels:
        """The occupied voxels only, gathered on the device of the volumes."""
        index = self.occupied.flatten().nonzero().squeeze(1)
        sdf_m = self.sdf_m.flatten().index_select(0, index)
        return SparseVoxels(
            index=index,
            probability=torch.sigmoid(-sdf_m * self.sharpness_per_m),
            velocity_mps=self.flow_m.flatten(0, 2).index_select(0, index) / self.interval_s,
            class_id=None
            if self.class_id is None
            else self.class_id.flatten().index_select(0, index),
        )
