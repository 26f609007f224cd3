"""Where a long run keeps what is done, inside of the folder that it writes into."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from occflow_ros.errors import ConfigError, DataError, OutputError
from occflow_ros.output import write_text

WORK = ".work"
_SETTINGS = "settings.json"


def check_work(out: Path, settings: Mapping[str, Any]) -> None:
    """Raise what `work_folder` would, without making anything."""
    path = out / WORK / _SETTINGS
    try:
        if path.is_file():
            _check_same(path, settings)
        elif not out.is_dir() and out.exists():
            raise OutputError(f"{out}: expected a folder or nothing there, found a file")
        elif out.is_dir() and any(one.name != WORK for one in out.iterdir()):
            raise OutputError(f"{out}: folder is not empty and holds no run to go on with")
    except OSError as error:
        raise OutputError(f"{out}: cannot be read: {error.strerror}") from None


@contextmanager
def work_folder(out: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """The work folder of a run, made or gone on with, for this run alone; it is left there.

    Args:
        out: that the run writes into.
        settings: all that the result depends on, as JSON takes it.

    Raises:
        ConfigError: names what differs from the settings that the folder was made with.
        OutputError: where `out` holds something else, cannot be written, or is being worked in.
    """
    check_work(out, settings)
    work = out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        with (work / "lock").open("w") as lock:
            _lock(lock.fileno(), out)
            if not (work / _SETTINGS).is_file():
                write_text(work / _SETTINGS, json.dumps(settings, indent=1) + "\n")
            _remove_partial(out)
            yield work
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from error


def remove_work(out: Path) -> None:
    """Remove the work folder of a run that is done."""
    shutil.rmtree(out / WORK, ignore_errors=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file; raises DataError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _lock(descriptor: int, out: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"{out}: another run is at work there") from None


def _check_same(path: Path, settings: Mapping[str, Any]) -> None:
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: expected the settings of a run: {error}") from None
    now = json.loads(json.dumps(settings))
    differing = [
        f"{name} was {before.get(name)}, is {now.get(name)}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if differing:
        raise ConfigError(
            f"{path.parent.parent}: expected the settings of the run that is unfinished there, or "
            f"another folder: {'; '.join(differing)}"
        )


def _remove_partial(out: Path) -> None:
    """Remove what processes that were killed left half-written."""
    for path in out.rglob(".*.partial"):
        shutil.rmtree(path, ignore_errors=True)
    for path in (out / WORK).rglob("*.partial"):
        path.unlink(missing_ok=True)
