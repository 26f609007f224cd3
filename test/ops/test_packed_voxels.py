"""One bit per voxel: where each lies by hand, and there and back."""

import numpy as np
import pytest

from occflow_ros.ops.packed_voxels import PackedVoxels


def test_bits_lie_in_row_major_order_lowest_first():
    occupied = np.zeros((1, 2, 5), dtype=bool)
    occupied[0, 0, 3] = occupied[0, 1, 2] = occupied[0, 1, 4] = True  # voxels 3, 7 and 9
    packed = PackedVoxels.pack(occupied)
    assert packed.bits.tolist() == [0b1000_1000, 0b10]
    assert packed.shape == (1, 2, 5)


@pytest.mark.parametrize("shape", [(0, 3, 2), (1, 1, 1), (3, 5, 7), (4, 4, 16)])
@pytest.mark.parametrize("transposed", [False, True])
def test_unpacking_gives_back_what_was_packed(shape, transposed):
    occupied = np.random.default_rng(1).random(shape) < 0.4
    occupied = occupied.T if transposed else occupied
    packed = PackedVoxels.pack(occupied)
    assert packed.bits.nbytes == -(-occupied.size // 8)
    np.testing.assert_array_equal(packed.unpack(), occupied)
    assert packed.unpack().dtype == np.bool_


def test_other_types_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"expected \(2,\) uint8, got \(3,\) uint8"):
        PackedVoxels(np.zeros(3, np.uint8), (1, 3, 5))
    with pytest.raises(ValueError, match=r"expected \(2,\) uint8, got \(2,\) int64"):
        PackedVoxels(np.zeros(2, np.int64), (1, 3, 5))
    with pytest.raises(ValueError, match=r"expected \(X, Y, Z\) bool, got \(2, 2\) bool"):
        PackedVoxels.pack(np.zeros((2, 2), bool))
    with pytest.raises(ValueError, match="uint8"):
        PackedVoxels.pack(np.zeros((2, 2, 2), np.uint8))
