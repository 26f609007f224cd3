"""A map as a binary OctoMap tree, `.bt`.

After a head in text comes, for each node that has children and in the order of a walk that visits a
node before its children, a little-endian number of 16 bits: two for each child, from the lowest on.
Child x + 2y + 4z lies in the upper half along the axes that are 1. The tree is 16 levels deep; its
middle is the origin (Hornung et al., OctoMap, 2013).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from occflow_ros.errors import ConfigError
from occflow_ros.geometry.se3 import Array
from occflow_ros.offboard.city_map.lattice import Index, Lattice
from occflow_ros.offboard.city_map.store import CityMap
from occflow_ros.offboard.city_map.votes import occupied
from occflow_ros.output import output_file
from occflow_ros.structures import UNKNOWN_CLASS_ID

UNKNOWN, FREE, OCCUPIED, INNER = range(4)
"""The two bits of a child."""

DEPTH = 16
_BLOCK_DEPTH = 6
_BLOCK = 2**_BLOCK_DEPTH  # voxels along an edge of what is done at a time
_HALF = 2 ** (DEPTH - 1)

States = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Branch:
    """A part of the tree.

    Args:
        state: two bits of its uppermost node.
        content: numbers of its inner nodes in order, none unless the uppermost is one.
        nodes: below the uppermost.
    """

    state: int
    content: bytes = b""
    nodes: int = 0


def write_octomap(city: CityMap, path: Path) -> Array:
    """Write what is occupied and what is free; what is unknown is left out.

    Voxels that are alike are joined as OctoMap's pruning does. Classes have no place in the file.
    Edges of voxels in a tree are at multiples of their size; where those of the map are not, the
    tree lies beside it by at most half a voxel.

    Args:
        city: the map.
        path: of the file.

    Returns:
        (3,) metres to add to a point of the map to get that of the tree.

    Raises:
        ConfigError: where voxels are no cubes, or the map is larger than a tree can be.
        DataError: where the map is damaged.
        OutputError: where the file cannot be written.
    """
    lattice = city.info.lattice
    _check(lattice)
    branches = {block: _branch(_states(city, block)) for block in _blocks(city)}
    root = _root(branches)
    nodes = root.nodes + 1 if root.state != UNKNOWN else 0
    head = (
        "# Octomap OcTree binary file\n"
        f"# (occupied and free voxels of {len(city.info.drives)} drives, written by occflow)\n"
        f"#\nid OcTree\nsize {nodes}\nres {lattice.voxel_size_m[0]:.9g}\ndata\n"
    )
    with output_file(path) as partial:
        partial.write_bytes(head.encode() + root.content)
    return 0.0 - np.array(lattice.phase_m)


def _check(lattice: Lattice) -> None:
    if not np.allclose(lattice.voxel_size_m, lattice.voxel_size_m[0], rtol=1e-6):
        raise ConfigError(
            f"bt: expected cubic voxels, got {lattice.voxel_size_m} m; give a voxel size"
        )
    upper = np.add(lattice.lower, lattice.shape)
    if min(lattice.lower) < -_HALF or upper.max() > _HALF:
        raise ConfigError(
            f"bt: expected voxels {-_HALF} to {_HALF - 1} from the origin along each axis, got "
            f"{lattice.lower} to {tuple((upper - 1).tolist())}"
        )


def _blocks(city: CityMap) -> list[Index]:
    """Numbers of the blocks, from the lower corner of the tree, that the map reaches into."""
    found: set[Index] = set()
    for number in city.finished:
        lower, shape = city.info.lattice.region(number)
        ranges = (
            range((a + _HALF) // _BLOCK, (a + n - 1 + _HALF) // _BLOCK + 1)
            for a, n in zip(lower, shape)
        )
        found.update((x, y, z) for x, y, z in product(*ranges))
    return sorted(found)


def _states(city: CityMap, block: Index) -> States:
    """(64, 64, 64) of the voxels of a block."""
    class_id = city.read([place * _BLOCK - _HALF for place in block], (_BLOCK,) * 3).class_id
    states = np.where(class_id == UNKNOWN_CLASS_ID, UNKNOWN, FREE).astype(np.uint8)
    states[occupied(class_id, city.info.vocabulary)] = OCCUPIED
    return states


def _branch(states: States) -> _Branch:
    """The branch of a cube of voxels whose edge is a power of two."""
    numbers, orders, nodes = [], [], 0
    level = 0
    while len(states) > 1:
        level += 1
        children = _children(states)  # (N, N, N, 8)
        states = _joined(children)
        inner = np.nonzero(states == INNER)
        below = children[inner].astype(np.uint16)  # (M, 8)
        numbers.append((below << np.arange(0, 16, 2, dtype=np.uint16)).sum(axis=1, dtype="<u2"))
        first = _morton(*inner) << 3 * level  # of the voxels in the node
        orders.append(np.stack((first, np.full(len(first), -level))))
        nodes += int(np.count_nonzero(below))
    order = np.concatenate(orders, axis=1)  # (2, M)
    content = np.concatenate(numbers)[np.lexsort(order[::-1])].tobytes()
    return _Branch(int(states[0, 0, 0]), content, nodes)


def _children(states: States) -> States:
    """(2N, 2N, 2N) to (N, N, N, 8)."""
    count = len(states) // 2
    halves = states.reshape(count, 2, count, 2, count, 2)  # (N, 2x, N, 2y, N, 2z)
    return halves.transpose(0, 2, 4, 5, 3, 1).reshape(count, count, count, 8)


def _joined(children: States) -> States:
    """State of nodes (...) with these children (..., 8)."""
    first = children[..., 0]
    alike = (children == first[..., None]).all(axis=-1)
    return np.where(alike, first, INNER).astype(np.uint8)


def _root(branches: Mapping[Index, _Branch]) -> _Branch:
    """All blocks under one node."""
    for _ in range(DEPTH - _BLOCK_DEPTH):
        above: dict[Index, dict[int, _Branch]] = defaultdict(dict)
        for (x, y, z), branch in branches.items():
            child = (x & 1) + 2 * (y & 1) + 4 * (z & 1)
            above[x >> 1, y >> 1, z >> 1][child] = branch
        branches = {place: _over(children) for place, children in above.items()}
    return branches.get((0, 0, 0), _Branch(UNKNOWN))


def _over(children: Mapping[int, _Branch]) -> _Branch:
    states = np.array([children[i].state if i in children else UNKNOWN for i in range(8)], np.uint8)
    state = int(_joined(states))
    if state != INNER:
        return _Branch(state)
    number = sum(int(child) << 2 * place for place, child in enumerate(states))
    parts = [children[place] for place in sorted(children)]
    content = b"".join((number.to_bytes(2, "little"), *(part.content for part in parts)))
    return _Branch(INNER, content, int(np.count_nonzero(states)) + sum(p.nodes for p in parts))


def _morton(x: npt.NDArray, y: npt.NDArray, z: npt.NDArray) -> npt.NDArray[np.int64]:
    """Bits of three numbers below 64 in turn, those of x lowest."""
    spread = np.array([_spread(value) for value in range(_BLOCK)], np.int64)
    return spread[x] | spread[y] << 1 | spread[z] << 2


def _spread(value: int) -> int:
    return sum((value >> bit & 1) << 3 * bit for bit in range(_BLOCK_DEPTH))
