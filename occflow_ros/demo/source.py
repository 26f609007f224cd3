"""The drive that the demo replays: the user's, or a synthetic one that is made once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from occflow_ros import __version__
from occflow_ros.data.drive import Drive
from occflow_ros.data.recording import write_recording
from occflow_ros.data.source import open_drive
from occflow_ros.data.synthetic.write import SceneOptions, write_synthetic


@dataclass(frozen=True, slots=True)
class Source:
    """A drive and where the replay finds it.

    Args:
        drive: as it is replayed.
        folder: that holds it.
        scene: of a nuScenes data set, None where there is no choice.
        version: of a nuScenes data set, None where there is no choice.
        description: what the user asked for.
    """

    drive: Drive
    folder: Path
    scene: str | None
    version: str | None
    description: str


@contextmanager
def user_source(
    folder: Path, scene: str | None, version: str | None, max_sets: int | None
) -> Iterator[Source]:
    """The user's drive; where only its beginning is wanted, that part is copied for the time.

    Raises:
        DataError: where the drive cannot be read.
    """
    drive = open_drive(folder, scene, version)
    if max_sets is None or max_sets >= len(drive.sets):
        yield Source(drive, folder, scene, version, str(folder))
        return
    with TemporaryDirectory(prefix="occflow-demo-") as temporary:
        part = Path(temporary) / "drive"
        write_recording(part, replace(drive, sets=drive.sets[:max_sets]))
        yield Source(drive, part, None, None, f"{folder}, first {max_sets} sets")


def synthetic_source(cache: Path, max_sets: int | None) -> Source:
    """The synthetic drive in the nuScenes schema; made where the cache does not have it.

    Raises:
        OutputError: where the cache cannot be written.
    """
    options = SceneOptions() if max_sets is None else SceneOptions(keyframes=max_sets)
    folder = cache / _cache_name(options)
    if not folder.is_dir():
        write_synthetic(folder, "nuscenes", options, progress=_progress)
    drive = open_drive(folder)
    return Source(drive, folder, None, None, f"synthetic street, seed {options.seed}")


def _cache_name(options: SceneOptions) -> str:
    height, width = options.image_hw_px
    return f"seed{options.seed}_{options.keyframes}x{height}x{width}_{__version__}"


def _progress(sets: Iterator, total: int) -> Iterator:
    return iter(tqdm(sets, total=total, desc="making the synthetic drive", unit="set"))
