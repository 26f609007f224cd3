"""Occupancy at one bit per voxel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_BYTE_SHIFT = 3  # 2³ voxels in a byte


@dataclass(frozen=True, slots=True)
class PackedVoxels:
    """A volume at one bit per voxel, an eighth of the memory of bools.

    The 200 × 200 × 16 voxels of nuScenes take 80 kB in place of 640: a set keeps, stores and sends
    to a GPU an eighth, and the first-level cache of a GPU holds all of it.

    Args:
        bits: (⌈X·Y·Z / 8⌉,) uint8; voxel i of the row-major volume is bit i mod 8, counted from
            the lowest, of byte ⌊i / 8⌋. Bits past the last voxel are zero.
        shape: (X, Y, Z).

    Raises:
        ValueError: where the bytes are not as many as the shape needs.
    """

    bits: Bytes
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        expected = -(-math.prod(self.shape) >> _BYTE_SHIFT)
        if self.bits.shape != (expected,) or self.bits.dtype != np.uint8:
            raise ValueError(
                f"bits of {self.shape} voxels: expected ({expected},) uint8, "
                f"got {self.bits.shape} {self.bits.dtype}"
            )

    @classmethod
    def pack(cls, occupied: Mask) -> PackedVoxels:
        """From (X, Y, Z) bool."""
        if occupied.ndim != 3 or occupied.dtype != np.bool_:
            raise ValueError(
                f"occupied: expected (X, Y, Z) bool, got {occupied.shape} {occupied.dtype}"
            )
        x, y, z = occupied.shape
        return cls(np.packbits(occupied.reshape(-1), bitorder="little"), (x, y, z))

    def unpack(self) -> Mask:
        """(X, Y, Z) bool."""
        count = math.prod(self.shape)
        flat = np.unpackbits(self.bits, count=count, bitorder="little")  # (X·Y·Z,)
        return flat.view(np.bool_).reshape(self.shape)


def as_bytes(occupied: Mask | PackedVoxels) -> tuple[Bytes, int]:
    """Bytes (N,) and a shift s: voxel i of the row-major volume is bit i mod 2^s of byte i >> s."""
    if isinstance(occupied, PackedVoxels):
        return np.ascontiguousarray(occupied.bits), _BYTE_SHIFT
    return np.ascontiguousarray(occupied).reshape(-1).view(np.uint8), 0  # (X·Y·Z,)
