"""Opens any kind of drive by looking at what its folder holds."""

from __future__ import annotations

from pathlib import Path

from occflow_ros.data.drive import Drive
from occflow_ros.data.nuscenes import read_nuscenes
from occflow_ros.data.recording import HEADER, read_recording
from occflow_ros.errors import DataError


def open_drive(
    source: str | Path,
    scene: str | None = None,
    version: str | None = None,
    keyframes_only: bool = True,
) -> Drive:
    """Read a recording folder, or one scene of a nuScenes data set.

    Args:
        source: the folder.
        scene: name, token or index of a nuScenes scene; None takes the only one.
        version: tables of the nuScenes data set; None takes the only ones.
        keyframes_only: of a nuScenes scene, leave out what lies between the keyframes.

    Raises:
        DataError: where the folder holds neither, or not what was asked for.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with a drive, found none")
    if (folder / HEADER).exists():
        if scene is not None or version is not None:
            raise DataError(f"{folder}: a recording folder has no scenes or versions to choose")
        return read_recording(folder)
    return read_nuscenes(folder, _version(folder, version), scene, keyframes_only)


def _version(folder: Path, version: str | None) -> str:
    found = sorted(path.parent.name for path in folder.glob("*/scene.json"))
    if version in found:
        return str(version)
    if not found:
        raise DataError(
            f"{folder}: expected {HEADER} (a recording folder) or v1.0-*/scene.json"
            " (a nuScenes data set), found neither"
        )
    if version is None and len(found) == 1:
        return found[0]
    raise DataError(f"{folder}: expected a version out of {found}, got {version or 'none'}")
