"""Poses of a drive at any time, for predictions that were recorded without them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from occflow_ros.data.drive import Drive
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array, interpolate


def drive_poses(data: Sequence[Path], stamps_ns: Sequence[int]) -> tuple[Drive, dict[int, Array]]:
    """The drive of some folders that spans some of these times, and its poses at those.

    Args:
        data: folders as `open_drives` takes them.
        stamps_ns: ascending.

    Raises:
        DataError: where no drive spans one, or several do.
    """
    found = {drive.name: drive for one in data for drive in open_drives(one, Selection())}
    poses = {name: _poses(drive, stamps_ns) for name, drive in found.items()}
    spanning = [name for name in found if poses[name]]
    if len(spanning) != 1:
        raise DataError(
            f"{', '.join(map(str, data))}: expected one drive at the times of the predictions, "
            f"{stamps_ns[0]} to {stamps_ns[-1]} ns, got {', '.join(spanning) or 'none'} of "
            f"{len(found)}"
        )
    return found[spanning[0]], poses[spanning[0]]


def _poses(drive: Drive, wanted_ns: Sequence[int]) -> dict[int, Array]:
    """Interpolated between the sets around each time; without those outside of the drive."""
    stamps_ns = [one.stamp_ns for one in drive.sets]
    poses = {}
    for stamp_ns in wanted_ns:
        after = bisect_left(stamps_ns, stamp_ns)
        if after < len(stamps_ns) and stamps_ns[after] == stamp_ns:
            poses[stamp_ns] = drive.sets[after].odom_T_base
        elif 0 < after < len(stamps_ns):
            earlier, later = drive.sets[after - 1 : after + 1]
            fraction = (stamp_ns - earlier.stamp_ns) / (later.stamp_ns - earlier.stamp_ns)
            poses[stamp_ns] = interpolate(earlier.odom_T_base, later.odom_T_base, fraction)
    return poses
