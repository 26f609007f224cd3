"""Opens any kind of drive by looking at what its folder holds."""

from __future__ import annotations

from pathlib import Path

from occflow_ros.data.drive import Drive
from occflow_ros.data.kitti_odometry import SEQUENCES, read_kitti_odometry
from occflow_ros.data.kitti_raw import DRIVES, read_kitti_raw
from occflow_ros.data.kitti_tracking import IMAGES, read_kitti_tracking
from occflow_ros.data.nuscenes import read_nuscenes
from occflow_ros.data.recording import HEADER, read_recording
from occflow_ros.errors import DataError

_TABLES = "*/scene.json"
_STRUCTURES = {
    "recording": ("a recording folder", (HEADER,)),
    "nuscenes": ("a nuScenes data set", (_TABLES,)),
    "kitti_raw": ("a KITTI raw data set", (DRIVES,)),
    "kitti_odometry": ("a KITTI odometry or SemanticKITTI data set", (SEQUENCES,)),
    "kitti_tracking": ("a KITTI tracking data set", IMAGES),
}
"""By kind: what it is called, and patterns of which its folder holds one."""

_NAMES_SHOWN = 10


def open_drive(
    source: str | Path,
    scene: str | None = None,
    version: str | None = None,
    keyframes_only: bool = True,
    stereo: bool = False,
) -> Drive:
    """Read a recording folder, or one scene of a nuScenes or KITTI data set.

    Args:
        source: the folder; of a data set, its root.
        scene: name, token or index of a nuScenes scene, name of a KITTI drive, number of a KITTI
            sequence; None takes the only one.
        version: tables of the nuScenes data set, or `training` or `testing` of KITTI tracking; None
            takes the only ones.
        keyframes_only: of a nuScenes scene, leave out what lies between the keyframes.
        stereo: of a KITTI drive, take camera 3 beside camera 2.

    Raises:
        DataError: where the folder holds none of these, or not what was asked for.
    """
    folder = check_folder(source)
    match kind_of(folder):
        case "recording":
            if scene is not None or version is not None:
                raise DataError(f"{folder}: a recording folder has no scenes or versions to choose")
            return read_recording(folder)
        case "nuscenes":
            return read_nuscenes(folder, version_of(folder, version), scene, keyframes_only)
        case "kitti_tracking":
            return read_kitti_tracking(folder, version, scene, stereo)
        case kind:
            if version is not None:
                raise DataError(f"{folder}: a KITTI raw or odometry data set has no versions")
            read = read_kitti_raw if kind == "kitti_raw" else read_kitti_odometry
            return read(folder, scene, stereo)


def check_folder(source: str | Path) -> Path:
    """The folder of a drive; raises DataError where there is none."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with a drive, found none")
    return folder


def kind_of(folder: Path) -> str:
    """A key of what is known; raises DataError that lists what was looked for and what is there."""
    for kind, (_, patterns) in _STRUCTURES.items():
        if any(True for pattern in patterns for _ in folder.glob(pattern)):
            return kind
    expected = "; ".join(f"{' or '.join(p)} ({what})" for what, p in _STRUCTURES.values())
    raise DataError(f"{folder}: expected one of {expected}; found {_contents(folder)}")


def _contents(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return (", ".join(names[:_NAMES_SHOWN]) or "nothing") + more


def version_of(folder: Path, version: str | None) -> str:
    """Tables of a nuScenes data set that were asked for, or the only ones; raises DataError."""
    found = sorted(path.parent.name for path in folder.glob(_TABLES))
    if version in found:
        return str(version)
    if version is None and len(found) == 1:
        return found[0]
    raise DataError(f"{folder}: expected a version out of {found}, got {version or 'none'}")
